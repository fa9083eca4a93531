// SPDX-License-Identifier: MIT
/*
 * Kernel module for the test of hypapps/lockdown: each word written to /proc/lockprobe is an
 * attempt at what is locked. The write succeeds if the attempt did (all is put back at once), and
 * gives EPERM if it was refused.
 */
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/asm.h>
#include <asm/desc.h>
#include <asm/msr.h>

MODULE_LICENSE("GPL");

/* From /proc/kallsyms: a function that isn't called meanwhile, with its ftrace entry first; some
 * read-only data; ftrace's own code; the IDT's place in the kernel's data. */
static unsigned long function, rodata, ftrace, idt;
module_param(function, ulong, 0);
module_param(rodata, ulong, 0);
module_param(ftrace, ulong, 0);
module_param(idt, ulong, 0);

#define INSIDE 16 /* from the function's start: behind its ftrace entry */

/* A store of 1 or 4 bytes that may fault. */
static int store(void *to, u32 value, int size)
{
    int error = -EPERM;

    if (size == 1)
        asm volatile("1: movb %b[value], %[to]\n xor %[error], %[error]\n2:\n" _ASM_EXTABLE(1b, 2b)
                 : [error] "+r"(error), [to] "=m"(*(u8 *)to) : [value] "q"(value));
    else
        asm volatile("1: movl %[value], %[to]\n xor %[error], %[error]\n2:\n" _ASM_EXTABLE(1b, 2b)
                 : [error] "+r"(error), [to] "=m"(*(u32 *)to) : [value] "r"(value));
    return error;
}

/* Change what `to` shows and `seen` is, and put it back. */
static int change(void *to, const void *seen, u32 value, int size)
{
    u32 old = size == 1 ? READ_ONCE(*(const u8 *)seen) : READ_ONCE(*(const u32 *)seen), now;
    int error = store(to, value, size);

    now = size == 1 ? READ_ONCE(*(const u8 *)seen) : READ_ONCE(*(const u32 *)seen);
    if (error)
        return now == old ? error : -EIO;
    if (now != value)
        return -EIO;
    return store(to, old, size);
}

/* Another, writable mapping of the kernel's page at `at`. */
static void *alias(unsigned long at, void **mapping)
{
    struct page *page = pfn_to_page(__pa_symbol(at) >> PAGE_SHIFT);

    *mapping = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
    return *mapping ? *mapping + offset_in_page(at) : NULL;
}

static int by_alias(unsigned long at, u32 value, int size)
{
    void *mapping, *to = alias(at, &mapping);
    int error = to ? change(to, (void *)at, value, size) : -ENOMEM;

    vunmap(mapping);
    return error;
}

static int set_cr0(unsigned long value)
{
    int error = -EPERM;

    asm volatile("1: mov %[value], %%cr0\n xor %[error], %[error]\n2:\n" _ASM_EXTABLE(1b, 2b)
             : [error] "+r"(error) : [value] "r"(value) : "memory");
    return error;
}

static int try_cr0(void)
{
    unsigned long cr0 = read_cr0(), flags;
    int error;

    local_irq_save(flags);
    error = set_cr0(cr0 & ~X86_CR0_WP);
    if (!error) {
        error = change((void *)(function + INSIDE), (void *)(function + INSIDE), 0xcc, 1);
        set_cr0(cr0);
    }
    local_irq_restore(flags);
    return error;
}

static int try_cr4(void)
{
    unsigned long cr4 = __read_cr4(), flags;
    int error = -EPERM;

    if (!(cr4 & X86_CR4_SMEP))
        return -ENODEV;
    local_irq_save(flags);
    asm volatile("1: mov %[off], %%cr4\n mov %[on], %%cr4\n xor %[error], %[error]\n2:\n"
                 _ASM_EXTABLE(1b, 2b) : [error] "+r"(error)
                 : [off] "r"(cr4 & ~X86_CR4_SMEP), [on] "r"(cr4) : "memory");
    local_irq_restore(flags);
    return error;
}

