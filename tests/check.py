#!/usr/bin/env python3
"""Build everything and run the tests, group by group; the last line counts the results.

SPDX-License-Identifier: MIT
"""
import argparse
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base  # noqa: E402

JOBS = f"-j{os.cpu_count() or 1}"
STEP_LIMIT = 900     # seconds for one build or one small step
RUNNER_LIMIT = 6 * 3600  # seconds for all tests of one runner; they limit each test themselves
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMPLAINT = re.compile(r"\berror: |undefined reference|\*\*\* |multiple definition")
RESULT = re.compile(r"(ok|not ok|skip|error) (.+)$")

GROUPS = {
    "build": "gcc and clang, -O0 and -O2, warnings as errors; same bits twice; headers alone",
    "unit": "host unit tests under ASan and UBSan, and short runs of the fuzzers",
    "model": "PALs' lives on two CPUs, every order of accesses, in a model (SPIN)",
    "guests": "tiny bare-metal guests under the hypervisor",
    "svm": "end to end on an emulated AMD machine: Linux, PALs, attacks",
    "vmx": "tiny guests and end to end on an emulated Intel machine (Bochs)",
    "models": "every CPU model of Bochs that has VMX, and one with SVM",
    "pal": "all of PALs: model, tiny guests, Linux on both machines (only if it is named)",
}
BY_NAME = ("pal",)  # these tests are in other groups too
PAL_GUESTS = ("pal-2", "fuzz", "inpal", "games", "legacy", "poison")


class Interrupted(Exception):
    """Ctrl-C or a request to end."""
    seen = False


def telling_lines(path):
    """Of a log: the errors, which parallel work may have buried, and the end."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    end = max(0, len(lines) - 20)
    errors = [line for line in lines[:end] if COMPLAINT.search(line)]
    told = errors[:8] + (["..."] if errors else []) + lines[end:]
    return [line[:240] for line in told]


class Child:
    """One command in a process group of its own, so that all of it can be ended.

    It is watched by polling: a blocking read could miss the signal that ends the session.
    """

    def __init__(self, argv, log, limit, cwd=None, env=None, stdout=None):
        self.deadline = time.monotonic() + limit
        try:
            self.process = subprocess.Popen(
                [str(part) for part in argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                stdout=stdout or log, stderr=log, start_new_session=True)
        except OSError as problem:
            raise base.ToolError(f"cannot run {argv[0]}: {problem.strerror}") from problem

    def late(self):
        return time.monotonic() > self.deadline

    def lines(self):
        """What it prints, line by line, until it closes its output or is late."""
        pipe, rest = self.process.stdout.fileno(), b""
        while not self.late():
            if not select.select([pipe], [], [], 0.5)[0]:
                continue
            data = os.read(pipe, 65536)
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode(errors="replace").rstrip() for line in whole)
            if not data:
                break
        if rest:
            yield rest.decode(errors="replace")

    def outcome(self):
        """None if all went well, else what went wrong."""
        while self.process.poll() is None and not self.late():
            time.sleep(0.05)
        status = self.process.poll()
        if status is None:
            return "took too long and was stopped"
        if status < 0:
            return f"died of signal {-status}"
        return f"ended with status {status}" if status else None

    def end(self):
        """Ask the group to end, then make it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()  # also what the command may have left behind
        if self.process.stdout:
            self.process.stdout.close()


