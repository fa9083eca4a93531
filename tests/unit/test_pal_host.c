/* SPDX-License-Identifier: MIT */
/* pal/interface.h from the program's stubs to the PAL's functions and back, with a hypervisor that
 * is played here; the library behind pal/host.h; damaged image files; sentences. */
#include "unit.h"

#include <pal/module.h>
#include "pal_interface.h"
#include "pal_interface_pal.h"
#include "pal_sdk/lib/call.h"
#include "pal_sdk/lib/host.h"
#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmhf/hypercall.h>

#define PAGE 4096u

/* --- an image file -------------------------------------------------------------------------- */

static uint8_t file[8 * PAGE];
static size_t file_size, sections_at, params_at, entries_at, contents_at, notes_at;
static uint8_t identity[32];
static struct pal_image demo_image = { "demo", file, 0, identity, NULL };

const uint32_t demo_entry_add = 0, demo_entry_wide = 1, demo_entry_ping = 2, demo_entry_nothing = 3,
               demo_entry_buffers = 4, demo_entry_whole = 5, demo_entry_text = 6,
               demo_entry_many = 7, demo_entry_through = 8;

static void put(const void *from, size_t n)
{
    memcpy(file + file_size, from, n);
    file_size += n;
}

/* What pal-lint does with an OCALL record: each entry gets a last parameter of it, where there is
 * room. */
static void put_params(struct xmhf_image *head, struct xmhf_image_entry *entry,
                       const struct pal_descriptor *d)
{
    const struct xmhf_image_param ocall = { XMHF_PARAM_OCALL, XMHF_INOUT,
                                            test_ocalls[0]->param[0].size, 0, 0 };

    *entry = (struct xmhf_image_entry){ 0x10000000, d->params, 0 };
    put(d->param, d->params * sizeof(d->param[0]));
    if (d->params < XMHF_IMAGE_ENTRY_PARAMS) {
        put(&ocall, sizeof(ocall));
        entry->params++;
    }
    head->params += entry->params;
}

static void make_file(void)
{
    static const struct xmhf_image_section sections[] = {
        { TV_SECTION_CODE, 1, 0x10000000, 0 }, { TV_SECTION_DATA, 1, 0x10002000, 0 },
        { XMHF_SECTION_BSS, 2, 0x10004000, 0 }, { TV_SECTION_STACK, 4, 0x10020000, 0 },
        { TV_SECTION_PARAM, 1, 0x10030000, 0 }, { TV_SECTION_STACK, 4, 0x10040000, 0 },
        { TV_SECTION_PARAM, 1, 0x10050000, 0 },
    };
    struct xmhf_image head = { 0, XMHF_IMAGE_VERSION, 8 * sizeof(void *), PAL_CONVENTION_NATIVE, 0,
                               2, 7, 0, TEST_ENTRIES, 0, 0, 0 };
    struct xmhf_image_entry entries[TEST_ENTRIES];
    struct xmhf_image_notes notes = { XMHF_NOTES_MAGIC, 0, 20, 0x10000800 };

    file_size = 0;
    put(XMHF_IMAGE_MAGIC, 8);
    put(&head, sizeof(head));
    sections_at = file_size;
    put(sections, sizeof(sections));
    params_at = file_size;
    for (unsigned i = 0; i < TEST_ENTRIES; i++) {
        put_params(&head, &entries[i], test_entries[i]);
    }
    entries_at = file_size;
    put(entries, sizeof(entries));
    contents_at = file_size;
    file_size += 2 * PAGE;
    notes_at = file_size;
    put(&notes, sizeof(notes));
    put("demo", 5);
    for (unsigned i = 0; i < TEST_ENTRIES; i++) {
        put(test_entries[i]->name, strlen(test_entries[i]->name) + 1);
    }
    notes.ocalls = test_ocalls[1]->number + 1;
    for (uint32_t i = 0; i < notes.ocalls; i++) {
        const char *name = i == test_ocalls[0]->number ? "ask"
                         : i == test_ocalls[1]->number ? "tell" : "";
        put(name, strlen(name) + 1);
    }
    notes.size = (uint32_t)(file_size - notes_at);
    memcpy(file + notes_at, &notes, sizeof(notes));
    head.size = (uint32_t)(contents_at - 8);
    memcpy(file + 8, &head, sizeof(head));
    demo_image.size = file_size;
}

/* --- a hypervisor that is played: arguments are copied as declared ---------------------------- */

static struct pal_handle *handle;
static pal_word next_status[4];        /* what the next call ends with, if [1] isn't 0 */
static unsigned opened, closed, calls_made;
static uint64_t refusal;               /* of opening */
static bool busy;                      /* on closing */
static struct xmhf_ocall *ocall;       /* of the call that is under way */
static uint32_t ocall_room;
static size_t damage;                  /* what is done to a request: 0 nothing, 1.. */
static jmp_buf jump;

void pal_backend_open(struct pal_handle *p, struct pal_status *s)
{
    opened++;
    if (refusal != 0) {
        s->error = PAL_REFUSED;
        s->hypercall = refusal;
    }
    handle = p;
}

