"""UEFI firmware starts xmhf.efi, which starts what would have come without it.

SPDX-License-Identifier: MIT
"""
import re
import sys

from common import SOURCE, check
import grub_efi
import pals
from efi import NO_NEXT, PAGE, PROBE, EfiMachine, newly_reserved, pages_of
from live import live_machine

# Kinds of EFI memory (UEFI 2.10, 7.2.1) as Linux names them, that an OS may use afterwards.
FREE = ("Conventional", "Loader Code", "Loader Data", "Boot Code", "Boot Data")
# Of Linux' list of what the firmware maps, which has boot services' memory too: code, data, MMIO.
RUNTIME = "runtime(?= 0x[56b] )"
MAY_TAKE = 8 << 20  # bytes in all, at 512 MiB
# How probe.c is asked; "off" ends the machine.
SERVICES = "mp enable init mp timer vars attack leave off"


# --- Linux ---------------------------------------------------------------------

def kinds(run):
    """{page's address: kind} of the EFI map that Linux got; all that is free is one kind."""
    found = {}
    for kind, first, last in re.findall(
            r"^efi-map mem\d+: \[([^|]*?) *\|.*range=\[(0x[0-9a-f]+)-(0x[0-9a-f]+)\]", run.text(),
            re.M):
        kind = "free" if kind in FREE else kind
        found.update(dict.fromkeys(pages_of(first, last), kind))
    check(len(found) > 1000, f"no EFI memory map:\n{run.text()[-800:]}")
    return found


def check_taken(bare, run):
    """What differs from the map without us was free and is reserved now, and isn't too much."""
    taken = newly_reserved(kinds(bare), kinds(run), ("free", "Reserved")) * PAGE
    check(taken <= MAY_TAKE, f"{taken >> 10} KiB are taken, more than {MAY_TAKE >> 10}")
    return taken


def linux(machines, cpus, way="uefi", options=()):
    """Linux has the firmware's services as without us, and none of our memory; PALs work."""
    bare = grub_efi.boot(machines, cpus, False, way, options)
    run = grub_efi.boot(machines, cpus, True, way, options)
    run.logged(rf"^\[xmhf[^\]]*\] up on {cpus} CPU")
    (name, output, status), = pals.parts_of(run, ["pal_test"])
    check(status == 0, f"{name} ended with status {status}:\n{output}")
    made = pals.counted(output, name)
    for what in (RUNTIME, "bits", "variable", "read", "picture"):
        seen, before = grub_efi.lines(run, what), grub_efi.lines(bare, what)
        check(seen == before != [], f"{what}: {seen}\nwithout us {before}")
    check(f"\n{cpus}\n" in f"\n{run.text()}", f"not {cpus} CPUs:\n{run.text()[-500:]}")
    grub_efi.check_maps(run)
    taken = check_taken(bare, run)
    return (f"{cpus} CPUs: {made} checks of PALs; variables, runtime services and picture as bare; "
            f"the maps differ in {taken >> 10} KiB, free before and reserved now")


def test_efi_linux(machines):
    """The kernel's EFI stub, 2 CPUs: PALs, memory maps and variables beside the control run."""
    return linux(machines, 2)


def test_efi_linux_1(machines):
    """The same with 1 CPU."""
    return linux(machines, 1)


def test_efi_linux_4(machines):
    """The same with 4 CPUs."""
    return linux(machines, 4)


def test_efi_linux_3(machines):
    """The same with 3 CPUs."""
    return linux(machines, 3)


def by_loader(machines, loader):
    run = machines.run(["sh", "-c", "nproc; echo @@ pal_test; pal_test 20; echo @@ end $?"],
                       "--boot", "uefi", "--loader", loader,
                       adds=[machines.pal_test("pal_test")]).ended_well()
    run.logged(r"^\[xmhf[^\]]*\] up on 2 CPU")
    (name, output, status), = pals.parts_of(run, ["pal_test"])
    check(status == 0 and run.text().split()[0] == "2", run.text())
    return f"xmhf.efi, {loader}, Linux with 2 CPUs, {pals.counted(output, name)} checks of PALs"