class Session:
    """Counts, progress lines and logs of one run."""

    def __init__(self, work, total):
        self.work = work
        self.total = total
        self.at = 0
        self.group = None
        self.counts = {}   # group -> {"ok": n, "not ok": n, "skip": n}
        self.seconds = {}  # group -> seconds
        self.failures = []
        self.children = []  # of runners

    def count(self, kind, name, reason=None):
        self.counts[self.group][kind] += 1
        if kind == "not ok":
            self.failures.append(f"{name}: {reason}" if reason else name)

    def sum(self, kind):
        return sum(counts[kind] for counts in self.counts.values())

    def begin(self, text, end):
        self.at += 1
        print(f"[{self.at}/{self.total}] {text}", end=end, flush=True)

    def step(self, name, commands, cwd, env=None, check=None):
        """Commands that together are one result; True if it is a good one."""
        self.begin(f"{name} ... ", end="")
        start = time.monotonic()
        log_path = self.work / (re.sub(r"[^\w.-]+", "-", name) + ".log")
        cwd.mkdir(parents=True, exist_ok=True)
        problem = self.run_all(commands, log_path, cwd, env)
        if problem is None and check:
            problem = check()
        seconds = round(time.monotonic() - start)
        print(f"{'ok' if problem is None else 'FAILED'} {seconds}s", flush=True)
        if problem is None:
            self.count("ok", name)
            return True
        for line in telling_lines(log_path):
            print(f"    | {line}")
        print(f"    {problem}", flush=True)
        self.count("not ok", name, problem)
        return False

    @staticmethod
    def run_all(commands, log_path, cwd, env):
        with open(log_path, "w", encoding="utf-8") as log:
            for argv in commands:
                print("+", *argv, file=log, flush=True)
                with Child(argv, log, STEP_LIMIT, cwd, env) as child:
                    problem = child.outcome()
                if problem:
                    return f"{pathlib.Path(str(argv[0])).name} {problem}"
        return None

    def runner(self, name, argv, env, label=""):
        """A program that prints one result a line: ok NAME, not ok, error or skip NAME: WHY.
        Its lines begin with the label."""
        self.begin(name, end="\n")
        log_path = self.work / (re.sub(r"[^\w.-]+", "-", name) + ".log")
        seen = {"ok": 0, "not ok": 0, "skip": 0}
        with open(log_path, "w", encoding="utf-8") as log, \
                Child(argv, log, RUNNER_LIMIT, SOURCE, env, subprocess.PIPE) as child:
            self.children.append(child)
            for line in child.lines():
                print(f"    {label}{line}\n", end="", flush=True)
                found = RESULT.match(line)
                if found:
                    kind = found.group(1).replace("error", "not ok")  # counts as a failure here
                    seen[kind] += 1
                    self.count(kind, label + found.group(2))
            problem = child.outcome()
            self.children.remove(child)
        if problem and not seen["not ok"]:
            self.runner_failed(name, problem, log_path)
        elif not any(seen.values()):
            self.runner_failed(name, "gave no results", log_path)

    def runners(self, rows, env):
        """Rows of runners, {label: [(name, argv)]}: those of a row one after the other, the rows at
        the same time if there is more than one CPU."""
        def run(label):
            for name, argv in rows[label]:
                try:
                    if not Interrupted.seen:
                        self.runner(name, argv, env, f"{label}: ")
                except base.ToolError as problem:
                    self.count("not ok", name, str(problem))
        threads = [threading.Thread(target=run, args=(label,)) for label in rows]
        try:
            for thread in threads:
                thread.start()
                while thread.is_alive() and os.cpu_count() == 1:
                    thread.join(0.5)
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)
        finally:
            for child in list(self.children):
                child.end()
            for thread in threads:
                thread.join()

    def runner_failed(self, name, problem, log_path):
        for line in telling_lines(log_path):
            print(f"    | {line}")
        print(f"    not ok {name}: {problem}", flush=True)
        self.count("not ok", name, problem)


