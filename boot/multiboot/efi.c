/* SPDX-License-Identifier: MIT */
/* Started by UEFI firmware, which is not supported yet: say so on its own console, and stop. */
#include <boot/common/console.h>
#include <boot/multiboot/parse.h>
#include <hw/insn.h>
#include <util/bytes.h>

/* Multiboot2 2.0, 3.6: a tag with the UEFI system table's address; the last tag. */
#define TAG_END   0
#define TAG_EFI64 12

/* UEFI 2.10, 4.3: ConOut in the system table; 12.4: OutputString in that. */
#define SYSTEM_CONOUT 64
#define CONOUT_OUTPUT 8

typedef uint64_t (__attribute__((ms_abi)) *efi_output)(void *self, const uint16_t *text);

_Noreturn void boot_efi_main(const uint8_t *mbi);

/* The loader made the list a moment ago in this very mode; it's believed. */
static const uint8_t *system_table(const uint8_t *mbi)
{
    for (uint32_t at = 8; at + 16 <= le32(mbi);) {
        uint32_t size = le32(mbi + at + 4);

        if (le32(mbi + at) == TAG_EFI64 && size >= 16) {
            return (const uint8_t *)(uintptr_t)le64(mbi + at + 8);
        }
        if (le32(mbi + at) == TAG_END || size < 8) {
            break;
        }
        at = (uint32_t)align_up(at + (uint64_t)size, 8);
    }
    return NULL;
}

/* Both consoles: that of the firmware may be the screen, a serial line, or nothing. */
static void efi_puts(const uint8_t *mbi, const char *s)
{
    const uint8_t *system = system_table(mbi);
    void *conout = system ? (void *)(uintptr_t)le64(system + SYSTEM_CONOUT) : NULL;
    uint16_t text[256];
    size_t n = 0;

    boot_puts(s);
    for (; s[n] != '\0' && n + 1 < ARRAY_SIZE(text); n++) {
        text[n] = (uint8_t)s[n];
    }
    text[n] = 0;
    if (conout) {
        efi_output output = (efi_output)(uintptr_t)le64((uint8_t *)conout + CONOUT_OUTPUT);
        (void)output(conout, text);
    }
}

/* As boot/common/launch.c:boot_refuse, but interrupts stay as they are: the firmware's console may
 * need them. */
void boot_efi_main(const uint8_t *mbi)
{
    efi_puts(mbi, "[xmhf] cannot start: ");
    efi_puts(mbi, mb_uefi);
    efi_puts(mbi, "\r\n[xmhf] launch refused\r\n");
    for (;;) {
        hw_hlt();
    }
}
