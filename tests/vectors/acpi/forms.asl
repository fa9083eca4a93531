// SPDX-License-Identifier: MIT
DefinitionBlock ("", "DSDT", 2, "XMHF", "FORMS", 1)
{
    // Every form of the elements; a package of one integer is ACPI 1.0's.
    Name (_S1, Package () { 0x0001, One, 0, 0 })
    Name (\_S2, Package (0x02) { 0x00000203 , Zero })
    Name (_S3, Package () { 0x0000000000000005, 0x0105 })
    Name (_S4, Package (0x01) { 0x00000406 })
    Name (\_S5, Package () { SLP7, \_SB.SLPB, Zero })
    Name (SLP7, 0x07)
    Scope (\_SB) { Name (SLPB, 0x06) }
    Name (TEXT, "a string with _S5_ in it")
    Name (DATA, Buffer () { 0x08, 0x5F, 0x53, 0x35, 0x5F, 0x12, 0x06, 0x04, 0x01, 0x01, 0, 0 })
}
