"""Attacks on PALs and on their callers, by the programs of tests/programs.

SPDX-License-Identifier: MIT

Each program names the line of notes/threat-model.md that it defends. They print "ok N - what" lines
and end with "1..N".
"""
import re

from common import BUSY_HOST, PROGRAMS, SWAP_MODULES, check
from pals import counted

SCRIPT = PROGRAMS / "damage.sh"
LIMIT = 900  # seconds, several times what an idle host takes


def attack(machines, programs, *options, before="", after="", adds=()):
    """Run programs, with their arguments, one after the other in one guest; count the checks."""
    script = "".join(f"echo @@ {line.split()[0]}; {line}; echo @@ end $?; " for line in programs)
    names = {line.split()[0] for line in programs}
    built = [machines.pal_test(name) for name in sorted(names)]
    run = machines.run(["sh", "-c", f"{before}{script}{after}"], "--timeout", str(LIMIT),
                       "--one-core", *options,
                       adds=[SCRIPT, *adds, *built])
    run.ended_well()
    parts = re.findall(r"^@@ (\w+)\n(.*?)^@@ end (\d+)$", run.text(), re.M | re.S)
    check(len(parts) == len(programs), f"only {len(parts)} programs ran:\n{run.text()[-2000:]}")
    total = 0
    for name, output, status in parts:
        total += counted(output, name)
        check(status == "0", f"{name} ended with status {status}:\n{output[-2000:]}")
    return total, run.text()


# What some tests run, with nothing but the usual machine.
REGISTERS = ["pal_regs", "pal_regs32"]
TRACED = ["pal_traced", "pal_traced32"]
TURNS = ["pal_turns", "pal_handler", "pal_fork", "pal_sentence", "pal_ocall"]


def test_pal_registers(machines):
    """No register of PAL or caller is seen by the other: x87, SSE, AVX, selectors, flags."""
    made, _ = attack(machines, REGISTERS)
    return f"{made} checks of what is in registers at entry, interrupts, returns and deaths"


def damage(machines, programs, *options):
    """Amid swap, without zeroing at allocation; files on a disk and the kernel's log stay clean."""
    modules = [word for name in (*SWAP_MODULES, "crc32c_generic", "ext4")
               for word in ("--module", name)]
    made, text = attack(machines, programs, "--append", "init_on_alloc=0", *modules, *options,
                        before="sh damage.sh begin; ", after="sh damage.sh end")
    check("files are the same: 8" in text, f"files have changed:\n{text[-2000:]}")
    bad = [line for line in re.findall(r"^new warning: (.*)", text, re.M) if BUSY_HOST not in line]
    check(not bad, "the kernel complains:\n  " + "\n  ".join(bad))
    return f"{made} checks, 8 files are the same, nothing new in dmesg"


def test_pal_damage(machines):
    """An OS that moves, swaps, shares, takes away pages, kills owners; races with another CPU."""
    return damage(machines, ["pal_damage 1", "pal_race 2 /tmp/files/1"])


# Two memory nodes, with a CPU each.
NODES = [f"--qemu-arg={word}" for n, size in ((0, 320), (1, 192)) for word in
         ("-object", f"memory-backend-ram,id=n{n},size={size}M", "-numa",
          f"node,nodeid={n},cpus={n},memdev=n{n}")]


def moved(machines, rounds, program="pal_move", *options):
    """Migration needs two nodes, which Bochs doesn't have; what else moves pages is there too."""
    nodes = NODES if machines.args.bench == "svm" else ()
    # Frames that are given up become zeros at once: who still reads there notices.
    made, text = attack(machines, [f"{program} {rounds}"], "--append", "init_on_free=1", *nodes,
                        *options)
    pages = re.findall(r": (\d+) of \d+ pages have moved", text)
    ways = 2 if "--kernel" in options else 4 if nodes else 1  # 32-bit kernels know no nodes
    check(len(pages) >= ways, f"pages moved in {len(pages)} ways, not {ways}:\n{text}")
    return f"{made} checks while {sum(map(int, pages))} pages moved"


def test_pal_moved(machines):
    """The OS migrates, replaces and compacts all pages of PALs, CODE too."""
    return moved(machines, 2)


def test_pal_moved_long(machines):
    """The same for longer, and by a 32-bit program, on a 64-bit kernel and on a 32-bit one."""
    return "; ".join((moved(machines, 40), moved(machines, 10, "pal_move32"),
                      moved(machines, 10, "pal_move32", "--kernel", "686-pae")))


def test_pal_traced(machines):
    """A debugger stops a thread in its PAL, looks, changes the token, steps in and out."""
    both = TRACED if machines.args.bench == "svm" else ["pal_traced 10"]
    made, text = attack(machines, both)
    steps = re.findall(r"(\d+) steps through a call", text)
    return f"{made} checks, {' and '.join(steps)} steps through calls"


def test_pal_tables(machines):
    """PALs where each system call changes page tables (pti=on), with PCIDs if the CPU has them."""
    seen = "dmesg | grep -o 'page tables isolation: enabled'; grep -m1 -ow pcid /proc/cpuinfo; "
    programs = (["pal_spin 2", "pal_turns", "pal_traced 20", "pal_test 50", "pal_stress 5",
                 "pal_stress32 5"]
                if machines.args.bench == "svm"
                else ["pal_spin 1", "pal_traced 10", "pal_stress 3"])
    made, text = attack(machines, programs, "--append", "pti=on", before=seen)
    check("isolation: enabled" in text, f"the kernel has one page table:\n{text[:500]}")
    pcid = bool(re.search(r"^pcid$", text, re.M))
    check(pcid or machines.args.bench == "svm", "the CPU has no PCIDs")
    return f"{made} checks with page table isolation, {'with' if pcid else 'without'} PCIDs"


