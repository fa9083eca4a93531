// SPDX-License-Identifier: MIT
DefinitionBlock ("", "SSDT", 2, "XMHF", "SSDT", 1)
{
    Name (\_S3, Package () { 0x05, Zero, Zero, Zero })
    Scope (\) { Name (_S5, Package () { 0x07, Zero, Zero, Zero }) }
}
