"""xmhf.efi on other machines than the usual one, and before programs that are no Linux.

SPDX-License-Identifier: MIT
"""
import re
import shutil
import time
import uuid

from common import Skipped, check
from efi import PROBE, EfiMachine
from guests import memtest86
from live import live_machine, package_file
from xmhftools import bench, qemu

# The firmware's 64-bit BARs above 512 GiB (OVMF's own option).
HIGH_BARS = ("-fw_cfg", "name=opt/ovmf/X-PciMmio64Mb,string=524288")
BAR = ("-object", "memory-backend-ram,id=far,size=1G,share=on", "-device",
       "ivshmem-plain,memdev=far")

# Machines in which the probe asks the firmware's services; how many CPUs must answer.
MACHINES = {
    "3 CPUs": (2, {"smp": "3"}),
    "16 CPUs": (15, {"smp": "16"}),
    "APIC ids with gaps": (3, {"smp": "4,sockets=2,cores=3,threads=1,maxcpus=6"}),
    "q35": (1, {"qemu_args": ("-machine", "q35")}),
    "3 GiB": (1, {"mem": 3072}),
    "5 GiB": (1, {"mem": 5120}),
    "MONITOR": (1, {"qemu_args": ("-cpu", f"{qemu.cpu_option(None)},+monitor")}),
}


def test_efi_machines(machines):
    """Other machines: 3 and 16 CPUs, odd APIC ids, q35, more memory, a large BAR, MONITOR."""
    for name, (others, options) in MACHINES.items():
        with EfiMachine(machines, "mp vars timer attack off", **options) as machine:
            log = machine.wait_end(180)
            said = machine.lines()
            first, last = machine.protected()
        check(said[:1] and said[0].startswith("probe started, under XMHF 1"), f"{name}:\n{log}")
        for line in (f"mp ran {others:x} {others:x}", "timer 0 0", "attack words not zero 0 0",
                     f"range {first:x} {last + 1 - first:x}"):
            check(line in said, f"{name}: no {line!r} in\n{said}")
    return f"{', '.join(MACHINES)}: all CPUs answer as guests, the protected range is refused"


def test_efi_many(machines):
    """65 CPUs, one too many, are refused by name."""
    with EfiMachine(machines, "mp off", smp="65", mem=1024) as machine:
        log = machine.wait_end(280)
        said = machine.lines()
    check("not started: there are 65 CPUs, more than 64" in log, log[-2000:])
    check("mp ran 40 0" in said, f"{said}\n{log[-2000:]}")
    return "a line says that there are too many, and the next loader has all of them"


def test_efi_bar(machines):
    """Firmware and an OS's loader use a device's memory above 512 GiB."""
    with EfiMachine(machines, "bar attack off", qemu_args=(*BAR, *HIGH_BARS)) as machine:
        machine.wait_end()
        said = machine.lines()
    check(said[:1] and said[0].startswith("probe started, under XMHF 1"), str(said))
    at, value = next(line.split()[1:] for line in said if line.startswith("bar "))
    check(int(at, 16) >= 512 << 30 and value == "1122334455667788", str(said))
    return f"a BAR of 1 GiB at {int(at, 16) >> 30} GiB is written and read by a guest"


def fragments(machines, pages, words):
    """(lines of the probe behind xmhf.efi, the log, entries of the map before and afterwards) where
    a program that was started before has cut memory into so many pieces."""
    with EfiMachine(machines, f"entries mp {words} off",
                    before=[("pieces", PROBE, f"fragment={pages:x} entries return=1")]) as machine:
        log = machine.wait_end(180)
        said = machine.lines()
    entries = [int(line.split()[-1], 16) for line in said if line.startswith("entries ")]
    check(len(entries) == 2 and min(entries) > 512, f"entries of the map: {entries}")
    return said[said.index(f"fragments 0 {pages:x}") + 3:], log, entries


def test_efi_fragments(machines):
    """Memory maps of more than 512 entries: taken, or refused by name where too much is apart."""
    said, _, (before, after) = fragments(machines, 470, "attack")
    check(said[0].startswith("probe started, under XMHF 1"), str(said))
    for line in ("mp ran 1 1", "attack words not zero 0 0"):
        check(line in said, f"no {line!r} in\n{said}")
    said, log, (many, _) = fragments(machines, 800, "timer")
    check(re.search(r"^\[xmhf\] not started: .*memory map has too many entries", log, re.M), log)
    check(said[0].startswith("probe started, under XMHF 0") and "mp ran 1 0" in said, str(said))
    return (f"a map of {before} entries, {after} afterwards: taken; of {many}: a line, and the "
            "next loader starts without the hypervisor")


# --- what the machine lacks ------------------------------------------------------------

# Less CPU, or other options: what the one line must name.
LESS = {
    "no SVM": (("-cpu", qemu.cpu_option("EPYC,-svm,-smap,-monitor")), "", r"lacks .*SVM"),
    "no NPT": (("-cpu", qemu.cpu_option("EPYC,+svm,-npt,-smap,-monitor")), "", r"nested pag"),
    "a CPU left out": ((), "cpus=1", r"cpus=|MP services"),
}


