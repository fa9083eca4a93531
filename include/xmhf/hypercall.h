/* SPDX-License-Identifier: MIT */
/*
 * Hypercall numbers of the core and of TrustVisor, and the CPUID leaves that
 * announce them. Shared by the core, the hypapps, the SDK and the tests. notes/hypercalls.md
 * explains them.
 *
 * A hypercall is VMCALL (0F 01 C1) or VMMCALL (0F 01 D9), at any ring and mode.
 * EAX holds the command; the arguments are in RCX, RDX, RSI, RDI (32-bit callers:
 * ECX, EDX, ESI, EDI); the result is the whole of RAX. No other register changes.
 */
#ifndef XMHF_HYPERCALL_H
#define XMHF_HYPERCALL_H

/* 1..255: the public TrustVisor ABI (notes/public-abi.md). */
#define TV_HC_REG    1u
#define TV_HC_UNREG  2u
#define TV_HC_TEST   255u

/* From 0x100: ours. MODULE: a PAL by the module interface; PAL: one of either interface. */
#define XMHF_HC_INFO        0x100u /* RCX = which (enum xmhf_info); RAX = value */
#define XMHF_HC_MODULE_REGISTER   0x101u /* RCX: struct xmhf_module; RDI: its first entry's
                                            address */
#define XMHF_HC_MODULE_UNREGISTER 0x102u /* RCX: its first entry's address */
#define XMHF_HC_PAL_LIMITS     0x103u /* RCX: struct xmhf_pal_limits to fill; RSI: its size */
#define XMHF_HC_PAL_STATS      0x104u /* RCX: struct xmhf_pal_stats to fill; RSI: its size;
                                         RDI: first entry of a PAL of this process */
#define XMHF_HC_PAL_INTERRUPTED 0x105u /* inside a PAL: how often this call was interrupted */
#define XMHF_HC_IMAGE_REGISTER   0x106u /* RCX: struct xmhf_image (xmhf/image.h); RDI: its stubs */
#define XMHF_HC_IMAGE_UNREGISTER 0x107u /* RCX: its stubs */
#define XMHF_HC_OCALL       0x108u /* inside a PAL: struct xmhf_ocall */
#define XMHF_HC_RANDOM      0x109u /* inside a PAL: XMHF_RANDOM_MAX */
#define XMHF_HC_PAL_READ    0x10au /* of a debug PAL of this process: RCX: struct
                                       xmhf_pal_read (xmhf/image.h) */
#define XMHF_HC_HELLO       0x110u /* helloworld: RAX = number of CPUID exits so far */
#define XMHF_HC_LOCKDOWN    0x111u /* lockdown: xmhf/lockdown.h */

#define XMHF_HC_PANIC       0x1ffu /* with testpanic: crash as RCX says (debug/testpanic.h) */

/* Former names. */
#define XMHF_HC_PAL_REGISTER   XMHF_HC_MODULE_REGISTER
#define XMHF_HC_PAL_UNREGISTER XMHF_HC_MODULE_UNREGISTER

/* What XMHF_HC_INFO can tell; none of it is secret and none is an address. */
enum xmhf_info {
    XMHF_INFO_VERSION = 0,       /* XMHF_VERSION */
    XMHF_INFO_CPUS = 1,          /* CPUs taken at boot */
    XMHF_INFO_POOL_TOTAL = 2,    /* pages in the pool */
    XMHF_INFO_POOL_FREE = 3,     /* free pages in the pool; those that the OS's own map
                                    has taken since boot count as free, so that the number
                                    tells of PALs alone */
    XMHF_INFO_PROTECTED_SIZE = 4,/* bytes hidden from the guest */
    XMHF_INFO_DMA_PROTECTION = 5,/* 0: off, 1: on */
    XMHF_INFO_PALS = 6,          /* live PALs (0 under helloworld) */
    XMHF_INFO_LAST_DEATH = 7,    /* TrustVisor: last PAL death seen by the calling process:
                                    death << 32 | vector << 16 | death (once more, for
                                    32-bit code, which sees no more than EAX); 0 if none */
    XMHF_INFO_BOOT_TICKS = 8,    /* TSC ticks from our first instruction to guest start */
    XMHF_INFO_HASH_TICKS = 9,    /* TrustVisor: TSC ticks spent hashing PALs, all CPUs */
    XMHF_INFO_RANDOM = 10,       /* sources of random numbers: XMHF_RANDOM_* */
    XMHF_INFO_EXITS = 0x1000,    /* + enum exit_kind: exits of that kind, all CPUs;
                                    + (cpu + 1) << 16: of CPU number cpu only */
    XMHF_INFO_LONGEST = 0x3000,  /* + kind as above: TSC ticks from such an exit to the next
                                    entry, the most so far; 0 without the option measure */
    XMHF_INFO_LOCKDOWN = 0x5000, /* lockdown: + enum lockdown_info */
};

/* What XMHF_INFO_RANDOM tells: sources that work, and shifted by 8 those that have failed. */
#define XMHF_RANDOM_RDSEED 1u
#define XMHF_RANDOM_RDRAND 2u
#define XMHF_RANDOM_TIMING 4u
#define XMHF_RANDOM_INPUT  8u         /* another one's bytes: a TPM's, once there is one */
#define XMHF_RANDOM_SEEDED (1u << 16) /* there is entropy; else: TV_NO_ENTROPY */

/* CPUID leaf by which programs of the public ABI detect TrustVisor. */
#define TV_CPUID_LEAF        0x7a567254u
#define TV_CPUID_REPLY_EAX   0x7a767274u
#define TV_CPUID_NOT_IN_PAL  0xffffffffu

/* Our leaves in the hypervisor range 0x40000000-0x400000ff. */
#define XMHF_CPUID_BASE      0x40000000u /* EAX: highest leaf; EBX,ECX,EDX: "XMHFXMHFXMHF" */
#define XMHF_CPUID_SIGNATURE "XMHFXMHFXMHF"
/* Of this interface, not of a release (CHANGELOG.md has those): leaf 0x40000001, EAX, and
 * XMHF_INFO_VERSION: major << 16 | minor. */
#define XMHF_VERSION         0x00010001u

#endif
