/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is xmhf.conf, or load options; its first byte says which. */
#include <stdlib.h>
#include <string.h>

#include <boot/uefi/conf.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf conf;

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool ends(const char *s, size_t max) { return memchr(s, '\0', max); }

/* Does a word of `s` begin so? */
static bool has_word(const char *s, const char *word)
{
    for (const char *at = s; (at = strstr(at, word)); at++) {
        if (at == s || at[-1] == ' ') {
            return true;
        }
    }
    return false;
}

static void check_conf(bool secure)
{
    uint16_t wide[64];

    check(ends(conf.next, sizeof(conf.next)) && ends(conf.args, sizeof(conf.args)));
    check(ends(conf.cmdline, sizeof(conf.cmdline)));
    check(conf.refused_count <= CONF_REFUSED_MAX && (secure || conf.refused_count == 0));
    for (unsigned i = 0; i < conf.refused_count; i++) {
        check(ends(conf.refused[i].word, sizeof(conf.refused[i].word)) && conf.refused[i].why);
    }
    check(!secure || (!has_word(conf.cmdline, "testpanic") && !has_word(conf.cmdline, "cpus=")));
    check(conf_utf16(conf.args, wide, 64) < 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[512];
    size_t n;
    bool secure;

    if (size < 1) {
        return 0;
    }
    secure = data[0] & 1;
    conf_parse_file((const char *)data + 1, size - 1, secure, &conf);
    check_conf(secure);
    n = conf_from_load_options(data + 1, size - 1, data[0] & 2, out, sizeof(out));
    if (n <= sizeof(out)) {
        conf_parse(out, n, secure, &conf);
        check_conf(secure);
    }
    return 0;
}
