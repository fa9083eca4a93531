/* SPDX-License-Identifier: MIT */
/* The decoder of instructions. */
#include "decode.h"

#include <insn/parts.h>
#include <string.h>

/*
 * What follows an opcode: - nothing, m a ModRM byte, b w z an immediate of 1, 2, or 4 bytes (2
 * with an operand-size prefix), M and Z: ModRM and such an immediate, v: of the operand's size,
 * a: an address, e: 3 bytes, p: a far pointer, T and U: ModRM, and b or z if its register field is
 * 0 or 1, x: no instruction. 16 opcodes a row.
 */
static const char one_byte[] =
    "mmmmbz--mmmmbz-x" "mmmmbz--mmmmbz--" "mmmmbzx-mmmmbzx-" "mmmmbzx-mmmmbzx-"
    "----------------" "----------------" "--mmxxxxzZbM----" "bbbbbbbbbbbbbbbb"
    "MZMMmmmmmmmmmmmm" "----------p-----" "aaaa----bz------" "bbbbbbbbvvvvvvvv"
    "MMw-mmMZe-w--b--" "mmmmbb--mmmmmmmm" "bbbbbbbbzzpb----" "x-xx--TU------mm";
static const char two_bytes[] =
    "mmmmx-----x-xm-M" "mmmmmmmmmmmmmmmm" "mmmmxxxxmmmmmmmm" "--------xxxxxxxx"
    "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "MMMMmmm-mmxxmmmm"
    "zzzzzzzzzzzzzzzz" "mmmmmmmmmmmmmmmm" "---mMmmm---mMmmm" "mmmmmmmmmmMmmmmm"
    "mmMmMMMm--------" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm";

/* An instruction in parts. */
struct parts {
    struct prefixes p;
    unsigned bits;
    unsigned map;           /* 0: one byte; 1: 0F; 2: 0F 38; 3: 0F 3A */
    bool vector;            /* by a VEX, EVEX or XOP prefix */
    uint8_t opcode;
    bool has_modrm;
    uint8_t modrm, sib;
    int64_t disp;
    uint64_t imm;
    unsigned imm_bytes;
};

#define MOD(i) ((i)->modrm >> 6)
#define REG(i) ((i)->modrm >> 3 & 7u)
#define RM(i)  ((i)->modrm & 7u)
#define RSP    4u
#define RBP    5u

static bool is_register(const struct parts *i)
{
    return i->has_modrm && MOD(i) == 3;
}

static bool is_memory(const struct parts *i)
{
    return i->has_modrm && MOD(i) != 3;
}

/* Take a VEX, EVEX or XOP prefix at code[p.len]: its bytes, 0 if there is none. */
static unsigned vector_prefix(const uint8_t *code, size_t n, struct parts *i)
{
    const uint8_t first = code[0];
    const unsigned size = first == 0xc5 ? 2 : first == 0x62 ? 4 : 3;

    if ((first != 0xc4 && first != 0xc5 && first != 0x62 && first != 0x8f) || n < size
        || (first == 0x8f && (code[1] & 0x1fu) < 8)
        || (first != 0x8f && i->bits == 32 && code[1] >> 6 != 3)) {
        return 0;
    }
    i->vector = true;
    i->map = first == 0xc5 ? 1 : first == 0x62 ? code[1] & 7u : code[1] & 0x1fu;
    return size;
}

/* What follows a vector opcode: always a ModRM byte, but for VZEROUPPER. */
static char vector_form(const struct parts *i)
{
    if (i->map == 1) {
        return i->opcode == 0x77 ? '-'
             : (i->opcode >= 0x70 && i->opcode <= 0x73) || i->opcode == 0xc2
               || (i->opcode >= 0xc4 && i->opcode <= 0xc6) ? 'M' : 'm';
    }
    return i->map == 3 || i->map == 8 ? 'M' : i->map == 10 ? 'Z' : 'm';
}

/* Does only a vector prefix begin so? With 32 bits these are instructions, unless the next byte
 * would say "register". */
static bool vector_only(const uint8_t *code, size_t n, unsigned bits)
{
    return (code[0] == 0xc4 || code[0] == 0xc5 || code[0] == 0x62)
        && (bits == 64 || (n > 1 && code[1] >> 6 == 3));
}

