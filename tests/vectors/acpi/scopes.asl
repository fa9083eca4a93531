// SPDX-License-Identifier: MIT
DefinitionBlock ("", "DSDT", 2, "XMHF", "SCOPES", 1)
{
    // The states themselves in the root, from inside other scopes; decoys of the same names elsewhere:
    // iasl refuses those, so they are written as QS3_ and the Q is an underscore in the .aml.
    Scope (\_SB)
    {
        Name (QS5_, Package () { 0x01, 0x01, 0, 0 })
        Device (PCI0)
        {
            Name (_ADR, 0)
            Name (QS3_, Package () { 0x07, 0x07, 0, 0 })
            OperationRegion (PCFG, SystemMemory, 0xE0000000, 0x100)
            Field (PCFG, DWordAcc, NoLock, Preserve) { VEND, 32, Offset (0x40), PMBA, 16, BITS, 3 }
            Method (_CRS, 0, Serialized)
            {
                Name (BUF0, ResourceTemplate () { IO (Decode16, 0x0CF8, 0x0CF8, 1, 8) })
                If (LGreater (VEND, 0x1000)) { Add (VEND, 1, Local0) }
                Else { Store (Index (BUF0, 3), Local0) }
                Return (BUF0)
            }
            Scope (\)
            {
                Name (_S3, Package () { 0x05, 0x05, 0, 0 })
            }
        }
        Name (^_S4, Package () { 0x06, 0x06, 0, 0 })
        Mutex (MUTX, 0)
        Event (EVNT)
        Method (LCK0, 1)
        {
            If (LEqual (Acquire (MUTX, 0x1234), Zero)) { Release (MUTX) }
            Fatal (1, 0x0814535F, 3)
        }
    }
    Scope (\_SB.PCI0)
    {
        Name (^^_S5, Package () { 0x07, 0x07, 0, 0 })
        ThermalZone (TZ00) { Name (QS1_, Package () { 0x07, 0x07 }) }
    }
}