void pal_backend_close(struct pal_handle *p, struct pal_status *s)
{
    (void)p;
    if (busy) {
        s->error = PAL_BUSY;
    }
}

void pal_backend_free(struct pal_handle *p, bool same)
{
    (void)p;
    closed += same;
}

bool pal_is_native(void)
{
    return false;
}

/* Copies of what the parameters point to, of exactly the declared sizes. */
static bool copies(const struct xmhf_image_param *q, unsigned n, pal_word *args, void **copy,
                   const pal_word *from)
{
    for (unsigned i = 0; i < n; i++) {
        size_t size = q[i].size;
        copy[i] = NULL;
        if (q[i].type == XMHF_PARAM_OCALL) {
            ocall = (struct xmhf_ocall *)args[i];
            ocall_room = q[i].size;
            args[i] = 0;
        } else if (q[i].type == TV_PARAM_POINTER) {
            if (q[i].counted_by != 0) {
                if (from[q[i].counted_by - 1] > q[i].size / q[i].unit) {
                    return false;
                }
                size = from[q[i].counted_by - 1] * q[i].unit;
            }
            copy[i] = calloc(1, size + (size == 0));
            if ((q[i].direction & XMHF_IN) && size != 0) {
                memcpy(copy[i], (void *)from[i], size);
            }
            args[i] = (pal_word)copy[i];
        }
    }
    return true;
}

static void back(const struct xmhf_image_param *q, unsigned n, void **copy, const pal_word *from)
{
    for (unsigned i = 0; i < n; i++) {
        const size_t size = q[i].counted_by ? from[q[i].counted_by - 1] * q[i].unit : q[i].size;
        if (copy[i] && (q[i].direction & XMHF_OUT) && size != 0) {
            memcpy((void *)from[i], copy[i], size);
        }
        free(copy[i]);
    }
}

void pal_backend_call(struct pal_handle *p, uint32_t entry, const pal_word *args, unsigned n,
                      pal_word out[4])
{
    const struct xmhf_image_param *q = &p->file.param[p->file.first_param[entry]];
    pal_word words[32];
    void *copy[32] = { NULL };

    calls_made++;
    assert_int_equal(n, p->file.entry[entry].params);
    ocall = NULL;
    if (next_status[1] != 0) {
        memcpy(out, next_status, 3 * sizeof(out[0]));
        if (out[1] == XMHF_STATUS_OCALL) {
            ocall = (struct xmhf_ocall *)args[n - 1];
            *ocall = (struct xmhf_ocall){ { 5, 6 }, (uint32_t)out[0], (uint32_t)out[2] };
        }
        memset(next_status, 0, sizeof(next_status));
        return;
    }
    memcpy(words, args, n * sizeof(words[0]));
    if (copies(q, n, words, copy, args)) {
        pal_raw_call(PAL_CONVENTION_NATIVE, test_entries[entry]->address.function, words, n, out);
        out[1] = out[2] = 0;
    } else {
        out[1] = XMHF_STATUS_BAD_COUNT;
    }
    back(q, n, copy, args);
}

/* The PAL's call ends with how many bytes the answer had. */
void pal_backend_resume(struct pal_handle *p, const uint64_t token[2], pal_word out[4])
{
    (void)p;
    assert_true(token[0] == 5 && token[1] == 6);
    out[0] = ocall->bytes;
    out[1] = out[2] = 0;
}

void pal_backend_death(struct pal_handle *p, struct pal_status *s)
{
    (void)p;
    s->death = TV_DEATH_BUDGET;
}

void pal_rt_enter(void);
void pal_rt_enter(void)
{
}

pal_word pal_rt_hypercall(uint32_t command, pal_word rcx, pal_word rdx, pal_word rsi, pal_word rdi);
/* An ocall as far as the two sides' layouts go. */
pal_word pal_rt_hypercall(uint32_t command, pal_word rcx, pal_word rdx, pal_word rsi, pal_word rdi)
{
    pal_unpack *unpack = handle->ocalls[rcx];
    unsigned char *request, *answer = malloc(rdi);
    size_t bytes = rsi, n;

    assert_int_equal(command, XMHF_HC_OCALL);
    assert_true(rsi <= rdi && rdi <= ocall_room && unpack);
    bytes = damage == 0 ? bytes : damage == 1 ? bytes + 8 : damage - 2 < bytes ? damage - 2 : bytes;
    request = calloc(1, bytes + 1);
    memcpy(request, (void *)rdx, bytes < rsi ? bytes : rsi);
    n = unpack(request, bytes, answer, rdi);
    memcpy((void *)rdx, answer, n);
    free(request);
    free(answer);
    return n;
}

/* --- the program's functions ------------------------------------------------------------------ */

static unsigned asked, told;

