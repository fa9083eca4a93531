/* SPDX-License-Identifier: MIT */
/* Where the options of xmhf.efi come from: the boot entry, or a file beside the program. */
#include <boot/uefi/options.h>
#include <boot/uefi/path.h>

#include <util/fmt.h>
#include <util/string.h>

static const uint16_t file_name[] = u"xmhf.conf";
static const uint16_t usual_file[] = u"\\EFI\\xmhf\\xmhf.conf";

/* The bytes of a file, at most `*size`; `*size` becomes what there is. EFI_NOT_FOUND: there is no
 * such file; EFI_BAD_BUFFER_SIZE: it is larger. */
static EFI_STATUS read_file(const struct uefi *u, const uint16_t *path, void *buf, size_t *size)
{
    EFI_FILE_HANDLE root, file;
    UINTN n = *size, more = 1;
    uint8_t byte;
    EFI_STATUS status;

    if (!u->files) {
        return EFI_NOT_FOUND; /* from a network, or from the firmware's own memory */
    }
    status = u->files->OpenVolume(u->files, &root);
    if (EFI_ERROR(status)) {
        return status;
    }
    status = root->Open(root, &file, (CHAR16 *)path, EFI_FILE_MODE_READ, 0);
    if (!EFI_ERROR(status)) {
        status = file->Read(file, &n, buf);
        if (!EFI_ERROR(status) && n == *size) {
            status = file->Read(file, &more, &byte);
            status = EFI_ERROR(status) || more == 0 ? status : EFI_BAD_BUFFER_SIZE;
        }
        (void)file->Close(file);
    }
    (void)root->Close(root);
    *size = n;
    return status;
}

/* The path of xmhf.conf in our own folder. False: we don't know it, or it is too long. */
static bool beside_us(const struct uefi *u, uint16_t *path)
{
    size_t n = 0;

    if (!u->loaded->FilePath || path_size(u->loaded->FilePath, 65536) == 0
        || !path_file(u->loaded->FilePath, path)) {
        return false;
    }
    for (size_t i = 0; path[i] != 0; i++) {
        n = path[i] == '\\' ? i + 1 : n;
    }
    if (n + ARRAY_SIZE(file_name) > PATH_TEXT_MAX) {
        return false;
    }
    memcpy(path + n, file_name, sizeof(file_name));
    return true;
}

static void read_conf_file(const struct uefi *u, bool secure, struct conf *conf)
{
    static char text[CONF_FILE_MAX];
    uint16_t path[PATH_TEXT_MAX];
    size_t size = sizeof(text);
    EFI_STATUS status = beside_us(u, path) ? read_file(u, path, text, &size) : EFI_NOT_FOUND;

    if (status == EFI_NOT_FOUND) {
        size = sizeof(text);
        status = read_file(u, usual_file, text, &size);
    }
    if (status == EFI_NOT_FOUND) {
        conf_parse(text, 0, secure, conf);
    } else if (EFI_ERROR(status)) {
        conf_parse(text, 0, secure, conf);
        conf->damaged = status == EFI_BAD_BUFFER_SIZE ? "it has more than 8 KiB"
                                                      : uefi_status_text(status);
    } else {
        conf_parse_file(text, size, secure, conf);
    }
}

void options_read(const struct uefi *u, struct conf *conf)
{
    static const EFI_GUID shell_parameters = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;
    static char text[CONF_ARGS_MAX + BOOT_CMDLINE_MAX];
    bool secure = uefi_secure_boot(u), shell = uefi_protocol(u, u->image, &shell_parameters);
    size_t size = u->loaded->LoadOptions ? u->loaded->LoadOptionsSize : 0;

    size = conf_from_load_options(u->loaded->LoadOptions, size, shell, text, sizeof(text));
    if (size > sizeof(text)) {
        conf_parse(text, sizeof(text), secure, conf);
        conf->damaged = "they are too long";
    } else if (size != 0) {
        conf_parse(text, size, secure, conf);
    } else {
        read_conf_file(u, secure, conf);
    }
    for (unsigned i = 0; i < conf->refused_count; i++) {
        uefi_say(u, "option refused: %s (%s)", conf->refused[i].word, conf->refused[i].why);
    }
}

bool options_damage(const struct conf *conf, char *why, size_t max)
{
    if (!conf->damaged) {
        return false;
    }
    if (conf->line != 0) {
        (void)fmt_snprintf(why, max, "the options can't be followed, line %u: %s", conf->line,
                           conf->damaged);
    } else {
        (void)fmt_snprintf(why, max, "xmhf.conf or the boot entry's options can't be followed: %s",
                           conf->damaged);
    }
    return true;
}
