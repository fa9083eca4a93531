#!/usr/bin/env python3
"""Boot each tiny guest under the hypervisor, and bare as the control where it makes sense.

SPDX-License-Identifier: MIT
"""
import argparse
import collections
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base, bench, bochs, diskimage, inputs, qemu  # noqa: E402

EPILOG = """\
Results, one line for each test: "ok NAME: what was proved", "not ok NAME: reason" (the guest's
checks failed), "error NAME: reason" (the machine gave no verdict), "skip NAME: reason".
The tests are the lines of tests/guests/guests.cfg.
"""
FIELDS = ("name", "program", "cpus", "mem", "bench", "seconds", "end", "control", "when")
BENCHES = ("svm", "vmx")
# Each instruction is emulated one by one there, and the machine starts by a BIOS and GRUB.
SLOWER = {"svm": 1, "vmx": 4}
CONTROL_TRIES = 5
EXIT_MAX = 200000  # instructions; on vmx, whose ticks are instructions
Test = collections.namedtuple("Test", (*FIELDS, "arguments"))
# What one machine gave: verdict is PASS, FAIL, SKIP, RESET or ERROR.
Outcome = collections.namedtuple("Outcome", "verdict text log")

VERDICT = re.compile(r"GUEST (PASS|FAIL|SKIP) (.*)")
WIPED = re.compile(r"protected memory is wiped")
# A refusal's reason comes before its last line.
GIVE_UP = re.compile(r"\[xmhf[^\]]*\] (?:PANIC:.*|(?:cannot start:.*\n[^\0]*)?launch refused)")

PANIC = re.compile(r"\[xmhf[^\]]*\] PANIC:.*")


# The log takes 200 lines at once that a guest can cause, and one more in 2^28 ticks.
FROM_GUEST = re.compile(r"^\[xmhf[^\]]* guest\] ", re.M)
FROM_GUEST_MAX = 1000


def read_test(words):
    """A test by the words of its line."""
    values = dict(zip(FIELDS, words))
    for name in ("cpus", "mem", "seconds"):
        values[name] = int(values[name])
    return Test(arguments=" ".join(words[len(FIELDS):]), **values)


