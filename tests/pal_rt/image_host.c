/* SPDX-License-Identifier: MIT */
/*
 * Runs libpal-rt's tests as a PAL: TAP, as the unit tests give it. What must die has to do so by an
 * invalid instruction at the symbol that the test names; then the PAL is opened anew.
 */
#include "image_interface.h"

#include <pal/host.h>
#include <stdio.h>
#include <stdlib.h>

PAL_IMAGE(rt);

#define LINKED_AT  0x10000000u /* where CODE begins, the first section */
#define DEATH_SIZE 1024u       /* bytes of the function that a death may be in */
#define EXC_UD     6u

static struct pal_handle *pal;

static void give_up(const struct pal_status *s)
{
    char text[PAL_TEXT];

    printf("Bail out! %s\n", pal_status_text(s, text, sizeof(text)));
    exit(99);
}

static void begin(void)
{
    struct pal_status s = pal_open(&rt_image, &pal);

    if (s.error != PAL_OK) {
        give_up(&s);
    }
}

/* Whether there is such a test. */
static bool look_at(uint32_t i, char name[RT_NAME], uint64_t *death)
{
    uint32_t there = 0;
    struct pal_status s = rt_look(pal, &there, i, (char (*)[RT_NAME])name, (uint64_t (*)[1])death);

    if (s.error != PAL_OK) {
        give_up(&s);
    }
    return there;
}

static bool died_there(const struct pal_status *s, uint64_t death)
{
    return s->error == PAL_DIED && s->vector == EXC_UD && s->section == 0
        && s->offset + (uint64_t)LINKED_AT - death < DEATH_SIZE;
}

static bool run_one(uint32_t i)
{
    char name[RT_NAME], why[RT_WHY] = "", text[PAL_TEXT] = "";
    uint64_t death;
    uint32_t passed = 0;

    look_at(i, name, &death);
    struct pal_status s = rt_run(pal, &passed, i, &why);
    bool good = death != 0 ? died_there(&s, death) : s.error == PAL_OK && passed;
    if (s.error != PAL_OK) {
        pal_status_text(&s, text, sizeof(text));
        pal_close(pal);
        begin();
    }
    printf("%s %u - %s\n", good ? "ok" : "not ok", (unsigned)i + 1, name);
    if (!good) {
        printf("# %s%s\n", why, text);
    }
    fflush(stdout);
    return good;
}

int main(void)
{
    char name[RT_NAME];
    uint32_t n = 0, bad = 0, inside = 2;
    uint64_t death;

    begin();
    while (look_at(n, name, &death)) {
        n++;
    }
    printf("TAP version 13\n1..%u\n", (unsigned)n + 1);
    for (uint32_t i = 0; i < n; i++) {
        bad += !run_one(i);
    }
    struct pal_status s = rt_inside(pal, &inside);
    bool good = s.error == PAL_OK && inside == !pal_is_native();
    printf("%s %u - inside\n", good ? "ok" : "not ok", (unsigned)n + 1);
    pal_close(pal);
    return bad != 0 || !good;
}
