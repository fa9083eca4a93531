"""Which tests of the group svm run with UEFI firmware too, by xmhf.efi; which don't, and why.

SPDX-License-Identifier: MIT
"""
import attacks
import pals

# In every run: CPUs that were taken in place get INIT and SIPI; root looks for a secret.
CHOSEN = ("hotplug", "pal-secret")

# Test, and the reason. All others run with `boot --all`.
SKIPS = {
    **dict.fromkeys(("bench-tools", "bench-output", "search-can-find", "pal-secret-control",
                     "sdk-control", "wine-control", "wine-pal-rt", "examples-control", "logdecode",
                     "windows-build", "probe", "probe-refusals", "examples-native"),
                    "has no hypervisor in it, or is about the bench"),
    **dict.fromkeys(("boot-grub-mb1", "boot-grub-mb2", "dead-cpu", "acpi-madt", "acpi-reserved",
                     "refusal-screen", "ipxe", "ipxe-grub", "grub-guest",
                     "memtest86", "memtest86-long"),
                    "names another loader, or is a guest of BIOS"),
    **dict.fromkeys(("boot-686", "boot-686-pae", "pal-32-pae", "pal-32-nonpae",
                     "pal-registers-32", "pal-damage-32", "pal-turns-32", "pal-many-32",
                     "pal-widths-pae", "pal-widths-nonpae"),
                    "64-bit firmware starts no 32-bit kernel"),
    **dict.fromkeys(("boot-bochs-svm", "pal-registers-wide", "logdecode-rdmsr"),
                    "runs in Bochs, which has no UEFI firmware"),
    **dict.fromkeys(("budgets", "memory-taken", "examples-cost", "helloworld", "lockdown"),
                    "builds or measures the image that starts by multiboot"),
    **dict.fromkeys(("cookbook", "sdk", "sdk-elf64", "sdk-elf32", "sdk-pe64", "sdk-pe32",
                     "sdk-wine", "sdk-leak", "examples-wine", "hello-wine", "wine-streams"),
                    "is about images of PALs and Wine; pal-rt, examples, wine-64, wine-32 run"),
    **dict.fromkeys(("hypercall-fuzz-long", "pal-damage-long", "pal-moved-long", "pal-oom-long",
                     "pal-compat-all", "pal-fuzz-long", "pal-minutes", "wine-64-long",
                     "wine-32-long", "wine-compat-all"),
                    "is more of what runs under a name without long, all or minutes"),
    **dict.fromkeys(("pal-registers", "pal-traced", "pal-turns", "pal-64", "pal-32-compat"),
                    "runs in uefi-programs, where one machine is booted for all of them"),
    "machine-check": "is about a CPU that the hypervisor keeps; by UEFI the firmware's loop has it",
    "resets": "resets-all runs",
    "wake": "moves the sleep registers of a machine without UEFI",
}


def test_uefi_programs(machines):
    """By UEFI, in one guest: what pal-registers, -traced, -turns, -64 and -32-compat run."""
    each = [f"{name}{suffix} {words}" for name, words in pals.PROGRAMS for suffix in ("", "32")]
    lines = [*attacks.REGISTERS, *attacks.TRACED, *attacks.TURNS, *each]
    made, _ = attacks.attack(machines, lines, "--boot", "uefi", "--timeout", str(3 * pals.LIMIT))
    return f"{made} checks by {len(lines)} programs, one after the other"


MORE = (test_uefi_programs,)
