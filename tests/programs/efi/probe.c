/* SPDX-License-Identifier: MIT */
/*
 * An EFI application that the tests start in the place of an OS loader: it does what its load
 * options say, word by word, and tells of it on COM1 in lines that begin with "efi: ".
 *
 * Built by MinGW as a PE file, with gnu-efi's headers (tests/e2e/efi.py).
 */
#include <efi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1 0x3F8
#define RANGE_STEP 0x10000 /* bytes between two tries in the protected range */

/* PI 1.7, volume 2, 13.4 */
struct mp_services {
    EFI_STATUS (EFIAPI *number)(struct mp_services *self, UINTN *all, UINTN *enabled);
    EFI_STATUS (EFIAPI *info)(struct mp_services *self, UINTN number, VOID *info);
    EFI_STATUS (EFIAPI *start_all)(struct mp_services *self, VOID (EFIAPI *procedure)(VOID *),
                                   BOOLEAN one_by_one, EFI_EVENT wait, UINTN timeout, VOID *arg,
                                   UINTN **failed);
    EFI_STATUS (EFIAPI *start_one)(struct mp_services *self, VOID (EFIAPI *procedure)(VOID *),
                                   UINTN number, EFI_EVENT wait, UINTN timeout, VOID *arg,
                                   BOOLEAN *finished);
    EFI_STATUS (EFIAPI *switch_bsp)(struct mp_services *self, UINTN number, BOOLEAN enable_old);
    EFI_STATUS (EFIAPI *enable)(struct mp_services *self, UINTN number, BOOLEAN enable,
                                UINT32 *healthy);
    EFI_STATUS (EFIAPI *who_am_i)(struct mp_services *self, UINTN *number);
};

static EFI_GUID mp_guid = { 0x3fdda605, 0xa76e, 0x4f46,
                            { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } };
static EFI_GUID loaded_image = { 0x5b1b31a1, 0x9562, 0x11d2,
                                 { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } };
static EFI_GUID our_vendor = { 0x1d2c3b4a, 0x5968, 0x4776,
                               { 0x85, 0x94, 0xa3, 0xb2, 0xc1, 0xd0, 0xef, 0xfe } };
static EFI_GUID device_path = { 0x09576e91, 0x6d3f, 0x11d2,
                                { 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } };
static EFI_SYSTEM_TABLE *st;
static EFI_HANDLE self;
static uint64_t entered; /* TSC at our first line */

/* --- words on the serial line ------------------------------------------------- */

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void put(const char *s)
{
    for (; *s; s++) {
        for (unsigned tries = 0; tries < 100000 && !(in8(COM1 + 5) & 0x20); tries++) {
        }
        out8(COM1, (uint8_t)*s);
    }
}

static void put_hex(uint64_t n)
{
    char text[17];
    char *at = &text[16];

    *at = 0;
    do {
        *--at = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n);
    put(at);
}

/* "efi: WHAT A B\n", numbers in base 16. */
static void tell(const char *what, uint64_t a, uint64_t b)
{
    put("\nefi: ");
    put(what);
    put(" ");
    put_hex(a);
    put(" ");
    put_hex(b);
    put("\n");
}

/* --- CPUs ------------------------------------------------------------------------ */

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static bool under_xmhf(void)
{
    uint32_t r[4];

    cpuid(0x40000000, r);
    return r[1] == 0x46484d58; /* "XMHF" */
}

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static volatile uint32_t ran, ran_guests;

static VOID EFIAPI on_each(VOID *arg)
{
    (void)arg;
    __atomic_fetch_add(&ran, 1, __ATOMIC_SEQ_CST);
    if (under_xmhf()) {
        __atomic_fetch_add(&ran_guests, 1, __ATOMIC_SEQ_CST);
    }
}

static struct mp_services *mp(void)
{
    struct mp_services *services = NULL;

    return EFI_ERROR(st->BootServices->LocateProtocol(&mp_guid, NULL, (VOID **)&services))
        ? NULL : services;
}

