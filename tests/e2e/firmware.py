"""What firmware and loaders do: refusals on the screen, odd ACPI tables.

SPDX-License-Identifier: MIT
"""
import re
import struct
import time

from common import E2E, MEMORY, check
from guests import vga_text
from live import live_machine
from xmhftools import qemu


def refusal(machines, **options):
    """The log's lines that refuse the launch, all of which the screen must show."""
    with live_machine(machines, guest=E2E / "firmware.py", **options) as machine:
        machine.wait_log(r"launch refused", 60)
        time.sleep(0.5)  # that line's end
        logged = [line for line in machine.log().split("\n") if line.startswith("[xmhf]")]
        shown = vga_text(machine).split("\n")
    wrong = [line for line in logged if "not understood" in line or "cannot start" in line
             or "refused" in line]
    check([line[:80].rstrip() for line in wrong] == [line for line in shown
                                                     if line.startswith("[xmhf]")],
          f"the screen shows:\n{shown}\nthe log has\n{wrong}")
    return wrong


def test_refusal_screen(machines):
    """What refuses the launch is on the screen too, that of the boot stage's first code as well."""
    wrong = refusal(machines, hv_append="frob=1 cpus=0")
    check(len(wrong) == 4, f"the log has\n{wrong}")
    early = refusal(machines,
                    qemu_args=("-cpu", qemu.cpu_option("EPYC,+svm,+vgif,-smap,-monitor,-nx")))
    check(len(early) == 2 and "NX" in early[0], f"the log has\n{early}")
    return (f"all {len(wrong)} lines from \"{wrong[0]}\" to \"{wrong[-1]}\" are on the screen, "
            f"and so is \"{early[0]}\"")


def madt(path, slots):
    """A file with this machine's MADT, the way firmware gets it wrong: `slots` CPUs more that
    aren't there, a byte behind the last entry, a wrong checksum."""
    entries = b"".join(struct.pack("<BBBBI", 0, 8, cpu, cpu, 1) for cpu in (0, 1))
    entries += struct.pack("<BBBBII", 1, 12, 0, 0, 0xFEC00000, 0)  # I/O APIC
    entries += struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)           # IRQ 0 is its input 2
    entries += b"".join(struct.pack("<BBBBIH", 2, 10, 0, irq, irq, 0xD) for irq in (5, 9, 10, 11))
    entries += struct.pack("<BBBHB", 4, 6, 255, 0, 1)              # NMI at LINT1
    entries += b"".join(struct.pack("<BBHIII", 9, 16, 0, 256 + n, 0, 256 + n) for n in range(slots))
    table = bytearray(struct.pack("<4sIBB6s8sI4sIII", b"APIC", 44 + len(entries) + 1, 1, 0,
                                  b"TEST  ",
                                  b"TABLE   ", 1, b"TEST", 1, 0xFEE00000, 1) + entries + b"\x55")
    table[9] = (77 - sum(table)) & 255
    path.write_bytes(table)
    return path


def test_acpi_madt(machines):
    """More than 256 CPUs listed, two of them there; stray bytes, a wrong checksum."""
    table = madt(machines.scratch / "madt", 300)
    run = machines.run(["nproc"], "--boot", "grub-mb2", "--acpi-table", table).ended_well()
    check(run.text().split() == ["2"], f"the guest has {run.text()} CPUs")
    run.logged(r"ACPI: the MADT's checksum is wrong; it is taken all the same")
    run.logged(r"ACPI: there are stray bytes behind the MADT's last entry")
    run.logged(r"up on 2 CPUs")
    return ("a MADT with 300 empty slots, a stray byte and a wrong checksum: Linux runs on its 2 "
            "CPUs")


def test_acpi_reserved(machines):
    """ACPI tables in memory that the map calls reserved, in a 2 MiB page without RAM."""
    run = machines.run(["nproc"], "--qemu-arg=-m", "--qemu-arg=526464K").ended_well()
    check(run.text().split() == ["2"], f"the guest has {run.text()} CPUs")
    at = re.search(r"ACPI: APIC 0x0*([0-9A-F]+)", run.log)
    check(not at or int(at.group(1), 16) >= 0x20200000,
          f"the tables aren't where they should be: {at}")
    return "tables in reserved memory that shares no 2 MiB page with RAM: Linux runs on 2 CPUs"


# 512 MiB more in a module above 4 GiB, which the firmware's map leaves out.
PLUGGED = ("-m", f"{MEMORY}M,slots=2,maxmem=4G", "-object", "memory-backend-ram,id=d1,size=512M",
           "-device", "pc-dimm,memdev=d1,id=dimm1")


def test_hotplug_ram(machines):
    """RAM that the map at boot doesn't have: Linux runs in it, and PALs."""
    # From the start, so that what Linux executes first is there already.
    run = machines.run(["pal_hotplug"], "--append", "memhp_default_state=online_movable",
                       *(f"--qemu-arg={word}" for word in PLUGGED),
                       adds=[machines.pal_test("pal_hotplug")])
    run.ended_well().logged(r"RAM may be plugged in: \d+ MiB at 0x100000000")
    made = len(re.findall(r"^ok ", run.text(), re.M))
    check(made == 5, f"{made} checks:\n{run.text()}")
    frame = re.search(r"CPUID in frame (0x[0-9a-f]+)", run.text()).group(1)
    return (f"programs, CPUID (in frame {frame}), a PAL and its buffer in plugged-in RAM: {made} "
            f"checks")


BASIC = (test_refusal_screen, test_hotplug_ram, test_acpi_madt, test_acpi_reserved)
MORE = ()
