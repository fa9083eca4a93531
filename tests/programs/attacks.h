/* SPDX-License-Identifier: MIT */
/* What PALs of 64 and of 32 bits try in the same words: X(name, code, only an exception will do,
 * vector, or this one). */
#ifndef PAL_ATTACKS_H
#define PAL_ATTACKS_H

#define ATTACKS_ALIKE(X) \
    X(int80,        "mov $20, %eax; int $0x80",                       0, 13, -1) \
    X(int3,         "int3",                                           0, 3, -1) \
    X(int1,         ".byte 0xf1",                                     0, 1, 6) \
    X(int_0x20,     "int $0x20",                                      0, 13, -1) \
    X(int_0xfe,     "int $0xfe",                                      0, 13, -1) \
    X(sysenter,     "sysenter",                                       1, 6, 13) \
    X(in,           "mov $0x60, %edx; in %dx, %al",                   0, 13, -1) \
    X(in_imm,       "in $0x71, %eax",                                 0, 13, -1) \
    X(out,          "mov $0xcf9, %edx; mov $6, %al; out %al, %dx",    0, 13, -1) \
    X(hlt,          "hlt",                                            1, 13, -1) \
    X(cli,          "cli",                                            1, 13, -1) \
    X(sti,          "sti",                                            1, 13, -1) \
    X(rdmsr,        "mov $0xc0000080, %ecx; rdmsr",                   0, 13, -1) \
    X(wrmsr,        "mov $0xc0000082, %ecx; mov %edi, %eax; xor %edx, %edx; wrmsr", 0, 13, -1) \
    X(rdpmc,        "xor %ecx, %ecx; rdpmc",                          0, 13, -1) \
    X(ltr,          "mov $0x40, %eax; ltr %ax",                       0, 13, -1) \
    X(clts,         "clts",                                           0, 13, -1) \
    X(invd,         "invd",                                           0, 13, -1) \
    X(wbinvd,       "wbinvd",                                         0, 13, -1) \
    X(xsetbv,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; xsetbv", 0, 13, 6) \
    X(stgi,         ".byte 0x0f, 0x01, 0xdc",                         0, 13, 6) \
    X(skinit,       "xor %eax, %eax; .byte 0x0f, 0x01, 0xde",         0, 13, 6) \
    X(load_ss,      "mov $0x2b, %eax; mov %ax, %ss",                  1, 13, -1) \
    X(divide,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx", 1, 0, -1) \
    X(ud2,          "ud2",                                            1, 6, -1)

#endif