def test_efi_grub(machines):
    """Debian's GRUB behind xmhf.efi."""
    return by_loader(machines, "grub")


def test_efi_systemd_boot(machines):
    """systemd-boot behind xmhf.efi."""
    return by_loader(machines, "systemd-boot")


def test_efi_unified(machines):
    """A unified kernel image behind xmhf.efi."""
    return by_loader(machines, "unified")


def test_efi_shell(machines):
    """The firmware's shell by the next boot entry, and back from it to the boot manager."""
    script = machines.scratch / "startup.nsh"
    script.write_text("fs0:\\EFI\\test\\probe.efi\r\nexit\r\n", encoding="ascii")
    with EfiMachine(machines, conf=NO_NEXT, more=[("startup.nsh", script)]) as machine:
        machine.wait_log(r"\[xmhf[^\]]*\] .*starting .*[Ss]hell", 120)
        machine.wait_line(r"probe returns 0 0", 120)
        machine.wait_log(r'BdsDxe: starting Boot\d+ "UiApp"', 120)  # the menu
        check(machine.lines()[0].startswith("probe started, under XMHF 1"), machine.tail())
    return "the shell runs a program as a guest, ends, and the firmware shows its boot menu"


VARIABLE = "/sys/firmware/efi/efivars/" + grub_efi.VARIABLE
BOOT_NEXT = "/sys/firmware/efi/efivars/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c"
MOUNT = "mount -t efivarfs none /sys/firmware/efi/efivars"


def test_efi_variables(machines):
    """A variable outlives a reboot, BootNext is obeyed, power-off works, with a PAL's secret in
    memory before."""
    with live_machine(machines, boot="uefi", modules=("efivarfs",),
                      adds=[machines.example("demo_pal")]) as machine:
        machine.ready()
        machine.sh(f"{MOUNT} && printf '\\007\\000\\000\\000kept' >{VARIABLE} && "
                   f"printf '\\007\\000\\000\\000\\000\\000' >{BOOT_NEXT} && sync")
        check("= 42 ok" in machine.sh("demo_pal"), "no PAL")
        machine.send_last("reboot -f")
        check(machine.stopped() == "guest-reset", "no reset")
        start = machine.boot_again()
        machine.ready()
        machine.wait_log(r"^\[xmhf[^\]]*\] up on 2 CPU", 5, start)
        kept = machine.sh(f"{MOUNT} && tail -c 4 {VARIABLE}; ls {BOOT_NEXT} 2>&1 || true")
        check(kept.startswith("kept") and "No such file" in kept, f"afterwards: {kept}")
        check("= 42 ok" in machine.sh("demo_pal"), "no PAL after the reset")
        machine.send_last("poweroff -f")
        check(machine.stopped() == "guest-shutdown", "no power-off")
    return "a variable is there after the reset, BootNext was obeyed and is gone; power-off works"


# --- no Linux: the firmware and a program of ours ----------------------------------

def services(machines, cpus):
    """The firmware's services are as bare, and each CPU of the firmware is a guest."""
    said = []
    for hypervisor in (False, True):
        with EfiMachine(machines, SERVICES, hypervisor=hypervisor, smp=str(cpus)) as machine:
            log = machine.wait_end(90 if cpus < 8 else 240)
            said.append([line for line in machine.lines()])
            if hypervisor:
                first, last = machine.protected()
    bare, guest = said
    check(guest[0].startswith("probe started, under XMHF 1"), f"not under XMHF:\n{guest}")
    ours = [line for line in guest if line.startswith(("range", "attack"))]
    check(f"range {first:x} {last + 1 - first:x}" in ours, f"{ours}\n{log[-2000:]}")
    stores = next(line.split()[-2:] for line in ours if line.startswith("attack stores"))
    check(stores[0] == stores[1] != "0" and "attack words not zero 0 0" in ours, str(ours))

    def rest(lines):  # without addresses
        return [line for line in lines[1:] if not line.startswith(("range", "attack", "time"))]
    # All CPUs that ran were guests.
    wanted = [re.sub(r"\b(ran|again) (\w+) 0$", r"\1 \2 \2", line) for line in rest(bare)]
    check(wanted == rest(guest), f"bare:\n{bare}\nguest:\n{guest}")
    return int(stores[0], 16)


