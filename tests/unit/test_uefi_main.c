/* SPDX-License-Identifier: MIT */
/* The way through xmhf.efi: when the next loader starts, and when nothing does. */
#include "unit.h"

#include "efi_firmware.h"
#include "fake/machine.h"

#include <boot/uefi/next.h>
#include <boot/uefi/options.h>
#include <boot/uefi/take.h>
#include <xmhf/hypercall.h>

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static struct {
    bool required, damaged, takes;   /* what happens */
    bool marked;                     /* another copy is at work */
    bool may_stop;
    unsigned taken, started, marks;  /* what was called */
} seen;
static jmp_buf stopped;
static int image;

void options_read(const struct uefi *u, struct conf *conf)
{
    (void)u;
    memset(conf, 0, sizeof(*conf));
    conf->required = seen.required;
}

bool options_damage(const struct conf *conf, char *why, size_t max)
{
    (void)conf;
    snprintf(why, max, "damaged options");
    return seen.damaged;
}

bool take(const struct uefi *u, const struct conf *conf, uint64_t tsc, char *line, size_t max)
{
    (void)u;
    (void)conf;
    (void)tsc;
    seen.taken++;
    snprintf(line, max, seen.takes ? "it runs" : "SVM is turned off by VM_CR.SVMDIS");
    return seen.takes;
}

bool next_mark(const struct uefi *u)
{
    (void)u;
    seen.marks += !seen.marked;
    return !seen.marked;
}

void next_unmark(const struct uefi *u)
{
    (void)u;
    seen.marks--;
}

EFI_STATUS next_start(const struct uefi *u, const struct conf *conf)
{
    (void)u;
    (void)conf;
    seen.started++;
    return EFI_ABORTED;
}

/* At a HLT: the machine has stopped, if it has said so. */
static void stop(void)
{
    if (!seen.may_stop || !fw_said("stopped: the option required")) {
        fail_msg("the machine stopped");
    }
    longjmp(stopped, 1);
}

static EFI_STATUS EFIAPI loaded_image(EFI_HANDLE handle, EFI_GUID *guid, VOID **out)
{
    static EFI_LOADED_IMAGE loaded;
    (void)handle;
    (void)guid;
    *out = &loaded;
    return EFI_SUCCESS;
}

static int set_up(void **state)
{
    (void)state;
    fw_reset();
    fw.boot.HandleProtocol = loaded_image;
    machine_reset(0);
    machine.on_halt = stop;
    memset(&seen, 0, sizeof(seen));
    return 0;
}

static EFI_STATUS go(void) { return efi_main(&image, &fw.system); }

static void taken_the_next_loader_starts(void **state)
{
    (void)state;
    seen.takes = true;
    seen.required = true;
    assert_int_equal(go(), EFI_ABORTED); /* what the next loader returned */
    assert_true(seen.taken == 1 && seen.started == 1 && seen.marks == 0);
    assert_true(fw_said("[xmhf] it runs\r\n"));
}

static void declined_it_starts_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(go(), EFI_ABORTED);
    assert_int_equal(seen.started, 1);
    assert_true(fw_said("[xmhf] not started: SVM is turned off by VM_CR.SVMDIS\r\n"));
    seen.damaged = true;
    assert_int_equal(go(), EFI_ABORTED);
    assert_true(seen.started == 2 && seen.taken == 1);
    assert_true(fw_said("not started: damaged options"));
}

static void required_makes_it_a_stop(void **state)
{
    (void)state;
    seen.required = seen.may_stop = true;
    for (volatile unsigned damaged = 0; damaged < 2; damaged++) {
        seen.damaged = damaged;
        if (setjmp(stopped) == 0) {
            (void)go();
            fail_msg("it went on");
        }
        assert_int_equal(seen.started, 0);
        fw.console_size = 0;
    }
}

static void where_it_runs_already_it_only_goes_on(void **state)
{
    struct cpuid_regs r = { .eax = XMHF_CPUID_BASE + 1 };
    (void)state;

    memcpy(&r.ebx, "XMHF", 4);
    memcpy(&r.ecx, "XMHF", 4);
    memcpy(&r.edx, "XMHF", 4);

    machine_set_cpuid(XMHF_CPUID_BASE, 0, r);
    seen.required = true;
    assert_int_equal(go(), EFI_ABORTED);
    assert_true(seen.taken == 0 && seen.started == 1);
    assert_true(fw_said("the hypervisor is running already"));
}

static void a_second_copy_ends_at_once(void **state)
{
    (void)state;
    seen.marked = true;
    assert_int_equal(go(), EFI_ALREADY_STARTED);
    assert_true(seen.taken == 0 && seen.started == 0 && seen.marks == 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(taken_the_next_loader_starts, set_up),
        cmocka_unit_test_setup(declined_it_starts_all_the_same, set_up),
        cmocka_unit_test_setup(required_makes_it_a_stop, set_up),
        cmocka_unit_test_setup(where_it_runs_already_it_only_goes_on, set_up),
        cmocka_unit_test_setup(a_second_copy_ends_at_once, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