int16_t demo_ocall_ask(const char *question, uint8_t answer[3], uint16_t *list, uint64_t big,
                       uint16_t n, const struct point *p)
{
    asked++;
    assert_true(big == 1ULL << 40 && n == 4 && p->x == 77 && list[0] == 1 && answer[2] == 0);
    answer[2] = 5;
    list[3] = (uint16_t)(list[3] + strlen(question));
    return -3;
}

void demo_ocall_tell(void)
{
    told++;
    if (told == 100) {
        longjmp(jump, 1);
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

static int set_up(void **state)
{
    (void)state;
    make_file();
    memset(next_status, 0, sizeof(next_status));
    opened = closed = calls_made = asked = told = 0;
    refusal = damage = 0;
    busy = false;
    return 0;
}

static struct pal_handle *open_demo(void)
{
    struct pal_handle *p;

    assert_int_equal(pal_open(&demo_image, &p).error, PAL_OK);
    return p;
}

static void close_demo(struct pal_handle *p)
{
    assert_int_equal(pal_close(p).error, PAL_OK);
}

static void test_values(void **state)
{
    struct pal_handle *p = open_demo();
    uint32_t r, h = 7;
    int64_t w;
    bool b;

    (void)state;
    assert_int_equal(demo_add(p, &r, 50, -8).error, PAL_OK);
    assert_int_equal(r, 42);
    assert_int_equal(demo_wide(p, &w, -(1LL << 40), true, 65535).error, PAL_OK);
    assert_true(w == -(1LL << 41) + 65536);
    assert_int_equal(demo_ping(p, &b).error, PAL_OK);
    assert_true(b);
    assert_int_equal(demo_nothing(p).error, PAL_OK);
    assert_int_equal(demo_many(p, &r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
                               18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31).error,
                     PAL_OK);
    for (uint32_t i = 0; i < 32; i++) {
        h = h * 31 + i;
    }
    assert_int_equal(r, h);
    close_demo(p);
}

static void test_buffers(void **state)
{
    struct pal_handle *p = open_demo();
    const uint16_t in[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    struct point out[3];
    uint8_t both[2] = { 1, 2 };
    uint32_t r;

    (void)state;
    memset(out, 0x55, sizeof(out));
    assert_int_equal(demo_buffers(p, &r, in, 10, out, 2, both, 2).error, PAL_OK);
    assert_true(r == 55 && out[1].x == 101 && out[1].t == 0 && both[1] == 253);
    assert_int_equal(out[2].t, 0x55); /* only as many as were counted */
    assert_int_equal(demo_buffers(p, &r, NULL, 0, NULL, 0, NULL, 0).error, PAL_OK);
    calls_made = 0;
    assert_int_equal(demo_buffers(p, &r, in, 11, out, 2, both, 2).error, PAL_BAD_COUNT);
    assert_int_equal(demo_buffers(p, &r, in, 10, out, 4, both, 2).error, PAL_BAD_COUNT);
    assert_int_equal(demo_buffers(p, &r, in, 10, NULL, 3, both, 2).error, PAL_BAD_ARGUMENT);
    assert_int_equal(calls_made, 0);
    close_demo(p);
}

static void test_whole(void **state)
{
    struct pal_handle *p = open_demo();
    const uint8_t in[4] = { 1, 2, 3, 4 };
    uint8_t both[3] = { 7, 8, 9 };
    uint32_t out[2] = { 9, 9 }, r;
    struct point a = { .x = 6, .tag = { 1, 2, 3, 4, 5 }, .b = true }, b;
    struct pair c = { .first = { .t = 9 } };

    (void)state;
    assert_int_equal(sizeof(struct point), 56); /* the same with 32 bits, and on Windows */
    assert_int_equal(demo_whole(p, &r, &in, &out, &both, &a, &b, &c).error, PAL_OK);
    assert_true(r == 6 && out[0] == 0 && out[1] == 4 && both[2] == 10 && b.tag[4] == 5 && b.b
                && c.more[1].tag[4] == 9);
    assert_int_equal(demo_whole(p, &r, &in, NULL, &both, &a, &b, &c).error, PAL_BAD_ARGUMENT);
    assert_int_equal(demo_whole(p, &r, &in, &out, &both, NULL, &b, &c).error, PAL_BAD_ARGUMENT);
    close_demo(p);
}

/* Headers that are older than the image: the same entries by number, other parameters. */
const uint32_t old1_entry_whole = 5, old2_entry_add = 0, old3_entry_buffers = 4,
               old4_entry_text = 6, old5_entry_buffers = 4;
PAL_ENTRY(old1, uint32_t, whole, PAL_IN_ARRAY(uint8_t, in, 4), PAL_OUT_ARRAY(uint32_t, out, 1),
          PAL_INOUT_ARRAY(uint8_t, both, 3), PAL_IN_STRUCT(point, a), PAL_OUT_STRUCT(point, b),
          PAL_INOUT_STRUCT(pair, c))
PAL_ENTRY(old2, uint32_t, add, PAL_VALUE(uint32_t, a))
PAL_ENTRY(old3, uint32_t, buffers, PAL_IN(uint16_t, in, n, 10), PAL_VALUE(uint8_t, n),
          PAL_IN(point, out, m, 3), PAL_VALUE(uint32_t, m), PAL_INOUT(uint8_t, both, k, 255),
          PAL_VALUE(uint8_t, k))
PAL_ENTRY(old4, uint32_t, text, PAL_STRING(first, 8), PAL_VALUE(uint32_t, x), PAL_STRING(second, 4))
PAL_ENTRY(old5, uint32_t, buffers, PAL_IN(uint16_t, in, n, 10), PAL_VALUE(uint8_t, n),
          PAL_OUT(point, out, n, 3), PAL_VALUE(uint32_t, m), PAL_INOUT(uint8_t, both, k, 255),
          PAL_VALUE(uint8_t, k))

static void refused(struct pal_status s, enum pal_file_error why)
{
    assert_true(s.error == PAL_BAD_IMAGE && s.detail == (unsigned)why);
}

/* The call with an image of the name that the header has. */
#define OTHER(of, call) \
    ((renamed = demo_image), renamed.name = (of), p->image = &renamed, \
     refused(call, PAL_FILE_INTERFACE), p->image = &demo_image)

static void test_other_interface(void **state)
{
    struct pal_handle *p = open_demo();
    const uint8_t in[4] = { 1, 2, 3, 4 };
    const uint16_t numbers[1] = { 1 };
    uint8_t both[3] = { 7, 8, 9 };
    uint32_t out[2] = { 9, 9 }, r;
    struct point a = { .x = 6 }, b;
    struct pair c = { .first = { .t = 9 } };
    struct pal_image renamed;

    (void)state;
    for (unsigned i = 0; i < 2; i++) { /* also when the right one has been called */
        calls_made = 0;
        OTHER("old1",
              old1_whole(p, &r, &in, (uint32_t (*)[1])&out, &both, &a, &b, &c));
        OTHER("old2",
              old2_add(p, &r, 1));
        OTHER("old3",
              old3_buffers(p, &r, numbers, 1, &a, 1, both, 3));
        OTHER("old4",
              old4_text(p, &r, "1", 2, "3"));
        OTHER("old5",
              old5_buffers(p, &r, numbers, 1, &b, 1, both, 3));
        assert_int_equal(calls_made, 0);
        assert_int_equal(demo_whole(p, &r, &in, &out, &both, &a, &b, &c).error, PAL_OK);
        assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_OK);
        assert_int_equal(demo_buffers(p, &r, numbers, 1, &b, 1, both, 3).error, PAL_OK);
        assert_int_equal(demo_text(p, &r, "1", 2, "3").error, PAL_OK);
    }
    close_demo(p);
}

/* A stub of one PAL with a handle of another. */
static void test_other_handle(void **state)
{
    struct pal_handle *p = open_demo();
    uint32_t r;

    (void)state;
    calls_made = 0;
    refused(old2_add(p, &r, 1), PAL_FILE_HANDLE);
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_OK);
    refused(old2_add(p, &r, 1), PAL_FILE_HANDLE);
    assert_int_equal(calls_made, 1);
    close_demo(p);
    assert_int_equal(pal_open(&demo_image, NULL).error, PAL_BAD_ARGUMENT);
}

static void test_text(void **state)
{
    struct pal_handle *p = open_demo();
    char open_end[4] = { 'a', 'b', 'c', 'd' };
    pal_word r;
    uint32_t n;

    (void)state;
    assert_int_equal(demo_text(p, &n, "12345678", 7000, "abc").error, PAL_OK);
    assert_int_equal(n, 7803);
    assert_int_equal(demo_text(p, &n, "", 0, "").error, PAL_OK);
    assert_int_equal(demo_text(p, &n, "123456789", 0, "").error, PAL_BAD_COUNT);
    assert_int_equal(demo_text(p, &n, NULL, 0, "").error, PAL_BAD_ARGUMENT);
    /* A hostile caller gives texts without an end, or no byte at all: the PAL gets an end. */
    assert_int_equal(pal_call_entry(p, demo_entry_text, &r,
                                    (pal_word[]){ (pal_word)open_end, 4, 0, (pal_word)open_end, 0 },
                                    5).error, PAL_OK);
    assert_int_equal(r, 300);
    close_demo(p);
}

/* Three values; the text, four numbers of 2 bytes, the structure. */
#define REQUEST (24u + 8 + 8 + sizeof(struct point))

static void test_asking(void **state)
{
    struct pal_handle *p = open_demo();
    int32_t r;

    (void)state;
    assert_int_equal(demo_through(p, &r, 1, "four").error, PAL_OK);
    assert_int_equal(r, -3000 + 50 + 4 + 4);
    assert_int_equal(demo_through(p, &r, 2, "").error, PAL_OK);
    assert_int_equal(r, 0);
    assert_int_equal(told, 1);
    assert_int_equal(demo_through(p, &r, 3, "").error, PAL_OK); /* the PAL's count is too large */
    assert_int_equal(r, -TV_TOO_LONG);
    assert_int_equal(asked, 1);
    /* Requests of any other length are refused, and the PAL is told. */
    for (damage = 1; damage < 2 + REQUEST; damage++) {
        assert_int_equal(demo_through(p, &r, 1, "four").error, PAL_OK);
        assert_int_equal(r, -TV_FAILED);
    }
    assert_int_equal(asked, 1);
    assert_int_equal(demo_through(p, &r, 1, "four").error, PAL_OK); /* no damage at all */
    assert_int_equal(asked, 2);
    close_demo(p);
}

/* The status OCALL: `function` is asked with so many bytes, and the call resumed. */
static struct pal_status asks(struct pal_handle *p, uint32_t function, uint32_t bytes, pal_word *r)
{
    next_status[0] = function;
    next_status[1] = XMHF_STATUS_OCALL;
    next_status[2] = bytes;
    return pal_call_entry(p, demo_entry_ping, r, NULL, 0);
}

static void test_ocall_loop(void **state)
{
    struct pal_handle *p = open_demo();
    struct pal_status s;
    pal_word r;

    (void)state;
    s = asks(p, test_ocalls[1]->number, 0, &r);
    assert_true(s.error == PAL_OK && r == 8 && told == 1);
    s = asks(p, test_ocalls[1]->number, 8, &r); /* a request that tell() doesn't have */
    assert_true(s.error == PAL_OK && r == 0 && told == 1);
    s = asks(p, 0xfffffff0, 0, &r);
    assert_true(s.error == PAL_NO_OCALL && s.detail == 0xfffffff0 && r == 0);
    told = 99; /* the program's function jumps away: its call stays under way */
    if (setjmp(jump) == 0) {
        asks(p, test_ocalls[1]->number, 0, &r);
        fail();
    }
    assert_int_equal(asks(p, test_ocalls[1]->number, 0, &r).error, PAL_OK); /* others go on */
    assert_int_equal(pal_close(p).error, PAL_BUSY);
    assert_int_equal(pal_abandon(p).error, PAL_OK);
    free(p->ocalls);
    free(p);
}

static void test_statuses(void **state)
{
    struct pal_handle *p = open_demo();
    struct pal_status s;
    uint32_t r = 5;

    (void)state;
    next_status[1] = XMHF_STATUS_BUSY;
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_BUSY);
    assert_int_equal(r, 0);
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_OK);
    assert_int_equal(demo_add(NULL, &r, 1, 1).error, PAL_CLOSED);
    assert_int_equal(pal_call_entry(p, TEST_ENTRIES, NULL, NULL, 0).error, PAL_BAD_ARGUMENT);
    assert_int_equal(pal_call_entry(p, demo_entry_ping, NULL, (pal_word[]){ 1 }, 1).error,
                     PAL_BAD_ARGUMENT);
    next_status[1] = TV_DEATH_EXCEPTION | 14 << 8 | 0 << 16;
    next_status[2] = 0x123;
    next_status[0] = 0x1001f000;
    s = demo_add(p, &r, 1, 1);
    assert_true(s.error == PAL_DIED && s.vector == 14 && s.section == 0 && s.offset == 0x123
                && s.address == 0x1001f000);
    calls_made = 0;
    s = demo_add(p, &r, 1, 1); /* all later calls are told the same, and nothing is called */
    assert_true(s.error == PAL_DIED && s.vector == 14 && calls_made == 0);
    close_demo(p);
    refusal = TV_QUOTA;
    assert_int_equal(pal_open(&demo_image, &p).error, PAL_REFUSED);
    assert_null(p);
}