/* Read the opcode at `at`; what follows it, or 'x'. */
static char opcode(const uint8_t *code, size_t n, unsigned *at, struct parts *i)
{
    unsigned skip = *at < n ? vector_prefix(code + *at, n - *at, i) : 0;

    *at += skip;
    if (!skip && *at < n && code[*at] == 0x0f) {
        i->map = 1;
        ++*at;
        if (*at < n && (code[*at] == 0x38 || code[*at] == 0x3a)) {
            i->map = code[*at] == 0x38 ? 2 : 3;
            ++*at;
        }
    }
    if (*at >= n || (!skip && i->map == 0 && vector_only(code + *at, n - *at, i->bits))) {
        return 'x';
    }
    i->opcode = code[(*at)++];
    return skip ? vector_form(i) : i->map == 0 ? one_byte[i->opcode]
         : i->map == 1 ? two_bytes[i->opcode] : i->map == 2 ? 'm' : 'M';
}

/* Bytes of the immediate of a form; 16: none such. */
static unsigned immediate(char form, const struct parts *i)
{
    const bool wide = i->bits == 64 && (i->p.rex & REX_W);
    const unsigned z = i->p.opsize && !wide && !(i->bits == 64 && i->map == 0
                                                 && (i->opcode == 0xe8 || i->opcode == 0xe9))
                     ? 2 : 4;

    switch (form) {
    case '-': case 'm': return 0;
    case 'b': case 'M': return 1;
    case 'w': return 2;
    case 'z': case 'Z': return i->vector ? 4 : z;
    case 'v': return wide ? 8 : z;
    case 'a': return insn_address_bits(i->bits, i->p.addrsize) / 8;
    case 'e': return 3;
    case 'p': return i->bits == 64 ? 16 : z + 2;
    case 'T': return REG(i) < 2 ? 1 : 0;
    case 'U': return REG(i) < 2 ? z : 0;
    default: return 16;
    }
}

/* Read ModRM, SIB and displacement at `at`. */
static bool operand(const uint8_t *code, size_t n, unsigned *at, struct parts *i)
{
    const unsigned address = insn_address_bits(i->bits, i->p.addrsize);
    unsigned length, fixed = 1;

    if (*at >= n) {
        return false;
    }
    i->has_modrm = true;
    i->modrm = code[*at];
    length = MOD(i) == 3 ? 1 : insn_modrm_length(code + *at, n - *at, address);
    if (length == 0 || length > n - *at) {
        return false;
    }
    if (MOD(i) != 3 && RM(i) == 4 && address != 16) {
        i->sib = code[*at + 1];
        fixed = 2;
    }
    if (length > fixed) {
        i->disp = (int64_t)insn_imm(code + *at + fixed, length - fixed);
    }
    *at += length;
    return true;
}

static uint64_t little(const uint8_t *at, unsigned n)
{
    uint64_t value = 0;

    for (unsigned k = 0; k < n; k++) {
        value |= (uint64_t)at[k] << 8 * k;
    }
    return value;
}

/* Take an instruction apart; its length or 0. */
static unsigned take_apart(const uint8_t *code, size_t n, unsigned bits, struct parts *i)
{
    unsigned at;
    char form;

    *i = (struct parts){ .bits = bits };
    n = n < 15 ? n : 15;
    if (!insn_prefixes(code, n, bits, &i->p)) {
        return 0;
    }
    at = i->p.len;
    form = opcode(code, n, &at, i);
    if (strchr("mMZTU", form) && !operand(code, n, &at, i)) {
        return 0;
    }
    i->imm_bytes = immediate(form, i);
    if (i->imm_bytes > n - at) {
        return 0;
    }
    i->imm = i->imm_bytes == 1 || i->imm_bytes == 2 || i->imm_bytes == 4
           ? insn_imm(code + at, i->imm_bytes) : little(code + at, i->imm_bytes);
    return at + i->imm_bytes;
}

/* --- what a PAL dies of ----------------------------------------------------------------- */

struct name { uint8_t opcode; const char *name; };

static const char *name_of(const struct name *names, size_t n, uint8_t opcode)
{
    for (size_t k = 0; k < n; k++) {
        if (names[k].opcode == opcode) {
            return names[k].name;
        }
    }
    return NULL;
}