/* Run something on every other CPU. */
static void ask_all(const char *what)
{
    struct mp_services *services = mp();
    UINTN all = 0, enabled = 0;
    EFI_STATUS status;

    if (!services) {
        tell("mp absent", 0, 0);
        return;
    }
    services->number(services, &all, &enabled);
    ran = ran_guests = 0;
    status = services->start_all(services, on_each, FALSE, NULL, 5000000, NULL, NULL);
    tell(what, ran, ran_guests);
    tell("mp status", status, enabled);
}

/* One that is disabled and enabled again, as firmware's setup does it. */
static void enable_again(void)
{
    struct mp_services *services = mp();
    EFI_STATUS off, on;

    off = services ? services->enable(services, 1, FALSE, NULL) : EFI_UNSUPPORTED;
    on = services ? services->enable(services, 1, TRUE, NULL) : EFI_UNSUPPORTED;
    tell("mp enable", off, on);
    ask_all("mp enabled again");
}

/* AMD APM 2, 16.5: INIT for all CPUs but this one, by the APIC as it is now. The firmware's CPUs
 * sit in its code. */
static void init_others(void)
{
    const uint32_t icr = 0xC4500;
    volatile uint32_t *apic = (volatile uint32_t *)(uintptr_t)(rdmsr(0x1B) & 0xFFFFFF000);

    if (rdmsr(0x1B) & 0x400) {
        __asm__ volatile("wrmsr" : : "c"(0x830), "a"(icr), "d"(0));
    } else {
        apic[0x300 / 4] = icr;
    }
    st->BootServices->Stall(10000);
    tell("init sent", 0, 0);
}

/* --- the memory map --------------------------------------------------------------------- */

static uint8_t map[128 * 1024];
static UINTN map_size, map_key, map_step;
static UINT32 map_version;

static EFI_STATUS get_map(void)
{
    map_size = sizeof(map);
    return st->BootServices->GetMemoryMap(&map_size, (EFI_MEMORY_DESCRIPTOR *)map, &map_key,
                                          &map_step, &map_version);
}

static void show_map(void)
{
    EFI_STATUS status = get_map();

    tell("map", status, map_size / map_step);
    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        EFI_MEMORY_DESCRIPTOR *d = (EFI_MEMORY_DESCRIPTOR *)&map[at];

        put("efi: mem ");
        put_hex(d->Type);
        put(" ");
        put_hex(d->PhysicalStart);
        put(" ");
        put_hex(d->NumberOfPages);
        put(" ");
        put_hex(d->Attribute);
        put("\n");
    }
}

/* How many entries the map has. */
static void count_map(void)
{
    EFI_STATUS status = get_map();

    tell("entries", status, map_size / map_step);
}

/* Cut memory into pieces: of `n` pages, each by itself, every second one is given back. The others
 * stay taken when this program is gone (UEFI 2.10, 7.2). */
static void fragment(uint64_t n)
{
    static EFI_PHYSICAL_ADDRESS page[1024];
    EFI_STATUS status = EFI_SUCCESS;
    uint64_t got = 0;

    while (got < n && got < sizeof(page) / sizeof(page[0]) && !EFI_ERROR(status)) {
        status = st->BootServices->AllocatePages(AllocateAnyPages, EfiBootServicesData, 1,
                                                 &page[got]);
        got += !EFI_ERROR(status);
    }
    for (uint64_t i = 0; i < got; i += 2) {
        st->BootServices->FreePages(page[i], 1);
    }
    tell("fragments", status, got);
}

/* The largest range of RAM that the map reserves, which is the hypervisor's. */
static void find_range(uint64_t *first, uint64_t *size)
{
    *first = *size = 0;
    get_map();
    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        EFI_MEMORY_DESCRIPTOR *d = (EFI_MEMORY_DESCRIPTOR *)&map[at];

        if (d->Type == EfiReservedMemoryType && (d->Attribute & EFI_MEMORY_WB)
            && d->NumberOfPages << 12 > *size) {
            *first = d->PhysicalStart;
            *size = d->NumberOfPages << 12;
        }
    }
    tell("range", *first, *size);
}

