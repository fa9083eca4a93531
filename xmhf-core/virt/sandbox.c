/* SPDX-License-Identifier: MIT */
/* The one state that every sandbox starts with, as a constant. */
#include <virt/sandbox.h>
#include <x86/cpu.h>

#define CODE(sel, attr) { sel, (attr) | SEG_ATTR_DPL, 0xffffffff, 0 }
/* Flat. FS and GS too: 32-bit code that uses them would get a #GP from a null selector. */
#define DATA { SANDBOX_DATA_SELECTOR, SEG_ATTR_DATA32 | SEG_ATTR_DPL, 0xffffffff, 0 }

/*
 * EFER.SCE = 0: SYSCALL is #UD. Without CR4.MCE a machine check would shut the machine down (SDM
 * vol. 3, 6.15; APM vol. 2, 8.2.18). PAT: everything is write-back, whatever the page tables say.
 * No LDT, GDT or IDT: what needs one exits. The TSS has no room for an I/O bitmap. 16-bit code has
 * an LDT and other segments, which each entry says; of SANDBOX_16 those here are never loaded.
 */
#define STATE(code) { \
    .seg = { \
        [SEG_ES] = DATA, [SEG_CS] = code, [SEG_SS] = DATA, [SEG_DS] = DATA, [SEG_FS] = DATA, \
        [SEG_GS] = DATA, [SEG_LDTR] = { 0, 0, 0, 0 }, [SEG_TR] = { 0, SEG_ATTR_TSS_BUSY, 0, 0 }, \
    }, \
    .cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG, \
    .cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT, \
    .efer = EFER_LME | EFER_LMA | EFER_NXE, \
    .dr6 = DR6_AT_INIT, .dr7 = DR7_AT_INIT, \
    .pat = 0x0606060606060606ULL, \
}

const struct vcpu_state sandbox_template[SANDBOX_MODES] = {
    [SANDBOX_16] = STATE(CODE(0x23, SEG_ATTR_CODE32)),
    [SANDBOX_32] = STATE(CODE(0x23, SEG_ATTR_CODE32)),
    [SANDBOX_64] = STATE(CODE(0x33, SEG_ATTR_CODE64)),
};
