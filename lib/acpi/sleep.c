/* SPDX-License-Identifier: MIT */
/* Finding the SLP_TYP values of the sleep states in the DSDT without an AML interpreter. */
#include <acpi/acpi.h>

#define AML_NAME_OP     0x08
#define AML_PACKAGE_OP  0x12
#define AML_BYTE_PREFIX 0x0a
#define AML_ZERO        0x00
#define AML_ONE         0x01

/* Bytes of a PkgLength, from its lead byte (ACPI 6.5, 20.2.4). */
static size_t pkg_length_bytes(uint8_t lead)
{
    return 1 + (size_t)(lead >> 6);
}

/* The small integer at aml[at..len); false if it is something else. */
static bool small_integer(const uint8_t *aml, size_t len, size_t at, uint8_t *value)
{
    if (at < len && (aml[at] == AML_ZERO || aml[at] == AML_ONE)) {
        *value = aml[at];
        return true;
    }
    if (at + 1 < len && aml[at] == AML_BYTE_PREFIX) {
        *value = aml[at + 1];
        return true;
    }
    return false;
}

/* NameOp "_Sn_" PackageOp PkgLength NumElements SLP_TYPa ... at `at`. */
static bool sleep_package(const uint8_t *aml, size_t len, size_t at, unsigned *state,
                          uint8_t *type)
{
    const size_t name = at + 1, package = at + 5;

    if (len - at < 8 || aml[at] != AML_NAME_OP || aml[name] != '_' || aml[name + 1] != 'S'
        || aml[name + 2] < '1' || aml[name + 2] > '5' || aml[name + 3] != '_'
        || aml[package] != AML_PACKAGE_OP) {
        return false;
    }
    *state = (unsigned)(aml[name + 2] - '0');
    return small_integer(aml, len, package + 1 + pkg_length_bytes(aml[package + 1]) + 1, type)
        && *type < 8;
}

void acpi_find_sleep_types(const uint8_t *aml, size_t len, struct acpi_info *out)
{
    for (size_t at = 0; at + 8 <= len; at++) {
        unsigned state;
        uint8_t type;
        if (sleep_package(aml, len, at, &state, &type)) {
            out->sleep_known = (uint8_t)(out->sleep_known | 1u << state);
            out->sleep_type[state] = type;
        }
    }
}