/* Pages of which the map says that nobody may use them. */
static void count_reserved(void)
{
    uint64_t pages = 0;
    EFI_STATUS status = get_map();

    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        EFI_MEMORY_DESCRIPTOR *d = (EFI_MEMORY_DESCRIPTOR *)&map[at];

        pages += d->Type == EfiReservedMemoryType ? d->NumberOfPages : 0;
    }
    tell("reserved", status, pages);
}

/* --- the protected range ------------------------------------------------------------ */

struct gate {
    uint16_t low, selector;
    uint8_t ist, type;
    uint16_t middle;
    uint32_t high, reserved;
};

struct table {
    uint16_t limit;
    struct gate *gates;
} __attribute__((packed));

volatile uint64_t faults; /* #GP or #PF that try_store() met */

/* Steps over try_store's instruction, of 2 bytes, behind an error code. */
void on_fault(void);
__asm__(".globl on_fault\n"
        "on_fault:\n"
        "    incq faults(%rip)\n"
        "    addq $8, %rsp\n"
        "    addq $2, (%rsp)\n"
        "    iretq\n");

static void try_store(uint64_t at)
{
    __asm__ volatile(".byte 0x88, 0x02" : : "a"(0xA5), "d"(at) : "memory"); /* mov %al, (%rdx) */
}

/* Read and write all over a range of physical addresses, of which firmware maps each to itself. */
static void attack(void)
{
    struct table idt;
    struct gate old;
    uint64_t first, size, stores = 0, not_zero = 0, handler = (uint64_t)(uintptr_t)on_fault;

    find_range(&first, &size);
    __asm__ volatile("sidt %0" : "=m"(idt));
    old = idt.gates[13];
    idt.gates[13].low = (uint16_t)handler;
    idt.gates[13].middle = (uint16_t)(handler >> 16);
    idt.gates[13].high = (uint32_t)(handler >> 32);
    faults = 0;
    for (uint64_t at = first; at < first + size; at += RANGE_STEP) {
        for (unsigned i = 0; i < 4096; i += 8) {
            not_zero += *(volatile uint64_t *)(uintptr_t)(at + i) != 0;
        }
        try_store(at + 8);
        stores++;
    }
    idt.gates[13] = old;
    tell("attack stores faults", stores, faults);
    tell("attack words not zero", not_zero, 0);
}

/* --- runtime services -------------------------------------------------------------------- */

/* Leave boot services, then have the firmware relocate itself with an address map in which the
 * hypervisor's range is memory of its runtime services, elsewhere. */
static void leave(void)
{
    uint64_t first, size;
    EFI_STATUS status = EFI_LOAD_ERROR;
    EFI_MEMORY_DESCRIPTOR *d;
    UINTN used = 0;
    EFI_TIME time;

    find_range(&first, &size);
    for (unsigned tries = 0; tries < 3 && EFI_ERROR(status); tries++) {
        get_map();
        status = st->BootServices->ExitBootServices(self, map_key);
    }
    tell("left boot services", status, 0);
    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        d = (EFI_MEMORY_DESCRIPTOR *)&map[at];
        if (d->Attribute & EFI_MEMORY_RUNTIME) {
            d->VirtualStart = d->PhysicalStart;
            for (UINTN i = 0; i < map_step; i++) {
                map[used + i] = map[at + i];
            }
            used += map_step;
        }
    }
    d = (EFI_MEMORY_DESCRIPTOR *)&map[used];
    d->Type = EfiRuntimeServicesData;
    d->PhysicalStart = first;
    d->VirtualStart = first;
    d->NumberOfPages = size >> 12;
    d->Attribute = EFI_MEMORY_WB | EFI_MEMORY_RUNTIME;
    used += map_step;
    status = st->RuntimeServices->SetVirtualAddressMap(used, map_step, map_version,
                                                       (EFI_MEMORY_DESCRIPTOR *)map);
    tell("virtual map", status, used / map_step);
    tell("time", st->RuntimeServices->GetTime(&time, NULL), time.Year);
}

