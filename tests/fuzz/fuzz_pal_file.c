/* SPDX-License-Identifier: MIT */
/* Image files that nobody made: what the reader accepts holds together. */
#include "pal_sdk/lib/image_file.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first bytes are often good, so that the rest is looked at. */
static size_t mend(uint8_t *file, size_t size)
{
    if (size >= 8 + sizeof(struct xmhf_image) && (file[0] & 1)) {
        struct xmhf_image h;
        memcpy(&h, file + 8, sizeof(h));
        h.sections = 1 + h.sections % 8;
        h.params %= 12;
        h.entries = 1 + h.entries % 4;
        h.size = (uint32_t)XMHF_IMAGE_SIZE(h.sections, h.params, h.entries);
        h.version = XMHF_IMAGE_VERSION;
        h.mode = 64;
        h.convention = XMHF_SYSV;
        h.flags = h.caller = 0;
        h.stubs = 0;
        memcpy(file, XMHF_IMAGE_MAGIC, 8);
        memcpy(file + 8, &h, sizeof(h));
    }
    return size;
}

static void use(const struct pal_file *f, const uint8_t *file, size_t size)
{
    const uint8_t *end = f->contents + (size_t)f->content_pages * 4096;
    size_t names = 0;

    assert(f->contents >= file && end <= file + size);
    for (uint32_t i = 0; i < f->head.entries; i++) {
        const char *name = pal_file_entry_name(f, i);
        assert(f->first_param[i] + f->entry[i].params <= f->head.params);
        assert(f->ocall_param[i] < (int)f->entry[i].params);
        names += name ? strlen(name) : 0;
    }
    for (uint32_t i = 0; i < f->ocalls; i++) {
        names += strlen(pal_file_ocall_name(f, i));
    }
    assert(names <= f->names_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pal_file f;
    uint8_t *file = malloc(size + (size == 0));

    memcpy(file, data, size);
    size = mend(file, size);
    if (pal_file_read(file, size, &f) == PAL_FILE_OK) {
        use(&f, file, size);
    }
    free(file);
    return 0;
}