def test_efi_lacking(machines):
    """A machine without what the hypervisor needs: one line names it, the next loader starts."""
    for name, (args, hv_append, pattern) in LESS.items():
        with EfiMachine(machines, "mp timer off", qemu_args=args, hv_append=hv_append) as machine:
            log = machine.wait_end()
            said = machine.lines()
        found = re.findall(r"^\[xmhf\] not started: (.*)$", log, re.M)
        check(len(found) == 1 and re.search(pattern, found[0]), f"{name}: {found}\n{log}")
        for line in ("mp ran 1 0", "timer 0 0"):
            check(line in said, f"{name}: no {line!r} in {said}")
        check(said[0].startswith("probe started, under XMHF 0"), f"{name}: {said}")
    return f"{', '.join(LESS)}: a line each, and the next loader starts without the hypervisor"


# --- a TPM ---------------------------------------------------------------------------------

class TpmMachine(EfiMachine):
    """One with swtpm as its TPM, by this interface. `failing`: it is gone when firmware starts."""

    def __init__(self, machines, words, interface, failing=False, **others):
        self.failing, self.tpm = failing, None
        super().__init__(machines, words, qemu_args=(
            "-S", "-machine", "q35", "-chardev", "socket,id=tpm,path=tpm.sock", "-tpmdev",
            "emulator,id=tpm0,chardev=tpm", "-device", f"{interface},tpmdev=tpm0"), **others)

    def start(self):
        (self.folder / "tpm").mkdir()
        self.tpm = bench.spawn(["swtpm", "socket", "--tpm2", "--tpmstate", "dir=tpm", "--ctrl",
                                "type=unixio,path=tpm.sock", "--flags", "not-need-init"],
                               self.folder)
        end = time.monotonic() + 30
        while not (self.folder / "tpm.sock").exists() and time.monotonic() < end:
            time.sleep(0.05)
        super().start()
        if self.failing:
            bench.stop(self.tpm)
        self.qmp("cont")

    def __exit__(self, kind, value, trace):
        if self.tpm:
            bench.stop(self.tpm)
        super().__exit__(kind, value, trace)


def test_efi_tpm(machines):
    """A TPM by TIS, by CRB, and one that fails: the firmware's services have it as without us."""
    if not shutil.which("swtpm"):
        raise Skipped("swtpm is not installed (apt-get install swtpm)")
    told = []
    for interface, failing in (("tpm-tis", False), ("tpm-crb", False), ("tpm-tis", True)):
        said = []
        for hypervisor in (False, True):
            with TpmMachine(machines, "tpm mp attack off" if hypervisor else "tpm off", interface,
                            failing, hypervisor=hypervisor) as machine:
                machine.wait_end()
                said.append(machine.lines())
        bare, guest = ([line for line in lines if line.startswith("tpm")] for lines in said)
        check(said[1][0].startswith("probe started, under XMHF 1"), str(said[1]))
        check(guest == bare != [], f"{interface}: {guest}, bare {bare}")
        check("attack words not zero 0 0" in said[1], f"{interface}: {said[1]}")
        works = "tpm random 0 14" in guest
        check(works != failing, f"{interface}: {guest}")
        told.append(f"{interface}{', failing' if failing else ''}: {guest[-1]}")
    return "; ".join(told)


MOR = ("MemoryOverwriteRequestControl", b"\0", uuid.UUID("e20939be-32d4-41be-a150-897f85d49829"))
ACCESS_DENIED = 0x800000000000000f


def test_efi_mor(machines):
    """The request to overwrite memory after a reset is set and locked. No build of OVMF has the
    driver that makes it; that with SMM has the lock, where there is a TPM and the request is in its
    store."""
    if not shutil.which("swtpm"):
        raise Skipped("swtpm is not installed (apt-get install swtpm)")
    said = []
    for hypervisor in (False, True):
        with TpmMachine(machines, "mor off", "tpm-tis", boot="uefi-smm", variables=[MOR],
                        hypervisor=hypervisor) as machine:
            machine.wait_end(240)
            said.append([line for line in machine.lines() if line.startswith("mor")])
    denied = f"{ACCESS_DENIED:x}"
    check(said[0] == ["mor 0 0", "mor taken back 0 0"], f"without us: {said[0]}")
    check(said[1] == ["mor 1 1", f"mor taken back {denied} {denied}"], f"with us: {said[1]}")
    return "set and locked in SMM: the next loader can take neither back, as it can without us"


# --- no Linux --------------------------------------------------------------------------------

def test_efi_memtest86(machines):
    """memtest86+ behind xmhf.efi: its first tests."""
    return f"up to test {memtest86(machines, '#[3-9] ', 600, 160, 'uefi')}, no error"


def test_efi_ipxe(machines):
    """iPXE behind xmhf.efi, up to its own first line."""
    with live_machine(machines, guest=package_file("ipxe", "boot/ipxe.efi"),
                      boot="uefi") as machine:
        start = machine.wait_log(r"^\[xmhf\] starting \\", 120).end()
        machine.wait_log(r"iPXE initialising devices...\s*ok", 120, start)
        version = machine.wait_log(r"iPXE 1\.[\w.+-]+", 60, start).group(0)
        check("[xmhf" not in machine.log()[start:], f"a complaint:\n{machine.tail()}")
    return f"{version} initialised its devices as a guest"


BASIC = (test_efi_lacking,)
MORE = (test_efi_machines, test_efi_many, test_efi_bar, test_efi_fragments, test_efi_tpm,
        test_efi_memtest86, test_efi_ipxe, test_efi_mor)