def read_config():
    """The tests of guests.cfg in its order, and why some are skipped: {(bench, name): reason}."""
    tests, skips = [], {}
    for number, line in enumerate((SOURCE / "tests/guests/guests.cfg").read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "skip":
            skips[words[1], words[2]] = " ".join(words[3:])
        elif len(words) < len(FIELDS):
            raise base.ToolError(f"guests.cfg:{number}: {len(words)} fields, not {len(FIELDS)}")
        else:
            tests.append(read_test(words))
    return tests, skips


def model(test):
    """The CPU model that the arguments ask for, or None."""
    found = re.search(r"(?:^| )model=(\S+)", test.arguments)
    return found.group(1) if found else None


def hypapp(test):
    """The hypapp of tests/hypapps that the arguments ask for; None: the one that is built in."""
    found = re.search(r"(?:^| )hypapp=(\S+)", test.arguments)
    return found.group(1) if found else None


def hypapp_build(name, args):
    """The folder where the hypervisor with that hypapp is built."""
    return args.build / f"hypapp-{name}" if name else args.build


def options(test, args):
    """The hypervisor's options: those that the test's arguments hold, and the user's."""
    found = re.findall(r"(?:^| )((?:palmem|testapp)=\S+)", test.arguments)
    return f"{' '.join(found)} {args.hv_append}".strip()


def write_module(folder):
    """A boot module for the hypapp."""
    path = folder / "module.bin"
    path.write_bytes(b"testmodul")
    return path


def command(test, args, folder, hypervisor):
    """The emulator's command line; all files by their names in the folder."""
    guest = args.build / "tests/guests" / f"{test.program}.bin"
    words = f"cpus={test.cpus} bench={args.bench} {test.arguments}".strip()
    return (command_vmx if args.bench == "vmx" else command_svm)(test, args, folder, hypervisor,
                                                                guest, words)


def icr_option(test):
    """Bochs keeps an INIT pending for ever once it has exited, so guests that send it need this
    option; without it INIT and SIPI exit where they arrive."""
    words = test.arguments.split()
    sends_init = test.cpus > 1 and "no-init" not in words
    return bochs.HYPERVISOR_OPTIONS if sends_init or "trap-icr" in words else ""


def command_vmx(test, args, folder, hypervisor, guest, words):
    files = [("guest.bin", guest)]
    commands = diskimage.linux("guest.bin", words)
    if hypervisor:
        files.append(("xmhf.elf", hypapp_build(hypapp(test), args) / "xmhf.elf"))
        words += f" longest={EXIT_MAX}"
        # Multiboot 2 would have a copy of the RSDP at 1 MiB, where the guest is linked to run.
        modules = ()
        if hypapp(test):
            files.append(("module.bin", write_module(folder)))
            modules = (("module.bin", "hypapp"),)
        commands = diskimage.hypervisor((("guest.bin", words), *modules),
                                        f"{icr_option(test)} measure {options(test, args)}", "1")
    diskimage.make(folder / bochs.DISK, files, commands)
    # Tiny guests survive any #GP, so the bare one takes them too.
    return bochs.start(folder, args.cpu_model or model(test), False, test.cpus, test.mem)


def command_svm(test, args, folder, hypervisor, guest, words):
    line = [base.need("qemu-system-x86_64", "qemu-system-x86"), "-accel", "tcg,thread=multi",
            "-cpu", qemu.cpu_option(args.cpu_model or model(test)), "-smp", str(test.cpus),
            "-m", str(test.mem), "-display", "none", "-nic", "none", "-no-reboot",
            "-monitor", "none", "-serial", "file:serial.log",
            "-machine", test.bench.partition(":")[2] or "pc"]
    (folder / "guest.bin").symlink_to(guest)
    if not hypervisor:
        return [*line, "-kernel", "guest.bin", "-append", words]
    (folder / "xmhf.elf").symlink_to(hypapp_build(hypapp(test), args) / "xmhf.elf")
    modules = f"guest.bin {words}".replace(",", ",,")
    if hypapp(test):
        modules += f",{write_module(folder).name} hypapp"
    return [*line, "-kernel", "xmhf.elf", "-append", options(test, args), "-initrd", modules]


def read_log(folder):
    path = folder / "serial.log"
    return path.read_bytes().decode(errors="replace").replace("\r", "") if path.exists() else ""


def judge(text, ended, itself):
    """The outcome that the log shows so far, or None. `itself`: the guest starts the hypervisor,
    and goes on after a refusal."""
    found = VERDICT.search(text)
    if found and text.find("\n", found.end()) >= 0:
        return Outcome(found.group(1), found.group(2), text)
    gave_up = (PANIC if itself else GIVE_UP).search(text)
    if gave_up and (ended or text.find("\n", gave_up.end()) >= 0):
        return Outcome("ERROR", gave_up.group(0).splitlines()[0], text)
    if ended:
        reset = re.search(r"GUEST NOTE RESET (.*)", text)
        if reset:
            return Outcome("RESET", reset.group(1), text)
        return Outcome("ERROR", "the machine ended or reset before the guest's verdict", text)
    return None


def has_ended(process, folder, test):
    """The machine has ended or was reset; Bochs starts it again then, QEMU is told not to. In Bochs
    a sleep is a reset too, by which it ends."""
    expected = 1 + ("sleep" in test.arguments.split())
    return process.poll() is not None or bochs.resets(folder) > expected


def boot(test, args, hypervisor):
    """Run one machine until its verdict, its end, or the time is over."""
    with tempfile.TemporaryDirectory(prefix="xmhf-guest-") as name:
        folder = pathlib.Path(name)
        process = bench.spawn(command(test, args, folder, hypervisor), folder)
        try:
            deadline = bench.Deadline(process, test.seconds * args.patience * SLOWER[args.bench])
            while True:
                ended = has_ended(process, folder, test)
                text = read_log(folder)
                outcome = judge(text, ended, test.control == "itself")
                if outcome is None and deadline.over():
                    outcome = Outcome("ERROR", f"no verdict within {test.seconds} seconds", text)
                if outcome:
                    break
                time.sleep(0.05)
        finally:
            bench.stop(process)
        messages = (bochs.messages if args.bench == "vmx" else bench.emulator_messages)(folder)
        if outcome.verdict == "ERROR" and messages:
            outcome = outcome._replace(text=f"{outcome.text}; emulator: {messages[-1]}")
        return outcome


def same_lines(log):
    return re.findall(r"GUEST SAME (.*)", log)


def compare(bare, guest):
    """None if the SAME lines are equal, else the first differences."""
    theirs, ours = same_lines(bare.log), same_lines(guest.log)
    missing = [line for line in theirs if line not in ours]
    new = [line for line in ours if line not in theirs]
    if missing or new:
        return (f"{len(missing)} lines only bare ({'; '.join(missing[:3])}), "
                f"{len(new)} only under the hypervisor ({'; '.join(new[:3])})")
    return None


def run_bare(test, args):
    """The control run: (outcome or None, what is wrong with it or None). The emulator alone
    now and then loses an INIT or SIPI on a busy host: it gets some tries, visibly."""
    if test.control in ("no", "itself"):
        return None, None
    for attempt in range(CONTROL_TRIES):
        bare = boot(test, args, hypervisor=False)
        if bare.verdict == ("RESET" if test.end == "reset" else "PASS"):
            return bare, None
        print(f"    control run {attempt + 1} of {test.name} (bare): {bare.verdict} {bare.text}")
    return bare, f"control (bare): {bare.verdict} {bare.text}"


def bad(outcome):
    """A test that didn't end well has failed, or its machine gave no verdict at all."""
    return "error" if outcome.verdict == "ERROR" else "not ok"


def run_test(test, args):
    """(kind, reason, log) of one test."""
    reason = args.skips.get((args.bench, test.name))
    if test.bench.partition(":")[0] not in ("any", args.bench):
        reason = f"for the bench {test.bench}"
    if reason:
        return "skip", reason, ""
    bare, problem = run_bare(test, args)
    if problem:
        return bad(bare), problem, bare.log
    guest = boot(test, args, hypervisor=test.control != "itself")
    if guest.verdict == "SKIP":
        return "skip", guest.text, guest.log
    if test.end == "reset":
        if guest.verdict != "RESET":
            return bad(guest), f"{guest.verdict}: {guest.text}", guest.log
        if not WIPED.search(guest.log):
            return "not ok", "the machine reset, but the hypervisor hadn't wiped", guest.log
        if hypapp(test) == "testapp" and "testapp: event 1" not in guest.log:
            return "not ok", "the hypapp didn't hear of the reset", guest.log
        return "ok", f"{guest.text}: wiped, then reset", guest.log
    if guest.verdict != "PASS":
        return bad(guest), guest.text, guest.log
    problem = compare(bare, guest) if test.control == "same" else None
    lines = len(FROM_GUEST.findall(guest.log))
    if lines > FROM_GUEST_MAX:
        problem = f"{lines} lines that the guest caused in the log, which has a limit"
    if problem:
        return "not ok", problem, guest.log
    return "ok", guest.text, guest.log


def report(test, args):
    """Run a test and print its line, with the end of the log if it went wrong."""
    start, cpu = time.monotonic(), base.cpu_seconds()
    kind, reason, log = run_test(test, args)
    print(f"{kind} {test.name}: {reason} ({time.monotonic() - start:.1f} s, "
          f"{base.cpu_seconds() - cpu:.1f} s of CPU)")
    if kind in ("not ok", "error") or args.verbose:
        for line in [line for line in log.splitlines() if line.strip()][-args.lines:]:
            print(f"    | {line}")
    sys.stdout.flush()
    return kind


def select(tests, args):
    known = {test.name: test for test in tests}
    chosen = []
    for name in args.names:
        some = ([t for t in tests if t.name == name]
                or [t for t in tests if t.program == name and t.when != "soak"])
        if not some:
            raise base.ToolError(f"no guest is called {name}; there are {', '.join(known)}")
        chosen += [t for t in some if t not in chosen]
    if args.names:
        return chosen
    return [t for t in tests if t.when == "ci" or (args.all and t.when == "long")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="only these tests, or all tests of a program")
    add("--list", action="store_true", help="list the tests and end")
    add("--all", action="store_true", help="also the tests that are too long for every change")
    add("--build", default=base.build_root(), metavar="DIR", type=pathlib.Path,
        help="build folder (default: $XMHF_BUILD, or in the cache)")
    add("--bench", choices=BENCHES, default="svm",
        help="svm: QEMU emulating an AMD machine (default); vmx: Bochs, emulating an Intel one")
    add("--cpu-model", metavar="M", help="CPU model of the emulator, or model,settings")
    add("--hv-append", default="", metavar="ARGS", help="the hypervisor's options")
    add("--patience", type=inputs.number(0.01, 1000, float), default=1, metavar="F",
        help="multiply all time limits by F")
    add("--verbose", action="store_true", help="show the end of each log")
    add("--lines", type=inputs.number(1, 1000000), default=25, metavar="N",
        help="how many lines of a log (default 25)")
    return parser.parse_args()


def interrupted(_number, _frame):
    raise KeyboardInterrupt


def build_guests(args):
    if not (args.build / "Makefile").exists():
        raise base.ToolError(f"nothing is built in {args.build}. Build "
                             f"it:\n  {inputs.how_to_build(args.build)}")
    signal.signal(signal.SIGTERM, interrupted)
    if subprocess.run(["make", "-s", "guests"], cwd=args.build, stdin=subprocess.DEVNULL,
                      stdout=sys.stderr, check=False).returncode:
        raise base.ToolError(f"cannot build the guests in {args.build}")


def build_hypapp(name, args):
    """Build the hypervisor with that hypapp, configured as the build folder otherwise is."""
    folder = hypapp_build(name, args)
    folder.mkdir(exist_ok=True)
    if not (folder / "Makefile").exists():
        asked = subprocess.run([args.build / "config.status", "--config"], check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        words = [w for w in shlex.split(asked) if not w.startswith("--with-hypapp")]
        configure = [SOURCE / "configure", "-q", *words,
                     f"--with-hypapp={SOURCE / 'tests/hypapps' / name}"]
        subprocess.run(configure, cwd=folder, check=True, stdout=sys.stderr)
    if subprocess.run(["make", "-s", "xmhf.elf"], cwd=folder, stdin=subprocess.DEVNULL,
                      stdout=sys.stderr, check=False).returncode:
        raise base.ToolError(f"cannot build the hypervisor with the hypapp {name} in {folder}")


def main():
    args = parse()
    tests, args.skips = read_config()
    if args.list:
        for test in tests:
            print(f"{test.name:14} {test.cpus} CPUs, {test.mem} MiB, {test.bench}, control "
                  f"{test.control}, {test.when}: {test.program} {test.arguments}".rstrip())
        return 0
    tests = select(tests, args)
    args.build = args.build.absolute()
    build_guests(args)
    bench.hypervisor_image(None, args.build)
    for name in sorted({hypapp(test) for test in tests} - {None}):
        build_hypapp(name, args)
    counts = collections.Counter(report(test, args) for test in tests)
    print(f"{counts['ok']} passed, {counts['not ok']} failed, {counts['skip']} skipped, "
          f"{counts['error']} errors")
    return 1 if counts["not ok"] or counts["error"] else 0


if __name__ == "__main__":
    base.main(main)