static const struct name forbidden_one[] = {
    { 0x6c, "ins" }, { 0x6d, "ins" }, { 0x6e, "outs" }, { 0x6f, "outs" },
    { 0x8e, "mov to a segment register" }, { 0x9a, "far call" }, { 0xca, "far return" },
    { 0xcb, "far return" }, { 0xcd, "int" }, { 0xcf, "iret" }, { 0xe4, "in" }, { 0xe5, "in" },
    { 0xe6, "out" }, { 0xe7, "out" }, { 0xea, "far jump" }, { 0xec, "in" }, { 0xed, "in" },
    { 0xee, "out" }, { 0xef, "out" }, { 0xf1, "int1" }, { 0xf4, "hlt" }, { 0xfa, "cli" },
    { 0xfb, "sti" },
};
/* With 32 bits. */
static const struct name forbidden_one32[] = {
    { 0x07, "pop %es" }, { 0x17, "pop %ss" }, { 0x1f, "pop %ds" }, { 0xc4, "les" },
    { 0xc5, "lds" }, { 0xce, "into" },
};
static const struct name forbidden_two[] = {
    { 0x05, "syscall" }, { 0x06, "clts" }, { 0x07, "sysret" }, { 0x08, "invd" },
    { 0x09, "wbinvd" }, { 0x20, "mov from a control register" },
    { 0x21, "mov from a debug register" }, { 0x22, "mov to a control register" },
    { 0x23, "mov to a debug register" }, { 0x30, "wrmsr" }, { 0x32, "rdmsr" }, { 0x33, "rdpmc" },
    { 0x34, "sysenter" }, { 0x35, "sysexit" }, { 0x37, "getsec" }, { 0x78, "vmread" },
    { 0x79, "vmwrite" }, { 0xa1, "pop %fs" }, { 0xa9, "pop %gs" }, { 0xaa, "rsm" },
    { 0xb2, "lss" }, { 0xb4, "lfs" }, { 0xb5, "lgs" },
};
/* 0F 01 with a register for an operand; some with a prefix are other instructions, as bad. */
static const struct name forbidden_system[] = {
    { 0xc0, "enclv" }, { 0xc5, "pconfig" }, { 0xc6, "wrmsrns" }, { 0xcc, "tdcall" },
    { 0xcd, "seamret" }, { 0xce, "seamops" }, { 0xcf, "encls" }, { 0xd7, "enclu" },
    { 0xec, "uiret" }, { 0xed, "testui" }, { 0xee, "clui or rdpkru" }, { 0xef, "stui or wrpkru" },
    { 0xfd, "rdpru" }, { 0xfe, "invlpgb" }, { 0xff, "psmash" },
    { 0xc2, "vmlaunch" }, { 0xc3, "vmresume" }, { 0xc4, "vmxoff" }, { 0xc8, "monitor" },
    { 0xc9, "mwait" }, { 0xca, "clac" }, { 0xcb, "stac" }, { 0xd1, "xsetbv" },
    { 0xd4, "vmfunc" }, { 0xd8, "vmrun" }, { 0xda, "vmload" }, { 0xdb, "vmsave" },
    { 0xdc, "stgi" }, { 0xdd, "clgi" }, { 0xde, "skinit" }, { 0xdf, "invlpga" },
    { 0xf8, "swapgs" }, { 0xfa, "monitorx" }, { 0xfb, "mwaitx" },
};

#define NAME_OF(names, opcode) name_of(names, sizeof(names) / sizeof((names)[0]), opcode)

/* By the register field: 0F 00, 0F 01 and 0F C7 with memory for an operand; 0F AE with a register
 * and F3; NULL: fine. */
static const char *const groups[4][8] = {
    { "sldt", "str", "lldt", "ltr", NULL, NULL, "lkgs", NULL },
    { "sgdt", "sidt", "lgdt", "lidt", "smsw", NULL, "lmsw", "invlpg" },
    { NULL, NULL, NULL, "xrstors", NULL, "xsaves", "vmptrld, vmxon or vmclear", "vmptrst" },
    { "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", NULL, NULL, "umonitor", NULL },
};

/* 0F 00, 0F 01, 0F AE and 0F C7: by the ModRM byte. */
static const char *forbidden_group(const struct parts *i)
{
    const bool f3 = i->p.rep, any = i->p.rep || i->p.opsize ;

    if (i->opcode == 0x00) {
        return groups[0][REG(i)];
    }
    if (i->opcode == 0x01) {
        return is_register(i) && REG(i) != 4 && REG(i) != 6 ? NAME_OF(forbidden_system, i->modrm)
             : groups[1][REG(i)];
    }
    if (i->opcode == 0xae) {
        return is_memory(i) || !any ? NULL
             : REG(i) == 6 ? i->p.opsize ? "tpause" : "umwait or umonitor"
             : f3 ? groups[3][REG(i)] : NULL;
    }
    return is_memory(i) ? groups[2][REG(i)] : f3 && REG(i) == 6 ? "senduipi" : NULL;
}

