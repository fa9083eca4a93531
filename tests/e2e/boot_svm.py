"""Which tests of the group svm don't run with UEFI firmware too, and why.

SPDX-License-Identifier: MIT
"""
# Test, and the reason. tests/e2e/run.py runs all others by xmhf.efi with `boot --all`.
SKIPS = {
    **dict.fromkeys(("bench-tools", "bench-output", "search-can-find", "pal-secret-control",
                     "sdk-control", "wine-control", "wine-pal-rt", "examples-control", "logdecode",
                     "windows-build", "probe", "probe-refusals"),
                    "has no hypervisor in it, or is about the bench"),
    **dict.fromkeys(("boot-grub-mb1", "boot-grub-mb2", "dead-cpu", "acpi-madt", "acpi-reserved",
                     "refusal-screen", "ipxe", "ipxe-grub", "grub-guest",
                     "memtest86", "memtest86-long"),
                    "names another loader, or is a guest of BIOS"),
    **dict.fromkeys(("boot-686", "boot-686-pae", "pal-32-pae", "pal-32-nonpae",
                     "pal-registers-32", "pal-damage-32", "pal-turns-32", "pal-many-32"),
                    "64-bit firmware starts no 32-bit kernel"),
    **dict.fromkeys(("boot-bochs-svm", "pal-registers-wide", "logdecode-rdmsr"),
                    "runs in Bochs, which has no UEFI firmware"),
    **dict.fromkeys(("budgets", "memory-taken", "examples-cost", "helloworld", "lockdown"),
                    "builds or measures the image that starts by multiboot"),
    **dict.fromkeys(("cookbook", "sdk", "sdk-elf64", "sdk-elf32", "sdk-pe64",
                     "sdk-pe32", "sdk-wine", "sdk-leak"),
                    "is about compilers' images of PALs; pal-64 and examples run"),
    "wake": "moves the sleep registers of a machine without UEFI",
}