def test_efi_services(machines):
    """After xmhf.efi the firmware's services answer as before, and its CPUs are alive."""
    return (f"MP services, also after an INIT, timer, variables, {services(machines, 2)} refused "
            "stores to the protected range, SetVirtualAddressMap with it in, power-off: as bare")


def test_efi_services_16(machines):
    """The same with 3 and with 16 CPUs."""
    services(machines, 3)
    services(machines, 16)
    return "with 3 and with 16 CPUs the firmware's services are as bare, and all CPUs are guests"


# What the text of xmhf.conf is, what must be said, and whether the next entry runs as a guest.
BAD = (
    ("missing", b"next=\\EFI\\nowhere.efi\n", r"nowhere\.efi can't be started: ", 1),
    ("not a PE", b"next=\\EFI\\xmhf\\xmhf.conf\n", r"xmhf\.conf can't be started: ", 1),
    ("returns", b"next=\\EFI\\test\\probe.efi\nargs=return=1\n", r"starting \\EFI\\test", 1),
    ("itself", b"next=\\EFI\\xmhf\\xmhf.efi\n", r"is this program itself", 1),
    ("damaged", b"palmem=16\nnext=\\EFI\\te\0st\xff\xfe\n",
     r"not started: the options can't be followed, line 2: there is a control character", 0),
    ("truncated", b"next=\\EFI\\test\\pro", r"not started: .*its last line has no end", 0),
)


def next_entry(machines, text, pattern, guest):
    """xmhf.efi can't start its loader: it says so, and the firmware goes on."""
    with EfiMachine(machines, conf=text, options=[("next", PROBE, "off")]) as machine:
        log = machine.wait_end()
    check(re.search(rf"\[xmhf[^\]]*\] .*{pattern}", log), f"nothing like {pattern!r}:\n{log}")
    found = re.findall(r"^efi: probe started, under XMHF (\d)", log, re.M)
    check(found and found[-1] == str(guest), f"the next entry: {found}:\n{log}")


def test_efi_bad_next(machines):
    """A next loader that is missing: a sentence, and the firmware's next entry."""
    next_entry(machines, *BAD[0][1:])
    return "the missing loader is named, the next entry of the firmware runs as a guest"


def test_efi_bad(machines):
    """Loaders that are missing, no PE, return; xmhf.conf damaged and truncated."""
    for _, text, pattern, guest in BAD:
        next_entry(machines, text, pattern, guest)
    return f"{', '.join(name for name, *_ in BAD)}: a sentence each, and the next entry starts"


def test_efi_required(machines):
    """With `required` a refusal stops the machine."""
    with EfiMachine(machines, conf=b"required\ncpus=0\nnext=\\EFI\\te\0st\n",
                    options=[("next", PROBE, "off")]) as machine:
        machine.wait_log(r"stopped: the option required", 90)
        check(not machine.lines(), f"something was started: {machine.lines()}")
    return "nothing is started, and the console says why"


def test_efi_cost(machines):
    """Instructions until the next loader's first one, and memory taken: as `make bench` has it."""
    sys.path.append(str(SOURCE / "tests" / "bench"))
    import uefi_bench  # pylint: disable=import-outside-toplevel
    found = uefi_bench.figures(machines.build)
    check(0 < found["uefi-ticks"] <= 20e6 and 0 < found["uefi-taken"] <= MAY_TAKE, str(found))
    return f"{found['uefi-ticks']:,} instructions, {found['uefi-taken'] >> 10} KiB of 512 MiB"


BASIC = (test_efi_linux, test_efi_services, test_efi_variables, test_efi_bad_next)
MORE = (test_efi_linux_1, test_efi_linux_3, test_efi_linux_4, test_efi_grub, test_efi_systemd_boot,
        test_efi_unified, test_efi_bad, test_efi_required, test_efi_services_16, test_efi_shell,
        test_efi_cost)
