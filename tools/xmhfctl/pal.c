/* SPDX-License-Identifier: MIT */
/* A debug PAL of another process: see pal.h. */
#include "pal.h"

#include <stdio.h>
#include <string.h>
#include <xmhf/hypercall.h>

#define PAGE   4096u
#define PAGES  65536u /* that are tried: no program has more executable memory of its own */

/* The structure and, on the next page, what it asks for. */
struct room {
    struct xmhf_pal_read question;
    uint8_t rest[PAGE - sizeof(struct xmhf_pal_read)];
    uint8_t answer[PAGE];
};

/* One question; *result is what the hypervisor says. False if it couldn't be put. */
static bool ask(struct inject *in, struct xmhf_pal_read question, void *to, uint64_t *result)
{
    static struct room room;
    const struct inject_call call = { XMHF_HC_PAL_READ, in->room, 0, 0, 0 };

    memset(&room, 0, sizeof(room));
    room.question = question;
    room.question.size = sizeof(room.question);
    room.question.to = in->room + offsetof(struct room, answer);
    if (!inject_call(in, &call, &room, &room, sizeof(room), result)) {
        return false;
    }
    memcpy(to, room.answer, question.bytes);
    return true;
}

static bool ask_registers(struct inject *in, uint64_t stubs, unsigned call,
                          struct xmhf_pal_registers *r, uint64_t *result)
{
    const struct xmhf_pal_read question = {
        .what = XMHF_READ_REGISTERS, .stubs = stubs, .address = call, .bytes = sizeof(*r),
    };

    return ask(in, question, r, result);
}

/* --- finding it ------------------------------------------------------------------------- */

/* The next part of the process' own memory that is executable: where pages of stubs can be. */
static bool next_part(FILE *maps, unsigned long long *start, unsigned long long *end)
{
    char line[512], rights[8];
    unsigned long long inode;

    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", start, end, rights, &inode) == 4
            && strchr(rights, 'x') && inode == 0 && !strchr(line, '[')) {
            return true;
        }
    }
    return false;
}

/* Goes through the pages; *seen counts PALs that aren't debug PALs. */
static bool search(struct pal *pal, FILE *maps, unsigned number, unsigned *seen)
{
    unsigned long long start, end;
    unsigned pages = 0;
    uint64_t result;

    while (next_part(maps, &start, &end)) {
        for (; start < end && pages < PAGES; start += PAGE, pages++) {
            if (!ask_registers(pal->process, start, 0, &pal->now, &result)) {
                return false;
            }
            *seen += result == TV_NOT_DEBUG;
            if (result == TV_OK && number-- == 0) {
                pal->stubs = start;
                return true;
            }
            if (result != TV_OK && result != TV_NOT_DEBUG && result != TV_NOT_FOUND) {
                pal->process->problem = "this hypervisor can't read debug PALs";
                return false;
            }
        }
    }
    pal->process->problem = *seen ? "it has PALs, but no such debug PAL (pal-cc --debug)"
                                  : "it has no such PAL";
    return false;
}

/* A call that waits: its registers are those that gdb gets. */
static bool choose_call(struct pal *pal, int wanted)
{
    struct xmhf_pal_registers r;
    uint64_t result;

    pal->call = wanted < 0 ? 0 : (unsigned)wanted;
    for (unsigned call = 0; call < XMHF_IMAGE_STACKS; call++) {
        if (!ask_registers(pal->process, pal->stubs, call, &r, &result)) {
            return false;
        }
        if (result != TV_OK) {
            break;
        }
        if (wanted < 0 ? r.state == XMHF_CALL_INTERRUPTED || r.state == XMHF_CALL_OCALL
                       : call == (unsigned)wanted) {
            pal->call = call;
            pal->now = r;
            return true;
        }
    }
    pal->process->problem = "the PAL has no call of that number";
    return wanted < 0;
}

bool pal_find(struct pal *pal, struct inject *process, unsigned number, int call)
{
    char path[64];
    unsigned seen = 0;
    bool good;
    FILE *maps;

    memset(pal, 0, sizeof(*pal));
    pal->process = process;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)process->pid);
    maps = fopen(path, "r");
    if (!maps) {
        process->problem = "its memory can't be listed";
        return false;
    }
    good = search(pal, maps, number, &seen) && choose_call(pal, call);
    fclose(maps);
    return good;
}

/* --- looking ------------------------------------------------------------------------------ */

static size_t read_memory(void *context, uint64_t address, uint8_t *to, size_t bytes)
{
    const struct pal *pal = context;
    size_t done = 0;
    uint64_t result;

    while (done < bytes) {
        const size_t room = PAGE - (size_t)((address + done) % PAGE);
        const struct xmhf_pal_read question = {
            .what = XMHF_READ_MEMORY, .stubs = pal->stubs, .address = address + done,
            .bytes = (uint32_t)(bytes - done < room ? bytes - done : room),
        };

        if (!ask(pal->process, question, to + done, &result) || result != TV_OK) {
            break;
        }
        done += question.bytes;
    }
    return done;
}

static bool get(void *context, unsigned n, uint64_t *value)
{
    static const uint8_t order64[] = { 0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15 };
    const struct pal *pal = context;
    const unsigned general = pal->process->bits == 64 ? 16 : 8;

    if (pal->now.state != XMHF_CALL_INTERRUPTED && pal->now.state != XMHF_CALL_OCALL) {
        return false;
    }
    if (n < general) {
        *value = pal->now.gpr[general == 16 ? order64[n] : n];
    } else if (n == general) {
        *value = pal->now.rip;
    } else if (n == general + 1) {
        *value = pal->now.rflags;
    }
    return n <= general + 1;
}

struct rsp_target pal_target(struct pal *pal)
{
    return (struct rsp_target){ pal->process->bits, read_memory, get, pal };
}

const char *pal_state(uint32_t state)
{
    static const char *const words[] = {
        "is not under way", "runs", "is interrupted", "waits for its program's answer", "is done",
    };

    return state < sizeof(words) / sizeof(words[0]) ? words[state] : "does something unknown";
}