/* Write a variable, read it, delete it. */
static void variables(void)
{
    static CHAR16 name[] = { 'X', 'm', 'h', 'f', 'P', 'r', 'o', 'b', 'e', 0 };
    const UINT32 kind = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS
        | EFI_VARIABLE_RUNTIME_ACCESS;
    EFI_RUNTIME_SERVICES *rt = st->RuntimeServices;
    uint64_t value = 0x1122334455667788, back = 0;
    UINTN size = sizeof(back);
    EFI_STATUS wrote = rt->SetVariable(name, &our_vendor, kind, sizeof(value), &value);
    EFI_STATUS read = rt->GetVariable(name, &our_vendor, NULL, &size, &back);

    tell("variable", wrote | read, back);
    tell("variable deleted", rt->SetVariable(name, &our_vendor, kind, 0, NULL), 0);
}

/* Memory that the firmware is to overwrite: the request and its lock, 0xff where there is none;
 * then try to take both back (TCG Platform Reset Attack Mitigation Specification 1.10, 4.2, 5). */
static void overwrite_request(void)
{
    static EFI_GUID vendor = { 0xe20939be, 0x32d4, 0x41be,
                               { 0xa1, 0x50, 0x89, 0x7f, 0x85, 0xd4, 0x98, 0x29 } };
    static EFI_GUID lock_vendor = { 0xbb983ccf, 0x151d, 0x40e1,
                                    { 0xa0, 0x7b, 0x4a, 0x17, 0xbe, 0x16, 0x82, 0x92 } };
    static CHAR16 name[] = L"MemoryOverwriteRequestControl";
    static CHAR16 lock_name[] = L"MemoryOverwriteRequestControlLock";
    const UINT32 kind = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS
        | EFI_VARIABLE_RUNTIME_ACCESS;
    EFI_RUNTIME_SERVICES *rt = st->RuntimeServices;
    UINT8 control = 0xFF, lock = 0xFF, zero = 0;
    UINTN size = 1, lock_size = 1;

    rt->GetVariable(name, &vendor, NULL, &size, &control);
    rt->GetVariable(lock_name, &lock_vendor, NULL, &lock_size, &lock);
    tell("mor", control, lock);
    tell("mor taken back", rt->SetVariable(lock_name, &lock_vendor, kind, 1, &zero),
         rt->SetVariable(name, &vendor, kind, 1, &zero));
}

/* A timer of the firmware's runs while we wait. */
static void wait_a_little(void)
{
    UINTN index = 9;
    EFI_EVENT timer = NULL;
    EFI_STATUS status = st->BootServices->CreateEvent(EVT_TIMER, 0, NULL, NULL, &timer);

    if (!EFI_ERROR(status)) {
        status = st->BootServices->SetTimer(timer, TimerRelative, 1000000);
    }
    if (!EFI_ERROR(status)) {
        status = st->BootServices->WaitForEvent(1, &timer, &index);
    }
    tell("timer", status, index);
}

/* --- devices -------------------------------------------------------------------------- */

static void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t pci_read(uint32_t device, uint32_t at)
{
    uint32_t value;

    out32(0xCF8, 0x80000000u | device << 11 | at);
    __asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(0xCFC));
    return value;
}

/* Write and read the memory of QEMU's ivshmem (docs/specs/ivshmem-spec), its third BAR. */
static void use_bar(void)
{
    for (uint32_t device = 0; device < 32; device++) {
        if (pci_read(device, 0) == 0x11101AF4) {
            uint64_t at = (uint64_t)pci_read(device, 0x1C) << 32 | (pci_read(device, 0x18) & ~15u);
            volatile uint64_t *p = (volatile uint64_t *)(uintptr_t)at;

            out32(0xCF8, 0x80000000u | device << 11 | 4);
            out32(0xCFC, 6); /* the device answers to memory; firmware leaves that to a driver */
            *p = 0x1122334455667788;
            tell("bar", at, *p);
            return;
        }
    }
    tell("bar absent", 0, 0);
}

