/* SPDX-License-Identifier: MIT */
/* The loader after xmhf.efi: found by its options or by the firmware's boot order, and started. */
#include <boot/uefi/next.h>
#include <boot/uefi/path.h>

#include <util/bytes.h>
#include <util/fmt.h>
#include <util/string.h>

#define FULL_MAX  4096 /* bytes of a device path */
#define ENTRY_MAX 8192 /* of a boot entry */
#define ORDER_MAX 512  /* entries */
#define WATCHDOG  300  /* seconds, as a boot manager arms it for each entry (UEFI 2.10, 7.5) */
#define PATH_ANY  65536

/* A program that may be started. */
struct program {
    const char *name;       /* for people */
    const uint8_t *path;    /* whole */
    const void *options;    /* its load options */
    uint32_t options_size;
};

/* Installed while a copy of this program is at work. */
static const EFI_GUID mark_guid = { 0x7a567254, 0x584d, 0x4846,
                                    { 0x9f, 0x1c, 0x45, 0x46, 0x49, 0x6e, 0x78, 0x74 } };
static struct mark { bool again; /* another copy has met it */ } mark;

static const uint16_t default_file[] = u"\\EFI\\BOOT\\BOOTX64.EFI";

bool next_mark(const struct uefi *u)
{
    EFI_GUID id = mark_guid;
    EFI_HANDLE handle = u->image;
    void *other = NULL;

    if (!EFI_ERROR(u->boot->LocateProtocol(&id, NULL, &other))) {
        ((struct mark *)other)->again = true;
        return false;
    }
    (void)u->boot->InstallProtocolInterface(&handle, &id, EFI_NATIVE_INTERFACE, &mark);
    return true;
}

void next_unmark(const struct uefi *u)
{
    EFI_GUID id = mark_guid;

    (void)u->boot->UninstallProtocolInterface(u->image, &id, &mark);
}

/* --- paths ------------------------------------------------------------------------- */

/* The device path of a handle and its size, without the end node; NULL: it has none. */
static const uint8_t *path_of(const struct uefi *u, EFI_HANDLE handle, size_t *size)
{
    static const EFI_GUID device_path = DEVICE_PATH_PROTOCOL;
    const uint8_t *path = handle ? uefi_protocol(u, handle, &device_path) : NULL;

    *size = path ? path_size(path, PATH_ANY) : 0;
    if (*size == 0) {
        return NULL;
    }
    *size -= 4;
    return path;
}

/* `volume`'s device path, a node for `file`, an end node. False: too long, or there is none. */
static bool full_path(const struct uefi *u, EFI_HANDLE volume, const uint16_t *file, uint8_t *out)
{
    static const uint8_t end[4] = { 0x7f, 0xff, 4, 0 };
    size_t head, name = 0;
    const uint8_t *path = path_of(u, volume, &head);

    while (file[name++] != 0) { }
    if (!path || head + 4 + name * 2 + sizeof(end) > FULL_MAX) {
        return false;
    }
    memcpy(out, path, head);
    out += head;
    out[0] = PATH_MEDIA;
    out[1] = PATH_FILE;
    put_le16(out + 2, (uint16_t)(4 + name * 2));
    memcpy(out + 4, file, name * 2);
    memcpy(out + 4 + name * 2, end, sizeof(end));
    return true;
}

/* Is the file system with device path `volume` (of `head` bytes before the end) what a boot entry's
 * path means: by its partition, as what it begins with, or inside a device that it names? */
static bool is_meant(const uint8_t *volume, size_t head, const uint8_t *path)
{
    size_t device = path_before(path, PATH_MEDIA, PATH_FILE);
    size_t part = path_before(volume, PATH_MEDIA, PATH_HARDDRIVE);

    if (path_is(path, 0, PATH_MEDIA, PATH_HARDDRIVE)) {
        return path_same_partition(volume + part, path);
    }
    if (device == 0) {
        return false;
    }
    return (head <= device && memcmp(volume, path, head) == 0 && head == device)
        || (path_is(path, device, 0x7f, 0xff) && device <= head
            && memcmp(volume, path, device) == 0);
}

/* The file system that a boot entry's path leads to, or NULL. */
static EFI_HANDLE find_volume(const struct uefi *u, const uint8_t *path)
{
    EFI_GUID file_system = SIMPLE_FILE_SYSTEM_PROTOCOL;
    EFI_HANDLE *all = NULL, found = NULL;
    UINTN count = 0;

    if (path_is(path, 0, PATH_MEDIA, PATH_FILE)) {
        return u->loaded->DeviceHandle; /* no device is named: ours */
    }
    if (EFI_ERROR(u->boot->LocateHandleBuffer(ByProtocol, &file_system, NULL, &count, &all))) {
        return NULL;
    }
    for (UINTN i = 0; i < count && !found; i++) {
        size_t head;
        const uint8_t *volume = path_of(u, all[i], &head);

        if (volume && is_meant(volume, head, path)) {
            found = all[i];
        }
    }
    (void)u->boot->FreePool(all);
    return found;
}

