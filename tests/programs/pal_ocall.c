/* SPDX-License-Identifier: MIT */
/*
 * A PAL that asks its program: answers from the thread that is asked and from another one, by
 * several threads at once while signals come, into memory that faults; and what must not work:
 * calls in between, other tokens, answers that are too long, answers after unregistering. Defends:
 * "An answer to an ocall goes to the PAL's own buffer only".
 */
#define _GNU_SOURCE
#include "tap.h"
#include <pthread.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>

#define LINK     0x10000000u
#define AT_DATA  0x10010000u
#define AT_STACK 0x10020000u
#define STACKS   3u            /* one less than threads */
#define THREADS  4u
#define CALLS    20u
#define MOST     64u
#define ROOM     32u           /* bytes that the PAL takes for an answer, of four it makes use */
#define SLOT(i)  (AT_DATA + PAL_PAGE - 4 + 128 * (i)) /* the first one on two pages */

/* --- the PAL ------------------------------------------------------------------------ */

/* Asks n times, n ... 1 itself, and sums up the answers. `where` is 0 here. */
PAL_CODE static PAL_ABI pal_word asks(pal_word where, pal_word n, pal_word amd, pal_word slot)
{
    volatile uint32_t *buffer = (volatile uint32_t *)(uintptr_t)SLOT(slot);
    pal_word sum = where;

    for (; n != 0; n--) {
        pal_word r = XMHF_HC_OCALL, to = SLOT(slot);
        *buffer = (uint32_t)n;
        if (amd) {
            __asm__ volatile(".byte 0x0f, 0x01, 0xd9" : "+a"(r)
                             : "c"(n), "d"(to), "S"(4ul), "D"((pal_word)ROOM) : "memory");
        } else {
            __asm__ volatile(".byte 0x0f, 0x01, 0xc1" : "+a"(r)
                             : "c"(n), "d"(to), "S"(4ul), "D"((pal_word)ROOM) : "memory");
        }
        if ((intptr_t)r < 0) {
            return r;
        }
        sum += *buffer;
    }
    return sum;
}

/* --- registering -------------------------------------------------------------------- */

static uint8_t *stubs, *code, *data;
static pal_word amd;

static bool vendor_is_amd(void)
{
    uint32_t a = 0, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return c == 0x444d4163; /* "cAMD" */
}

static uint64_t reg(void)
{
    static struct {
        struct xmhf_image image;
        struct xmhf_image_section section[2 + STACKS];
        struct xmhf_image_param param[4];
        struct xmhf_image_entry entry[1];
    } d;
    const size_t bytes = (size_t)(__stop_pal_code - __start_pal_code);
    const uint32_t pages = (uint32_t)((bytes + PAL_PAGE - 1) / PAL_PAGE);
    const bool is_64 = sizeof(void *) == 8;

    memset(&d, 0, sizeof(d));
    memcpy(code, __start_pal_code, bytes);
    memset(data, 0, 2 * PAL_PAGE);
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION,
        .mode = is_64 ? PAL_ID_MODE_64 : PAL_ID_MODE_32,
        .convention = is_64 ? XMHF_SYSV : XMHF_CDECL, .stacks = STACKS, .sections = 2 + STACKS,
        .params = 4, .entries = 1, .stubs = (uintptr_t)stubs,
    };
    d.section[0] = (struct xmhf_image_section){ TV_SECTION_CODE, pages, LINK, (uintptr_t)code };
    d.section[1] = (struct xmhf_image_section){ TV_SECTION_DATA, 2, AT_DATA, (uintptr_t)data };
    for (unsigned k = 0; k < STACKS; k++) {
        d.section[2 + k] = (struct xmhf_image_section){
            TV_SECTION_STACK, 1, AT_STACK + 2 * k * PAL_PAGE, 0,
        };
    }
    d.param[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, MOST, 0, 0 };
    for (unsigned i = 1; i < 4; i++) {
        d.param[i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
    }
    d.entry[0].address = LINK + ((uintptr_t)asks - (uintptr_t)__start_pal_code);
    d.entry[0].params = 4;
    return pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, 0, 0, (uintptr_t)stubs);
}

static uint64_t unreg(void)
{
    return pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0, 0, 0);
}

/* --- calling ------------------------------------------------------------------------ */

struct out { pal_word result, status; };

#ifdef __x86_64__
static struct out enter(const void *to, const pal_word a[4], const uint64_t token[2])
{
    pal_word rax = token[0], rdx = token[0] ? token[1] : a[2], rcx = a[3], rdi = a[0], rsi = a[1];

