"""What tests/check.py runs its groups with: watched commands, jobs side by side, counts, builds.

SPDX-License-Identifier: MIT
"""
import collections
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

SOURCE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base  # noqa: E402

CPUS = os.cpu_count() or 1
JOBS = f"-j{CPUS}"
STEP_LIMIT = 1800    # seconds for one build or one small step, beside others on the same cores
RUNNER_LIMIT = 6 * 3600  # seconds for all tests of one runner; they limit each test themselves
COMPLAINT = re.compile(r"\berror: |undefined reference|\*\*\* |multiple definition")
RESULT = re.compile(r"(ok|not ok|skip|error) (.+)$")
KINDS = ("ok", "not ok", "skip")

# One after the other in a row; rows run side by side. `work` is called with a Row.
Job = collections.namedtuple("Job", "group work")


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
        self.cpu = 0.0  # seconds, once it has ended, with those of its own children
        try:
            self.process = subprocess.Popen(
                [str(part) for part in argv], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                stdout=stdout or log, stderr=log, start_new_session=True)
        except OSError as problem:
            raise base.ToolError(f"cannot run {argv[0]}: {problem.strerror}") from problem

    def late(self):
        return time.monotonic() > self.deadline

    def poll(self):
        """The exit status, or None as long as it runs."""
        if self.process.returncode is None:
            pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu = used.ru_utime + used.ru_stime
        return self.process.returncode

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
        while self.poll() is None and not self.late():
            time.sleep(0.05)
        status = self.poll()
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
            except ProcessLookupError:
                return
            end = time.monotonic() + 10
            while self.poll() is None and time.monotonic() < end:
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end()  # also what the command may have left behind
        if self.process.stdout:
            self.process.stdout.close()


class Session:
    """One run: counts, progress lines, logs, and all commands that run just now."""

    def __init__(self, work, total):
        self.work, self.total, self.at = work, total, 0
        self.counts = {}   # group -> {"ok": n, "not ok": n, "skip": n}
        self.seconds = collections.Counter()  # group -> seconds that its jobs took
        self.cpu = collections.Counter()      # group -> seconds of CPU that they used
        self.failures = []
        self.children = []
        self.stopped = False
        self.lock = threading.RLock()

    def sum(self, kind):
        return sum(counts[kind] for counts in self.counts.values())

    def count(self, group, kind, name, reason=None):
        with self.lock:
            self.counts[group][kind] += 1
            if kind == "not ok":
                self.failures.append(f"{group}: {name}" + (f": {reason}" if reason else ""))

    def say(self, *lines):
        """Lines that belong together."""
        with self.lock:
            print("\n".join(lines), flush=True)

    def number(self):
        with self.lock:
            self.at += 1
            return f"[{self.at}/{self.total}]"

    def run_job(self, job):
        start, row = time.monotonic(), Row(self, job.group)
        try:
            job.work(row)
        except base.ToolError as problem:
            if not self.stopped:
                self.say(f"    {job.group}: not ok: {problem}")
                self.count(job.group, "not ok", str(problem))
        except OSError as problem:
            self.say(f"    {job.group}: not ok: {base.problem_of(problem)}")
            self.count(job.group, "not ok", base.problem_of(problem))
        except Exception:  # of ours: one group's bug doesn't hide the others' results
            if not self.stopped:
                self.say(traceback.format_exc())
                self.count(job.group, "not ok", "tests/check.py itself failed")
        with self.lock:
            self.seconds[job.group] += time.monotonic() - start

    def run(self, jobs, rows):
        """All jobs, the first ones first, so many at the same time. Ends all of it if the caller's
        thread is interrupted."""
        left = collections.deque(jobs)

        def row():
            while left and not self.stopped:
                try:
                    job = left.popleft()
                except IndexError:
                    return
                self.run_job(job)
        for job in jobs:
            self.counts.setdefault(job.group, dict.fromkeys(KINDS, 0))
        threads = [threading.Thread(target=row) for _ in range(rows)]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
        except BaseException:
            self.stopped = True
            for child in list(self.children):
                child.end()
            raise
        finally:
            for thread in threads:
                thread.join()


