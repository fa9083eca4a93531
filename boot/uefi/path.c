/* SPDX-License-Identifier: MIT */
/* Device paths and boot entries, as bytes. */
#include <boot/uefi/path.h>

#include <util/bytes.h>
#include <util/string.h>

#define NODE_HEAD 4
#define END_TYPE  0x7f
#define END_ALL   0xff

static size_t node_size(const uint8_t *node) { return le16(node + 2); }

/* An end of an instance isn't the end. */
static bool is_end(const uint8_t *node)
{
    return (node[0] & 0x7f) == END_TYPE && node[1] == END_ALL;
}

size_t path_size(const void *path, size_t max)
{
    const uint8_t *p = path;
    size_t at = 0;

    while (max - at >= NODE_HEAD) {
        size_t size = node_size(p + at);

        if (size < NODE_HEAD || size > max - at) {
            return 0;
        }
        at += size;
        if (is_end(p + at - size)) {
            return at;
        }
    }
    return 0;
}

bool path_is(const void *path, size_t offset, unsigned type, unsigned subtype)
{
    const uint8_t *node = (const uint8_t *)path + offset;

    return (node[0] & 0x7f) == type && node[1] == subtype;
}

size_t path_before(const void *path, unsigned type, unsigned subtype)
{
    const uint8_t *p = path;
    size_t at = 0;

    while (!is_end(p + at) && !path_is(path, at, type, subtype)) {
        at += node_size(p + at);
    }
    return at;
}

/* Add the name in a file node behind the `*n` characters of `text`. */
static bool add_name(const uint8_t *node, uint16_t *text, size_t *n)
{
    if (*n != 0 && text[*n - 1] != '\\') {
        text[(*n)++] = '\\';
    }
    for (size_t at = NODE_HEAD; at + 2 <= node_size(node) && le16(node + at) != 0; at += 2) {
        uint16_t c = le16(node + at);

        if (*n + 2 >= PATH_TEXT_MAX) {
            return false;
        }
        if (c != '\\' || *n == 0 || text[*n - 1] != '\\') { /* two nodes may have one each */
            text[(*n)++] = c;
        }
    }
    return true;
}

bool path_file(const void *path, uint16_t *text)
{
    const uint8_t *p = path;
    size_t n = 0;

    text[0] = 0;
    for (size_t at = path_before(path, PATH_MEDIA, PATH_FILE);
         path_is(path, at, PATH_MEDIA, PATH_FILE); at += node_size(p + at)) {
        if (!add_name(p + at, text, &n)) {
            text[0] = 0;
            return false;
        }
    }
    text[n] = 0;
    return n != 0;
}

static uint16_t upper(uint16_t c)
{
    return c >= 'a' && c <= 'z' ? (uint16_t)(c - 'a' + 'A') : c;
}

bool path_same_file(const uint16_t *a, const uint16_t *b)
{
    a += *a == '\\'; /* from the root in any case */
    b += *b == '\\';
    while (*a != 0 && upper(*a) == upper(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

/* UEFI 2.10, table 10.49: number, first block, blocks, signature, format, kind of signature. */
bool path_same_partition(const void *a, const void *b)
{
    size_t size = node_size(a);

    return path_is(a, 0, PATH_MEDIA, PATH_HARDDRIVE) && path_is(b, 0, PATH_MEDIA, PATH_HARDDRIVE)
        && size == node_size(b) && memcmp(a, b, size) == 0;
}

/* Bytes of UTF-16 text with its zero, 0 if there is no zero. */
static size_t name_size(const uint8_t *p, size_t max)
{
    for (size_t n = 0; n + 2 <= max; n += 2) {
        if (le16(p + n) == 0) {
            return n + 2;
        }
    }
    return 0;
}

bool boot_entry_parse(const void *data, size_t size, struct boot_entry *out)
{
    const uint8_t *p = data;
    size_t head = 6, paths, name;

    if (size < head) {
        return false;
    }
    paths = le16(p + 4);
    name = name_size(p + head, size - head);
    if (name == 0 || paths > size - head - name) {
        return false;
    }
    out->attributes = le32(p);
    out->name = p + head;
    out->path = p + head + name;
    out->path_size = path_size(out->path, paths);
    out->options = out->path + paths;
    out->options_size = size - head - name - paths;
    return out->path_size != 0;
}

bool boot_order_next(const uint16_t *order, size_t count, uint16_t current, size_t n,
                     uint16_t *number)
{
    size_t first = 0;

    while (first < count && order[first] != current) {
        first++;
    }
    first = first == count ? 0 : first + 1;
    if (n >= count - first) {
        return false;
    }
    *number = order[first + n];
    return true;
}
