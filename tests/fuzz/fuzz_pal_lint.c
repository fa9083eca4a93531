/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is an image, or a linked file. What pal-lint finds good the hypervisor and a
 * program's library take, and the other way. */
#include "../../hypapps/trustvisor/check_image.h"
#include "../../pal_sdk/lib/image_file.h"
#include "../../pal_sdk/tools/lint/code.h"
#include "../../pal_sdk/tools/lint/image.h"
#include "../../pal_sdk/tools/lint/linked.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The hypervisor's answer, for an image whose sources a caller has filled in. */
static bool taken(const struct image *im)
{
    static struct tv_descriptor d;
    static struct tv_image_lists lists;
    static struct tv_param params[XMHF_IMAGE_PARAMS];
    static struct tv_image out = { .sections = lists.sections, .entries = lists.entries,
                                   .params = params };
    uint64_t at = 0x100000;

    memset(&d, 0, sizeof(d));
    d.image = im->head;
    memcpy(d.sections, im->sections, sizeof(d.sections));
    memcpy(d.entries, im->entries, sizeof(d.entries));
    d.params = im->params;
    d.image.stubs = 0x7000;
    for (uint32_t i = 0; i < im->head.sections; i++) {
        if (image_has_contents(im->sections[i].type)) {
            d.sections[i].source = at;
            at += (uint64_t)im->sections[i].pages * 4096;
        }
    }
    return tv_check_image_head(&d.image, 0x7000, im->head.mode == 64) == TV_OK
        && tv_check_image(&d, im->head.mode == 64, &out) == TV_OK;
}

/* The library's answer, which is for images of this program's width, and wants good notes. */
static void library(const struct image *im, const uint8_t *data, size_t size, bool taken_by_all)
{
    static struct pal_file f;
    const enum pal_file_error e = pal_file_read(data, size, &f);

    check(im->head.mode != 8 * sizeof(void *) || e == PAL_FILE_NOTES
          || (e == PAL_FILE_OK) == taken_by_all);
}

static bool sources(const struct image *im)
{
    for (uint32_t i = 0; i < im->head.sections; i++) {
        if (im->sections[i].source) {
            return true;
        }
    }
    return im->head.stubs != 0 || im->head.caller != 0;
}

static void code(const struct image *im, const struct file *f, struct problems *p)
{
    struct code c;

    check(code_read(&c, im, f, p));
    for (size_t i = 0; i < c.count; i++) {
        check(c.functions[i].end > c.functions[i].address);
    }
    code_stacks(&c, p, true);
    code_free(&c);
    check(p->count <= PROBLEMS_MAX);
}

/* Made images are read again as what they were. */
static void write(const struct image *im, struct problems *p)
{
    static struct image again;
    uint64_t pages = 0;
    uint8_t *bytes;
    size_t size;

    for (uint32_t i = 0; i < im->head.sections; i++) {
        pages += im->sections[i].pages;
    }
    if (p->errors || pages > 1024) {
        return;
    }
    bytes = image_write(im, &size);
    check(bytes && image_read(&again, bytes, size, p) && again.measured < size);
    check(memcmp(&again.head, &im->head, sizeof(im->head)) == 0);
    check(memcmp(again.params, im->params, im->head.params * sizeof(im->params[0])) == 0);
    check(strcmp(again.name, im->name) == 0 && again.ocall_count == im->ocall_count);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct image_options none = { 0 };
    static struct problems p;
    static struct image im;
    struct file f;

    memset(&p, 0, sizeof(p));
    if (image_is(data, size)) {
        if (image_read(&im, data, size, &p)) {
            image_check(&im, &p);
            check(sources(&im) || (p.errors == 0) == taken(&im));
            library(&im, data, size, p.errors == 0);
            code(&im, NULL, &p);
        }
        return 0;
    }
    if (!file_read(&f, data, size)) {
        image_make(&im, &f, &none, &p);
        image_check(&im, &p);
        check((p.errors == 0) <= taken(&im));
        linked_check(&f, &p);
        code(&im, &f, &p);
        write(&im, &p);
        file_free(&f);
    }
    return 0;
}
