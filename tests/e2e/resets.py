"""Resets, power-off, sleep and panics with a live PAL: what is left in memory, seen from outside.

SPDX-License-Identifier: MIT
"""
from common import PROGRAMS, SEED, check, secret
from live import build_id, live_class, live_machine
from xmhftools import bench

SECRET = secret(SEED)

# How the guest resets, and what the machine must say of it. The first five are Linux's
# reboot=a,k,t,p and a panic with panic=-1.
REBOOT = "echo {} >/sys/kernel/reboot/type; reboot -f"
WAYS = (
    ("ACPI", REBOOT.format("acpi"), "guest-reset"),
    ("keyboard controller", REBOOT.format("kbd"), "guest-reset"),
    ("triple fault", REBOOT.format("triple"), "guest-reset"),
    ("port CF9", REBOOT.format("pci"), "guest-reset"),
    ("guest panic", "echo c >/proc/sysrq-trigger", "guest-reset"),
    ("sysrq b", "echo b >/proc/sysrq-trigger", "guest-reset"),
    ("power-off", "poweroff -f", "guest-shutdown"),
)
SOME = {"svm": ("keyboard controller", "triple fault", "port CF9", "power-off"),
        "vmx": ("triple fault", "port CF9")}


def pal_machine(machines, **options):
    """A machine whose guest can hold a PAL with a secret, and keep another one running."""
    adds = [machines.example("demo_pal"), PROGRAMS / "holdpal.sh", machines.pal_test("pal_spin"),
            machines.compile("hvinfo"), *options.pop("adds", ())]
    return live_machine(machines, adds=adds, **options)


def hold(machine):
    """Start the PALs and prove that the search from outside finds the secret where it belongs."""
    first, last = machine.protected()
    text = machine.sh(f"sh holdpal.sh {SEED}")
    check("registered" in text and "= 42 ok" in text, f"no PAL: {text}")
    machine.sh("pal_spin 1000 >/dev/null 2>&1 &")
    found = machine.search(SECRET)
    check(len(found) >= 4, f"control: the live PAL's secret was found {len(found)} times")
    outside = [hex(at) for at in found if not first <= at <= last]
    check(not outside, f"the live PAL's secret is at {outside}, outside of the protected range")


def nothing_left(machine, when):
    found = machine.search(SECRET)
    check(not found, f"{when}: the secret is at {[hex(at) for at in found[:8]]}")


def resets(machines, ways):
    if machines.args.bench == "vmx":  # Bochs ends then, and its memory with it
        ways = [way for way in ways if way[0] != "power-off"]
    with pal_machine(machines) as machine:
        for name, script, reason in ways:
            machine.ready()
            nothing_left(machine, f"boot before {name}")
            hold(machine)
            machine.send_last(script)
            seen = machine.stopped()
            check(seen == reason, f"{name}: the machine ended with {seen}, not {reason}")
            nothing_left(machine, name)
            machine.boot_again()
        machine.ready()
        nothing_left(machine, "the last boot")
    return (f"{len(ways)} ways ({', '.join(name for name, _, _ in ways)}): a live PAL's secret is "
            "found from outside before, never after, nor in the next boot")


def test_resets(machines):
    """Resets and power-off wipe PALs: memory is searched from outside."""
    return resets(machines, [way for way in WAYS if way[0] in SOME[machines.args.bench]])


def test_resets_all(machines):
    """The same for every way that Linux has."""
    return resets(machines, WAYS)


def second_system(machines):
    """Kernel and initramfs that the first system starts: (files to add, their names there)."""
    initrd = machines.scratch / "second.gz"
    kind = live_class(machines)
    initrd.write_bytes(kind.initrd([PROGRAMS / "holdpal.sh", machines.example("demo_pal")]))
    return [f"{bench.kernel_file(kind.KERNEL)}:second.kernel", f"{initrd}:second.gz"]


def test_kexec(machines):
    """A kernel that starts another one keeps what PALs had out of reach of both."""
    # No reset happens, so nothing is wiped: the dead owner's PAL stays in the protected
    # range until its memory is needed (notes/decisions/kexec.md).
    adds = [machines.compile("kexecload"), *second_system(machines)]
    with pal_machine(machines, adds=adds, mem=768 if machines.args.bench == "svm"
                     else 384) as machine:
        machine.ready()
        hold(machine)
        first, last = machine.protected()
        machine.send('kexecload second.kernel second.gz "$(cat /proc/cmdline) second"')
        machine.ready()
        check("second" in machine.sh("cat /proc/cmdline"), "the first kernel still runs")
        outside = [hex(at) for at in machine.search(SECRET) if not first <= at <= last]
        check(not outside, f"after kexec the secret is at {outside}")
        check(machine.sh("nproc") == "2", "not all CPUs came up")
        check("= 42 ok" in machine.sh(f"sh holdpal.sh {SEED + 1}"), "PALs do not work")
    return ("a second kernel runs on both CPUs, with PALs; the first one's stayed in the protected "
            "range")


# --- sleep ----------------------------------------------------------------------

