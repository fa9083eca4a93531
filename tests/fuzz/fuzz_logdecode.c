/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is a serial log. */
#include <logdecode/parse.h>
#include <logdecode/words.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_text(const char *s, size_t size)
{
    size_t n = strnlen(s, size);

    check(n < size);
    for (size_t i = 0; i < n; i++) {
        check(s[i] >= 0x20 && s[i] < 0x7f);
    }
}

static void check_record(const struct log_file *f, const struct log_record *r)
{
    static const uint8_t insn[2] = { 0x0f, 0x32 };
    char out[400];

    check_text(r->build_id, sizeof(r->build_id));
    check_text(r->text, sizeof(r->text));
    check_text(r->virt, sizeof(r->virt));
    check(r->words <= CRASH_STACK && r->exits <= CRASH_EXITS && r->same_as <= f->records);
    check(r->line >= 1 && r->line <= f->lines);
    check(!r->intact || (!r->damaged && (r->has & REC_END)));
    words_exception(r, insn, sizeof(insn), out, sizeof(out));
    check_text(out, sizeof(out));
    for (unsigned i = 0; i < r->exits; i++) {
        check_text(r->exit[i].kind, sizeof(r->exit[i].kind));
        words_exit(r, &r->exit[i], out, sizeof(out));
        check_text(out, sizeof(out));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct log_file f;

    log_parse((const char *)data, size, &f);
    check(f.records <= LOGDECODE_RECORDS && f.notes <= LOGDECODE_NOTES && f.guest_start <= f.lines);
    for (unsigned i = 0; i < f.records; i++) {
        check_record(&f, &f.record[i]);
    }
    for (unsigned i = 0; i < f.notes; i++) {
        check_text(f.note[i].text, sizeof(f.note[i].text));
    }
    return 0;
}
