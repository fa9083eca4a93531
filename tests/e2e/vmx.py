"""Which end-to-end tests the VMX bench runs: not at all, with every change, or with --all.

SPDX-License-Identifier: MIT
"""
MEMORY = 192  # MiB
FUZZ = 3000   # the tiny guest fuzz makes 500,000

# Test, and why the bench (Bochs) can't do it. tests/README.md tells what shows the same on VMX.
SKIPS = {
    "acpi-madt": "its MADT is handed over by QEMU; nothing of it depends on the vendor",
    "acpi-reserved": "Bochs has its tables below 1 MiB",
    "bench-tools": "starts no machine; runs with the other bench",
    "boot-16": "Bochs 2.7 has too few timers for 16 CPUs",
    "boot-bochs-svm": "is about an AMD CPU",
    "cookbook": "would take very long; the SDK's examples and the mistakes run there",
    "dead-cpu": "its MADT is handed over by QEMU",
    "debug-pal": "gdb would take minutes to start; the unit test tv_ocall reads debug PALs",
    "grub-guest": "boots by an image that only QEMU's bench makes; the 16-bit start has a unit "
                  "test and ipxe",
    "hotplug-ram": "no memory can be plugged in; the unit test ram has no vendor in it",
    "ipxe": "shows itself on the screen, which nothing can read there",
    "ipxe-grub": "as ipxe",
    "logdecode-rdmsr": "is about a CPU without that MSR; runs in Bochs as a test of the other "
                       "bench",
    "memory-6g": "Bochs 2.7 ends at once with so much memory",
    "memtest86": "begins, and shows nothing of its first test within five minutes",
    "memtest86-long": "as memtest86",
    "nmi": "nothing can send an NMI from outside",
    "refusal-screen": "as ipxe; the unit tests screen, log and mb_parse have no vendor in them",
    "examples-native": "has no hypervisor in it; runs with the other bench",
    "examples-wine": "would take very long; hello-wine is one of them",
    "sdk-wine": "would take very long; sdk-elf64 to sdk-pe32 have the same images",
    "sparse-apic-ids": "Bochs numbers its CPUs without gaps",
    "wake": "a sleep is a reset there, at which the search would be; the tiny guest wake-sleep "
            "runs in Bochs",
    "wine-32-long": "would take very long; pal-32-compat runs the same programs, built for Linux",
    "wine-64-long": "would take very long; pal-64 runs the same programs, built for Linux",
    "wine-compat-all": "would take very long; pal-compat-all is the same program, built for Linux",
    "wine-pal-rt": "has no hypervisor in it; runs with the other bench",
    "wine-streams": "has no hypervisor in it; runs with the other bench",
}

# A boot of Linux takes half a minute here, so without --all only what depends on the vendor, and
# of that what no tiny guest does: not what the guests cpuid, reset-*, fuzz, hypapp, rights and
# image show here.
# Nothing that stops the machine from outside: one in some dozen times Bochs' debugger does not
# stop.
EVERY_TIME = ("boot-2", "hotplug", "pal-secret", "pal-foreign", "pal-registers",
              "exit-duration", "sdk", "sdk-identity")
# And of the tests of PALs, for the group pal.
WITH_PAL = ("pal-secret", "pal-foreign", "pal-registers", "pal-damage", "pal-starve", "pal-traced",
            "pal-tables", "pal-turns",
            "pal-budget", "pal-64", "pal-widths",
            "hypercall-fuzz", "sdk", "sdk-leak", "sdk-control", "sdk-fork",
            "sdk-identity")
# And what make soak runs there; the other's longest form would take days.
WITH_SOAK = ("pal-fuzz-soak", "soak-long")