static void test_closing(void **state)
{
    struct pal_handle *p = open_demo();
    uint32_t r;

    (void)state;
    busy = true;
    assert_int_equal(pal_close(p).error, PAL_BUSY);
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_OK); /* as before */
    busy = false;
    atomic_fetch_add(&p->calls, 1); /* a thread that has jumped out */
    assert_int_equal(pal_close(p).error, PAL_BUSY);
    assert_int_equal(pal_abandon(p).error, PAL_OK);
    assert_int_equal(closed, 0); /* it may still come back */
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_CLOSED);
    assert_int_equal(pal_abandon(p).error, PAL_CLOSED);
    free(p->ocalls);
    free(p);
    assert_int_equal(pal_close(NULL).error, PAL_OK);
}

static void test_fork(void **state)
{
    struct pal_handle *p = open_demo(), *own;
    uint32_t r;
    int status;

    (void)state;
    if (fork() == 0) {
        bool good = demo_add(p, &r, 1, 1).error == PAL_FORKED && pal_close(p).error == PAL_OK
            && closed == 0 && calls_made == 0;
        good = good && pal_open(&demo_image, &own).error == PAL_OK
            && demo_add(own, &r, 1, 1).error == PAL_OK && r == 2
            && pal_close(own).error == PAL_OK && closed == 1;
        _exit(good ? 0 : 1);
    }
    wait(&status);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(demo_add(p, &r, 1, 1).error, PAL_OK);
    close_demo(p);
}

