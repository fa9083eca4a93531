/* SPDX-License-Identifier: MIT */
/* hypapp/module.c: which module is the hypapp's, and that the guest gets the others. */
#include "unit.h"

#include <hypapp/ask.h>
#include <hypapp/ask_state.h>
#include <mm/host_map.h>

static struct boot_info bi;
static uint8_t ram[64];

void *host_phys(uint64_t pa, uint64_t len)
{
    return pa <= sizeof(ram) && len <= sizeof(ram) - pa ? ram + pa : NULL;
}

static void modules(unsigned count, const char *const *lines)
{
    memset(&bi, 0, sizeof(bi));
    bi.module_count = count;
    for (unsigned i = 0; i < count; i++) {
        bi.module[i].start = 8 * i;
        bi.module[i].size = i + 1;
        snprintf(bi.module[i].cmdline, sizeof(bi.module[i].cmdline), "%s", lines[i]);
    }
}

static void is_taken_from_any_place(void **state)
{
    size_t size;

    (void)state;
    for (unsigned at = 0; at < 3; at++) {
        const char *lines[] = { "quiet hypapp", "hypapps", "" };
        lines[at] = at == 1 ? "hypapp" : "hypapp v=2";
        modules(3, lines);
        hyp_module_take(&bi);
        assert_int_equal(bi.module_count, 2);
        assert_int_equal(bi.module[0].size, at == 0 ? 2 : 1);
        assert_int_equal(bi.module[1].size, at == 2 ? 2 : 3);
        assert_ptr_equal(hyp_module(&size), ram + 8 * at);
        assert_int_equal(size, at + 1);
    }
    hyp_module_close();
    assert_null(hyp_module(&size));
    assert_int_equal(size, 0);
}

static void there_need_be_none(void **state)
{
    static const char *const lines[] = { "root=/dev/hypapp", " hypapp", "hypapp=1", "Hypapp" };
    size_t size;

    (void)state;
    for (unsigned n = 0; n <= 4; n++) {
        modules(n, lines);
        hyp_module_take(&bi);
        assert_int_equal(bi.module_count, n);
        assert_null(hyp_module(&size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_taken_from_any_place),
        cmocka_unit_test(there_need_be_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
