// SPDX-License-Identifier: MIT
DefinitionBlock ("", "DSDT", 2, "XMHF", "UNKNOWN", 1)
{
    // What nobody can tell: from a register, from an argument, from a table that isn't there.
    External (\_SB.NOWH, IntObj)
    OperationRegion (REGS, SystemIO, 0x0400, 4)
    Field (REGS, ByteAcc, NoLock, Preserve) { TYP3, 8 }
    Name (_S3, Package () { TYP3, TYP3 })
    Method (_S1, 0) { Local0 = Package () { 0x01, 0x01 }  Return (Local0) }
    Name (\_S4, Package () { 0x0F, 0x0F })
    Name (_S5, Package () { \_SB.NOWH, Zero })
}
