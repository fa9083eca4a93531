// SPDX-License-Identifier: MIT
DefinitionBlock ("", "DSDT", 2, "XMHF", "CHOICES", 1)
{
    // Definitions that depend on what firmware found.
    External (\_SB.STAS, IntObj)
    Name (SS1, Zero)
    Name (SS3, One)
    If (SS1) { Name (_S1, Package () { One, Zero, Zero, Zero }) }
    If (LAnd (SS3, LNotEqual (\_SB.STAS, 2)))
    {
        Name (\_S3, Package () { 0x03, Zero, Zero, Zero })
    }
    Else
    {
        Name (XS3, Package () { 0x02, Zero, Zero, Zero })
    }
    Method (\_S4, 0) { Return (Package () { 0x04, Zero, Zero, Zero }) }
    Method (_S5, 0, Serialized)
    {
        If (SS1) { Return (XS5) }
        Return (Package () { 0x05, Zero, Zero, Zero })
    }
    Name (XS5, Package () { 0x07, Zero, Zero, Zero })
    Alias (XS3, _S2)
}
