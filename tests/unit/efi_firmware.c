/* SPDX-License-Identifier: MIT */
/* A UEFI firmware made of data. */
#include "efi_firmware.h"

#include "unit.h"

#include <boot/uefi/path.h>
#include <util/bytes.h>

#define LENGTH(text) (sizeof(text) / 2)

struct firmware fw;

/* PciRoot(0)/Pci(volume)/HD(volume + 1) */
#define VOLUME(n) { 2, 1, 12, 0, 0xd0, 0x41, 3, 10, 0, 0, 0, 0, 1, 1, 6, 0, 0, n, \
                    4, 1, 42, 0, n + 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, \
                    9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, n, 2, 2, 0x7f, 0xff, 4, 0 }
static const uint8_t volume_path[FW_VOLUMES][64] = { VOLUME(0), VOLUME(1), VOLUME(2) };
static uint8_t own_path[100];
static int volume_handle[FW_VOLUMES], image_handle;
static EFI_LOADED_IMAGE loaded[FW_PROGRAMS];
static EFI_FILE_IO_INTERFACE file_system;
static EFI_FILE file[FW_FILES], root;
static size_t file_at[FW_FILES];

static const EFI_GUID loaded_image_guid = LOADED_IMAGE_PROTOCOL;
static const EFI_GUID device_path_guid = DEVICE_PATH_PROTOCOL;
static const EFI_GUID file_system_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
static const EFI_GUID shell_guid = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;

static bool same(const EFI_GUID *a, const EFI_GUID *b) { return memcmp(a, b, sizeof(*a)) == 0; }

const uint8_t *fw_volume_path(unsigned volume, size_t *size)
{
    *size = sizeof(volume_path[0]);
    return volume_path[volume];
}

