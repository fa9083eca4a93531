/* SPDX-License-Identifier: MIT */
/* xmhfctl: what a machine with the hypervisor can be asked. Its one command: gdb. */
#include "pal.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: xmhfctl gdb [--pal N] [--call N] PID\n"
    "\n"
    "Lets gdb look at a debug PAL (pal-cc --debug) of the process PID, by gdb's remote protocol\n"
    "on standard input and output:\n"
    "\n"
    "  gdb -ex 'target remote | xmhfctl gdb PID' NAME.pal.elf\n"
    "\n"
    "The process is stopped meanwhile, and goes on when gdb detaches or ends. Memory and\n"
    "registers can be read and not changed; there are no breakpoints and no steps. Registers are\n"
    "those of a call that is interrupted or waits for its program's answer.\n"
    "\n"
    "  --pal N    the process' debug PAL number N, from 0, by address\n"
    "  --call N   the registers of call number N, less than the image's --stacks (default: the\n"
    "             first that waits)\n"
    "\n"
    "Exit status: 0 gdb has detached; 1 it can't be done, with the reason; 2 wrong usage.\n";

struct command {
    pid_t pid;
    unsigned pal;
    int call; /* -1: the first that waits */
};

static int usage(const char *what)
{
    fprintf(stderr, "xmhfctl: %s; xmhfctl --help tells how\n", what);
    return 2;
}

/* A number from `first` to `last`; -1 if it is none. */
static long number(const char *text, long first, long last)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    return errno || end == text || *end || value < first || value > last ? -1 : value;
}

/* --- the conversation ---------------------------------------------------------------------- */

static void put(const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(STDOUT_FILENO, text, size);

        if (n <= 0) {
            return; /* gdb has ended: the next read tells */
        }
        text += n;
        size -= (size_t)n;
    }
}

static void talk(const struct rsp_target *target)
{
    static char answer[RSP_PACKET + 1], framed[RSP_PACKET + 5];
    static struct rsp_stream stream;
    uint8_t bytes[4096];
    ssize_t n;

    while ((n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            const enum rsp_event event = rsp_feed(&stream, bytes[i]);
            enum rsp_after after;

            if (event == RSP_DAMAGED) {
                put("-", 1);
            }
            if (event != RSP_PACKET_IN) {
                continue;
            }
            put("+", 1);
            after = rsp_answer(target, stream.data, stream.size, answer);
            put(framed, rsp_frame(answer, framed));
            if (after == RSP_DETACH) {
                (void)!read(STDIN_FILENO, bytes, 1); /* gdb has taken note */
                return;
            }
        }
    }
}

static int failed(const struct command *c, const struct inject *in)
{
    fprintf(stderr, "xmhfctl: process %d: %s\n", (int)c->pid, in->problem);
    return 1;
}

static int debug(const struct command *c)
{
    struct inject process;
    struct rsp_target target;
    struct pal pal;
    int status = 0;

    if (!inject_open(&process, c->pid)) {
        return failed(c, &process);
    }
    if (!pal_find(&pal, &process, c->pal, c->call)) {
        status = failed(c, &process);
    } else {
        fprintf(stderr, "xmhfctl: debug PAL with its stubs at 0x%llx; call %u %s\n",
                (unsigned long long)pal.stubs, pal.call, pal_state(pal.now.state));
        target = pal_target(&pal);
        talk(&target);
    }
    inject_close(&process);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 'h' }, { "pal", required_argument, NULL, 'p' },
        { "call", required_argument, NULL, 'c' }, { NULL, 0, NULL, 0 },
    };
    struct command c = { 0, 0, -1 };
    long value = 0;
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'p':
            value = number(optarg, 0, 255);
            c.pal = (unsigned)value;
            break;
        case 'c':
            value = number(optarg, 0, XMHF_IMAGE_STACKS - 1);
            c.call = (int)value;
            break;
        default:
            return 2;
        }
        if (value < 0) {
            return usage("--pal and --call take a number, of a call at most 29");
        }
    }
    if (argc - optind != 2 || strcmp(argv[optind], "gdb") != 0) {
        return usage("there is one command: gdb PID");
    }
    value = number(argv[optind + 1], 1, 1 << 22);
    if (value < 0 || value == getpid()) {
        return usage("PID is the number of another process");
    }
    c.pid = (pid_t)value;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C in gdb's terminal is gdb's */
    return debug(&c);
}
