/* SPDX-License-Identifier: MIT */
/* MemoryOverwriteRequestControl, set and locked. */
#include <boot/uefi/mor.h>

#define CLEAR_MEMORY 1u /* 1.10, 4.2: bit 0; the others are kept */
#define LOCK         1u /* 5.2: written as one byte, locked without a key until the next reset */
#define ATTRIBUTES   (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS \
                      | EFI_VARIABLE_RUNTIME_ACCESS)

static const EFI_GUID control_guid = { 0xe20939be, 0x32d4, 0x41be,
                                       { 0xa1, 0x50, 0x89, 0x7f, 0x85, 0xd4, 0x98, 0x29 } };
static const EFI_GUID lock_guid = { 0xbb983ccf, 0x151d, 0x40e1,
                                    { 0xa0, 0x7b, 0x4a, 0x17, 0xbe, 0x16, 0x82, 0x92 } };
static const uint16_t control_name[] = u"MemoryOverwriteRequestControl";
static const uint16_t lock_name[] = u"MemoryOverwriteRequestControlLock";

static bool read(const struct uefi *u, const uint16_t *name, const EFI_GUID *guid, uint8_t *value)
{
    size_t size = sizeof(*value);

    return uefi_variable(u, name, guid, value, &size) && size == sizeof(*value);
}

static void write(const struct uefi *u, const uint16_t *name, const EFI_GUID *guid, uint8_t value)
{
    EFI_GUID id = *guid;

    (void)u->system->RuntimeServices->SetVariable((CHAR16 *)name, &id, ATTRIBUTES, sizeof(value),
                                                  &value);
}

/* What is written is read back: firmware may take a request, and forget it. */
enum mor_state mor_set(const struct uefi *u)
{
    uint8_t control, lock;

    if (!read(u, control_name, &control_guid, &control)) {
        return MOR_NONE;
    }
    if (!(control & CLEAR_MEMORY)) {
        write(u, control_name, &control_guid, control | CLEAR_MEMORY);
        if (!read(u, control_name, &control_guid, &control) || !(control & CLEAR_MEMORY)) {
            return MOR_REFUSED;
        }
    }
    if (!read(u, lock_name, &lock_guid, &lock)) {
        return MOR_SET;
    }
    if (lock == 0) {
        write(u, lock_name, &lock_guid, LOCK);
        if (!read(u, lock_name, &lock_guid, &lock) || lock == 0) {
            return MOR_SET;
        }
    }
    return MOR_LOCKED;
}

const char *mor_warning(enum mor_state state)
{
    return state == MOR_REFUSED ? "the firmware doesn't take the request to overwrite memory "
                                  "after a reset (MemoryOverwriteRequestControl)"
         : state == MOR_SET ? "the request to overwrite memory after a reset can't be locked "
                              "(MemoryOverwriteRequestControlLock): the operating system may "
                              "take it back"
         : NULL;
}