static bool same_text(const uint16_t *a, const uint16_t *b)
{
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* --- protocols ---------------------------------------------------------------------- */

static EFI_STATUS EFIAPI handle_protocol(EFI_HANDLE handle, EFI_GUID *guid, VOID **out)
{
    *out = NULL;
    for (unsigned i = 0; i < FW_VOLUMES; i++) {
        if (handle == &volume_handle[i]) {
            *out = same(guid, &device_path_guid) ? (void *)volume_path[i]
                 : same(guid, &file_system_guid) ? &file_system : NULL;
        }
    }
    if (handle == &image_handle) {
        *out = same(guid, &loaded_image_guid) ? (void *)&fw.loaded
             : same(guid, &shell_guid) && fw.shell ? &fw : NULL;
    }
    for (unsigned i = 0; i < FW_PROGRAMS; i++) {
        if (handle == &fw.program[i] && same(guid, &loaded_image_guid)) {
            *out = &loaded[i];
        }
    }
    return *out ? EFI_SUCCESS : EFI_UNSUPPORTED;
}

static EFI_STATUS EFIAPI locate_protocol(EFI_GUID *guid, VOID *registration, VOID **out)
{
    (void)registration;
    for (unsigned i = 0; i < ARRAY_SIZE(fw.other); i++) {
        if (fw.other[i].protocol && same(guid, fw.other[i].guid)) {
            *out = fw.other[i].protocol;
            return EFI_SUCCESS;
        }
    }
    return EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI install(EFI_HANDLE *handle, EFI_GUID *guid, EFI_INTERFACE_TYPE type,
                                 VOID *protocol)
{
    static EFI_GUID kept;
    (void)type;

    assert_ptr_equal(*handle, &image_handle);
    assert_null(fw.other[3].protocol);
    kept = *guid;
    fw.other[3].guid = &kept;
    fw.other[3].protocol = protocol;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI uninstall(EFI_HANDLE handle, EFI_GUID *guid, VOID *protocol)
{
    (void)handle;
    assert_true(same(guid, fw.other[3].guid));
    assert_ptr_equal(fw.other[3].protocol, protocol);
    fw.other[3].protocol = NULL;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI locate_handles(EFI_LOCATE_SEARCH_TYPE type, EFI_GUID *guid, VOID *key,
                                        UINTN *count, EFI_HANDLE **out)
{
    (void)key;
    assert_true(type == AllHandles || same(guid, &file_system_guid));
    *out = malloc(sizeof(**out) * FW_VOLUMES);
    for (unsigned i = 0; i < FW_VOLUMES; i++) {
        (*out)[i] = &volume_handle[i];
    }
    *count = FW_VOLUMES;
    fw.pools++;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI connect(EFI_HANDLE handle, EFI_HANDLE *driver, EFI_DEVICE_PATH *rest,
                                 BOOLEAN recursive)
{
    (void)handle;
    (void)driver;
    (void)rest;
    assert_true(recursive);
    fw.connects++;
    return EFI_SUCCESS;
}

/* --- images ------------------------------------------------------------------------- */

/* Which volume a path is on, -1 if on none. */
static int volume_of(const uint8_t *path)
{
    for (int i = 0; i < FW_VOLUMES; i++) {
        if (memcmp(path, volume_path[i], sizeof(volume_path[i]) - 4) == 0) {
            return i;
        }
    }
    return -1;
}

static EFI_STATUS EFIAPI load_image(BOOLEAN policy, EFI_HANDLE parent, EFI_DEVICE_PATH *path,
                                    VOID *source, UINTN size, EFI_HANDLE *out)
{
    uint16_t name[PATH_TEXT_MAX];

    if (fw.shim && policy) {
        return EFI_UNSUPPORTED;
    }
    assert_ptr_equal(parent, &image_handle);
    assert_true(!source && size == 0);
    assert_int_not_equal(path_size(path, 4096), 0);
    (void)path_file(path, name);
    for (unsigned i = 0; i < FW_PROGRAMS; i++) {
        struct fw_program *p = &fw.program[i];

        if (p->file && p->volume == volume_of((uint8_t *)path) && same_text(p->file, name)) {
            p->loaded++;
            *out = !EFI_ERROR(p->load) || p->load == EFI_SECURITY_VIOLATION ? p : NULL;
            return p->load;
        }
    }
    return EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI start_image(EFI_HANDLE handle, UINTN *exit_size, CHAR16 **exit_data)
{
    struct fw_program *p = handle;
    EFI_LOADED_IMAGE *image = &loaded[p - fw.program];

    assert_true(!exit_size && !exit_data);
    assert_int_equal(fw.watchdog, 300); /* as from a boot manager */
    p->started++;
    p->options_size = image->LoadOptionsSize;
    assert_true(p->options_size <= sizeof(p->options));
    if (p->options_size != 0) {
        memcpy(p->options, image->LoadOptions, p->options_size);
    }
    return p->runs ? p->runs() : p->start;
}

static EFI_STATUS EFIAPI unload_image(EFI_HANDLE handle)
{
    ((struct fw_program *)handle)->unloaded++;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_watchdog(UINTN seconds, UINT64 code, UINTN size, CHAR16 *data)
{
    (void)code;
    (void)size;
    (void)data;
    fw.watchdog = (unsigned)seconds;
    return EFI_SUCCESS;
}

/* --- memory ------------------------------------------------------------------------- */

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, UINTN pages,
                                        EFI_PHYSICAL_ADDRESS *at)
{
    struct fw_page *p = &fw.page[fw.page_count];
    bool refused = how == AllocateAddress && fw.refusals != 0;

    if (refused || fw.page_count == FW_PAGES) {
        fw.refusals -= refused;
        return EFI_NOT_FOUND;
    }
    *p = (struct fw_page){ .pages = pages, .type = type };
    if (how == AllocateMaxAddress) { /* real memory: it is written to */
        p->real = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
        *at = (uintptr_t)p->real;
    }
    p->base = *at;
    fw.page_count++;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS at, UINTN pages)
{
    for (unsigned i = 0; i < fw.page_count; i++) {
        if (fw.page[i].base == at && fw.page[i].pages == pages) {
            free(fw.page[i].real);
            fw.page[i] = fw.page[--fw.page_count];
            return EFI_SUCCESS;
        }
    }
    fail_msg("pages are given back that were not taken");
    return EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI get_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
                                 UINTN *descriptor, UINT32 *version)
{
    UINTN room = *size;

    *key = 1;
    *descriptor = fw.descriptor;
    *version = EFI_MEMORY_DESCRIPTOR_VERSION;
    *size = fw.map_size;
    if (!fw.map) {
        return EFI_DEVICE_ERROR;
    }
    if (room < fw.map_size) {
        return EFI_BUFFER_TOO_SMALL;
    }
    memcpy(map, fw.map, fw.map_size);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI allocate_pool(EFI_MEMORY_TYPE type, UINTN size, VOID **out)
{
    (void)type;
    *out = malloc(size);
    fw.pools++;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pool(VOID *p)
{
    free(p);
    fw.pools--;
    return EFI_SUCCESS;
}

/* --- variables, files, console ------------------------------------------------------- */

static struct fw_variable *find_variable(const uint16_t *name)
{
    for (unsigned i = 0; i < FW_VARIABLES; i++) {
        if (fw.variable[i].name && same_text(fw.variable[i].name, name)) {
            return &fw.variable[i];
        }
    }
    return NULL;
}

static EFI_STATUS EFIAPI get_variable(CHAR16 *name, EFI_GUID *guid, UINT32 *attributes,
                                      UINTN *size, VOID *data)
{
    const struct fw_variable *v = find_variable(name);
    UINTN room = *size;
    (void)guid;
    (void)attributes;

    if (!v) {
        return EFI_NOT_FOUND;
    }
    *size = v->size;
    if (room < v->size) {
        return EFI_BUFFER_TOO_SMALL;
    }
    memcpy(data, v->data, v->size);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI set_variable(CHAR16 *name, EFI_GUID *guid, UINT32 attributes, UINTN size,
                                      VOID *data)
{
    struct fw_variable *v = find_variable(name);
    (void)guid;

    assert_int_equal(attributes, 7); /* non-volatile, boot services, run time */
    if (!v || v->locked) {
        return v ? EFI_ACCESS_DENIED : EFI_NOT_FOUND;
    }
    if (!v->forgets) {
        memcpy(v->data, data, size);
        v->size = size;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_volume(EFI_FILE_IO_INTERFACE *self, EFI_FILE_HANDLE *out)
{
    (void)self;
    *out = &root;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI open_file(EFI_FILE_HANDLE self, EFI_FILE_HANDLE *out, CHAR16 *path,
                                   UINT64 mode, UINT64 attributes)
{
    (void)attributes;
    assert_ptr_equal(self, &root);
    assert_int_equal(mode, EFI_FILE_MODE_READ);
    for (unsigned i = 0; i < FW_FILES; i++) {
        if (fw.file[i].path && same_text(fw.file[i].path, path)) {
            *out = &file[i];
            file_at[i] = 0;
            return EFI_SUCCESS;
        }
    }
    return EFI_NOT_FOUND;
}

static EFI_STATUS EFIAPI read_file(EFI_FILE_HANDLE self, UINTN *size, VOID *out)
{
    size_t i = (size_t)(self - file);
    const struct fw_file *f = &fw.file[i];
    size_t n = f->size - file_at[i] < *size ? f->size - file_at[i] : *size;

    if (EFI_ERROR(f->read)) {
        return f->read;
    }
    memcpy(out, f->text + file_at[i], n);
    file_at[i] += n;
    *size = n;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI close_file(EFI_FILE_HANDLE self)
{
    (void)self;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI output(SIMPLE_TEXT_OUTPUT_INTERFACE *self, CHAR16 *text)
{
    (void)self;
    for (; *text != 0 && fw.console_size + 1 < sizeof(fw.console); text++) {
        fw.console[fw.console_size++] = (char)*text;
    }
    return EFI_SUCCESS;
}

/* --- setting it up ------------------------------------------------------------------ */

static void fill_services(void)
{
    static SIMPLE_TEXT_OUTPUT_INTERFACE console = { .OutputString = output };

    fw.boot = (EFI_BOOT_SERVICES){
        .AllocatePages = allocate_pages, .FreePages = free_pages, .GetMemoryMap = get_map,
        .AllocatePool = allocate_pool, .FreePool = free_pool,
        .InstallProtocolInterface = install, .UninstallProtocolInterface = uninstall,
        .HandleProtocol = handle_protocol, .LocateProtocol = locate_protocol,
        .LocateHandleBuffer = locate_handles, .LoadImage = load_image,
        .StartImage = start_image, .UnloadImage = unload_image,
        .SetWatchdogTimer = set_watchdog, .ConnectController = connect,
    };
    fw.runtime = (EFI_RUNTIME_SERVICES){ .GetVariable = get_variable,
                                         .SetVariable = set_variable };
    fw.system = (EFI_SYSTEM_TABLE){ .ConOut = &console, .RuntimeServices = &fw.runtime,
                                    .BootServices = &fw.boot };
}

void fw_reset(void)
{
    static const uint16_t own[] = u"\\EFI\\xmhf\\xmhf.efi";

    for (unsigned i = 0; i < fw.page_count; i++) {
        free(fw.page[i].real);
    }
    memset(&fw, 0, sizeof(fw));
    memset(loaded, 0, sizeof(loaded));
    fill_services();
    own_path[0] = PATH_MEDIA;
    own_path[1] = PATH_FILE;
    put_le16(own_path + 2, 4 + sizeof(own));
    memcpy(own_path + 4, own, sizeof(own));
    memcpy(own_path + 4 + sizeof(own), "\x7f\xff\x04", 4);
    fw.loaded.DeviceHandle = &volume_handle[0];
    fw.loaded.FilePath = (EFI_DEVICE_PATH *)own_path;
    file_system.OpenVolume = open_volume;
    root = (EFI_FILE){ .Open = open_file, .Close = close_file };
    for (unsigned i = 0; i < FW_FILES; i++) {
        file[i] = (EFI_FILE){ .Read = read_file, .Close = close_file };
    }
}

void fw_init(struct uefi *u)
{
    assert_true(uefi_init(u, &image_handle, &fw.system));
}

struct fw_variable *fw_set_variable(const uint16_t *name, const void *data, size_t size)
{
    struct fw_variable *v = find_variable(name);

    for (unsigned i = 0; !v; i++) {
        assert_true(i < FW_VARIABLES);
        v = fw.variable[i].name ? NULL : &fw.variable[i];
    }
    assert_true(size <= sizeof(v->data));
    v->name = name;
    memcpy(v->data, data, size);
    v->size = size;
    return v;
}

struct fw_program *fw_add_program(int volume, const uint16_t *name, EFI_STATUS load,
                                  EFI_STATUS start)
{
    for (unsigned i = 0; i < FW_PROGRAMS; i++) {
        if (!fw.program[i].file) {
            fw.program[i] = (struct fw_program){ .volume = volume, .file = name, .load = load,
                                                 .start = start };
            return &fw.program[i];
        }
    }
    fail_msg("too many programs");
    return NULL;
}

void fw_add_file(const uint16_t *path, const char *text)
{
    for (unsigned i = 0; i < FW_FILES; i++) {
        if (!fw.file[i].path) {
            fw.file[i] = (struct fw_file){ .path = path, .text = text, .size = strlen(text) };
            return;
        }
    }
    fail_msg("too many files");
}

bool fw_said(const char *text)
{
    fw.console[fw.console_size] = '\0';
    return strstr(fw.console, text);
}