/* --- files ------------------------------------------------------------------------------------ */

static enum pal_file_error read_file(void)
{
    static struct pal_file f;
    void *copy = malloc(file_size); /* so that a byte too far is seen */
    enum pal_file_error e;

    memcpy(copy, file, file_size);
    e = pal_file_read(copy, file_size, &f);
    free(copy);
    return e;
}

static enum pal_file_error with32(size_t at, uint32_t value)
{
    enum pal_file_error e;

    memcpy(file + at, &value, 4);
    e = read_file();
    make_file();
    return e;
}

#define HEAD(field) (8 + offsetof(struct xmhf_image, field))
#define SECTION(i, field) \
    (sections_at + (i) * sizeof(struct xmhf_image_section) \
     + offsetof(struct xmhf_image_section, field))
#define PARAM(i, field) \
    (params_at + (i) * sizeof(struct xmhf_image_param) + offsetof(struct xmhf_image_param, field))
#define ENTRY(i, field) \
    (entries_at + (i) * sizeof(struct xmhf_image_entry) + offsetof(struct xmhf_image_entry, field))

static void test_damaged_head(void **state)
{
    (void)state;
    assert_int_equal(read_file(), PAL_FILE_OK);
    assert_int_equal(with32(0, 7), PAL_FILE_MAGIC);
    assert_int_equal(with32(4, 0x044c4150), PAL_FILE_VERSION); /* "PAL", 4 */
    assert_int_equal(with32(HEAD(size), 57), PAL_FILE_SIZE);
    assert_int_equal(with32(HEAD(version), 3), PAL_FILE_VERSION);
    assert_int_equal(with32(HEAD(mode), 16), PAL_FILE_MODE);
    assert_int_equal(with32(HEAD(mode), sizeof(void *) == 8 ? 32 : 64),
                     sizeof(void *) == 8 ? PAL_FILE_MODE_32 : PAL_FILE_CONVENTION);
    assert_int_equal(with32(HEAD(convention), sizeof(void *) == 8 ? XMHF_CDECL : XMHF_SYSV),
                     PAL_FILE_CONVENTION);
    assert_int_equal(with32(HEAD(flags), 2), PAL_FILE_RESERVED);
    assert_int_equal(with32(HEAD(flags), XMHF_IMAGE_DEBUG), PAL_FILE_OK);
    assert_int_equal(with32(HEAD(stacks), 1), PAL_FILE_STACKS);
    assert_int_equal(with32(HEAD(stacks), 0), PAL_FILE_STACKS);
    assert_int_equal(with32(HEAD(sections), 0), PAL_FILE_COUNTS);
    assert_int_equal(with32(HEAD(sections), 65), PAL_FILE_COUNTS);
    assert_int_equal(with32(HEAD(params), 0xffffffff), PAL_FILE_COUNTS);
    assert_int_equal(with32(HEAD(entries), 65), PAL_FILE_COUNTS);
    assert_int_equal(with32(HEAD(caller), 1), PAL_FILE_RESERVED);
    assert_int_equal(with32(HEAD(stubs), 0x1000), PAL_FILE_RESERVED);
}

