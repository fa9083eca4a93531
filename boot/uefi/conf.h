/* SPDX-License-Identifier: MIT */
/*
 * The options of xmhf.efi, from the boot entry or from xmhf.conf: which of them are the front
 * end's, which go to the core, and which Secure Boot forbids. Pure; libFuzzer feeds it.
 *
 * Words between blanks and ends of lines. `#` at a word's beginning: the rest of the line is a
 * comment. `next=PATH` or `next="PATH WITH BLANKS"`, `args=THE REST OF THE LINE`, `required`;
 * every other word is the core's (facts/options.h).
 */
#ifndef XMHF_BOOT_UEFI_CONF_H
#define XMHF_BOOT_UEFI_CONF_H

#include <xmhf/boot_info.h>

#define CONF_FILE_MAX 8192 /* bytes of xmhf.conf */
#define CONF_PATH_MAX 256
#define CONF_ARGS_MAX 2048
#define CONF_REFUSED_MAX 8

struct conf {
    bool required;               /* without the hypervisor nothing is started */
    char next[CONF_PATH_MAX];    /* path on our volume; "": not said */
    char args[CONF_ARGS_MAX];    /* load options of the next loader; UTF-8 */
    bool has_args;
    char cmdline[BOOT_CMDLINE_MAX]; /* words for the core, a blank between two */
    unsigned refused_count;      /* words that Secure Boot forbids, as they begin, and why */
    struct { char word[32]; const char *why; } refused[CONF_REFUSED_MAX];
    const char *damaged;         /* why the text can't be followed; NULL: it can */
    unsigned line;               /* of the damage */
};

/*
 * Read `size` bytes of text into `*conf`, all of which is set. `secure`: leave out what weakens the
 * protection, and what isn't known to be harmless. On damage what came before it holds, `required`
 * also if it comes after it.
 */
void conf_parse(const char *text, size_t size, bool secure, struct conf *conf);

/* The same for a file's text, which has an end of line at its end, or ends in an option that can't
 * well be part of another: `required`, args=, a path in quotes or with .efi, and what Secure Boot
 * allows. Else it is damaged. An empty one is as none. */
void conf_parse_file(const char *text, size_t size, bool secure, struct conf *conf);

/*
 * Load options (UEFI 2.10, 9.1: bytes of any kind, by custom UTF-16) as text for conf_parse. The
 * first word is left out with `shell`, whose programs find their own name there, and where it
 * looks like one. Returns the bytes in `out`, 0 if that isn't text or nothing is left, more than
 * `max` if they have no room.
 */
size_t conf_from_load_options(const void *options, size_t size, bool shell, char *out,
                              size_t max);

/* UTF-8 as UTF-16, with a zero at the end, into `out`, which has room for `max` > 0 characters;
 * what isn't UTF-8, and letters beyond U+FFFF, become '?'. Returns the characters before the
 * zero. */
size_t conf_utf16(const char *s, uint16_t *out, size_t max);

#endif