def test_sleep(machines):
    """Suspend to RAM is refused so that the OS goes on; the other states are tried."""
    with pal_machine(machines) as machine:
        machine.ready()
        hold(machine)
        said, states = {}, ["mem", "standby", "disk"]
        if "devices" in machine.sh("cat /sys/power/pm_test; true"):  # not every kernel has that
            states.append("freeze")
        for state in states:
            # nothing wakes this machine from it, bare either: all but the wait
            if state == "freeze":
                machine.sh("echo devices >/sys/power/pm_test")
            said[state] = machine.sh(f"echo {state} >/sys/power/state; echo status $?", 90)
        log = machine.log()
        check("suspend refused" in log, "the hypervisor refused nothing")
        check("status 0" in said["mem"], f"suspend to RAM: {said['mem']}")
        dmesg = machine.sh("dmesg | grep PM:")
        for line in ("suspend entry (deep)", "suspend exit"):
            check(line in dmesg, f"no \"{line}\" in:\n{dmesg}")
        check(machine.sh("nproc") == "2", "not all CPUs came back")
        machine.sh("echo go >pal.in; for i in 1 2 3 4 5 6 7 8 9; do grep -q unregistered pal.out "
                   "&& "
                   "break; sleep 1; done; grep -q '^unregistered' pal.out")
        machine.sh("sh -c 'demo_pal | grep \"= 42 ok\"'")
    told = ", ".join(f"{state}: {text.splitlines()[-1]}" for state, text in said.items())
    return f"S3 was refused, Linux went on with 2 CPUs, its PAL too ({told})"


# The PM block of the PIIX4 moves to port 7000h; SLP_EN with S3's type there.
SLEEP_ELSEWHERE = (
    "cd /sys/bus/pci/devices/0000:00:01.3 && printf '\\001\\160\\000\\000' | dd of=config bs=4 "
    "seek=16 conv=notrunc && "
    "outw 0x7004 0x2400")


def test_wake(machines):
    """A sleep by a way that nobody watches wakes up in the hypervisor's code, with PALs wiped."""
    with pal_machine(machines, adds=[machines.compile("outw")]) as machine:
        machine.ready()
        hold(machine)
        machine.send_last(SLEEP_ELSEWHERE)
        check(machine.qmp.wait("SUSPEND", 60) is not None,
              f"the machine doesn't sleep:\n{machine.tail()}")
        machine.qmp("system_wakeup")
        seen = machine.stopped()
        check(seen == "guest-reset", f"the machine ended with {seen}")
        check("woken up from a sleep: protected memory is wiped" in machine.log(),
              "the hypervisor's wake code didn't run")
        nothing_left(machine, "the wake-up")
    return ("S3 at a moved PM block: woken in the hypervisor's code; a live PAL's secret is "
            "nowhere in memory")


# --- panic ----------------------------------------------------------------------

def crash_copies(machine):
    """Where a stopped machine has crash records: whole pages outside of the protected range."""
    first, last = machine.protected()
    data, copies, at = machine.stopped_memory(), [], -1
    while (at := data.find(b"XMHCRASH", at + 1)) >= 0:
        if at % 4096 == 0 and not first <= at <= last:
            copies.append(at)
    return copies


def test_panic(machines):
    """A panic of the hypervisor leaves a record for the next boot, and no secret."""
    wanted = build_id(machines.build / "xmhf-core.elf")
    with pal_machine(machines, hv_append="testpanic", writable=True) as machine:
        machine.ready()
        hold(machine)
        machine.send_last("hvinfo call 0x1ff")
        machine.stopped()
        nothing_left(machine, "panic")
        log = machine.log()
        check("PANIC: asked for by a hypercall" in log, "no panic on the serial line")
        for form in (SECRET, SECRET.hex().encode(), SECRET[:8][::-1].hex().encode()):
            raw = (machine.folder / "serial.log").read_bytes()
            check(form not in raw, "the secret is in the serial log")
        copies = crash_copies(machine)
        check(len(copies) == 2, f"there are {len(copies)} copies of the record: {copies}")
        spoils = machines.boot != "uefi"  # OVMF itself writes over the other copy
        if spoils:
            machine.poke(copies[0] + 8, b"\xff\xff")  # its version
        start = machine.boot_again()
        found = machine.wait_log(r"crash: build-id ([0-9a-f]+)", 120, start)
        check(found.group(1) == wanted, f"the record is of build {found.group(1)}, not {wanted}")
        machine.wait_log(r"crash: text asked for by a hypercall", 20, start)
        machine.ready()
        nothing_left(machine, "boot after the panic")
        log = machine.log()[start:]
        check(log.count("crash: build-id") == 1, "the record was printed more than once")
    lines = len([line for line in log.splitlines() if "] crash:" in line])
    told = (f"with the copy at {copies[0]:#x} spoiled the next boot printed that at {copies[1]:#x}"
            if spoils else f"the next boot printed the copy at {copies[0]:#x}")
    return f"no secret left; {told}, {lines} lines, build id {wanted[:12]}"


BASIC = (test_resets, test_sleep, test_wake, test_panic)
MORE = (test_resets_all, test_kexec)