/* Numbers of parameters: the OCALL of the first entry, and the counted `in` of buffers(). */
#define OCALL   test_entries[0]->params
#define COUNTED \
    (test_entries[0]->params + test_entries[1]->params + test_entries[2]->params \
     + test_entries[3]->params + 4)

static void test_damaged_lists(void **state)
{
    (void)state;
    assert_int_equal(with32(SECTION(0, type), 99), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(0, pages), 0), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(0, pages), 0xffffffff), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(0, pages), 2), PAL_FILE_ORDER); /* no gap is left */
    assert_int_equal(with32(SECTION(0, address), 0), PAL_FILE_ORDER);
    assert_int_equal(with32(SECTION(0, source), 0x5000), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(1, address), 0x10002800), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(2, pages), 70000), PAL_FILE_SECTION);
    assert_int_equal(with32(SECTION(6, type), TV_SECTION_STACK), PAL_FILE_STACKS);
    assert_int_equal(with32(SECTION(2, type), TV_SECTION_DATA), PAL_FILE_CONTENTS);
    assert_int_equal(with32(PARAM(0, type), 9), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(0, direction), XMHF_OUT), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(0, size), 3), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(0, counted_by), 1 | 1 << 16), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(0, counted_by), 1 << 16), PAL_FILE_PARAM); /* only a unit */
    assert_int_equal(with32(PARAM(OCALL, size), XMHF_IMAGE_AREA), PAL_FILE_OK);
    assert_int_equal(with32(PARAM(OCALL, size), XMHF_IMAGE_AREA + 1), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(OCALL, size), 0xfffffff0), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(OCALL, counted_by), 1 | 1 << 16), PAL_FILE_PARAM);
    assert_int_equal(with32(PARAM(COUNTED, size), 18), PAL_FILE_OK);
    assert_int_equal(with32(PARAM(COUNTED, size), 19), PAL_FILE_PARAM); /* 9.5 things */
    assert_int_equal(with32(ENTRY(0, params), 40), PAL_FILE_ENTRY);
    assert_int_equal(with32(ENTRY(8, params), 1), PAL_FILE_ENTRY);
    assert_int_equal(with32(ENTRY(8, params), 20), PAL_FILE_ENTRY);
    assert_int_equal(with32(ENTRY(0, address), 0x10002000), PAL_FILE_ENTRY);
    assert_int_equal(with32(ENTRY(0, result), 3), PAL_FILE_ENTRY);
    assert_int_equal(with32(notes_at, 0), PAL_FILE_NOTES);
    assert_int_equal(with32(notes_at + 8, 0xfffffff0), PAL_FILE_NOTES);
    assert_int_equal(with32(notes_at + 12, 1000), PAL_FILE_NOTES);
}