/* Between the writes no page that isn't executable may be touched: its entry has a reserved bit. */
static int try_efer(void)
{
    u32 low, high, off;
    unsigned long flags;
    int error = -EPERM;

    rdmsr(MSR_EFER, low, high);
    off = low & ~EFER_NX;
    local_irq_save(flags);
    asm volatile("1: wrmsr\n mov %[on], %%eax\n wrmsr\n xor %[error], %[error]\n2:\n"
                 _ASM_EXTABLE(1b, 2b) : [error] "+r"(error), "+a"(off)
                 : "c"(MSR_EFER), "d"(high), [on] "r"(low) : "memory");
    local_irq_restore(flags);
    return error;
}

static int try_lidt(void)
{
    struct desc_ptr old, new;
    void *copy = (void *)__get_free_page(GFP_KERNEL);
    unsigned long flags;
    int error = -EPERM;

    if (!copy)
        return -ENOMEM;
    store_idt(&old);
    new.size = old.size;
    new.address = (unsigned long)copy;
    memcpy(copy, (void *)old.address, old.size + 1);
    local_irq_save(flags);
    asm volatile("1: lidt %[new]\n lidt %[old]\n xor %[error], %[error]\n2:\n" _ASM_EXTABLE(1b, 2b)
             : [error] "+r"(error) : [new] "m"(new), [old] "m"(old) : "memory");
    local_irq_restore(flags);
    free_page((unsigned long)copy);
    return error;
}

static int try_lstar(void)
{
    unsigned long flags;
    u64 old;
    int error;

    rdmsrl(MSR_LSTAR, old);
    local_irq_save(flags);
    error = wrmsrl_safe(MSR_LSTAR, old + 16) ? -EPERM : 0;
    if (!error)
        wrmsrl(MSR_LSTAR, old);
    local_irq_restore(flags);
    return error;
}

/* The ftrace entry becomes a CALL and a NOP again, as text_poke writes it: INT3 first. */
static int patch(unsigned long target)
{
    static const u8 nop[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
    void *mapping, *to = alias(function, &mapping);
    int error;

    if (!to || memcmp((void *)function, nop, sizeof(nop)) != 0) {
        vunmap(mapping);
        return -ENODEV;
    }
    error = store(to, 0xcc, 1);
    error = error ? error : store(to + 1, (u32)(target - (function + 5)), 4);
    error = error ? error : store(to, 0xe8, 1);
    if (!error && *(u8 *)function != 0xe8)
        error = -EIO;
    store(to, 0xcc, 1);
    if (store(to + 1, 0x00441f, 4) || store(to, 0x0f, 1)
        || memcmp((void *)function, nop, sizeof(nop)) != 0)
        error = -EIO;
    vunmap(mapping);
    return error;
}

static int attempt(const char *what)
{
    if (sysfs_streq(what, "cr0"))
        return try_cr0();
    if (sysfs_streq(what, "text"))
        return by_alias(function + INSIDE, 0xcc, 1);
    if (sysfs_streq(what, "site"))
        return by_alias(function, 0x90909090, 4);
    if (sysfs_streq(what, "patch"))
        return patch(ftrace);
    if (sysfs_streq(what, "target"))
        return patch((unsigned long)attempt);
    if (sysfs_streq(what, "rodata"))
        return by_alias(rodata, '?', 1);
    if (sysfs_streq(what, "idt"))
        return by_alias(idt + 12, 0x5a5a5a5a, 4); /* a gate's reserved word */
    if (sysfs_streq(what, "cr4"))
        return try_cr4();
    if (sysfs_streq(what, "efer"))
        return try_efer();
    if (sysfs_streq(what, "lidt"))
        return try_lidt();
    if (sysfs_streq(what, "lstar"))
        return try_lstar();
    return -EINVAL;
}

static ssize_t on_write(struct file *file, const char __user *from, size_t len, loff_t *at)
{
    char word[16] = "";
    int error;

    if (len >= sizeof(word) || copy_from_user(word, from, len))
        return -EINVAL;
    error = attempt(word);
    return error ? error : len;
}

static const struct proc_ops ops = { .proc_write = on_write };

static int __init lockprobe_init(void)
{
    return proc_create("lockprobe", 0200, NULL, &ops) ? 0 : -ENOMEM;
}
module_init(lockprobe_init);