static bool is_ourselves(const struct uefi *u, EFI_HANDLE volume, const uint16_t *file)
{
    uint16_t own[PATH_TEXT_MAX];

    return volume == u->loaded->DeviceHandle && u->loaded->FilePath
        && path_size(u->loaded->FilePath, PATH_ANY) != 0 && path_file(u->loaded->FilePath, own)
        && path_same_file(own, file);
}

/* --- starting ---------------------------------------------------------------------- */

static void connect_all(const struct uefi *u)
{
    EFI_HANDLE *all = NULL;
    UINTN count = 0;

    if (EFI_ERROR(u->boot->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &all))) {
        return;
    }
    for (UINTN i = 0; i < count; i++) {
        (void)u->boot->ConnectController(all[i], NULL, NULL, TRUE);
    }
    (void)u->boot->FreePool(all);
}

static EFI_STATUS load(const struct uefi *u, const struct program *p, EFI_HANDLE *handle)
{
    EFI_STATUS status;

    *handle = NULL;
    status = u->boot->LoadImage(TRUE, u->image, (EFI_DEVICE_PATH *)p->path, NULL, 0, handle);
    if (status == EFI_UNSUPPORTED) {
        /* shim 16 puts itself before LoadImage, and loads nothing for a boot manager. */
        status = u->boot->LoadImage(FALSE, u->image, (EFI_DEVICE_PATH *)p->path, NULL, 0, handle);
    }
    if (status == EFI_SECURITY_VIOLATION && *handle) {
        (void)u->boot->UnloadImage(*handle); /* UEFI 2.10, 7.4: loaded, but not to be started */
    }
    return status;
}

/* Load and start. False: it can't be loaded, and `*status` is why, or it was us again. */
static bool start(const struct uefi *u, const struct program *p, EFI_STATUS *status)
{
    static const EFI_GUID loaded_image = LOADED_IMAGE_PROTOCOL;
    EFI_LOADED_IMAGE *loaded;
    EFI_HANDLE handle;

    *status = load(u, p, &handle);
    if (EFI_ERROR(*status)) {
        uefi_say(u, "%s can't be started: %s", p->name, uefi_status_text(*status));
        return false;
    }
    loaded = uefi_protocol(u, handle, &loaded_image);
    if (loaded && p->options_size != 0) {
        loaded->LoadOptions = (void *)p->options;
        loaded->LoadOptionsSize = p->options_size;
    }
    uefi_say(u, "starting %s", p->name);
    (void)u->boot->SetWatchdogTimer(WATCHDOG, 0x10000, 0, NULL);
    mark.again = false;
    *status = u->boot->StartImage(handle, NULL, NULL);
    (void)u->boot->SetWatchdogTimer(0, 0, 0, NULL);
    return !mark.again;
}

/* --- which ------------------------------------------------------------------------- */

static EFI_STATUS start_named(const struct uefi *u, const struct conf *conf)
{
    static uint8_t full[FULL_MAX];
    static uint16_t args[CONF_ARGS_MAX];
    uint16_t file[CONF_PATH_MAX + 1] = { '\\' };
    struct program p = { .name = conf->next, .path = full, .options = args };
    EFI_STATUS status = EFI_NOT_FOUND;
    bool root = conf->next[0] == '\\' || conf->next[0] == '/';

    (void)conf_utf16(conf->next, file + (root ? 0 : 1), CONF_PATH_MAX);
    for (size_t i = 0; file[i] != 0; i++) {
        file[i] = file[i] == '/' ? '\\' : file[i];
    }
    if (is_ourselves(u, u->loaded->DeviceHandle, file)) {
        uefi_say(u, "next=%s is this program itself; name the loader that comes after it",
                 conf->next);
        return EFI_INVALID_PARAMETER;
    }
    if (!full_path(u, u->loaded->DeviceHandle, file, full)) {
        uefi_say(u, "next=%s: the firmware doesn't tell which volume this program is on",
                 conf->next);
        return EFI_UNSUPPORTED;
    }
    if (conf->has_args) {
        p.options_size = (uint32_t)(conf_utf16(conf->args, args, CONF_ARGS_MAX) + 1) * 2;
    }
    (void)start(u, &p, &status);
    return status;
}

/* What a boot entry's path is for LoadImage: whole, with the default file where it names none.
 * NULL: it leads to ourselves. */
