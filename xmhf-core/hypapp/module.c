/* SPDX-License-Identifier: MIT */
/* The boot module that is the hypapp's own. */
#include <hypapp/ask.h>
#include <hypapp/ask_state.h>
#include <mm/host_map.h>
#include <util/string.h>

static uint64_t start, bytes;

static bool is_hypapps(const struct boot_module *m)
{
    static const char word[] = "hypapp";
    const size_t len = sizeof(word) - 1;

    return strncmp(m->cmdline, word, len) == 0
        && (m->cmdline[len] == '\0' || m->cmdline[len] == ' ');
}

void hyp_module_take(struct boot_info *bi)
{
    unsigned i = 0;

    while (i < bi->module_count && !is_hypapps(&bi->module[i])) {
        i++;
    }
    if (i == bi->module_count) {
        return;
    }
    start = bi->module[i].start;
    bytes = bi->module[i].size;
    bi->module_count--;
    memmove(&bi->module[i], &bi->module[i + 1], (bi->module_count - i) * sizeof(bi->module[0]));
}

void hyp_module_close(void)
{
    bytes = 0;
}

const void *hyp_module(size_t *size)
{
    *size = bytes;
    return bytes ? host_phys(start, bytes) : NULL;
}