/* 0F 38 and 0F 3A. */
static const char *forbidden_three(const struct parts *i)
{
    if (i->map == 3) {
        return i->opcode == 0xf0 && i->p.rep ? "hreset" : NULL;
    }
    if (i->opcode == 0xf8) {
        return i->p.rep  ? "enqcmd" : NULL;
    }
    return i->opcode > 0x82 || !i->p.opsize ? NULL
         : i->opcode == 0x80 ? "invept" : i->opcode == 0x81 ? "invvpid"
         : i->opcode == 0x82 ? "invpcid" : NULL;
}

static const char *forbidden(const struct parts *i)
{
    const char *name = NULL;

    if (i->vector) {
        return NULL;
    }
    if (i->map == 0) {
        name = NAME_OF(forbidden_one, i->opcode);
        if (!name && i->bits == 32) {
            name = NAME_OF(forbidden_one32, i->opcode);
        }
        if (i->opcode == 0xff && is_memory(i) && (REG(i) == 3 || REG(i) == 5)) {
            name = REG(i) == 3 ? "far call" : "far jump";
        }
    } else if (i->map > 1) {
        name = forbidden_three(i);
    } else if (i->opcode <= 0x01 || i->opcode == 0xae || i->opcode == 0xc7) {
        name = forbidden_group(i);
    } else {
        name = i->opcode == 0x78 && (i->p.opsize || i->p.rep) ? NULL /* SSE4a */
             : NAME_OF(forbidden_two, i->opcode);
    }
    return name;
}

static bool system_call(const struct parts *i)
{
    return (i->map == 1 && (i->opcode == 0x05 || i->opcode == 0x34))
        || (i->map == 0 && i->opcode == 0xcd && ((uint8_t)i->imm == 0x80
                                                 || (uint8_t)i->imm == 0x2e));
}

/* --- where it goes on ------------------------------------------------------------------- */

static void flow_one(const struct parts *i, struct instruction *out)
{
    switch (i->opcode) {
    case 0xe8:
        out->flow = FLOW_CALL;
        break;
    case 0xe9: case 0xeb:
        out->flow = FLOW_JUMP;
        break;
    case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcc: case 0xcf: case 0xf4:
        out->flow = FLOW_END;
        break;
    case 0xff:
        if (REG(i) == 2) {
            out->flow = FLOW_CALL_ANY;
        } else if (REG(i) == 4) {
            out->flow = FLOW_JUMP_ANY;
            out->table_jump = is_memory(i) && RM(i) == 4 && (i->sib >> 3 & 7u) != 4;
        }
        break;
    default:
        if (i->opcode >> 4 == 7 || (i->opcode >= 0xe0 && i->opcode <= 0xe3)) {
            out->flow = FLOW_JUMP_IF;
        }
    }
}

static void flow(const struct parts *i, uint64_t at, struct instruction *out)
{
    if (i->vector) {
        return;
    }
    if (i->map == 0) {
        flow_one(i, out);
    } else if (i->map == 1 && i->opcode >> 4 == 8) {
        out->flow = FLOW_JUMP_IF;
    } else if (i->map == 1 && (i->opcode == 0x0b || i->opcode == 0xb9 || i->opcode == 0xff)) {
        out->flow = FLOW_END; /* UD2, UD1, UD0 */
    }
    if (out->flow == FLOW_CALL || out->flow == FLOW_JUMP || out->flow == FLOW_JUMP_IF) {
        out->target = at + out->length + i->imm;
        out->target = i->bits == 32 ? (uint32_t)out->target : out->target;
    }
}

/* --- the stack pointer ------------------------------------------------------------------ */

static void add(struct instruction *out, int64_t bytes)
{
    out->stack = STACK_ADD;
    out->bytes = bytes;
}

static void push_pop(const struct parts *i, struct instruction *out)
{
    const int64_t word = i->bits / 8;
    const uint8_t o = i->opcode;

    if (o >> 3 == 0x0a || o == 0x68 || o == 0x6a || o == 0x9c || (o == 0xff && REG(i) == 6)) {
        add(out, word);
    } else if (o >> 3 == 0x0b || o == 0x9d || (o == 0x8f && REG(i) == 0)) {
        add(out, -word);
    } else if (i->bits == 32 && (o == 0x60 || o == 0x61)) {
        add(out, o == 0x60 ? 8 * word : -8 * word);
    } else if (i->bits == 32 && (o == 0x06 || o == 0x0e || o == 0x16 || o == 0x1e)) {
        add(out, word);
    } else if (o == 0xc8) {
        add(out, word + (int64_t)(i->imm & 0xffff));
    } else if (o == 0xc9) {
        out->stack = STACK_LEAVE;
    }
}