class Builds:
    """Build folders, each made at most once in a run."""

    def __init__(self, session, root, main):
        self.session = session
        self.root = root
        self.main = main
        self.made = {}

    def folder(self, name):
        return self.main if name == "gcc -O2" else self.root / name.replace(" ", "")

    def configure(self, name, source=SOURCE, options=()):
        """The commands that make a Makefile; `name` starts with the compiler and -On."""
        compiler, level = name.split()[:2]
        if name != "gcc -O2":
            options = (*options, "MINGW64=no")  # no part of what differs here
        commands = [[source / "configure", f"CC={compiler}", f"CFLAGS=-g {level}", *options]]
        if not (source / "configure").exists():
            commands.insert(0, [source / "bootstrap"])
        return commands

    def make(self, name, source=SOURCE, options=(), check=None):
        """Configure and build everything. True if it worked."""
        if name not in self.made:
            commands = [*self.configure(name, source, options), ["make", JOBS]]
            self.made[name] = self.session.step(f"build {name}", commands, self.folder(name),
                                                check=check)
        return self.made[name]

    def make_tests(self, what, target, name="gcc -O2"):
        """Build one target in a folder that may have no hypervisor yet. A test that can't be
        built is a failure of its own (-k) and does not keep the others from running."""
        folder, commands = self.folder(name), [["make", "-k", JOBS, target]]
        if not (folder / "Makefile").exists():
            commands = self.configure(name) + commands
        self.session.step(what, commands, folder)

    def not_sources(self, folder, names):
        """What a copy of the sources leaves out."""
        build_folders = (self.root, self.main)
        return [name for name in names if name in (".git", "autom4te.cache", "__pycache__")
                or pathlib.Path(folder, name) in build_folders]

    def same_bits(self):
        """Build a copy of the sources elsewhere and compare; a path must not matter."""
        copy = self.root / "another" / "folder" / "sources"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(SOURCE, copy, symlinks=True, ignore=self.not_sources)

        def differ():
            ours, theirs = self.folder("gcc -O2"), self.folder("gcc -O2 again")
            for name in ("xmhf.elf", "xmhf-core.elf"):
                if (ours / name).read_bytes() != (theirs / name).read_bytes():
                    return f"two builds of {name} from different folders differ"
            return None
        self.make("gcc -O2 again", source=copy, check=differ)


def group_build(session, builds, _extra):
    session.step("documents name what exists", [["tools/doc-check"]], SOURCE)
    for compiler in ("gcc", "clang"):
        for level in ("-O0", "-O2"):
            builds.make(f"{compiler} {level}")
    builds.make("gcc -O2 helloworld", options=["--with-hypapp=helloworld"])
    if builds.make("gcc -O2"):
        builds.same_bits()
        session.step("headers compile alone", [["make", "header-check"]], builds.folder("gcc -O2"))


def group_unit(session, builds, extra):
    env = environment(builds)
    builds.make_tests("build unit tests", "unit-tests")
    session.runner("unit tests", ["tests/unit/run.py", "--build", builds.main], env)
    builds.make_tests("build fuzzers", "fuzz")
    session.runner("fuzzers", ["tests/fuzz/run.py", "--build", builds.main, *extra], env)
    if extra:
        builds.make_tests("build unit tests with clang", "unit-tests", "clang -O2")
        session.runner("unit tests, clang",
                       ["tests/unit/run.py", "--build", builds.folder("clang -O2")], env)


def group_model(session, builds, extra):
    session.runner("model", ["tests/model/run.py", *extra], environment(builds))


def machine_group(name, program, *arguments):
    """A group whose tests boot the hypervisor, by a program of its own."""
    def group(session, builds, extra):
        if builds.make("gcc -O2"):
            session.runner(name, [program, *arguments, *extra], environment(builds))
    return group


def group_vmx(session, builds, extra):
    if builds.make("gcc -O2"):
        env = environment(builds)
        session.runner("vmx guests", ["tests/guests/run.py", "--bench", "vmx", *extra], env)
        session.runner("vmx", ["tests/e2e/run.py", "vmx", *extra], env)


def group_pal(session, builds, extra):
    """The tests of PALs, wherever they are, on both machines."""
    env = environment(builds)
    session.runner("model", ["tests/model/run.py", *extra], env)
    if not builds.make("gcc -O2"):
        return
    guests = [*PAL_GUESTS, *(["fuzz-long"] if extra else [])]
    session.runners({bench: [
        (f"pal {bench} guests", ["tests/guests/run.py", "--bench", bench, *guests]),
        (f"pal {bench}", ["tests/e2e/run.py", bench, "--pal", *extra])] for bench in ("svm", "vmx")}, env)


