/* SPDX-License-Identifier: MIT */
/*
 * By the public ABI a PAL's death ends its program by a signal, and the library says first what
 * died. Each case is a child of its own: a death, a child that calls its parent's PAL, a program
 * that handles the signal itself, one that doesn't want to be told. And code that writes behind
 * DATA or below its stack finds nothing there. (The page behind DATA can be read: the PAL returns
 * to it.)
 */
#define _GNU_SOURCE
#include "tap.h"
#include <pal/module.h>
#include <sys/wait.h>
#include <unistd.h>

PAL_CODE static PAL_ABI pal_word run(pal_word what, pal_word at)
{
    switch (what) {
    case 0: return 5 / at;
    case 1: return *(volatile pal_word *)at;
    case 2: *(volatile pal_word *)at = 1; return 1;
    default: return what;
    }
}

static struct pal p;
static char *volatile zero;

static void make(void)
{
    struct pal_spec spec = PAL_SPEC(run);

    pal_create(&p, &spec);
    pal_add_integer(&p);
    pal_add_integer(&p);
    if (pal_register(&p) != TV_OK) {
        _exit(99);
    }
}

static pal_word call(pal_word what, pal_word at)
{
    return ((pal_word (PAL_ABI *)(pal_word, pal_word))p.entry)(what, at);
}

static void handled(int number)
{
    _exit(40 + number);
}

/* --- what the children do ------------------------------------------------------------------- */

static void divide(void) { make(); call(0, 0); }
static void behind_data(void) { make(); call(2, (pal_word)p.data + PAL_PAGE); }
static void below_stack(void) { make(); call(2, (pal_word)p.stack - sizeof(pal_word)); }
static void last_of_data(void) { make(); call(1, (pal_word)p.data + PAL_PAGE - 8); _exit(7); }
static void own_handler(void) { make(); signal(SIGSEGV, handled); call(0, 0); }
static void handler_before(void) { signal(SIGSEGV, handled); make(); call(0, 0); }
static void not_told(void) { pal_handler_off(); make(); call(0, 0); }
static void no_death(void) { make(); *(volatile int *)zero = 1; }

static void parents(void)
{
    make();
    if (fork() == 0) {
        call(3, 3);
        _exit(8);
    }
    wait(NULL);
    _exit(call(3, 3) == 3 ? 9 : 10);
}

/* --- and what is seen of them --------------------------------------------------------------- */

static char said[1024];

/* Its status, with what it said on standard error in said[]. */
static int child(void (*what)(void))
{
    int ends[2], status;
    ssize_t n, all = 0;

    if (pipe(ends) != 0) {
        return -1;
    }
    if (fork() == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        what();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], said + all, sizeof(said) - 1 - (size_t)all)) > 0) {
        all += n;
    }
    said[all] = 0;
    close(ends[0]);
    wait(&status);
    return status;
}

static bool has(const char *a, const char *b)
{
    return strstr(said, a) && strstr(said, b);
}

static bool by_signal(int status, int number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

int main(void)
{
    tap_need_hypervisor();
    ok(by_signal(child(divide), SIGSEGV) && has("division error (vector 0)", "of section 0"),
       "a death is told, then SIGSEGV: %s", said);
    ok(by_signal(child(behind_data), SIGSEGV) && has("page fault (vector 14)", "of section 0"),
       "nothing that the PAL could write is behind DATA");
    ok(by_signal(child(below_stack), SIGSEGV) && has("page fault (vector 14)", "of section 0"),
       "nor below STACK");
    ok(WEXITSTATUS(child(last_of_data)) == 7 && said[0] == 0, "but DATA is there to its end");
    ok(WEXITSTATUS(child(own_handler)) == 40 + SIGSEGV && said[0] == 0,
       "a program that handles the signal is left alone");
    ok(WEXITSTATUS(child(handler_before)) == 40 + SIGSEGV && said[0] == 0,
       "also if it did before");
    ok(by_signal(child(not_told), SIGSEGV) && said[0] == 0, "who doesn't want it isn't told");
    ok(by_signal(child(no_death), SIGSEGV) && said[0] == 0, "another fault is none of ours");
    ok(WEXITSTATUS(child(parents)) == 9 && has("belongs to the parent process", "fork()"),
       "a child that calls its parent's PAL is told so: %s", said);
    return tap_end();
}
