/* SPDX-License-Identifier: MIT */
/* Make a hypervisor that was booted with testpanic crash: hvpanic KIND (debug/testpanic.h). */
#include <debug/testpanic.h>
#include <stdio.h>
#include <string.h>
#include <xmhf/hypercall.h>

static const struct { const char *name; uint64_t number; } kinds[] = {
#define X(name, number) { #name, number },
    TESTPANIC_KINDS(X)
#undef X
};

/* VMCALL is a hypercall on both vendors' CPUs. */
static void hypercall(uint64_t rax, uint64_t rcx)
{
    __asm__ volatile("vmcall" : "+a"(rax) : "c"(rcx), "d"(0) : "memory");
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            hypercall(XMHF_HC_PANIC, kinds[i].number);
            fprintf(stderr, "hvpanic: still there\n");
            return 1;
        }
    }
    fprintf(stderr, "usage: hvpanic KIND, one of:");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fprintf(stderr, " %s", kinds[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}