static const uint8_t *entry_path(const struct uefi *u, const struct boot_entry *entry)
{
    static uint8_t full[FULL_MAX];
    uint16_t file[PATH_TEXT_MAX];
    EFI_HANDLE volume = find_volume(u, entry->path);

    if (!volume) {
        return entry->path; /* a network, a program in the firmware */
    }
    if (!path_file(entry->path, file)) {
        memcpy(file, default_file, sizeof(default_file));
    }
    if (is_ourselves(u, volume, file)) {
        return NULL;
    }
    return full_path(u, volume, file, full) ? full : entry->path;
}

/* "Boot0003 (its name)", what isn't ASCII as '?'. */
static void entry_name(const char *variable, const struct boot_entry *entry, char *out, size_t max)
{
    char name[60];
    size_t n = 0;

    for (; n + 1 < sizeof(name) && le16(entry->name + 2 * n) != 0; n++) {
        uint16_t c = le16(entry->name + 2 * n);
        name[n] = c >= ' ' && c < 0x7f ? (char)c : '?';
    }
    name[n] = '\0';
    (void)fmt_snprintf(out, max, "%s (%s)", variable, name);
}

/* The variable of entry `number`: UEFI 2.10, 3.3, has four upper-case digits. */
static void variable_name(uint16_t number, char *out)
{
    memcpy(out, "Boot0000", sizeof("Boot0000"));
    for (unsigned i = 0; i < 4; i++) {
        out[4 + i] = "0123456789ABCDEF"[number >> (12 - 4 * i) & 15];
    }
}

/* Read the entry. False: there is none to start. */
static bool read_entry(const struct uefi *u, const char *variable, uint8_t *buf,
                       struct boot_entry *out)
{
    uint16_t name[16];
    size_t size = ENTRY_MAX;

    (void)conf_utf16(variable, name, ARRAY_SIZE(name));
    if (!uefi_variable(u, name, NULL, buf, &size) || !boot_entry_parse(buf, size, out)) {
        uefi_say(u, "%s of BootOrder is left out: it can't be read", variable);
        return false;
    }
    return (out->attributes & EFI_OPTION_ACTIVE) && !(out->attributes & EFI_OPTION_CATEGORY);
}

/* False: it is none to start, or can't be. */
static bool start_entry(const struct uefi *u, uint16_t number, EFI_STATUS *status)
{
    static uint8_t buf[ENTRY_MAX];
    static bool connected;
    struct boot_entry entry;
    struct program p;
    char variable[12], name[80];

    variable_name(number, variable);
    if (!read_entry(u, variable, buf, &entry)) {
        return false;
    }
    if (!find_volume(u, entry.path) && !path_is(entry.path, 0, PATH_MEDIA, PATH_FIRMWARE)
        && !connected) {
        connected = true; /* quick firmware connects what it boots from, and nothing else */
        connect_all(u);
    }
    entry_name(variable, &entry, name, sizeof(name));
    p = (struct program){ name, entry_path(u, &entry), entry.options,
                          (uint32_t)entry.options_size };
    return p.path && start(u, &p, status);
}

static bool start_by_order(const struct uefi *u, EFI_STATUS *status)
{
    static uint16_t order[ORDER_MAX];
    size_t size = sizeof(order), current_size = sizeof(uint16_t);
    uint16_t current, number;
    size_t count;

    if (!uefi_variable(u, (const CHAR16 *)u"BootOrder", NULL, order, &size)) {
        return false;
    }
    count = size / sizeof(order[0]);
    if (!uefi_variable(u, (const CHAR16 *)u"BootCurrent", NULL, &current, &current_size)
        || current_size != sizeof(current)) {
        current = count != 0 ? order[count - 1] : 0;
        current = (uint16_t)~current; /* none of them */
    }
    for (size_t n = 0; boot_order_next(order, count, current, n, &number); n++) {
        if (start_entry(u, number, status)) {
            return true;
        }
    }
    return false;
}

static bool start_default(const struct uefi *u, EFI_STATUS *status)
{
    static uint8_t full[FULL_MAX];
    struct program p = { .name = "\\EFI\\BOOT\\BOOTX64.EFI", .path = full };

    return !is_ourselves(u, u->loaded->DeviceHandle, default_file)
        && full_path(u, u->loaded->DeviceHandle, default_file, full)
        && start(u, &p, status);
}

EFI_STATUS next_start(const struct uefi *u, const struct conf *conf)
{
    EFI_STATUS status = EFI_NOT_FOUND;

    if (conf->next[0] != '\0') {
        return start_named(u, conf);
    }
    if (!start_by_order(u, &status) && !start_default(u, &status)) {
        uefi_say(u, "there is no other loader to start: name one by next= in xmhf.conf, or add a "
                    "boot entry behind this one");
        return EFI_ERROR(status) ? status : EFI_NOT_FOUND;
    }
    return status;
}