/* SUB of an immediate from a register that isn't the stack pointer: may be how far probes go. */
static void take_off(unsigned from, int64_t bytes, struct instruction *out)
{
    if (bytes >= 4096) {
        out->stack = STACK_PROBE_COPY;
        out->bytes = bytes;
        out->other = from;
    }
}

/* ADD, SUB or AND of an immediate. */
static void arithmetic(const struct parts *i, struct instruction *out)
{
    const int64_t imm = (int64_t)i->imm;

    if (!is_register(i)) {
        return;
    }
    if (RM(i) == RSP && !(i->p.rex & REX_B)) {
        if (REG(i) == 0 || REG(i) == 5) {
            add(out, REG(i) == 5 ? imm : -imm);
        } else if (REG(i) == 4) {
            out->stack = STACK_ALIGN;
            out->bytes = imm;
        }
    } else if (REG(i) == 5) {
        take_off(RM(i) | (i->p.rex & REX_B ? 8u : 0), imm, out);
    }
}

/* The register that the ModRM byte's two fields name. */
static unsigned reg_number(const struct parts *i)
{
    return REG(i) | (i->p.rex & REX_R ? 8u : 0);
}

static unsigned rm_number(const struct parts *i)
{
    return RM(i) | (i->p.rex & REX_B ? 8u : 0);
}

/* LEA to or from the stack pointer. */
static void load_address(const struct parts *i, struct instruction *out)
{
    const bool to_rsp = reg_number(i) == RSP;
    const bool of_rsp = is_memory(i) && RM(i) == 4 && (i->sib & 7u) == RSP
                     && (i->sib >> 3 & 7u) == 4 && !(i->p.rex & REX_B);

    if (to_rsp && of_rsp) {
        add(out, -i->disp);
    } else if (to_rsp && is_memory(i) && RM(i) == RBP && !(i->p.rex & REX_B)) {
        out->stack = STACK_TO_FRAME;
        out->bytes = i->disp;
    } else if (to_rsp) {
        out->stack = STACK_RESTORE;
    } else if (of_rsp && i->disp <= -4096) {
        out->stack = STACK_PROBE;
        out->bytes = -i->disp;
    } else if (of_rsp) {
        out->stack = STACK_COPY;
        out->bytes = i->disp;
        out->other = reg_number(i);
    }
}

/* MOV and SUB between registers. */
static void between(const struct parts *i, struct instruction *out)
{
    const bool store = !(i->opcode & 2u);
    const unsigned to = store ? rm_number(i) : reg_number(i);
    const unsigned from = store ? reg_number(i) : rm_number(i);

    if (!is_register(i)) {
        return;
    }
    if (i->opcode == 0x29 || i->opcode == 0x2b) {
        out->stack = to == RSP ? STACK_SUB_REGISTER : STACK_SAME;
    } else if (to == RSP) {
        out->stack = from == RBP ? STACK_TO_FRAME : STACK_SET;
        out->other = from;
    } else if (from == RSP) {
        out->stack = to == RBP ? STACK_FRAME : STACK_COPY;
        out->other = to;
    }
}

static void stack(const struct parts *i, struct instruction *out)
{
    if (i->map == 1 && !i->vector) {
        if (i->opcode == 0xa0 || i->opcode == 0xa8) {
            add(out, i->bits / 8);
        }
        return;
    }
    if (i->map != 0 || i->vector) {
        return;
    }
    switch (i->opcode) {
    case 0x81: case 0x83:
        arithmetic(i, out);
        break;
    case 0x2d: /* SUB from EAX or RAX, which has an opcode of its own */
        take_off(0, (int64_t)i->imm, out);
        break;
    case 0x8d:
        load_address(i, out);
        break;
    case 0x29: case 0x2b: case 0x89: case 0x8b:
        between(i, out);
        break;
    default:
        push_pop(i, out);
    }
}