    __asm__ volatile("sub $128, %%rsp; call *%%rbx; add $128, %%rsp"
                     : "+a"(rax), "+d"(rdx), "+c"(rcx), "+D"(rdi), "+S"(rsi) : "b"(to)
                     : "r8", "r9", "r10", "r11", "memory", "cc");
    return (struct out){ rax, rcx };
}
#else
static struct out enter(const void *to, const pal_word a[4], const uint64_t token[2])
{
    uint32_t eax = (uint32_t)token[0], edx = (uint32_t)(token[0] >> 32);
    uint32_t ecx = (uint32_t)token[1], ebx = (uint32_t)(token[1] >> 32);

    __asm__ volatile("push 12(%%edi); push 8(%%edi); push 4(%%edi); push (%%edi); call *%%esi; "
                     "add $16, %%esp"
                     : "+a"(eax), "+d"(edx), "+c"(ecx), "+b"(ebx) : "S"(to), "D"(a)
                     : "memory", "cc");
    return (struct out){ eax, ecx };
}
#endif

static const uint64_t no_token[2];

static struct out call(struct xmhf_ocall *where, pal_word n, pal_word slot)
{
    const pal_word args[4] = { (pal_word)(uintptr_t)where, n, amd, slot };

    return enter(stubs, args, no_token);
}

static struct out come(const uint64_t token[2])
{
    static const pal_word none[4];

    return enter(stubs + PAL_PAGE - 32, none, token);
}

static bool is_asked(struct out o, const struct xmhf_ocall *where, uint32_t n)
{
    uint32_t word;

    memcpy(&word, where + 1, 4);
    return o.result == 0 && o.status == XMHF_STATUS_OCALL && where->function == n
        && where->bytes == 4 && word == n;
}

/* The answer to n is 10 n + 1. */
static struct out answer(struct xmhf_ocall *where)
{
    const uint64_t token[2] = { where->token[0], where->token[1] };
    const uint32_t word = 10 * where->function + 1;

    memcpy(where + 1, &word, 4);
    where->bytes = 4;
    return come(token);
}

static pal_word sum_of(pal_word n) { return 10 * (n * (n + 1) / 2) + n; }

/* A whole call; false: something was wrong on the way. */
static bool whole_call(struct xmhf_ocall *where, uint32_t n, pal_word slot)
{
    struct out o = call(where, n, slot);

    for (uint32_t i = n; i > 0; i--) {
        if (!is_asked(o, where, i)) {
            return false;
        }
        o = answer(where);
    }
    return o.status == 0 && o.result == sum_of(n);
}

/* --- tests ---------------------------------------------------------------------------- */

static uint8_t *pages; /* two, for a structure that lies on both */
#define WHERE ((struct xmhf_ocall *)(void *)(pages + PAL_PAGE - sizeof(struct xmhf_ocall) - 2))

static void in_between(void)
{
    struct out o = call(WHERE, 2, 0), busy;
    const uint64_t token[2] = { WHERE->token[0], WHERE->token[1] };
    volatile unsigned caught = 0;

    ok(is_asked(o, WHERE, 2), "a call is asked");
    busy = call(WHERE, 1, 0);
    ok(busy.status == XMHF_STATUS_BUSY, "and can't call meanwhile: status 0x%x",
       (unsigned)busy.status);
    for (volatile unsigned i = 0; i < 4; i++) {
        const uint64_t wrong[2] = { token[0] ^ (i == 0 ? 1 : i == 1 ? 1ULL << 63 : 0),
                                    token[1] ^ (i == 2 ? 1 : i == 3 ? 1ULL << 63 : 0) };
        if (CATCH()) {
            come(wrong);
        }
        tap_armed = 0;
        caught += tap_signal == SIGSEGV;
    }
    ok(caught == 4, "wrong tokens are refused: %u of 4", caught);
    o = answer(WHERE);
    ok(is_asked(o, WHERE, 1), "the right one goes on");
    tap_signal = 0;
    if (CATCH()) {
        come(token);
    }
    tap_armed = 0;
    ok(tap_signal == SIGSEGV, "a token is good once");
    WHERE->bytes = ROOM + 1;
    o = come((uint64_t[]){ WHERE->token[0], WHERE->token[1] });
    ok(o.status == 0 && (pal_word)(0 - (pal_word)TV_TOO_LONG) == o.result,
       "an answer that is too long: the PAL is told");
    ok(whole_call(WHERE, 3, 0), "a call after it");
}

