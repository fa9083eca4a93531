"""tools/probe in a guest, with and without the hypervisor, against what Linux sees there.

SPDX-License-Identifier: MIT
"""
import re
import subprocess

from common import Skipped, check

# One part of the output each, behind a line "=NAME".
SCRIPT = """
probe out.txt; echo "status $?"
echo =record; cat out.txt
echo =again; probe --check out.txt
echo =map; for i in /sys/firmware/memmap/*; do
  echo $(cat $i/start) $(cat $i/end) $(cat $i/type); done
echo =mtrr; cat /proc/mtrr
echo =cpu; grep -m1 "model name" /proc/cpuinfo; grep -m1 "cpu family" /proc/cpuinfo
echo =efer
dd if=/dev/cpu/0/msr bs=8 skip=$((0xc0000080 / 8)) count=1 2>/dev/null | hexdump -n 4 -e '"%x"'
echo
echo =acpi; ls /sys/firmware/acpi/tables
echo =dmesg; dmesg
"""


def probe_file(machines):
    program = machines.build / "tools" / "probe"
    if not program.exists():
        raise Skipped(f"there is no {program}")
    return program


def parts(text):
    """The script's output by name."""
    found = re.split(r"^=(\w+)\n", text, flags=re.M)
    return dict(zip(["verdict", *found[1::2]], found[0::2]))


def compare_map(said, record):
    types = {"System RAM": 1, "Reserved": 2, "ACPI Tables": 3, "ACPI Non-volatile Storage": 4}
    wanted = {(int(start, 16), int(end, 16), types[kind]) for start, end, kind in
              re.findall(r"^(0x\w+) (0x\w+) (.+)$", said["map"], re.M)}
    got = {(int(start, 16), int(end, 16), int(kind)) for start, end, kind in
           re.findall(r"^e820 (\w+) (\w+) (\d+)$", record, re.M)}
    check(wanted and wanted == got, f"memory map: {got}, not {wanted}")
    return len(got)


def compare_mtrrs(said, record):
    """/proc/mtrr has base and size, the record base and mask."""
    wanted = {(int(number), int(base, 16), kind) for number, base, kind in re.findall(
        r"^reg(\d+): base=0x(\w+) .*: ([\w-]+)$", said["mtrr"], re.M)}
    got = {(int(number), int(base, 16), kind) for number, base, kind in re.findall(
        r"^mtrr var (\d+) (\w+) \w+ ([\w-]+)$", record, re.M)}
    check(wanted and wanted == got, f"MTRRs: {got}, not {wanted}")
    return len(got)


def compare_acpi(said, record):
    wanted = {(name, int(at, 16), int(size, 16)) for name, at, size in
              re.findall(r"ACPI: (\w{4}) 0x(\w+) (\w{6})\b", said["dmesg"])}
    got = {(name, int(at, 16), int(size, 16)) for name, at, size in
           re.findall(r"^acpi (\w+) (\w+) (\w+)$", record, re.M)}
    check(wanted and wanted == got, f"ACPI: {got}, not {wanted}")
    for name in ("APIC", "FACP", "DSDT"):
        check(name in {item[0] for item in got} and name in said["acpi"], f"no {name}")
    return len(got)


def compare_cpu(said, record):
    model = re.search(r"model name\s*: (.*)", said["cpu"]).group(1).strip()
    family = re.search(r"cpu family\s*: (\d+)", said["cpu"]).group(1)
    check(f"# CPU: {model}," in record, f"not \"{model}\" in {record.splitlines()[0]}")
    check(f"family {family} " in record.splitlines()[0], f"family {family} is not in the record")
    efer = re.search(r"^msr c0000080 (\w+)$", record, re.M)
    check(efer and int(efer.group(1), 16) & 0xffffffff == int(said["efer"], 16),
          f"EFER: {efer and efer.group(0)}, not {said['efer']}")
    return len(re.findall(r"^cpuid ", record, re.M))


def run_probe(machines, hypervisor):
    run = machines.run(["sh", "-c", SCRIPT], "--module", "msr", hypervisor=hypervisor,
                       adds=[probe_file(machines)]).ended_well()
    return parts(run.text())


def test_probe(machines):
    """What probe records is what Linux sees, and its judgement is right."""
    good = "would run on " + ("AMD SVM" if machines.args.bench == "svm" else "Intel VMX")
    bare = run_probe(machines, False)
    record = bare["record"]
    check(bare["verdict"].split("\n")[:2] == [good, "status 0"], bare["verdict"])
    check(bare["again"].strip() == good, f"of its own record: {bare['again']}")
    (machines.scratch / "record.txt").write_text(record)
    done = subprocess.run([probe_file(machines), "--check", machines.scratch / "record.txt"],
                          stdout=subprocess.PIPE, check=False, text=True)
    check(done.stdout.strip() == good, f"on the host: {done.stdout}")
    counts = [compare(bare, record) for compare in (compare_cpu, compare_map, compare_mtrrs,
                                                    compare_acpi)]
    inside = run_probe(machines, True)
    check("would not run: missing" in inside["verdict"] and "inside of a hypervisor"
          in inside["verdict"] and "status 1" in inside["verdict"], inside["verdict"])
    return (f"{counts[0]} CPUID leaves, {counts[1]} map entries, {counts[2]} variable MTRRs and "
            f"{counts[3]} ACPI tables recorded as Linux sees them; it would run, "
            "but not inside of itself")


def test_probe_refusals(machines):
    """Without root or the msr module probe says what to do."""
    script = ("probe; echo status $?; rm -rf /dev/cpu; probe nothing; probe --check /etc/passwd; "
              "probe --check nothing; probe a b; echo status $?")
    run = machines.run(["sh", "-c", script], hypervisor=False, adds=[probe_file(machines)])
    text = run.ended_well().text()
    for wanted in ("run  modprobe msr", "status 3", "this is not a line of a machine's record",
                   "can't read nothing: No such file", "usage: probe"):
        check(wanted in text, f"no \"{wanted}\" in:\n{text}")
    return "no msr module, no such file, no record, wrong usage: each with a line that helps"


BASIC = (test_probe, test_probe_refusals)
MORE = ()