RUN = {
    "build": group_build,
    "unit": group_unit,
    "model": group_model,
    "guests": machine_group("guests", "tests/guests/run.py"),
    "svm": machine_group("svm", "tests/e2e/run.py", "svm"),
    "vmx": group_vmx,
    "models": machine_group("models", "tests/guests/models.py"),
    "pal": group_pal,
}


def environment(builds):
    """For test programs: the build folder, where the tools look for it."""
    return {**os.environ, "XMHF_BUILD": str(builds.main)}


def steps_of(groups, everything):
    """How many progress lines there will be."""
    own = {"build": 7, "unit": 6 if everything else 4, "model": 1, "guests": 1, "svm": 1,
           "vmx": 2, "models": 1, "pal": 5}
    shared = 0 if set(groups) <= {"unit", "model"} else 1  # the build gcc -O2
    return shared + sum(own[name] for name in groups)


def parse():
    parser = argparse.ArgumentParser(
        prog="check.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Install what is missing (as root), build outside the tree, run the tests.",
        epilog="groups:\n" + "\n".join(f"  {name:8}{text}" for name, text in GROUPS.items()))
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="default: every group but pal")
    parser.add_argument("--list", action="store_true", help="list the groups and end")
    parser.add_argument("--all", action="store_true",
                        help="also the tests that are too long for every change")
    parser.add_argument("--build", metavar="DIR", help="build in DIR and leave it there "
                        "(default: a new folder, removed when all is well)")
    args = parser.parse_args()
    for name in args.groups:
        if name not in GROUPS:
            parser.error(f"no group {name}: the groups are {', '.join(GROUPS)}")
    wanted = args.groups or [name for name in GROUPS if name not in BY_NAME]
    args.groups = [name for name in GROUPS if name in wanted]
    return args


def run_groups(args, session, builds):
    extra = ["--all"] if args.all else []
    for name in args.groups:
        session.group = name
        session.counts[name] = {"ok": 0, "not ok": 0, "skip": 0}
        start = time.monotonic()
        try:
            RUN[name](session, builds, extra)
        finally:
            session.seconds[name] = round(time.monotonic() - start)


def report(session):
    """What failed, the time of each group, and the last line. The exit status."""
    print()
    for failure in session.failures:
        print(f"not ok {failure}")
    if session.failures:
        print(f"builds and logs are in {session.work}")
    for name, counts in session.counts.items():
        print(f"{name:8}{session.seconds[name]:5} s  {counts['ok']} passed, "
              f"{counts['not ok']} failed, {counts['skip']} skipped")
    passed, failed, skipped = (session.sum(kind) for kind in ("ok", "not ok", "skip"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 0 if passed and not failed else 1


def build_parent():
    """Where new build folders go; never in the source tree."""
    root = os.environ.get("XMHF_BUILD_ROOT")
    path = pathlib.Path(root).absolute() if root else base.cache_root()
    path.mkdir(parents=True, exist_ok=True)
    return path


def on_signal(number, _frame):
    if not Interrupted.seen:  # once is enough; cleaning up is not to be interrupted
        Interrupted.seen = True
        raise Interrupted(number)


def run(args, root):
    """Everything, in build folders under `root`. The exit status."""
    session = Session(root, steps_of(args.groups, args.all))
    main_build = pathlib.Path(args.build).absolute() if args.build else root / "main"
    try:
        run_groups(args, session, Builds(session, root, main_build))
    except Interrupted as reason:
        base.say(f"\ncheck.sh: interrupted after {session.sum('ok')} passed, "
                 f"{session.sum('not ok')} failed")
        return 128 + reason.args[0]
    return report(session)


def main():
    args = parse()
    if args.list:
        for name, text in GROUPS.items():
            print(f"{name:8}{text}")
        return 0
    for number in SIGNALS:
        signal.signal(number, on_signal)
    root = pathlib.Path(tempfile.mkdtemp(prefix="check-", dir=build_parent()))
    status = run(args, root)
    if status != 1:  # a failure's logs are still wanted
        shutil.rmtree(root, ignore_errors=True)
    return status


base.main(main)