static unsigned mended;

static void mend(int number, siginfo_t *info, void *context)
{
    (void)context;
    if ((uint8_t *)info->si_addr < pages || (uint8_t *)info->si_addr >= pages + 2 * PAL_PAGE) {
        signal(number, SIG_DFL);
        return;
    }
    mended++;
    mprotect(pages, 2 * PAL_PAGE, PROT_READ | PROT_WRITE);
}

/* The pages become unreadable while the thread is asked, or while it isn't: by the next answer
 * they can be read only, and the next request can't be written. */
static void faults(void)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, old;
    struct out o;
    bool good = true;

    sa.sa_sigaction = mend;
    sigaction(SIGSEGV, &sa, &old);
    o = call(WHERE, 30, 0);
    for (uint32_t i = 30; i > 0 && good; i--) {
        const uint64_t token[2] = { WHERE->token[0], WHERE->token[1] };
        const uint32_t word = 10 * i + 1;
        good = is_asked(o, WHERE, i);
        memcpy(WHERE + 1, &word, 4);
        WHERE->bytes = 4;
        mprotect(pages + (i % 3 == 0 ? PAL_PAGE : 0), i % 3 == 1 ? 2 * PAL_PAGE : PAL_PAGE,
                 i % 2 ? PROT_READ : PROT_NONE);
        o = come(token);
    }
    sigaction(SIGSEGV, &old, NULL);
    mprotect(pages, 2 * PAL_PAGE, PROT_READ | PROT_WRITE);
    ok(good && o.status == 0 && o.result == sum_of(30) && mended >= 29,
       "memory that faults, %u times: result %lu", mended, (unsigned long)o.result);
}

static void *thread(void *arg)
{
    const uintptr_t slot = (uintptr_t)arg;
    struct { struct xmhf_ocall o; uint8_t more[MOST]; } where;
    uintptr_t good = 0;

    for (unsigned i = 0; i < CALLS; i++) {
        good += whole_call(&where.o, 50, slot);
    }
    return (void *)good;
}

static void several_threads(void)
{
    pthread_t t[THREADS];
    uintptr_t good = 0;

    tap_ticker(500);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&t[i], NULL, thread, (void *)i);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(t[i], &result);
        good += (uintptr_t)result;
    }
    tap_ticker(0);
    ok(good == THREADS * CALLS, "%u threads, %u stacks, 50 ocalls a call: %u of %u calls are right",
       THREADS, STACKS, (unsigned)good, THREADS * CALLS);
}

static struct out brought;

static void *bring(void *arg)
{
    (void)arg;
    brought = answer(WHERE);
    return NULL;
}

static void another_thread(void)
{
    struct out o = call(WHERE, 1, 0);
    pthread_t t;

    ok(is_asked(o, WHERE, 1), "a call is asked once");
    pthread_create(&t, NULL, bring, NULL);
    pthread_join(t, NULL);
    ok(brought.status == 0 && brought.result == sum_of(1), "another thread brings the answer, and "
       "gets the result");
    ok(whole_call(WHERE, 2, 0), "the first one may call again");
}

static void unregistered_meanwhile(void)
{
    struct out o = call(WHERE, 1, 0);
    uint64_t e;

    ok(is_asked(o, WHERE, 1), "a call is asked again");
    e = unreg();
    ok(e == TV_OK, "the PAL is unregistered meanwhile: %s", pal_error_name(e));
    if (CATCH()) {
        answer(WHERE);
    }
    tap_armed = 0;
    ok(tap_signal == SIGTRAP, "an answer after that is INT3");
}

int main(void)
{
    uint64_t free;
    uint8_t *all;

    tap_need_hypervisor();
    tap_catch_signals();
    amd = vendor_is_amd();
    all = mmap(NULL, 16 * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0);
    memset(all, 0, 16 * PAL_PAGE);
    stubs = all;
    data = all + PAL_PAGE;
    pages = all + 4 * PAL_PAGE;
    code = all + 8 * PAL_PAGE;
    free = pal_info(XMHF_INFO_POOL_FREE);
    for (unsigned round = 0; round < 2; round++) {
        if (!tap_no_error(reg(), "registering")) {
            break;
        }
        ok(whole_call(WHERE, 100, 0), "100 ocalls in one call");
        in_between();
        faults();
        several_threads();
        another_thread();
        unregistered_meanwhile();
        mended = 0;
    }
    ok(tap_no_leak(&free), "no page is lost");
    return tap_end();
}