class Row:
    """A job's view of the session."""

    def __init__(self, session, group):
        self.session, self.group = session, group

    def child(self, *arguments):
        """A command that the session knows as long as it runs."""
        if self.session.stopped:
            raise base.ToolError("interrupted")
        child = Child(*arguments)
        self.session.children.append(child)
        return child

    def done(self, child):
        with self.session.lock:
            self.session.children.remove(child)
            self.session.cpu[self.group] += child.cpu

    def count(self, kind, name, reason=None):
        self.session.count(self.group, kind, name, reason)

    def log(self, name):
        return self.session.work / (re.sub(r"[^\w.-]+", "-", f"{self.group} {name}") + ".log")

    def step(self, name, commands, cwd, env=None, check=None):
        """Commands that together are one result; True if it is a good one."""
        start, log_path = time.monotonic(), self.log(name)
        cwd.mkdir(parents=True, exist_ok=True)
        problem = self.run_all(commands, log_path, cwd, env)
        if self.session.stopped:
            return False
        if problem is None and check:
            problem = check()
        elif problem and any(words in log_path.read_text(errors="replace") for words in base.FULL):
            problem = f"{problem}: {base.disk_full()}"
        line = (f"{self.session.number()} {self.group}: {name} ... "
                f"{'ok' if problem is None else 'FAILED'} {time.monotonic() - start:.0f}s")
        if problem is None:
            self.session.say(line)
            self.count("ok", name)
            return True
        self.session.say(line, *(f"    | {line}" for line in telling_lines(log_path)),
                         f"    {problem}")
        self.count("not ok", name, problem)
        return False

    def run_all(self, commands, log_path, cwd, env):
        with open(log_path, "w", encoding="utf-8") as log:
            for argv in commands:
                print("+", *argv, file=log, flush=True)
                with self.child(argv, log, STEP_LIMIT, cwd, env) as child:
                    problem = child.outcome()
                self.done(child)
                if problem:
                    return f"{pathlib.Path(str(argv[0])).name} {problem}"
        return None

    def runner(self, name, argv, env):
        """A program that prints one result a line: ok NAME, not ok, error or skip NAME: WHY."""
        self.session.say(f"{self.session.number()} {name}")
        log_path, seen = self.log(name), dict.fromkeys(KINDS, 0)
        with open(log_path, "w", encoding="utf-8") as log, \
                self.child(argv, log, RUNNER_LIMIT, SOURCE, env, subprocess.PIPE) as child:
            for line in child.lines():
                self.session.say(f"    {self.group}: {line}")
                found = RESULT.match(line)
                if found:
                    kind = found.group(1).replace("error", "not ok")  # counts as a failure here
                    seen[kind] += 1
                    self.count(kind, found.group(2))
            problem = child.outcome()
        self.done(child)
        if self.session.stopped:
            return
        if problem and not seen["not ok"]:
            self.runner_failed(name, problem, log_path)
        elif not any(seen.values()):
            self.runner_failed(name, "gave no results", log_path)

    def runner_failed(self, name, problem, log_path):
        self.session.say(*(f"    | {line}" for line in telling_lines(log_path)),
                         f"    {self.group}: not ok {name}: {problem}")
        self.count("not ok", name, problem)


class Builds:
    """Build folders, each made at most once in a run, one after the other: make uses all CPUs."""

    def __init__(self, root, main):
        self.root, self.main = root, main
        self.made = {}
        self.lock = threading.RLock()

    def folder(self, name):
        return self.main if name == "gcc -O2" else self.root / name

    def configure(self, name, source=SOURCE, options=()):
        """The commands that make a Makefile; `name` starts with the compiler and -On."""
        compiler, level = name.split()[:2]
        if name != "gcc -O2":
            options = (*options, "MINGW64=no")  # no part of what differs here
        commands = [[source / "configure", f"CC={compiler}", f"CFLAGS=-g {level}", *options]]
        if not (source / "configure").exists():
            commands.insert(0, [source / "bootstrap"])
        return commands

    def make(self, row, name, source=SOURCE, options=(), targets=(), check=None):
        """Configure and build everything, or these targets. True if it worked."""
        with self.lock:
            if name not in self.made:
                commands = [*self.configure(name, source, options), ["make", JOBS, *targets]]
                self.made[name] = row.step(f"build {name}", commands, self.folder(name),
                                           check=check)
            return self.made[name]

    def make_tests(self, row, what, targets, name="gcc -O2"):
        """Build targets in a folder that may have no hypervisor yet. A test that can't be
        built is a failure of its own (-k) and does not keep the others from running."""
        with self.lock:
            folder, commands = self.folder(name), [["make", "-k", JOBS, *targets]]
            if not (folder / "Makefile").exists():
                commands = self.configure(name) + commands
            row.step(what, commands, folder)

    def not_sources(self, folder, names):
        """What a copy of the sources leaves out."""
        build_folders = (self.root, self.main)
        return [name for name in names if name in (".git", "autom4te.cache", "__pycache__")
                or pathlib.Path(folder, name) in build_folders]

    def same_bits(self, row):
        """Build a copy of the sources elsewhere and compare; a path must not matter, nor blanks in
        those of the sources, of the build folder and of BearSSL."""
        copy = self.root / "another folder" / "it's the sources"
        copy.parent.mkdir(parents=True, exist_ok=True)
        bearssl = copy.parent / "bear ssl"
        bearssl.symlink_to(base.cache_root() / "bearssl")
        shutil.copytree(SOURCE, copy, symlinks=True, ignore=self.not_sources)
        images = ("xmhf.elf", "xmhf-core.elf", "xmhf.efi")

        def differ():
            ours, theirs = self.folder("gcc -O2"), self.folder("gcc -O2 again")
            for name in images:
                if (ours / name).read_bytes() != (theirs / name).read_bytes():
                    return f"two builds of {name} from different folders differ"
            return None
        self.make(row, "gcc -O2 again", source=copy, targets=images, check=differ,
                  options=[f"--with-bearssl={bearssl}"])
