"""Guests other than the usual Linux: many CPUs, much memory, odd APIC ids, no Linux at all.

SPDX-License-Identifier: MIT
"""
import pathlib
import re
import time

from common import PROGRAMS, SEED, check, masked
from live import STEADY, live_machine, package_file
from xmhftools import base, grubimage

# Two sockets of three cores, four of six CPUs there: APIC ids 0, 1, 2 and 4.
SPARSE = "4,sockets=2,cores=3,threads=1,maxcpus=6"
# Two CPUs, and a place for a third.
PLUGGABLE = ("--qemu-arg=-smp", "--qemu-arg=2,maxcpus=3")


def test_boot_16(machines):
    """Linux with 16 CPUs."""
    with live_machine(machines, smp="16", append=STEADY,
                      adds=[machines.compile("hvinfo")]) as machine:
        machine.ready(600)
        machine.wait_log(r"^\[xmhf[^\]]*\] up on 16 CPU", 5)
        check(machine.sh("nproc") == "16", "not all CPUs came up")
        ran = machine.sh("for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do "
                         "taskset -c $i true && echo $i; done | wc -l", 120)
        check(ran == "16", f"programs ran on {ran} CPUs")
    return "hypervisor and Linux on 16 CPUs, a program ran on each"


def test_sparse_apic_ids(machines):
    """CPUs whose APIC ids have gaps."""
    # As far as Linux gets by itself: bare too it stops soon after its CPUs are up.
    with live_machine(machines, smp=SPARSE) as machine:
        places = [(cpu["props"]["socket-id"], cpu["props"]["core-id"])
                  for cpu in machine.qmp("query-cpus-fast")]
        check(places == [(0, 0), (0, 1), (0, 2), (1, 0)], f"CPUs are at {places}")
        machine.wait_log(r"^\[xmhf[^\]]*\] up on 4 CPU", 60)
        machine.wait_log(r"smp: Brought up 1 node, 4 CPUs", 120)
    return "with APIC ids 0, 1, 2, 4 the hypervisor takes and Linux starts all four CPUs"


def madt_with_dead_cpu(machines):
    """A file with the machine's MADT, in which the CPU that may be plugged in is enabled."""
    run = machines.run(["cat", "/sys/firmware/acpi/tables/APIC"], *PLUGGABLE, hypervisor=False)
    table, at, dead = bytearray(run.ended_well().output), 44, []
    while at < len(table):
        if table[at] == 0 and not table[at + 4] & 1:  # local APIC, its flags
            table[at + 4] |= 1
            dead.append(table[at + 3])
        at += table[at + 1]
    check(len(dead) == 1, f"{len(dead)} CPUs of the MADT are not enabled")
    table[9] = (table[9] - sum(table)) & 255
    path = machines.scratch / "madt"
    path.write_bytes(table)
    return path, dead[0]


def test_dead_cpu(machines):
    """A CPU that the MADT lists and that doesn't come up: no launch, unless cpus= leaves it out."""
    madt, apic_id = madt_with_dead_cpu(machines)
    options = (*PLUGGABLE, "--boot", "grub-mb2", "--acpi-table", madt)
    run = machines.run(["true"], *options)
    check(run.status == 125, f"the launch gave status {run.status}")
    advice = run.logged(rf"cannot start: CPU with APIC id {apic_id} doesn't come up \((cpus=\d+) "
                        rf"would").group(1)
    run.logged(r"launch refused")
    run = machines.run(["nproc"], *options, "--hv-append", advice).ended_well()
    check(run.text().split() == ["2"], f"with {advice} the guest has {run.text()} CPUs")
    run.logged(rf"{advice}: CPU with APIC id {apic_id} is left out")
    return (f"a dead CPU with APIC id {apic_id} refuses the launch; with {advice}, as that says, "
            f"Linux runs "
            "on 2 CPUs")


def test_machine_check(machines):
    """A machine check that can be survived meets a CPU that the hypervisor keeps."""
    with live_machine(machines, append=STEADY + " maxcpus=1") as machine:
        machine.ready()
        for _ in range(2):  # the second would end the machine if the first weren't over
            # cpu, bank, status (valid, uncorrected, enabled), MCG_STATUS (MCIP, RIPV), address,
            # misc
            machine.qmp("human-monitor-command",
                        **{"command-line": "mce 1 9 0xb000000000000000 5 0x1000 0x8c"})
            time.sleep(1)
            check(machine.sh("echo alive") == "alive", "the guest is gone")
        check("PANIC" not in machine.log(), "a panic")
        online = machine.sh("echo 1 >/sys/devices/system/cpu/cpu1/online && taskset 2 true && "
                            "nproc")
        check(online == "2", f"CPU 1 isn't up: {online}")
    return "two machine checks met CPU 1 while it was parked; the guest then started it"


def test_sysenter(machines):
    """A program without privileges single-steps over SYSENTER: nothing happens to the machine."""
    run = machines.run(["stepsysenter", "50"], adds=[machines.compile("stepsysenter")]).ended_well()
    check("50 steps over SYSENTER" in run.text(), f"it said {run.text()}")
    return "50 single steps over SYSENTER from ring 3, Linux goes on"


def test_memory_6g(machines):
    """6 GiB of memory, some of it above 4 GiB."""
    run = machines.run(["sh", "-c", "grep MemTotal /proc/meminfo; demo_pal"], "--mem", "6144",
                       adds=[machines.example("demo_pal")]).ended_well()
    total = int(re.search(r"MemTotal: *(\d+)", run.text()).group(1)) >> 10
    check(total > 5700, f"the guest has {total} MiB")
    check("= 42 ok" in run.text(), f"no PAL: {run.text()}")
    return f"the guest has {total} MiB and a PAL works"


