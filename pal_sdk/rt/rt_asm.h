/* SPDX-License-Identifier: MIT */
/* For the assembly of libpal-rt: names and sections as ELF and PE have them. */
#ifndef PAL_RT_ASM_H
#define PAL_RT_ASM_H

#define PASTE2(a, b) a##b
#define PASTE(a, b)  PASTE2(a, b)
#define C(name)      PASTE(__USER_LABEL_PREFIX__, name) /* as C calls it */

/* Begin the function `name` in a section of its own, so that an image has what it uses only. */
#ifdef __ELF__
#define FUNCTION(name) \
    .section .text.name, "ax", @progbits; .globl C(name); .type C(name), @function; \
    .balign 16; C(name):
#define END(name) .size C(name), . - C(name)
#else
#define FUNCTION(name) \
    .section .text$##name, "x"; .globl C(name); .def C(name); .scl 2; .type 32; .endef; \
    .balign 16; C(name):
#define END(name)
#endif

/* A death with a name: an invalid instruction (exception 6) at a symbol of its own, which
 * pal-addr2line finds by the death's address. */
#define DEATH(name) FUNCTION(name) ud2; END(name)

#endif
