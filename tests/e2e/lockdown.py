"""End-to-end test of the hypapp lockdown: a kernel that is locked works, and can't be changed.

SPDX-License-Identifier: MIT
"""
import os
import re
import shutil

from common import SOURCE, base, check
from xmhftools import debian

# What the module tries, and which counter of lockdown-ctl a refusal is in. "site" and "target" are
# writes to the text too; "patch" is what the kernel itself does, and is never refused.
ATTEMPTS = {"cr0": "CR0:", "text": "kernel text:", "rodata": "read-only data:",
            "site": "kernel text:", "target": "kernel text:", "cr4": "CR4:", "efer": "EFER:",
            "lidt": "IDTR:", "lstar": "MSRs of SYSCALL", "idt": "interrupt descriptor table:"}

SCRIPT = r"""
address() { sed -n "s/^\([0-9a-f]*\) . $1\$/0x\1/p" /proc/kallsyms | head -1; }
all() { for t in %(attempts)s patch; do
    if echo $t 2>/dev/null >/proc/lockprobe; then echo "$1 $t done"; else echo "$1 $t refused"; fi
    done; }
complaints() { dmesg | grep -cE 'BUG:|Oops|general protection|unchecked MSR|WARNING: CPU'; }
must() { "$@" || { echo "failed: $*"; exit 1; }; }
must insmod lockprobe.ko function=$(address panic) rodata=$(address linux_banner) \
    ftrace=$(address ftrace_caller) idt=$(address idt_table)
all before
chmod 755 . ..
su -s /bin/sh nobody -c "$(command -v lockdown-ctl) lock" && { echo "locked by nobody"; exit 1; }
old=$(complaints)
must lockdown-ctl lock
lockdown-ctl lock && exit 1
for i in 1 2 3; do for on in 1 0; do must echo $on >/proc/sys/kernel/sched_schedstats; done; done
mkdir -p t; must mount -t tracefs t t
must echo 1 >t/events/sched/sched_switch/enable; sleep 1
must echo 0 >t/events/sched/sched_switch/enable
echo "trace $(grep -c sched_switch: t/trace)"
must echo function >t/current_tracer; must echo nop >t/current_tracer
echo 0 >/sys/devices/system/cpu/cpu1/online; must echo 1 >/sys/devices/system/cpu/cpu1/online
i=0; while [ $i -lt 50 ]; do (true); taskset 2 true; i=$((i+1)); done
echo "works $(nproc) $(($(complaints) - old))"
lockdown-ctl status; echo "@@"
all after
lockdown-ctl status
"""


def build(machines):
    """The hypervisor with lockdown, for a machine's --image."""
    folder = machines.scratch / "lockdown"
    folder.mkdir()
    for command in ([SOURCE / "configure", "--with-hypapp=lockdown", "MINGW64=no"],
                    ["make", f"-j{os.cpu_count() or 1}", "xmhf.elf", "tools/lockdown-ctl"]):
        base.run(command, "build the hypervisor with lockdown", cwd=folder)
    return folder


def module(machines):
    """The kernel module with the attempts, built for the bench's kernel."""
    folder = machines.scratch / "lockprobe"
    shutil.copytree(SOURCE / "tests" / "programs" / "lockprobe", folder)
    headers = debian.kernel_headers("amd64" if machines.args.bench == "svm" else "cloud-amd64")
    base.run(["make", "-s", "-C", headers, f"M={folder}", "CC=gcc", "modules"],
             "build lockprobe.ko")
    base.run(["strip", "--strip-debug", folder / "lockprobe.ko"], "strip lockprobe.ko")
    return folder / "lockprobe.ko"


def counters(status):
    """lockdown-ctl's numbers by the words behind them."""
    return {text: int(number) for number, text in re.findall(r"^ +(\d+)  (.*)$", status, re.M)}


def lockdown(machines, folder, cpus):
    script = SCRIPT % {"attempts": " ".join(ATTEMPTS)}
    run = machines.run(["sh", "-c", script], "--cpus", str(cpus), "--image", folder / "xmhf.elf",
                       adds=[folder / "tools" / "lockdown-ctl", module(machines)]).ended_well()
    text = run.text()
    for name in ATTEMPTS:
        check(f"before {name} done\n" in text, f"control: {name} fails before the lock:\n{text}")
        check(f"after {name} refused\n" in text, f"{name} was not refused:\n{text}")
    for line in ("before patch done", "after patch done"):
        check(f"{line}\n" in text, f"a legal patch failed: no \"{line}\":\n{text}")
    found = re.search(r"^locked: (\d+) sites can be patched, (\d+) were left out$", text, re.M)
    check(found and int(found.group(1)) > 10000, f"hardly any sites:\n{text}")
    check(f"works {cpus} 0\n" in text, f"the locked kernel complains:\n{text}")
    traced = int(re.search(r"^trace (\d+)$", text, re.M).group(1))
    check(traced > 0, f"no event was traced:\n{text}")
    work, end = (counters(part) for part in text.split("locked: ", 1)[1].split("@@\n"))
    patches = work["stores to sites let through"]
    check(patches > 100, f"only {patches} patches:\n{text}")
    for line, count in work.items():
        check(": " not in line or count == 0, f"the kernel's own work was refused: {line}")
    for name, kind in ATTEMPTS.items():
        least = sum(1 for other in ATTEMPTS.values() if other == kind)
        seen = sum(count for line, count in end.items() if line.startswith(kind))
        check(seen >= least, f"{name}: {kind} counts {seen}, not {least}:\n{text}")
    run.logged(r"^\[xmhf[^\]]*\] lockdown: refused: ")
    return (f"{len(ATTEMPTS)} attempts succeed before the lock, none after; on {cpus} CPUs the "
            f"locked kernel made {patches} stores of patches, has {found.group(1)} sites, "
            f"traced {traced} events")


def ends(machines, folder):
    """A triple fault, by which Linux resets some machines, still does."""
    run = machines.run(["sh", "-c", "lockdown-ctl lock && reboot -f; sleep 60"],
                       "--append", "reboot=triple", "--image", folder / "xmhf.elf",
                       adds=[folder / "tools" / "lockdown-ctl"])
    check(run.status == 125 and "stopped before" in run.complaint,
          f"a reset by triple fault: status {run.status}: {run.complaint}")
    run.logged(r"lockdown: locked$")


def test_lockdown(machines):
    """The hypapp lockdown: a kernel module tries to change the kernel before it and after."""
    folder = build(machines)
    if machines.args.bench == "svm":
        ends(machines, folder)
        return lockdown(machines, folder, 4)
    return lockdown(machines, folder, 2)


BASIC = (test_lockdown,)