def test_pal_starve(machines):
    """Processes take all memory for PALs: new code of others runs; on Intel that needs some."""
    # A CPU without 1 GiB leaves needs a table for each GiB of devices.
    old = ["--cpu-model", "corei7_sandy_bridge_2600k"] if machines.args.bench == "vmx" else []
    made, text = attack(machines, ["pal_starve"], "--mem", "384", *old)
    return f"{made} checks; " + re.search(r"new code runs .*", text).group(0)


def test_pal_turns(machines):
    """Threads that wait for a PAL: timer, signals, others. Forks; deaths told; PALs that ask."""
    made, text = attack(machines, TURNS)
    waited = re.search(r"on another CPU: while it waited (.*)", text)
    return f"{made} checks; on another CPU: {waited.group(1)}"


def test_pal_turns_32(machines):
    """The same by 32-bit programs, on each kernel."""
    made = sum(attack(machines, ["pal_turns32", "pal_handler32", "pal_fork32", "pal_sentence32",
                                 "pal_ocall32"],
                      "--kernel", kernel)[0]
               for kernel in ("amd64", "686-pae", "686"))
    return f"{made} checks"


def unusual(text):
    """Kernel warnings in a dmesg -r without the reports of the OOM killer."""
    bad, report = [], False
    for line in text.splitlines():
        report = report or "invoked oom-killer" in line
        harmless = report or BUSY_HOST in line or re.search(
            "Out of memory: Killed process|oom_kill_process: .* suppressed", line)
        if re.match(r"<[0-4]>", line) and not harmless:
            bad.append(line)
        report = report and "Out of memory: Killed process" not in line
    return bad


def out_of_memory(machines, program, *options):
    lines = "dmesg -r | grep -c . >/tmp/lines; "
    made, text = attack(machines, [program], "--mem", "256", "--append", "log_buf_len=4M", *options,
                        before=lines,
                        after="echo @@ dmesg; dmesg -r | tail -n +$(($(cat /tmp/lines) + 1))")
    said = text.partition("@@ dmesg\n")[2]
    kills = said.count("Out of memory: Killed process")
    check(kills > 0, f"the OOM killer did nothing:\n{text[-2000:]}")
    bad = unusual(said)
    check(not bad, "the kernel complains:\n  " + "\n  ".join(bad[:20]))
    return f"{made} checks, {kills} owners killed by the OOM killer, nothing else new in dmesg"


def test_pal_oom(machines):
    """The guest has no memory left and kills owners: idle, running, interrupted, waited for."""
    return out_of_memory(machines, "pal_oom 1")


def test_pal_oom_long(machines):
    """The same many times, and with 32-bit programs on each kernel."""
    return "; ".join([out_of_memory(machines, "pal_oom 15"),
                      *(out_of_memory(machines, "pal_oom32 3", "--kernel", kernel)
                        for kernel in ("amd64", "686-pae", "686"))])


def test_pal_damage_32(machines):
    """The same with 32-bit programs, on a 64-bit kernel and on 32-bit ones."""
    programs = ["pal_damage32 3", "pal_race32 2 /tmp/files/1"]
    return "; ".join(damage(machines, programs, "--kernel", kernel)
                     for kernel in ("amd64", "686-pae", "686"))


def test_pal_damage_long(machines):
    """Many rounds of it."""
    return damage(machines, ["pal_damage 100", "pal_race 120 /tmp/files/1"])


def test_pal_fuzz_soak(machines):
    """10,000,000 random calls of PALs and of the hypervisor: about half an hour."""
    calls, at_once = 10_000_000, 1_000_000
    for seed in range(calls // at_once):
        print(f"    {seed * at_once:,} of {calls:,} calls so far", flush=True)
        run = machines.run(["pal_fuzz", str(at_once), str(seed + 100)], "--timeout", "7200",
                           adds=[machines.pal_test("pal_fuzz")]).ended_well()
        counted(run.text(), f"pal_fuzz with seed {seed + 100}")
    return f"{calls:,} random calls"


def test_pal_damage_soak(machines):
    """An hour of races and thousands of owners killed."""
    return damage(machines, ["pal_damage 500", "pal_race 1200 /tmp/files/1"], "--timeout", "7200")


def test_pal_registers_32(machines):
    """The same on a 32-bit kernel, with PAE and without."""
    made = sum(attack(machines, ["pal_regs32"], "--kernel", kernel)[0]
               for kernel in ("686-pae", "686"))
    return f"{made} checks"


def test_pal_registers_wide(machines):
    """The same with AVX-512, on Bochs' Skylake-X."""
    made, _ = attack(machines, ["pal_regs"], "--bench", "vmx", "--kernel", "cloud-amd64",
                     "--cpu-model",
                  "corei7_skylake_x")
    return f"{made} checks"


BASIC = (test_pal_registers, test_pal_damage, test_pal_moved, test_pal_starve, test_pal_traced,
         test_pal_turns)
MORE = (test_pal_tables, test_pal_registers_32, test_pal_registers_wide, test_pal_damage_32,
        test_pal_damage_long,
        test_pal_moved_long, test_pal_oom, test_pal_oom_long, test_pal_turns_32)
SOAK = (test_pal_fuzz_soak, test_pal_damage_soak)