/* TCG EFI Protocol Specification, family 2.0, 6.1 and 6.4 */
struct tcg2 {
    EFI_STATUS (EFIAPI *capability)(struct tcg2 *self, VOID *capability);
    EFI_STATUS (EFIAPI *log)(struct tcg2 *self, UINT32 format, EFI_PHYSICAL_ADDRESS *first,
                             EFI_PHYSICAL_ADDRESS *last, BOOLEAN *cut);
    EFI_STATUS (EFIAPI *extend)(struct tcg2 *self, UINT64 flags, EFI_PHYSICAL_ADDRESS data,
                                UINT64 size, VOID *event);
    EFI_STATUS (EFIAPI *submit)(struct tcg2 *self, UINT32 in_size, UINT8 *in, UINT32 out_size,
                                UINT8 *out);
};

/* Ask the firmware's TPM for eight random bytes (TPM 2.0 library, part 3, 16.1). */
static void ask_tpm(void)
{
    static EFI_GUID guid = { 0x607f766c, 0x7455, 0x42be,
                             { 0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f } };
    UINT8 command[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7B, 0, 8 };
    UINT8 answer[64] = { 0 };
    struct tcg2 *tpm = NULL;
    EFI_STATUS status = st->BootServices->LocateProtocol(&guid, NULL, (VOID **)&tpm);

    if (EFI_ERROR(status)) {
        tell("tpm absent", status, 0);
        return;
    }
    status = tpm->submit(tpm, sizeof(command), command, sizeof(answer), answer);
    /* its result, and how many bytes the answer has */
    tell("tpm random", status | (UINT64)answer[8] << 8 | answer[9],
         (UINT64)answer[4] << 8 | answer[5]);
}

/* --- other programs ---------------------------------------------------------------------- */

static EFI_HANDLE program;

/* Up to a blank or the end. */
static UINTN word_length(const CHAR16 *at)
{
    UINTN n = 0;

    while (at[n] != 0 && at[n] != ' ') {
        n++;
    }
    return n;
}

/* Load the file of our volume that is named here, and go behind its name. UEFI 2.10, 10.3.5.4 */
static void load(EFI_LOADED_IMAGE *loaded, const CHAR16 **at)
{
    static uint8_t path[1024];
    uint8_t *volume = NULL;
    UINTN head = 0, name = word_length(*at);
    EFI_STATUS status = st->BootServices->HandleProtocol(loaded->DeviceHandle, &device_path,
                                                         (VOID **)&volume);

    while (!EFI_ERROR(status) && volume[head] != 0x7f) {
        head += volume[head + 2] | (UINTN)volume[head + 3] << 8;
    }
    if (!EFI_ERROR(status) && head + name * 2 + 10 <= sizeof(path)) {
        st->BootServices->CopyMem(path, volume, head);
        path[head] = 4;
        path[head + 1] = 4;
        path[head + 2] = (uint8_t)(name * 2 + 6);
        path[head + 3] = (uint8_t)((name * 2 + 6) >> 8);
        st->BootServices->CopyMem(path + head + 4, (VOID *)*at, name * 2);
        st->BootServices->CopyMem(path + head + name * 2 + 4, "\0\0\x7f\xff\4", 6);
        status = st->BootServices->LoadImage(FALSE, self, (EFI_DEVICE_PATH *)path, NULL, 0,
                                             &program);
    }
    *at += name;
    tell("load", status, rdtsc());
}