def test_init_on_alloc_0(machines):
    """A dead PAL's memory, where the kernel itself does not clear what it gives out."""
    script = (f"sh holdpal.sh {SEED} || exit 1; kill -9 $(pidof demo_pal); sleep 1; "
              f"memsearch --kcore {masked(SEED)}; echo search $?")
    run = machines.run(["sh", "-c", script], "--append", "init_on_alloc=0 init_on_free=0",
                       adds=[machines.example("demo_pal"), machines.compile("memsearch"),
                             PROGRAMS / "holdpal.sh"]).ended_well()
    check("registered" in run.text() and "search 1" in run.text(), run.text())
    return "with init_on_alloc=0 a PAL's secret is not found after kill -9"


def others_of(boot):
    """What a machine of this bench is told of another --boot."""
    return {"boot": boot} if boot else {}


def memtest86(machines, wanted, seconds, mem=None, boot=None):
    """Run memtest86+ until its screen, which it also writes to the serial port, shows `wanted`."""
    guest = package_file("memtest86+", f"boot/memtest86+x64.{'efi' if boot else 'bin'}")
    with live_machine(machines, guest=guest, append="console=ttyS0,115200", **others_of(boot),
                      mem=mem or (48 if machines.args.bench == "svm" else 96)) as machine:
        # xmhf.efi has two lines more, and names what it starts in the last.
        first = r"^\[xmhf\] starting \\" if boot else r"starting the guest"
        start = machine.wait_log(first, 120).end()
        machine.wait_log(wanted, seconds, start)
        text = machine.log()[start:]
        errors = set(re.findall(r"Errors: *(\d+)", text))
        check(errors == {"0"}, f"errors seen: {errors}")
        check("CPU: 2 Cores" in text and "(PAR)" in text, "not two CPUs at once")
        check("[xmhf" not in text, f"the hypervisor complained:\n{machine.tail()}")
        return max(int(n) for n in re.findall(r"#(\d+) ", text))


def test_memtest86(machines):
    """memtest86+ as the guest, by the Linux boot protocol: its first tests."""
    # The screen is shown every two seconds: a test may come and go unseen.
    return f"all memory on 2 CPUs up to test {memtest86(machines, '#([7-9]|10) ', 300)}, no error"


def test_memtest86_long(machines):
    """memtest86+, a whole pass."""
    return f"a pass on 2 CPUs up to test {memtest86(machines, 'Pass: *1', 1200)}, no error"


def vga_text(machine):
    """The text screen, 80 by 25."""
    with machine.dump(0xB8000, 4000) as data:
        text = bytes(data[::2]).decode("cp437")
    return "\n".join(text[i:i + 80].rstrip() for i in range(0, 2000, 80))


def ipxe(machines, boot):
    """Run iPXE until its screen shows that it is up."""
    guest = package_file("ipxe", "boot/ipxe.lkrn")
    with live_machine(machines, guest=guest, boot=boot) as machine:
        machine.protected()
        text, end = "", time.monotonic() + 180
        while time.monotonic() < end and not re.search(r"iPXE 1\.\d+", text):
            time.sleep(1)
            text = vga_text(machine)
        check("iPXE initialising devices...ok" in text and "iPXE 1." in text,
              f"the screen shows:\n{text}\nthe log:\n{machine.tail()}")
        machine.wait_log(r"starting the guest", 1)
        check("PANIC" not in machine.log(), "the hypervisor panicked")
    version = re.search(r"iPXE 1\.\S+", text).group(0)
    return f"{version} initialised its devices under the hypervisor"


def test_ipxe(machines):
    """iPXE as the guest, by the 16-bit boot protocol."""
    return ipxe(machines, "kernel")


def test_ipxe_grub(machines):
    """The same, loaded by GRUB, which puts it where it must go."""
    return ipxe(machines, "grub-mb1")


def test_grub_guest(machines):
    """GRUB as the guest: a 16-bit image of protocol 2.03 with an entry in its header."""
    folder = machines.scratch
    (folder / "early.cfg").write_text("serial --unit=0 --speed=115200\nterminal_output serial\n"
                                      "echo GRUB is a guest\nhalt\n", encoding="ascii")
    base.run(["grub-mkimage", "-O", "i386-pc", "-p", "/", "-c", folder / "early.cfg", "-o",
              folder / "core.img",
              "serial", "terminal", "echo", "halt"], "make GRUB's image")
    image = folder / "grub.lkrn"
    image.write_bytes(b"".join(path.read_bytes() for path in (
        pathlib.Path(grubimage.BIOS) / "lnxboot.img", folder / "core.img")))
    with live_machine(machines, guest=image, boot="grub-mb2") as machine:
        start = machine.wait_log(r"starting the guest", 60).end()
        machine.wait_log(r"GRUB is a guest", 60, start)
        check(machine.stopped() == "guest-shutdown", "GRUB's halt did not power off")
        machine.wait_log(r"protected memory is wiped", 5)
    return "GRUB starts in real mode under the hypervisor, writes its line and powers off"


BASIC = (test_dead_cpu, test_machine_check, test_sparse_apic_ids, test_sysenter, test_memory_6g,
         test_init_on_alloc_0,
         test_memtest86,
         test_ipxe_grub, test_grub_guest)
MORE = (test_boot_16, test_ipxe, test_memtest86_long)
