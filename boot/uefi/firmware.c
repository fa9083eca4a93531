/* SPDX-License-Identifier: MIT */
/* The firmware's services as the front end for UEFI uses them: protocols, variables, console. */
#include <boot/uefi/efi.h>
#include <util/fmt.h>
#include <util/string.h>

static const EFI_GUID global_variable = EFI_GLOBAL_VARIABLE;

void *uefi_protocol(const struct uefi *u, EFI_HANDLE handle, const EFI_GUID *guid)
{
    void *protocol = NULL;
    EFI_GUID id = *guid; /* the firmware's headers know no const */

    return EFI_ERROR(u->boot->HandleProtocol(handle, &id, &protocol)) ? NULL : protocol;
}

bool uefi_init(struct uefi *u, EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    static const EFI_GUID loaded_image = LOADED_IMAGE_PROTOCOL;
    static const EFI_GUID file_system = SIMPLE_FILE_SYSTEM_PROTOCOL;

    *u = (struct uefi){ .image = image, .system = system, .boot = system->BootServices };
    u->loaded = uefi_protocol(u, image, &loaded_image);
    if (u->loaded && u->loaded->DeviceHandle) {
        u->files = uefi_protocol(u, u->loaded->DeviceHandle, &file_system);
    }
    return u->loaded;
}

bool uefi_variable(const struct uefi *u, const CHAR16 *name, const EFI_GUID *vendor, void *buf,
                   size_t *size)
{
    EFI_GUID id = vendor ? *vendor : global_variable;
    UINTN n = *size;

    if (EFI_ERROR(u->system->RuntimeServices->GetVariable((CHAR16 *)name, &id, NULL, &n, buf))) {
        return false;
    }
    *size = n;
    return true;
}

bool uefi_secure_boot(const struct uefi *u)
{
    uint8_t on = 0;
    size_t size = sizeof(on);

    return uefi_variable(u, (const CHAR16 *)u"SecureBoot", NULL, &on, &size) && size == 1
        && on == 1;
}

static void say(const struct uefi *u, const char *s)
{
    CHAR16 text[512];
    size_t n = 0;

    for (; s[n] != '\0' && n + 1 < ARRAY_SIZE(text); n++) {
        text[n] = s[n] >= ' ' || s[n] == '\r' || s[n] == '\n' ? (CHAR16)s[n] : '?';
    }
    text[n] = 0;
    if (u->system->ConOut) {
        (void)u->system->ConOut->OutputString(u->system->ConOut, text);
    }
}

void uefi_say(const struct uefi *u, const char *fmt, ...)
{
    char line[400];
    va_list ap;

    va_start(ap, fmt);
    (void)fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    say(u, "[xmhf] ");
    say(u, line);
    say(u, "\r\n");
}

const char *uefi_status_text(EFI_STATUS status)
{
    static const struct { EFI_STATUS status; const char *text; } known[] = {
        { EFI_NOT_FOUND, "it isn't there" },
        { EFI_NO_MEDIA, "there is no medium" },
        { EFI_SECURITY_VIOLATION, "Secure Boot doesn't trust it: it isn't signed by a key that is "
                                  "enrolled" },
        { EFI_ACCESS_DENIED, "Secure Boot doesn't allow it: it isn't signed by a key that is "
                             "enrolled, or is revoked" },
        { EFI_UNSUPPORTED, "it is no program of this firmware's kind" },
        { EFI_LOAD_ERROR, "it can't be read, or is no program" },
        { EFI_INVALID_PARAMETER, "the firmware doesn't take its path" },
        { EFI_DEVICE_ERROR, "its device has an error" },
        { EFI_OUT_OF_RESOURCES, "there is too little memory" },
        { EFI_VOLUME_CORRUPTED, "its file system is damaged" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].status == status) {
            return known[i].text;
        }
    }
    return "the firmware gives no reason that is known here";
}