/* Start what was loaded, with the load options that are here, ',' for a blank. */
static void start(const CHAR16 **at)
{
    static CHAR16 options[100];
    UINTN n = word_length(*at);
    EFI_LOADED_IMAGE *loaded = NULL;
    EFI_STATUS status = st->BootServices->HandleProtocol(program, &loaded_image,
                                                         (VOID **)&loaded);

    for (UINTN i = 0; i < n && i < 99; i++) {
        options[i] = (*at)[i] == ',' ? ' ' : (*at)[i];
    }
    if (n != 0 && n < 100 && !EFI_ERROR(status)) {
        options[n] = 0;
        loaded->LoadOptions = options;
        loaded->LoadOptionsSize = (UINT32)(n + 1) * 2;
    }
    *at += n;
    tell("start", EFI_ERROR(status) ? status
         : st->BootServices->StartImage(program, NULL, NULL), 0);
}

static volatile uint64_t go_on;

/* Until somebody outside has changed memory. */
static void wait_outside(void)
{
    tell("waits", (uint64_t)(uintptr_t)&go_on, 0);
    while (!go_on) {
        __asm__ volatile("pause");
    }
}

/* --- what the options say --------------------------------------------------------------- */

/* Does the text at *at begin with this word? Goes behind it and one '='. */
static bool is_word(const CHAR16 **at, const char *word)
{
    const CHAR16 *s = *at;

    for (; *word; word++, s++) {
        if (*s != (CHAR16)*word) {
            return false;
        }
    }
    if (*s != 0 && *s != ' ' && *s != '=') {
        return false;
    }
    *at = *s == '=' ? s + 1 : s;
    return true;
}

/* A number in base 16. */
static uint64_t number(const CHAR16 **at)
{
    uint64_t n = 0;

    for (;; (*at)++) {
        CHAR16 c = **at;

        if (c >= '0' && c <= '9') {
            n = n << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return n;
        }
    }
}

/* Words that take nothing and do something. */
static const struct { const char *word; void (*act)(void); } acts[] = {
    { "map", show_map }, { "entries", count_map }, { "bar", use_bar }, { "tpm", ask_tpm },
    { "reserved", count_reserved }, { "wait", wait_outside }, { "enable", enable_again },
    { "init", init_others }, { "mor", overwrite_request }, { "vars", variables },
    { "timer", wait_a_little }, { "attack", attack }, { "leave", leave },
};

/* One word. False: return the status from here. */
static bool obey(EFI_LOADED_IMAGE *loaded, const CHAR16 **at, EFI_STATUS *status)
{
    for (unsigned i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (is_word(at, acts[i].word)) {
            acts[i].act();
            return true;
        }
    }
    if (is_word(at, "fragment")) {
        fragment(number(at));
    } else if (is_word(at, "tsc")) {
        tell("tsc", entered, rdtsc());
    } else if (is_word(at, "load")) {
        load(loaded, at);
    } else if (is_word(at, "start")) {
        start(at);
    } else if (is_word(at, "mp")) {
        ask_all("mp ran");
    } else if (is_word(at, "off")) {
        st->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
    } else if (is_word(at, "reset")) {
        st->RuntimeServices->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
    } else if (is_word(at, "return")) {
        *status = number(at) ? EFI_NO_MAPPING : EFI_SUCCESS;
        return false;
    } else {
        tell("no such word", **at, 0);
        return false;
    }
    return true;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_LOADED_IMAGE *loaded = NULL;
    EFI_STATUS status = EFI_SUCCESS;
    const CHAR16 *at;

    entered = rdtsc();
    st = system;
    self = image;
    tell("probe started, under XMHF", under_xmhf(), rdmsr(0x1B));
    if (EFI_ERROR(st->BootServices->HandleProtocol(image, &loaded_image, (VOID **)&loaded))
        || !loaded->LoadOptions || loaded->LoadOptionsSize < 2) {
        tell("no options", 0, 0);
        return EFI_SUCCESS;
    }
    at = loaded->LoadOptions;
    while (*at) {
        if (*at == ' ') {
            at++;
        } else if (!obey(loaded, &at, &status)) {
            break;
        }
    }
    tell("probe returns", status, 0);
    return status;
}
