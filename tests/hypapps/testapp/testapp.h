/* SPDX-License-Identifier: MIT */
/* What tests/guests/hypapp.c asks of the test hypapp: one hypercall, RCX says what, the result is
 * RAX. */
#ifndef TESTAPP_H
#define TESTAPP_H

#define TESTAPP_HC       0x300u
/* an item of XMHF_HC_INFO that it answers with TESTAPP_MAGIC */
#define TESTAPP_INFO     0x7000u
#define TESTAPP_CPUID    0x40000100u /* a leaf whose EAX it answers likewise, and EBX is a count */
#define TESTAPP_MAGIC    0x7e57a990u
#define TESTAPP_MSR      0x12345678u /* which no CPU has */
#define TESTAPP_MMIO     0xfec00000u /* the I/O APIC's page */

/* What it is asked about by the core; each has an answer, a value and a record. */
enum { TA_IO, TA_MMIO, TA_MSR, TA_CR, TA_TABLE, TA_FAULT, TA_EVENT, TA_CHANNELS };

enum {
    /* RDX: channel; RSI: answer (enum hyp_answer, in its order); RDI: value in place of the
     * guest's */
    TA_SET,
    TA_COUNT,     /* RDX: channel; how often it was asked since the last TA_COUNT */
    TA_LAST,      /* RDX: channel, RSI: 0 what, 1 value, 2 more */
    TA_OPTION,    /* of the word testapp=N */
    TA_MODULE,    /* RDX 0: size of its boot module; else the sum of its bytes */
    TA_CPUS,      /* how often cpu_init ran */
    TA_RIGHTS,    /* RDX: GPA, RSI: pages, RDI: ACCESS_*; enum hyp_rights_answer */
    TA_ON_FAULT,  /* RDX: what to do about a fault: enum below */
    TA_GP,        /* RDX: GPA, RSI: new value; the old one. ~0: not RAM */
    TA_KERNEL,    /* RDX: linear; 8 bytes there, as the kernel reads them */
    TA_TRANSLATE, /* RDX: linear; the GPA */
    TA_MSR_VALUE, /* RDX: index */
    TA_TABLES,    /* RDX: 0 IDTR base, 1 limit, 2 GDTR base, 3 limit */
    TA_UD,        /* injects #UD */
    TA_PORT,      /* RDX: port, 1 byte: what hyp_port_in gives */
    TA_POOL,      /* 1 if a page can be taken and given back */
    TA_SHA,       /* 1 if "abc" has the right hash */
    TA_RANDOM,
    TA_SEGMENT,   /* CS's selector */
    TA_SANDBOX,   /* RDX: a value that comes back through ring-3 code in a sandbox, plus 1 */
};

enum { FAULT_REFUSE, FAULT_CARRY_OUT, FAULT_SKIP, FAULT_GIVE_BACK };

#endif
