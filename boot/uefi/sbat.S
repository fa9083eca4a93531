/* SPDX-License-Identifier: MIT */
/*
 * What shim looks at before it starts this program (SBAT, in shim's own documents): the form of
 * this list, then us. The generation behind "xmhf" goes up with each release that closes a hole
 * through which Secure Boot could be got around.
 */
    .section .sbat, "a", @progbits
    .ascii "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    .ascii "xmhf,1,XMHF,xmhf,"
    .ascii PACKAGE_VERSION
    .ascii ",see SECURITY.md\n"
    .section .note.GNU-stack, "", @progbits