static void test_cut(void **state)
{
    const size_t all = file_size;

    (void)state;
    for (file_size = 0; file_size < all; file_size++) {
        assert_int_equal(read_file() == PAL_FILE_OK, file_size == notes_at); /* may end there */
    }
    demo_image.size = 100;
    assert_int_equal(pal_open(&demo_image, &handle).error, PAL_BAD_IMAGE);
    assert_int_equal(opened, 0);
}

/* --- sentences -------------------------------------------------------------------------------- */

static void says(struct pal_status s, const char *what)
{
    char text[PAL_TEXT], small[20];

    s.image = &demo_image;
    pal_status_text(&s, text, sizeof(text));
    if (!strstr(text, what)) {
        fail_msg("\"%s\" does not say \"%s\"", text, what);
    }
    memset(small, 1, sizeof(small));
    pal_status_text(&s, small, sizeof(small));
    assert_true(strlen(small) < sizeof(small) && strncmp(small, text, sizeof(small) - 1) == 0);
}

static struct pal_status death(unsigned vector, unsigned section, uint32_t offset, uint64_t at)
{
    return (struct pal_status){ .error = PAL_DIED, .death = TV_DEATH_EXCEPTION, .vector = vector,
                                .section = section, .offset = offset, .address = at };
}

static void test_sentences(void **state)
{
    (void)state;
    says(death(14, 0, 0x12, 0x1001f000), "page fault (vector 14) at CODE+0x12, touched the page "
         "0x1001f000, below STACK 0: the stack is full");
    says(death(14, 0, 0x12, 0x1003f000), "below STACK 1");
    says(death(14, 0, 0x12, 0x10003000), "behind the end of DATA");
    says(death(14, 0, 0x12, 0x10006000), "behind the end of BSS");
    says(death(14, 0, 0x12, 0x10000000), "in CODE;");
    says(death(14, 0, 0x12, 0), "a null pointer");
    says(death(14, 0, 0x12, 0x7fff0000), "which is not the PAL's memory");
    says(death(0, 0, 0x12, 0), "division error (vector 0) at CODE+0x12; the line: pal-addr2line "
         "demo.pal.elf CODE+0x12.");
    says(death(6, 3, 0x10, 0), "at STACK0+0x10");
    says(death(6, 0, 0x10, 0), "how a PAL ends itself");
    says(death(14, 0xff, 0, 0x1003f000), "below STACK 1: a jump to what is no code");
    says(death(14, 0, 0x12, 0x1003f000), "below STACK 1: the stack is full");
    says(death(14, 0xff, 0, 0x10006000), "page fault (vector 14), touched");
    says((struct pal_status){ .error = PAL_DIED, .death = TV_DEATH_BUDGET, .section = 0xff },
         "used up its budget");
    says((struct pal_status){ .error = PAL_REFUSED, .hypercall = TV_QUOTA }, "(TV_QUOTA)");
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_MODE_32 }, "-m64");
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_INTERFACE },
         "with another interface than the image");
    says((struct pal_status){ .error = PAL_NO_OCALL, .detail = test_ocalls[0]->number },
         "demo_ocall_ask");
    says((struct pal_status){ .error = PAL_NO_HYPERVISOR }, "-lpal-native");
    says((struct pal_status){ .error = PAL_BAD_ARGUMENT }, "an argument can't be right");
    says((struct pal_status){ .error = PAL_BAD_COUNT }, "an argument can't be right");
    for (unsigned e = PAL_OK; e <= PAL_NO_OCALL; e++) {
        says((struct pal_status){ .error = (enum pal_error)e }, "PAL demo: ");
    }
    says((struct pal_status){ .error = PAL_BUSY }, "no stack is free");
    says((struct pal_status){ .error = PAL_BUSY }, "pal_abandon");
}