/* LEA of a register's own value: 32-bit padding. */
static bool is_padding(const struct parts *i)
{
    const unsigned base = RM(i) == 4 ? i->sib & 7u : RM(i);

    return i->opcode == 0x8d && i->disp == 0 && base == REG(i)
        && (RM(i) != 4 || (i->sib >> 3 & 7u) == 4);
}

/* Registers that an instruction with a ModRM byte may change: what it doesn't is told here. */
static unsigned changed_by_modrm(const struct parts *i)
{
    const unsigned reg = 1u << reg_number(i), rm = is_register(i) ? 1u << rm_number(i) : 0;
    const uint8_t o = i->opcode;

    if (i->map != 0 || i->vector) {
        return reg | rm;
    }
    if ((o >= 0x38 && o <= 0x3b) || o == 0x84 || o == 0x85 || is_padding(i)) {
        return 0;                                    /* CMP, TEST, nothing */
    }
    if (o < 0x40 || (o >= 0x88 && o <= 0x8b)) {
        return o & 2u ? reg : rm;
    }
    if (o == 0xff || (o >= 0x80 && o <= 0x83) || (o >= 0xc0 && o <= 0xc7) || o >= 0xd0) {
        return o == 0xff && REG(i) >= 2 ? 0 : rm;    /* groups */
    }
    return reg | rm;
}

static unsigned changed(const struct parts *i)
{
    const uint8_t o = i->opcode;
    unsigned registers = i->has_modrm ? changed_by_modrm(i) : 1; /* RAX, at most, of most others */

    if (i->map == 0 && !i->vector && !i->has_modrm) {
        if (o >> 3 == 0x0a || o == 0x68 || o == 0x6a) {
            registers = 0;                            /* PUSH */
        } else if (o >> 3 == 0x0b || o >> 4 == 0x0b || o >> 3 == 0x12 || o >> 4 == 4) {
            registers |= 1u << ((o & 7u) | (i->p.rex & REX_B ? 8u : 0));
        } else if (o == 0xe8) {
            registers = 0x0f07;                       /* what a function may change: all but RBX,
                                                         RBP, RSI, RDI and R12 to R15 */
        } else if ((o >= 0xa4 && o <= 0xaf) || o == 0x61) {
            registers = 0xff;                         /* string instructions, POPA */
        }
    }
    return registers & ~(1u << RSP);
}

/* --- memory ----------------------------------------------------------------------------- */

/* LEA, NOP and prefetches access nothing. */
static bool accesses(const struct parts *i)
{
    return is_memory(i)
        && !(i->map == 0 && i->opcode == 0x8d)
        && !(i->map == 1 && !i->vector && (i->opcode == 0x0d || i->opcode >> 3 == 3));
}

static void memory(const struct parts *i, uint64_t at, struct instruction *out)
{
    const bool moffs = i->map == 0 && !i->vector && i->opcode >> 2 == 0x28;
    const bool sib_only = is_memory(i) && MOD(i) == 0 && RM(i) == 4 && (i->sib & 7u) == 5
                       && (i->sib >> 3 & 7u) == 4;

    if (!moffs && !accesses(i)) {
        return;
    }
    out->reads_tls = i->p.segment == 0x64 || i->p.segment == 0x65;
    if (moffs) {
        out->fixed = true;
        out->address = i->imm;
    } else if (MOD(i) == 0 && RM(i) == 5 && !i->p.addrsize) {
        out->fixed = true;
        out->address = (i->bits == 64 ? at + out->length : 0) + (uint64_t)i->disp;
    } else if (sib_only) {
        out->fixed = true;
        out->address = (uint64_t)i->disp;
    }
    out->address = i->bits == 32 ? (uint32_t)out->address : out->address;
}

void decode(const uint8_t *code, size_t n, unsigned bits, uint64_t at, struct instruction *out)
{
    struct parts i;

    *out = (struct instruction){ .length = take_apart(code, n, bits, &i) };
    if (out->length == 0) {
        return;
    }
    out->forbidden = forbidden(&i);
    out->system_call = out->forbidden && system_call(&i);
    out->hypercall = i.map == 1 && !i.vector && i.opcode == 0x01
                  && (i.modrm == 0xc1 || i.modrm == 0xd9);
    if (i.map == 0 && !i.vector && (i.opcode >> 3 == 0x17 || i.opcode == 0xc7)
        && (i.opcode != 0xc7 || is_register(&i))) {
        out->constant = true;
        out->value = i.imm;
    }
    flow(&i, at, out);
    stack(&i, out);
    out->changed = changed(&i);
    memory(&i, at, out);
}
