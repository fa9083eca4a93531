/* SPDX-License-Identifier: MIT */
/*
 * A PAL by the module interface: two threads at once look words up in a table that nobody can
 * change, and a third call goes wrong, which is told and hurts nobody.
 */
#include <pal/module.h>
#include <pthread.h>
#include <stdio.h>

static const uint32_t table[8] = { 1, 1, 2, 3, 5, 8, 13, 21 };

/* out[i] = table[index[i]]. No PAL_ABI: by the compiler's own convention. */
PAL_CODE static pal_word look_up(const volatile uint32_t *index, volatile uint32_t *out, pal_word n,
                                 const volatile uint32_t *in_table)
{
    for (pal_word i = 0; i < n; i++) {
        out[i] = in_table[index[i] % 8];
    }
    return n;
}

struct job { const struct pal_module *m; void *entry; uint32_t index[4], out[4]; };

static void *work(void *arg)
{
    struct job *j = arg;
    struct pal_answer a =
        pal_module_call(j->m, j->entry, (pal_word[]){ (pal_word)j->index, (pal_word)j->out, 4,
                                                      (pal_word)j->m->rodata }, 4);

    printf("%s: %u %u %u %u\n", pal_death_text(a.death), j->out[0], j->out[1], j->out[2],
           j->out[3]);
    return NULL;
}

int main(void)
{
    struct pal_module_spec spec = PAL_MODULE_SPEC;
    struct pal_module m;
    struct pal_answer a;
    struct job jobs[2];
    pthread_t threads[2];
    uint64_t error;
    void *entry;

    spec.convention = PAL_CONVENTION_NATIVE;
    spec.stacks = 2;
    spec.rodata = table;
    spec.rodata_size = sizeof(table);
    if (!pal_available()) {
        puts("no hypervisor");
        return 1;
    }
    if (pal_module_create(&m, &spec) != 0) {
        puts("no memory");
        return 1;
    }
    pal_module_pointer(&m, XMHF_IN, sizeof(jobs[0].index));
    pal_module_pointer(&m, XMHF_OUT, sizeof(jobs[0].out));
    pal_module_integer(&m);
    pal_module_integer(&m);
    entry = pal_module_entry(&m, (const void *)(uintptr_t)look_up, 0, 4);
    error = pal_module_register(&m);
    if (error != TV_OK) {
        printf("%s (%s)\n", pal_error_name(error), pal_error_text(error));
        return 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        jobs[i] = (struct job){ &m, entry, { i, i + 2, i + 4, i + 6 }, { 0 } };
        pthread_create(&threads[i], NULL, work, &jobs[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    a = pal_module_call(&m, entry, (pal_word[]){ (pal_word)jobs[0].index, (pal_word)jobs[0].out, 4,
                                                 (pal_word)table }, 4); /* not the PAL's memory */
    printf("%s, vector %u, at byte 0x%x of section %u\n", pal_death_text(a.death), a.vector,
           a.offset, a.section);
    pal_module_destroy(&m);
    return a.death == TV_DEATH_EXCEPTION ? 0 : 1;
}