/* What is wrong with an argument: which one, of what, what it is and what is allowed. */
static void test_arguments(void **state)
{
    struct pal_handle *p = open_demo();
    const uint16_t in[10] = { 1 };
    const uint8_t four[4] = { 1 };
    struct point out[3], a = { .x = 1 };
    struct pair c = { .first = { .t = 9 } };
    uint8_t both[255];
    uint32_t two[2], r;
    const pal_word words[] = { (pal_word)in, 11, (pal_word)out, 2, (pal_word)both, 2 };

    (void)state;
    says(demo_buffers(p, &r, in, 11, out, 2, both, 2), "parameter 1 (in) of demo_buffers has a "
         "count of 11, and may have at most 10; nothing was called.");
    says(demo_buffers(p, &r, in, 10, out, UINT32_MAX, both, 2), "parameter 3 (out) of demo_buffers "
         "has a count of 4294967295, and may have at most 3; nothing");
    says(demo_buffers(p, &r, in, 10, out, 3, NULL, 2), "parameter 5 (both) of demo_buffers needs 2 "
         "bytes that can be written, and is NULL;");
    says(demo_buffers(p, &r, NULL, 10, out, 4, NULL, 2), "parameter 1 (in) of demo_buffers needs "
         "20 bytes that can be read, and is NULL;");
    says(demo_text(p, &r, "12345678", 0, "1234"), "parameter 3 (second) of demo_text is a text of "
         "more than the 3 bytes that are allowed; nothing was called.");
    says(demo_text(p, &r, NULL, 0, ""), "parameter 1 (first) of demo_text needs 1 bytes that can "
         "be read, and is NULL;");
    says(demo_whole(p, &r, &four, &two, NULL, &a, out, &c), "parameter 3 (both) of demo_whole");
    says(demo_whole(p, &r, &four, &two, (uint8_t (*)[3])both, &a, NULL, &c),
         "parameter 5 (b) of demo_whole needs 56 bytes that can be written, and is NULL");
    /* What the library is told after the stub found nothing. */
    next_status[0] = (pal_word)(out + 1) + 3;
    next_status[1] = PAL_STATUS_FAULT;
    says(demo_buffers(p, &r, in, 1, out, 2, both, 2), "parameter 3 (out) of demo_buffers needs 112 "
         "bytes that can be written, and 0x");
    next_status[0] = (pal_word)in;
    next_status[1] = PAL_STATUS_FAULT;
    says(demo_buffers(p, &r, in, 1, out, 2, both, 2), "parameter 1 (in) of demo_buffers needs 2 "
         "bytes that can be read, and 0x");
    /* Without a stub nobody knows names of parameters. */
    says(pal_call_entry(p, demo_entry_buffers, NULL, words, 6), "parameter 1 of demo_buffers has a "
         "count of 11, and may have at most 10;");
    says(pal_call_entry(p, demo_entry_buffers, NULL, words, 5), "demo_buffers: it was called with "
         "5 arguments, and takes 6;");
    says(pal_call_entry(p, 77, NULL, words, 5), "there is no entry number 77; it has 9, from 0 on");
    says(pal_open(&demo_image, NULL), "pal_open needs an image");
    close_demo(p);
}

/* "Build it again" is said where it helps. */
static void test_image_sentences(void **state)
{
    static const unsigned char rebuilt[] = {
        PAL_FILE_COUNTS, PAL_FILE_MODE, PAL_FILE_CONVENTION, PAL_FILE_RESERVED, PAL_FILE_SECTION,
        PAL_FILE_ORDER, PAL_FILE_STACKS, PAL_FILE_ENTRY, PAL_FILE_PARAM,
    };
    char text[PAL_TEXT];

    (void)state;
    for (unsigned e = PAL_FILE_OK + 1; e <= PAL_FILE_HANDLE; e++) {
        const struct pal_status s = { .error = PAL_BAD_IMAGE, .detail = e, .image = &demo_image };

        pal_status_text(&s, text, sizeof(text));
        assert_int_equal(strstr(text, "build it again") != NULL,
                         memchr(rebuilt, (int)e, sizeof(rebuilt)) != NULL);
        assert_null(strstr(text, "unknown reason"));
    }
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_MODE_32 }, "with -m64.");
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_INTERFACE },
         "with the same header.");
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_CONTENTS },
         "embed the file again.");
    says((struct pal_status){ .error = PAL_BAD_IMAGE, .detail = PAL_FILE_NATIVE },
         "link with that, or embed an image.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_arguments, set_up),
        cmocka_unit_test_setup(test_image_sentences, set_up),
        cmocka_unit_test_setup(test_values, set_up),
        cmocka_unit_test_setup(test_buffers, set_up),
        cmocka_unit_test_setup(test_whole, set_up),
        cmocka_unit_test_setup(test_other_interface, set_up),
        cmocka_unit_test_setup(test_other_handle, set_up),
        cmocka_unit_test_setup(test_text, set_up),
        cmocka_unit_test_setup(test_asking, set_up),
        cmocka_unit_test_setup(test_ocall_loop, set_up),
        cmocka_unit_test_setup(test_statuses, set_up),
        cmocka_unit_test_setup(test_closing, set_up),
        cmocka_unit_test_setup(test_fork, set_up),
        cmocka_unit_test_setup(test_damaged_head, set_up),
        cmocka_unit_test_setup(test_damaged_lists, set_up),
        cmocka_unit_test_setup(test_cut, set_up),
        cmocka_unit_test_setup(test_sentences, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
