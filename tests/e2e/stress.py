"""Trouble from all sides: NMIs, CPUs that come and go, a soak, and how long exits take.

SPDX-License-Identifier: MIT
"""
import re
import time

from common import PROGRAMS, SWAP_MODULES, Failed, check, warnings
from live import STEADY, live_machine
from xmhftools import bench

SLOWNESS = {"svm": 1, "vmx": 10}  # seconds on a busy host for one of a guest with 4 CPUs
EXIT_MAX = 200000  # instructions
NMIS = 50
FLOOD = 2000


# --- NMIs -----------------------------------------------------------------------

def nmi_count(machine):
    """NMIs that CPU 0 and others have taken."""
    return sum(int(n) for n in machine.sh("grep NMI: /proc/interrupts").split() if n.isdigit())


def paced(machine):
    """Inject NMIs one by one; how many of them were taken, and how often the kernel said so."""
    before = nmi_count(machine)
    for number in range(1, NMIS + 1):
        machine.inject_nmi()
        deadline = bench.Deadline(machine.process, 10)
        while nmi_count(machine) < before + number and not deadline.over():
            pass
        if nmi_count(machine) != before + number:
            break
    time.sleep(0.5)
    return nmi_count(machine) - before, int(machine.sh("dmesg | grep -c Uhhuh; true"))


def flood(machine):
    before = nmi_count(machine)
    for _ in range(FLOOD):
        machine.inject_nmi()
    return nmi_count(machine) - before


def nmis(machines, hypervisor):
    with live_machine(machines, hypervisor=hypervisor, append="log_buf_len=4M") as machine:
        machine.ready()
        machine.sh("dmesg -n 1")
        taken, said = paced(machine)
        check(taken == NMIS, f"{taken} of {NMIS} paced NMIs were taken")
        check(said == NMIS, f"the kernel reported {said} of {NMIS} NMIs")
        many = flood(machine)
        check(0 < many <= FLOOD, f"{many} NMIs of a flood of {FLOOD} were taken")
        check(machine.sh("nproc") == "2", "not all CPUs are there")
        return many


def test_nmi(machines):
    """NMIs from outside reach the guest, each once."""
    control = nmis(machines, False)
    many = nmis(machines, True)
    return (f"{NMIS} of {NMIS} paced NMIs, each reported by the kernel; of {FLOOD} at once "
            f"{many} (bare: {control})")


# --- CPUs -----------------------------------------------------------------------

def hotplug(machines, hypervisor):
    script = ("c=/sys/devices/system/cpu/cpu1/online; for i in $(seq 20); do echo 0 >$c && "
              "echo 1 >$c && taskset -c 1 true || exit 1; done; nproc; dmesg -r")
    text = machines.run_compared(["sh", "-c", script], hypervisor).text()
    check(text.split("\n")[0] == "2", f"afterwards {text[:80]}")
    return warnings(text)


def test_hotplug_20(machines):
    """A CPU goes down and up 20 times; the kernel has nothing to say that it does not bare."""
    guest, control = None, set()
    for _ in range(3):  # a busy host causes warnings of its own
        control |= hotplug(machines, False)
        seen = hotplug(machines, True)
        guest = seen if guest is None else guest & seen
        if guest <= control:
            return f"20 times; {len(guest)} kinds of kernel warning, all of them also bare"
    raise Failed("new kernel warnings:\n  " + "\n  ".join(sorted(guest - control)))


# --- soak -----------------------------------------------------------------------

def all_happened(counts, *names):
    """Fail unless each of these was counted, more than zero times."""
    for name in names:
        found = re.search(rf"\b{name} (\d+)", counts)
        check(found and int(found.group(1)) > 0, f"{name} did not happen: {counts}")


def soak(machines, seconds):
    adds = [machines.pal_test("soakpal"), machines.compile("hvinfo"), PROGRAMS / "soak-noise.sh"]
    with live_machine(machines, smp="4", adds=adds, modules=SWAP_MODULES, one_core=True,
              append=STEADY if machines.args.bench == "svm" else "") as machine:
        machine.ready()
        machine.sh("dmesg -n 1")
        free = machine.sh("hvinfo pool-free")
        machine.sh("soakpal drain && soakpal drain")
        check(machine.sh("hvinfo pool-free") == free, "memory is lost even without a soak")
        machine.sh("sh soak-noise.sh 4 >noise.out 2>&1 & echo $! >noise.pid")
        number = machine.send(f"soakpal run {seconds} 8 >soak.out 2>&1")
        end, nmi = time.monotonic() + seconds, 0
        while time.monotonic() < end and machines.args.bench == "svm":
            machine.inject_nmi()
            nmi += 1
            time.sleep(0.05)
        _, status = machine.answer(number, 300 + seconds * SLOWNESS[machines.args.bench])
        text = machine.sh("cat soak.out")
        check(status == 0, f"the PALs' program failed with status {status}:\n{text}")
        machine.sh("kill -9 $(cat noise.pid) $(pidof sh | tr ' ' '\\n' | grep -v $PPID | "
                   "grep -v $$) 2>/dev/null; for c in 1 2 3; do "
                   "echo 1 >/sys/devices/system/cpu/cpu$c/online 2>/dev/null; done; true")
        noise = machine.sh("for f in hotplug nmi compact; do echo $f $(cat $f); done; "
                           "awk '/^pswpout/ { print \"swapped\", $2 }' /proc/vmstat; cat noise.out")
        drained = machine.sh("soakpal drain && soakpal drain", 300)
        after = machine.sh("hvinfo pool-free")
        # Each PAL has pages; so there is none left, whoever owned it.
        check(after == free, f"{after} pages free at the end, {free} at the start:\n{drained}")
        check(machine.sh("nproc") == "4", "not all CPUs are there")
        check("BUG" not in machine.sh("dmesg -r | grep -E '^<[0-3]>'; true"),
              "the kernel has a BUG")
    counts = text.splitlines()[-1]
    all_happened(counts, "registered", "calls", "unregistered", "deaths", "left", "killed",
                 "paged_out")
    all_happened(noise, "hotplug", "nmi", "compact", "swapped")
    return (f"{counts}; {nmi} NMIs from outside, {' '.join(noise.split())}; {after} pages free as "
            f"before, "
            "so no PAL is left")


def test_soak(machines):
    """A minute: PALs live and die on 4 CPUs amid NMIs, hotplug, compaction, swap and kill -9."""
    return soak(machines, 60)


def test_soak_long(machines):
    """The test soak for half an hour; in Bochs, whose guests' time is slow, it takes as long."""
    return soak(machines, 1800 if machines.args.bench == "svm" else 300)


# --- how long an exit takes -------------------------------------------------------

def test_exit_duration(machines):
    """No exit keeps a guest waiting for more than 200,000 instructions."""
    script = ("for c in 'palabuse fuzz 5000 1' 'pal_test 20' pal_attack demo_pal; do "
              "$c >out || { cat out; echo \"$c failed\"; exit 1; }; done; hvinfo")
    # In Bochs the TSC counts instructions anyway.
    count = ["--icount"] if machines.args.bench == "svm" else ["--cpus", "1"]
    run = machines.run(["sh", "-c", script], *count, "--hv-append", "measure", "--timeout", "900",
                       adds=[machines.compile("hvinfo"), machines.compile("palabuse"),
                             machines.example("demo_pal"), machines.pal_test("pal_test"),
                             machines.pal_test("pal_attack")]).ended_well()
    longest = {kind: int(n) for kind, n in re.findall(r"^longest-(\w+) (\d+)$", run.text(), re.M)}
    check(longest.get("HYPERCALL"), f"nothing was measured:\n{run.text()}")
    told = ", ".join(f"{kind} {n:,}" for kind, n in
                     sorted(longest.items(), key=lambda item: -item[1]) if n)
    check(max(longest.values()) <= EXIT_MAX, f"more than {EXIT_MAX:,} instructions: {told}")
    return f"longest exits: {told}"


BASIC = (test_nmi, test_hotplug_20, test_soak, test_exit_duration)
SOAK = (test_soak_long,)
