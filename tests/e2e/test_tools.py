#!/usr/bin/env python3
"""Host tests of the pure parts of tools/lib/xmhftools, with nothing booted.

SPDX-License-Identifier: MIT
"""
import contextlib
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
import unittest.mock

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.path.insert(0, str(SOURCE / "tests" / "guests"))
sys.path.insert(0, str(SOURCE / "tests"))
import choose  # noqa: E402
import harness  # noqa: E402
import run as guests_run  # noqa: E402
from xmhftools import (aptsources, base, bench, binaries, cpio, debian,  # noqa: E402
                       grubimage, inputs, kvm, programs, qemu, rootimage, wine)


class Splitter(unittest.TestCase):
    def split(self, chunks):
        out = []
        splitter = bench.OutputSplitter("mark", out.append)
        for chunk in (b"\0mark start\n", *chunks):
            splitter.feed(chunk)
        return b"".join(out), splitter

    def test_every_way_to_cut_in_two(self):
        whole = b"a\0mar\0mark\0b\n\0mark 12\n"
        for at in range(len(whole)):
            data, splitter = self.split([whole[:at], whole[at:]])
            self.assertEqual((data, splitter.status), (b"a\0mar\0mark\0b\n", 12))

    def test_what_firmware_said_is_dropped(self):
        whole = b"BIOS \0mark 7\n\0mark\0mark start\nout\0mark 3\n"
        for at in range(len(whole)):
            out = []
            splitter = bench.OutputSplitter("mark", out.append)
            splitter.feed(whole[:at])
            splitter.feed(whole[at:])
            self.assertEqual((b"".join(out), splitter.status), (b"out", 3))
        splitter = bench.OutputSplitter("mark", self.fail)
        splitter.feed(b"firmware alone")

    def test_output_is_not_held_back(self):
        data, splitter = self.split([b"line\n"])
        self.assertEqual((data, splitter.status), (b"line\n", None))

    def test_no_record(self):
        data, splitter = self.split([b"x\0mark 1"])
        self.assertEqual((data, splitter.status), (b"", None))
        splitter.flush()

    def test_a_broken_status_is_a_failure(self):
        _, splitter = self.split([b"\0mark x\n"])
        self.assertEqual(splitter.status, bench.MACHINE_FAILED)


class Watcher(unittest.TestCase):
    def watch(self, text):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            shown = []
            watcher = bench.LogWatcher(log, shown.append)
            watcher.poll()  # there is no log yet
            for at in range(0, len(text), 7):
                with open(log, "ab") as handle:
                    handle.write(text[at:at + 7])
                watcher.poll()
            return shown, watcher.panic

    def test_hypervisor_lines(self):
        shown, panic = self.watch(b"Linux\r\n[xmhf] up on 2 CPUs, SVM\r\nno panic here\r\n")
        self.assertEqual((shown, panic), (["[xmhf] up on 2 CPUs, SVM"], None))

    def test_giving_up(self):
        for line in ("[xmhf] PANIC: no", "[xmhf cpu1 guest] PANIC: no", "[xmhf] launch refused",
                     "[xmhf] cannot start: x", "Kernel panic - not syncing: y"):
            self.assertEqual(self.watch(f"a\n[ 1.0] {line}\r\nb\n".encode())[1], line)


class TinyGuestsVerdict(unittest.TestCase):
    def test_every_beginning_of_a_log(self):
        for itself, log, last, text in (
                (False, "[xmhf] cannot start: no\n[xmhf] launch refused\nx", "refused\n",
                 "[xmhf] cannot start: no"),
                (False, "a\n[xmhf cpu1 guest] PANIC: no\nmore", "no\n",
                 "[xmhf cpu1 guest] PANIC: no"),
                (True, "a\n[xmhf cpu1 guest] PANIC: no\nmore", "no\n",
                 "[xmhf cpu1 guest] PANIC: no"),
                (True, "[xmhf] cannot start: no\nGUEST PASS yes\nmore", "yes\n", "yes"),
                (False, "a\nGUEST PASS yes\nmore", "yes\n", "yes")):
            for end in range(len(log) + 1):
                outcome = guests_run.judge(log[:end], False, itself)
                if end < log.index(last) + len(last):
                    self.assertIsNone(outcome, log[:end])
                else:
                    self.assertEqual(outcome.text, text)


class Deadlines(unittest.TestCase):
    """A time limit of an emulator, whose cores others want too."""

    def setUp(self):
        self.core = sorted(os.sched_getaffinity(0))[0]
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def start(self, *argv):
        process = subprocess.Popen(["taskset", "-c", str(self.core), *argv])
        self.processes.append(process)
        return process

    def busy(self):
        return self.start("sh", "-c", "while :; do :; done")

    def test_waiting_for_a_core_does_not_count(self):
        emulator = self.busy()
        for _ in range(4):
            self.busy()
        deadline = bench.Deadline(emulator, 100)
        time.sleep(3)
        # One of five or more on this core: it had 0.6 s.
        self.assertLess(deadline.had(), 1.8)
        self.assertGreater(deadline.left(), 98)

    def test_sleeping_counts(self):
        deadline = bench.Deadline(self.start("sleep", "60"), 0.5)
        self.assertFalse(deadline.over())
        time.sleep(1)
        self.assertTrue(deadline.over())

    def test_one_that_has_ended(self):
        process = self.start("true")
        process.wait()
        self.assertGreaterEqual(bench.Deadline(process, 5).left(), 4)


class Choosing(unittest.TestCase):
    """Which tests a change needs (check.sh --changed)."""

    def needed(self, *paths):
        return choose.groups_for(paths)[0]

    def test_groups(self):
        self.assertEqual(self.needed(), set())
        self.assertEqual(self.needed("notes/smp.md", "README.md"), {"build"})
        self.assertEqual(self.needed("tests/unit/test_walk.c"), {"build", "unit"})
        self.assertEqual(self.needed("xmhf-core/virt/svm/svm.c", "notes/smp.md"),
                         {"build", "unit", "guests", "svm", "boot"})
        self.assertEqual(self.needed("tests/e2e/grub_efi.py"), {"boot"})
        self.assertEqual(self.needed("tests/model/pal.pml", "tests/programs/pal_race.c"),
                         {"model", "svm", "vmx"})

    def test_what_no_row_knows_needs_everything(self):
        for path in ("configure.ac", "tests/check.py", "new/file.c", "check.sh", "m4/x.m4"):
            self.assertIs(self.needed("README.md", path), choose.EVERYTHING)

    def test_rows_name_groups(self):
        groups = {"build", *choose.SMOKE}
        for _, row in choose.ROWS:
            self.assertLessEqual(row, groups)

    def test_rows_and_the_tree_agree(self):
        """Each row is the first for some file; only what concerns every test needs everything."""
        paths = choose.git(SOURCE, "ls-files")
        if not paths:
            self.skipTest("this is no git clone")
        first = {path: next((p for p, _ in choose.ROWS if re.match(p, path)), None)
                 for path in paths}
        self.assertEqual({pattern for pattern, _ in choose.ROWS} - set(first.values()), set())
        for path in (path for path, pattern in first.items() if pattern is None):
            self.assertRegex(path, r"(tests/\w+\.py|m4/.*|\.ci/.*|[^/]*)$")

    def test_git(self):
        with tempfile.TemporaryDirectory() as folder:
            def git(*words):
                base.run(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x", *words],
                         "use git")
            git("init", "-q")
            git("commit", "-q", "--allow-empty", "-m", "x")
            self.assertIsNone(choose.last_green(folder))  # a clean clone has no record
            choose.remember_green(folder)
            commit = choose.last_green(folder)
            self.assertEqual(choose.changed(folder, commit), [])
            (pathlib.Path(folder) / "new file").touch()
            self.assertEqual(choose.changed(folder, "HEAD"), ["new file"])
            git("add", ".")
            git("commit", "-q", "-m", "y")
            self.assertEqual(choose.changed(folder, commit), ["new file"])
            (pathlib.Path(folder) / "other").touch()
            choose.remember_green(folder)  # not what was committed: no record
            self.assertEqual(choose.last_green(folder), commit)
            self.assertIsNone(choose.changed(folder, "0123456789"))
            self.assertIsNone(choose.changed(folder, "--output=x"))


class Rows(unittest.TestCase):
    """The groups of check.sh, side by side."""

    def run_jobs(self, *works, rows=2):
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w",
                                                           encoding="ascii") as null, \
                contextlib.redirect_stdout(null):
            session = harness.Session(pathlib.Path(folder), len(works))
            session.run([harness.Job("unit", work) for work in works], rows)
            return session

    def test_counts(self):
        def runner(row):
            row.runner("r", ["printf", "ok a: b\nnot ok c: d\nskip e: f\nerror g: h\nnoise\n"],
                       None)
        session = self.run_jobs(runner, runner)
        self.assertEqual(session.counts["unit"], {"ok": 2, "not ok": 4, "skip": 2})

    def test_failures_are_told(self):
        def silent(row):
            row.runner("silent", ["true"], None)

        def missing(row):
            row.runner("missing", ["/no/such/program"], None)

        def step(row):
            row.step("s", [["sh", "-c", "exit 3"]], pathlib.Path("/tmp"))

        def bug(_row):
            raise KeyError("x")
        session = self.run_jobs(silent, missing, step, bug)
        self.assertEqual(session.counts["unit"], {"ok": 0, "not ok": 4, "skip": 0})
        told = "\n".join(session.failures)
        for words in ("gave no results", "/no/such/program", "status 3", "itself failed"):
            self.assertIn(words, told)

    def test_side_by_side(self):
        meet = threading.Barrier(2, timeout=20)

        def work(_row):
            meet.wait()
        self.assertEqual(self.run_jobs(work, work).failures, [])


class Cpio(unittest.TestCase):
    def test_unpacked_by_cpio(self):
        archive = cpio.Archive()
        archive.file("a/b/c", b"odd", 0o755)
        archive.file("a/d", b"")
        archive.symlink("l", "a/d")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["busybox", "cpio", "-i"], input=archive.finish(), cwd=folder,
                                  check=False)
            self.assertEqual(done.returncode, 0)
            root = pathlib.Path(folder)
            self.assertEqual((root / "a/b/c").read_bytes(), b"odd")
            self.assertTrue(os.access(root / "a/b/c", os.X_OK))
            self.assertEqual(os.readlink(root / "l"), "a/d")


class Arguments(unittest.TestCase):
    def test_add(self):
        self.assertEqual(programs.split_add("/etc/passwd")[1], "/add/passwd")
        self.assertEqual(programs.split_add("/etc/passwd:x")[1], "/add/x")
        self.assertEqual(programs.split_add("/etc/passwd:/x/")[1], "/x/passwd")
        with self.assertRaises(base.ToolError):
            programs.split_add("/no/such/file:x")

    def test_command(self):
        self.assertEqual(base.split_command(["-a", "--", "b", "--"]), (["-a"], ["b", "--"]))
        self.assertEqual(base.split_command(["-a"]), (["-a"], []))

    def test_grub_takes_words_literally(self):
        text = grubimage._config("linux", "a=$b {c;d}", "", None)
        self.assertIn("linux /boot/vmlinuz 'a=$b' '{c;d}'", text)
        self.assertNotIn("multiboot", text)


class Kvm(unittest.TestCase):
    """What --bench kvm lacks on a machine, and its command line."""

    def setUp(self):
        keep = tempfile.TemporaryDirectory()
        self.addCleanup(keep.cleanup)
        self.folder = pathlib.Path(keep.name)
        self.device = self.folder / "kvm"
        self.device.touch()

    def cpu(self, *flags):
        path = self.folder / "cpuinfo"
        path.write_text(f"processor\t: 0\nvmx flags\t: vnmi\nflags\t\t: fpu {' '.join(flags)}\n"
                        "\nprocessor\t: 1\n", encoding="ascii")
        return path

    def nested(self, module, value):
        path = self.folder / "sys" / module / "parameters" / "nested"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value, encoding="ascii")

    def lacks(self, words, *flags, problem=None):
        """Exactly one line, with these words in it; no words: nothing is missing."""
        with unittest.mock.patch("os.open", side_effect=problem, wraps=os.open):
            said = kvm.missing(self.device, self.cpu(*flags), self.folder / "sys")
        self.assertEqual(said is None, not words, said)
        for word in words:
            self.assertIn(word, said)
        self.assertNotIn("\n", said or "")

    def test_cpu(self):
        self.lacks(["the CPU has none", "firmware's setup"])
        self.lacks(["the CPU has none"], "vmxx", "asvm")  # no other flag counts
        self.lacks(["is a virtual one", "-cpu host"], "hypervisor")
        self.assertIn("the CPU has none", kvm.missing(self.device, "/no/such/file", self.folder))

    def test_device(self):
        for flag, module in (("vmx", "kvm_intel"), ("svm", "kvm_amd")):
            for problem, words in ((None, []),
                                   (PermissionError(13, "Permission denied"), ["usermod -aG"]),
                                   (OSError(6, "No such device"), ["No such device", "dmesg"])):
                self.nested(module, "Y\n")
                self.lacks(words, "hypervisor", flag, problem=problem)
            self.device.unlink()
            self.lacks([f"needs {self.device}", f"modprobe {module} "], flag)
            self.device.touch()

    def test_nested(self):
        for flag, module in (("vmx", "kvm_intel"), ("svm", "kvm_amd")):
            self.lacks(["there is no ", f"{module}/parameters/nested",
                        f"modprobe {module} nested=1"], flag)
            for value in ("N\n", "0\n", "", "maybe\n"):
                self.nested(module, value)
                self.lacks(["which is off", f"modprobe -r {module} && modprobe {module} nested=1",
                            f"options {module} nested=1"], flag)
            for value in ("Y\n", "1\n", "1"):
                self.nested(module, value)
                self.lacks([], flag)

    def machine(self, **more):
        args = {"bench": "svm", "cpu_model": None, "cpus": 2, "mem": 512, "icount": False,
                "qmp": None, "qemu_arg": [], "boot": "kernel", "hv_append": "", **more}
        files = types.SimpleNamespace(kernel="K", hypervisor="H", append="a")
        with tempfile.TemporaryDirectory() as name:
            return qemu.command(types.SimpleNamespace(**args), files, pathlib.Path(name))

    def test_command_line(self):
        """It differs from the svm bench's in the accelerator and the CPU, and in nothing else."""
        emulated, real = self.machine(), self.machine(bench="kvm")
        differs = [(a, b) for a, b in zip(emulated, real) if a != b]
        self.assertEqual(len(emulated), len(real))
        self.assertEqual(differs, [("tcg,thread=multi", "kvm"), (qemu.cpu_option(None), "host")])
        self.assertEqual(real[real.index("kvm") - 1:][:4], ["-accel", "kvm", "-cpu", "host"])
        self.assertEqual(self.machine(bench="kvm", one_core=True), real)

    def test_cpu_model(self):
        for flag in ("vmx", "svm"):
            self.assertEqual(kvm.cpu_option(None, self.cpu(flag)), "host")
            self.assertEqual(kvm.cpu_option("EPYC", self.cpu(flag)), f"EPYC,+{flag}")
            self.assertEqual(kvm.cpu_option("host,-smap", self.cpu(flag)), "host,-smap")


class Advice(unittest.TestCase):
    """What an error tells one to install is what the tree itself installs."""

    # Packages that every Debian has.
    ESSENTIAL = {"apt", "coreutils", "dpkg", "tar", "util-linux"}

    def test_packages(self):
        known = {line.strip() for line in (SOURCE / "tools/packages.txt").read_text().splitlines()}
        found = set()
        for path in [*SOURCE.glob("tools/lib/xmhftools/*.py"), *SOURCE.glob("tests/*/*.py")]:
            if path == pathlib.Path(__file__).resolve():
                continue
            text = path.read_text(encoding="utf-8")
            for names in re.findall(r"apt-get install ([a-z0-9 -]+)", text):
                found.update(names.split())
            found.update(re.findall(r"\bneed\(\s*\"[^\"]+\",\s*\"([^\"]+)\"\)", text))
        self.assertGreater(len(found), 8)
        self.assertEqual(found - known - self.ESSENTIAL, set())


def multiboot_image():
    """The least that counts as a hypervisor image."""
    return struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)


def kernel_image():
    return b"\0" * 0x1FE + b"\x55\xaa\xeb\xfeHdrS" + b"\0" * 64


# What a machine does when it is started: the emulator of these tests, a shell script in its folder.
SILENT = "sleep 60"
PANICS = """printf '[xmhf] option not understood: frob=1 (no such option)\\r\\n' >serial.log
printf '[xmhf cpu0] PANIC: test\\r\\n[xmhf cpu0] record\\r\\n' >>serial.log; sleep 60"""


class Tool(unittest.TestCase):
    """A tool as a user starts it, with an emulator that is a script."""

    def setUp(self):
        keep = tempfile.TemporaryDirectory(prefix="xmhf tools ")  # with a blank, as paths may have
        self.addCleanup(keep.cleanup)
        self.folder = pathlib.Path(keep.name)
        self.build = self.folder / "build"
        self.build.mkdir()
        (self.build / "xmhf.elf").write_bytes(multiboot_image())
        (self.folder / "kernel").write_bytes(kernel_image())
        (self.folder / "bin").mkdir()

    def emulator(self, script):
        for name in ("qemu-system-x86_64", "bochs"):
            path = self.folder / "bin" / name
            path.write_text(f"#!/bin/sh\necho $$ >'{self.folder}/started'\n{script}\n",
                            encoding="ascii")
            path.chmod(0o755)

    def environment(self):
        return {**os.environ, "XMHF_BUILD": str(self.build), "COLUMNS": "200",
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def run_tool(self, *argv, limit=60, **more):
        """(status, everything that it said)."""
        done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, env=self.environment(), timeout=limit,
                              check=False,
                              cwd=self.folder, **more)
        text = done.stdout.decode(errors="replace")
        self.assertNotIn("Traceback", text)
        return done.returncode, text

    def xmhf_run(self, *options, command=("true",)):
        return self.run_tool(SOURCE / "tools" / "xmhf-run", "--kernel", self.folder / "kernel",
                             *options,
                             "--", *command)

    def refused(self, words, *options, command=("true",)):
        """xmhf-run refuses these options in so many words, before it starts a machine."""
        self.emulator(SILENT)
        status, text = self.xmhf_run(*options, command=command)
        self.assertIn(status, (2, 125), text)
        for word in words:
            self.assertIn(word, text)
        self.assertFalse((self.folder / "started").exists(), f"{options}: a machine was started")


class XmhfRun(Tool):
    def test_numbers(self):
        for option, bad, limits in (("--cpus", ("0", "-1", "256", "two", "1e3", ""),
                                     "from 1 to 255"),
                                    ("--mem", ("0", "-5", "1048577", "1G"), "from 16 to 1048576"),
                                    ("--timeout", ("0", "-1", "nan", "inf", "1e99", "soon"),
                                     "from 0.1 to 604800")):
            for value in bad:
                self.refused([option, f"'{value}' is no", limits], f"{option}={value}")
        self.refused(["--cpus 9: it is a number from 1 to 8 here"], "--bench", "vmx", "--cpus", "9")
        self.refused(["--mem 9999"], "--bench", "vmx", "--mem", "9999")

    def test_kvm(self):
        self.refused(["with KVM the TSC is the host's"], "--bench", "kvm", "--icount")
        lacks = kvm.missing()
        if lacks:
            self.refused([f"xmhf-run: {lacks}\n"], "--bench", "kvm")

    def test_places_to_write(self):
        (self.folder / "fifo").mkdir()
        for path, why in (("/nonexistent/x", "make it, or name another"), ("/", "it is a folder"),
                          (self.folder / "kernel" / "x", "Not a directory"),
                          ("/proc/version", "can't be written")):
            self.refused([f"--log {path}: ", why], "--log", path)
        self.refused(["no socket can be made there"], "--qmp", "/nonexistent/x")
        self.refused(["at most 107 bytes"], "--qmp", "/tmp/" + "x" * 110)
        self.refused(["something else is there"], "--qmp", self.folder / "kernel")

    def test_log_is_left_alone(self):
        log = self.folder / "log"
        self.refused(["no such", "file"], "--log", log, "--add", "/no such/file")
        self.assertFalse(log.exists())
        log.write_text("old", encoding="ascii")
        inputs.output_file("--log", log)
        self.assertEqual(log.read_text(encoding="ascii"), "old")

    def test_files_that_are_something_else(self):
        empty, pipe = self.folder / "empty", self.folder / "pipe"
        empty.touch()
        os.mkfifo(pipe)
        for path, what in (("/etc/passwd", "it is text"), (empty, "it is empty"),
                           ("/bin/sh", "ELF file"),
                           (self.folder, "a folder"), (pipe, "no plain file"),
                           ("/dev/null", "no plain file"),
                           (self.folder / "kernel", "it is a Linux kernel")):
            self.refused([str(path), what], "--image", path)
        for path, what in (("/etc/passwd", "it is text"), (empty, "it is empty"),
                           ("/bin/sh", "ELF file"),
                           (self.folder, "a folder"), (pipe, "no plain file"),
                           ("/no/such", "there is no kernel"),
                           (self.build / "xmhf.elf", "multiboot image")):
            self.refused([str(path), what], "--kernel", path)
        for path in ("/etc/passwd", empty, self.folder, "/no/such"):
            self.refused([str(path)], "--boot", "grub-mb2", "--acpi-table", path)
        for path, what in (("/no/such", "no file"), (pipe, "no file and no folder"),
                           ("/dev/zero", "no file"), (":x", "no file")):
            self.refused(["--add", what], "--add", path)

    def test_how_to_build(self):
        (self.build / "xmhf.elf").unlink()
        self.refused(["there is no hypervisor image", "Build it", "configure", "make",
                      f"cd '{self.build}'"])
        text = inputs.how_to_build(self.build / "new one")
        self.assertIn(f"mkdir -p '{self.build}/new one' && cd '{self.build}/new one'", text)
        (self.folder / "bin" / "make").write_text(f"#!/bin/sh\necho $PWD $* "
                                                  f">'{self.folder}/made'\n", encoding="ascii")
        (self.folder / "bin" / "make").chmod(0o755)
        advice = inputs.how_to_build(self.build / "new one")
        status, text = self.run_tool("sh", "-c", advice, limit=300)
        self.assertEqual(status, 0, text)
        self.assertTrue((self.build / "new one" / "Makefile").exists(), text)
        made = (self.folder / "made").read_text(encoding="ascii")
        self.assertIn(f"{self.build}/new one -j", made)
        self.assertNotIn("configure", inputs.how_to_build(self.build / "new one"))

    def test_a_crash_names_its_decoder(self):
        self.emulator(PANICS)
        status, text = self.xmhf_run("--log", self.folder / "the log")
        self.assertEqual(status, 125)
        self.assertIn("gave up: [xmhf cpu0] PANIC: test", text)
        self.assertIn("the hypervisor says: option not understood: frob=1 (no such option)",
                      text)
        command = re.search(r"what its lines mean:  (.*)", text).group(1)
        self.assertIn("make", command)  # logdecode isn't built there
        words = shlex.split(command.rpartition(" && ")[2])
        self.assertEqual(words,
                         [str(self.build / "tools" / "logdecode"), "--images", str(self.build),
                          str(self.folder / "the log")])

    def test_a_log_that_fills_the_disk(self):
        self.emulator(PANICS)
        status, text = self.xmhf_run("--log", "/dev/full")
        self.assertEqual(status, 125)
        self.assertIn("a disk is full", text)
        kept = re.search(r"serial log: (\S+)", text).group(1)
        self.assertIn("PANIC", pathlib.Path(kept).read_text(encoding="ascii"))
        os.unlink(kept)

    def test_interrupted(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            self.emulator("exec sleep 60")
            started = self.folder / "started"
            started.unlink(missing_ok=True)
            process = subprocess.Popen([SOURCE / "tools" / "xmhf-run", "--kernel",
                                        self.folder / "kernel", "--", "true"],
                                       env=self.environment(), stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
            end = time.monotonic() + 60
            while not (started.exists()
                       and started.read_text(encoding="ascii").strip()) and time.monotonic() < end:
                time.sleep(0.05)
            process.send_signal(number)
            text = process.communicate(timeout=60)[0].decode()
            self.assertEqual((process.returncode, "Traceback" in text), (status, False), text)
            stat = pathlib.Path("/proc", started.read_text(encoding="ascii").strip(), "stat")
            while (stat.exists() and ") Z " not in stat.read_text(encoding="ascii")
                   and time.monotonic() < end):
                time.sleep(0.05)
            self.assertFalse(stat.exists() and ") Z " not in stat.read_text(encoding="ascii"),
                             "the emulator goes on")


class Programs(Tool):
    """What programs lack is told before they end without a word in the guest."""

    def compiled(self, name, *options, compiler="gcc", text="int main(void) { return 0; }\n"):
        source = self.folder / "p.c"
        source.write_text(text, encoding="ascii")
        path = self.folder / name
        base.run([compiler, "-o", path, source, *options], "compile")
        return path

    def test_dynamic(self):
        dynamic, static = self.compiled("dynamic"), self.compiled("static", "-static")
        self.refused(["/lib64/ld-linux-x86-64.so.2", "libc.so.6", "-static"], "--add", dynamic)
        programs.check([str(static)])
        # A folder may bring what it needs, and a file in it that isn't run needs nothing.
        self.refused(["libc.so.6"], "--add", f"{self.folder / 'bin'}:/x", "--add",
                     f"{dynamic}:/x/dynamic",
                     command=("/x/dynamic",))
        folder = self.folder / "with"
        folder.mkdir()
        shutil.copy(dynamic, folder)
        programs.check([str(folder)], ("true",))
        with self.assertRaisesRegex(base.ToolError, "libc.so.6"):
            programs.check([str(folder)], ("with/dynamic",))
        (folder / "libc.so.6").touch()
        programs.check([str(folder), f"{static}:/lib64/ld-linux-x86-64.so.2"], ("with/dynamic",))

    def test_with_wine(self):
        dynamic = self.compiled("dynamic")
        programs.check([str(dynamic)], ("dynamic",), "64")  # Wine's own libraries are there
        self.refused(["--wine 64"], command=("wine", "x.exe"))

    def test_windows(self):
        if not shutil.which("x86_64-w64-mingw32-gcc") or not shutil.which("i686-w64-mingw32-gcc"):
            self.skipTest("no MinGW")
        good = self.compiled("good.exe", compiler="x86_64-w64-mingw32-gcc")
        narrow = self.compiled("narrow.exe", compiler="i686-w64-mingw32-gcc")
        lacks = self.compiled("lacks.exe", "-lws2_32", "-lwinpthread",
                              compiler="x86_64-w64-mingw32-gcc",
                              text="#include <winsock2.h>\n#include <pthread.h>\n"
                              "int "
                              "main(void) { return WSAGetLastError() + (int)pthread_self(); }\n")
        self.assertEqual(binaries.pe(good.read_bytes()).bits, 64)
        programs.check([str(good)], ("wine", "good.exe"), "64")
        self.refused(["narrow.exe is a 32-bit Windows program", "--wine 32"], "--wine", "64",
                     "--add", narrow)
        self.assertIn("WS2_32.dll", binaries.pe(lacks.read_bytes()).needed)
        self.refused(["WS2_32.dll", "libwinpthread-1.dll", "-static", "--add /usr/"], "--wine",
                     "64", "--add", lacks)
        files = [self.folder / "ws2_32.DLL", self.folder / "libwinpthread-1.dll"]
        for path in files:
            path.touch()
        programs.check([str(path) for path in (lacks, *files)], ("wine", "lacks.exe"), "64")

    def test_damaged_headers(self):
        """Headers are read, never trusted."""
        for data in (pathlib.Path("/bin/sh").read_bytes()[:4096],
                     self.compiled("dynamic").read_bytes()[:8192]):
            noise = random.Random(7)
            for _ in range(2000):
                bad = bytearray(data[:noise.randrange(len(data))])
                for _ in range(noise.randrange(8)):
                    if bad:
                        bad[noise.randrange(min(len(bad), 256))] = noise.randrange(256)
                for read in (binaries.elf, binaries.pe, binaries.describe):
                    read(bytes(bad))
                    read(b"MZ" + bytes(bad)[2:])


class Roots(Tool):
    """mkroot and xmhf-run --root, without packages."""

    def root_image(self, arch):
        path = self.folder / f"{arch} image"
        with open(path, "wb") as handle:
            handle.truncate(1 << 20)
        base.run([base.need("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-L", f"xmhf-root-{arch}",
                  path], "make a file system")
        return path

    def mkroot(self, *words):
        return self.run_tool("env", f"XMHF_CACHE={self.folder / 'cache'}",
                             SOURCE / "tools" / "mkroot", *words)

    def test_images(self):
        good = self.root_image("amd64")
        self.assertEqual(rootimage.architecture(good), "amd64")
        for path, words in ((self.folder / "no", "there is no file"), (self.folder, "a folder"),
                            (self.folder / "kernel", "a Linux kernel"),
                            ("/dev/null", "no plain file")):
            self.refused([words, "--root"], "--root", path)
        self.refused(["brings no modules"], "--root", good)
        self.refused(["one of the two"], "--root", good, "--wine", "64")
        for kernel in ("686", "686-pae"):
            self.refused(["--arch i386"], "--kernel", kernel, "--root", good)

    def test_names(self):
        for name in ("a b", "x;y", "../x", "A", "x", "xy-", "", "xy=1", "x/sid", "./x.deb"):
            status, text = self.mkroot("--", name)
            self.assertEqual((status, f"{name!r} is no name of a Debian package" in text),
                             (1, True), text)
        for name in ("g++", "libc6", "dash", "0ad", "libstdc++6", "linux-image-6.1.0-57-amd64"):
            rootimage.check_names([name])

    def test_each_list_has_its_image(self):
        paths = {rootimage.path_of(*words) for words in (
            (["a"], "amd64", None), (["a", "b"], "amd64", None), (["a"], "i386", None),
            (["a"], "amd64", 5))}
        self.assertEqual(len(paths), 4)
        self.assertEqual(rootimage.path_of(["b", "a", "b"], "amd64", None),
                         rootimage.path_of(["a", "b"], "amd64", None))

    def test_apt_fails(self):
        for script, words in (("echo 'E: Unable to locate package xy' >&2; exit 100", "locate"),
                              ("echo \"'u' xy_1_all.deb 5 \"", "apt downloaded no xy_1_all.deb"),
                              ("echo \"'u' xy_1_all.deb 5 \"; case \"$*\" in *download*) echo "
                               "No space left on device; exit 1;; esac", "a disk is full")):
            apt = self.folder / "bin" / "apt-get"
            apt.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
            apt.chmod(0o755)
            status, text = self.mkroot("xy")
            self.assertEqual((status, words in text), (1, True), text)
            self.assertEqual(list((self.folder / "cache").glob("**/*.img")), [])

    def test_interrupted(self):
        apt = self.folder / "bin" / "apt-get"
        apt.write_text(f"#!/bin/sh\ntouch '{self.folder}/began'\nexec sleep 60\n",
                       encoding="ascii")
        apt.chmod(0o755)
        process = subprocess.Popen([SOURCE / "tools" / "mkroot", "xy"], start_new_session=True,
                                   env={**self.environment(), "XMHF_CACHE": str(self.folder / "c")},
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while not (self.folder / "began").exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        text = process.communicate(timeout=60)[0].decode()
        self.assertEqual((process.returncode, text), (130, ""))
        self.assertEqual([path.name for path in (self.folder / "c").iterdir()], ["fetch.lock"])


class EveryTool(Tool):
    """--help, what is wrong in the arguments, and no traceback ever."""

    def tools(self):
        found = [path for path in sorted((SOURCE / "tools").iterdir()) if path.is_file()
                 and os.access(path, os.X_OK)]
        found += [SOURCE / name for name in ("demo.sh", "check.sh", "bootstrap")]
        found += sorted(path for path in (SOURCE / "tests").glob("*/*.py")
                        if os.access(path, os.X_OK)
                        and path.name != "test_tools.py")
        built = pathlib.Path(os.environ.get("XMHF_BUILD", "/nonexistent")) / "tools"
        return found + [built / name for name in ("logdecode", "probe") if (built / name).exists()]

    def test_help(self):
        self.assertGreater(len(self.tools()), 15)
        for tool in self.tools():
            status, text = self.run_tool(tool, "--help")
            self.assertEqual(status, 0, f"{tool}: {text}")
            self.assertGreater(len(text), 40, tool)

    def test_unknown_option(self):
        for tool in self.tools():
            status, text = self.run_tool(tool, "--no-such-option")
            self.assertNotEqual(status, 0, tool)
            self.assertTrue("--no-such-option" in text or "--help" in text or "usage" in text,
                            f"{tool}: {text}")

    def test_full_disk(self):
        status, text = self.run_tool(SOURCE / "tools" / "mkinitramfs", "/dev/full", "--", "true")
        self.assertEqual(status, 1)
        self.assertIn("a disk is full", text)
        with self.assertRaisesRegex(base.ToolError,
                                    "cannot unpack it: a disk is full .* MiB left.*XMHF_CACHE"):
            base.run(["sh", "-c", "echo 'dpkg: cannot copy: No space left on device' >&2; exit 2"],
                     "unpack it")

    def test_no_build_folder(self):
        for name in ("guests/run.py", "guests/models.py", "unit/run.py", "fuzz/run.py",
                     "e2e/hunt.py",
                     "bench/bench.py"):
            status, text = self.run_tool(SOURCE / "tests" / name, "--build", "/no such/folder")
            self.assertNotEqual(status, 0, name)
            self.assertIn("/no such/folder", text, name)

    def test_interrupted(self):
        (self.build / "Makefile").write_text(
            "list-unit-tests list-fuzz-targets guests:\n\t@touch ../began; exec sleep 60\n",
            encoding="ascii")
        for name in ("unit/run.py", "fuzz/run.py", "guests/run.py", "guests/models.py"):
            (self.folder / "began").unlink(missing_ok=True)
            process = subprocess.Popen([SOURCE / "tests" / name, "--build", self.build],
                                       start_new_session=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            end = time.monotonic() + 60
            while not (self.folder / "began").exists() and time.monotonic() < end:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            text = process.communicate(timeout=60)[0].decode()
            self.assertEqual((process.returncode, "Traceback" in text), (130, False),
                             f"{name}: {text}")

    def test_packages(self):
        """What apt says of a full disk, or of no network, is told in our words."""
        if os.geteuid() != 0:
            self.skipTest("only root installs packages")
        (self.folder / "bin" / "dpkg-query").write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
        for said, words in (("dpkg: error: cannot copy: No space left on device", "disk is full"),
                            ("E: You don't have enough free space in /var/cache/apt/archives/.",
                             "disk is full"),
                            ("Temporary failure resolving 'deb.debian.org'", "is there a network?"),
                            ("E: Unable to locate package x",
                             "apt-get install --no-install-recommends")):
            (self.folder / "bin" / "apt-get").write_text(f'#!/bin/sh\necho "{said}" >&2; exit '
                                                         f'100\n', encoding="ascii")
            for name in ("dpkg-query", "apt-get"):
                (self.folder / "bin" / name).chmod(0o755)
            status, text = self.run_tool(SOURCE / "tools" / "install-packages")
            self.assertEqual(status, 1, text)
            self.assertIn(words, text)
            status, text = self.run_tool("env", f"XMHF_CACHE={self.folder}",
                                         f"TMPDIR={self.folder}", SOURCE / "demo.sh")
            self.assertEqual(status, 1, text)
            self.assertIn("a disk is full" if words == "disk is full"
                          else "apt-get update did not work", text)

    def test_a_cache_that_cannot_be_written(self):
        status, text = self.run_tool("env", "XMHF_CACHE=/proc/x y",
                                     SOURCE / "tools" / "fetch-kernel", "amd64")
        self.assertEqual(status, 1)
        self.assertIn("/proc/x y", text)
        self.assertIn("XMHF_CACHE", text)
        with unittest.mock.patch.dict(os.environ, {"XMHF_CACHE": str(self.folder)}):
            with self.assertRaisesRegex(base.ToolError, "has a blank: set XMHF_CACHE"):
                debian.kernel_headers("amd64")

    def test_logdecode(self):
        program = pathlib.Path(os.environ.get("XMHF_BUILD", "/nonexistent")) / "tools" / "logdecode"
        if not program.exists():
            self.skipTest("logdecode isn't built")
        for data, status, words in (
                (b"", 2, "empty"), (b"root:x:0:0\n", 2, "some other text"),
                (b"\x7fELF[xmhf", 2, "an ELF file"),
                (b"\x1f\x8b[xmhf", 2, "zcat"), (b"\0" * 99, 2, "no text"),
                (b"# CPU: x\n", 2, "probe --check"),
                (b"[    0.000000] Linux version 6\n", 2, "without the hypervisor"),
                (b"\0" * 99 + b"XMHCRASH", 2, "boot again"),
                (b"[xmhf] up on 2 CPUs, SVM\n", 1, "no crash record: the hypervisor didn't crash")):
            path = self.folder / "a log"
            path.write_bytes(data)
            self.assertEqual((status, words), (self.run_tool(program, path)[0], words), data)
            self.assertIn(words, self.run_tool(program, path)[1])
        self.assertIn("s a directory", self.run_tool(program, self.folder)[1])


class HypappOutside(Tool):
    """configure --with-hypapp=DIR; the folder's path has a blank."""

    def configure(self, folder):
        return self.run_tool(SOURCE / "configure", f"--with-hypapp={folder}", "MINGW64=no",
                             limit=300)

    def test_folders_that_are_none(self):
        empty = self.folder / "no hypapp"
        empty.mkdir()
        for folder, words in ((self.folder / "absent", "or a folder with the C files"),
                              (empty, "no C files in"), ("yes", "needs a value")):
            status, text = self.configure(folder)
            self.assertNotEqual(status, 0, text)
            self.assertIn(words, text)
        (empty / "a name.c").write_text("const struct hypapp hypapp = { 0 };\n", encoding="ascii")
        self.assertIn("a name that make can't have", self.configure(empty)[1])

    def test_another_folder(self):
        """Files of the same name, older than the objects of the first folder's."""
        for name in ("first", "second"):
            (self.folder / name).mkdir()
            (self.folder / name / "x.c").write_text(
                "#include <hypapp/hypapp.h>\n"
                f"const struct hypapp hypapp = {{ .name = \"{name}\" }};\n", encoding="ascii")
        os.utime(self.folder / "second" / "x.c", (0, 0))
        for name in ("first", "second", "second"):
            status, text = self.configure(self.folder / name)
            self.assertEqual(status, 0, text)
            status, text = self.run_tool("make", "-s", "hypapp-outside/x.o", limit=300)
            self.assertEqual(status, 0, text)
            made = (self.folder / "hypapp-outside" / "x.o").read_bytes()
            self.assertIn(name.encode(), made)
            self.assertNotIn(str(self.folder).encode(), made)


class Names(Tool):
    """doc-check on a file's comments."""

    def wrong(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="ascii")
        status, output = self.run_tool(SOURCE / "tools" / "doc-check", path)
        found = re.findall(rf"^{re.escape(str(path))}:(\d+): (.*)", output, re.M)
        self.assertEqual(status, 1 if found else 0, output)
        return found

    def test_what_is_not_there(self):
        text = ("/* cpu/needs.c:needs_main and\n * guest/nowhere.c, cpu/needs.c:12 and "
                "needs.c:no_such */\n"
                "#include \"gone.h\" /* (public ABI, section\n * 2.4) */\n")
        self.assertEqual([line for line, _ in self.wrong("bad.c", text)], ["1", "2", "2", "2", "3"])
        self.assertEqual(self.wrong("bad.py", '# As notes/nowhere.md says.\n'),
                         [("1", "there is no notes/nowhere.md")])

    def test_what_is_there(self):
        text = ("/* cpu/needs.c:cpu_lacks, notes/smp.md; (Multiboot 0.6.96, section 3.3), SDM vol. "
                "3,\n"
                " * section 4.1 */ char *s = \"nowhere.c\"; /* Linux: arch/x86/kernel/nmi.c */\n")
        self.assertEqual(self.wrong("good.c", text), [])

    def test_pages_that_nobody_meets(self):
        way = "`{}`\n" * 4
        tree = {"README.md": "", "src/a.c": "x y", "src/b.c": "",
                "ARCHITECTURE.md": way.format("src/a.c:x", "src/a.c:y", "src/b.c", "src/a.c:x")
                + "\n## The seams\n`src/b.c`\n", "notes/README.md": "[a](a.md) [g](glossary.md)\n",
                "notes/a.md": "the old_name\n",
                "notes/glossary.md": "old_name\n```former\n\\bold_\n```\n",
                "notes/bugs/README.md": "[b](b.md) [c](c.md)\n", "notes/bugs/b.md": "",
                "notes/bugs/c.md": "", "notes/bugs/d.md": "",
                "core.c": "/* notes/bugs/b.md, notes/bugs/d.md */\n"}
        for name, text in tree.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="ascii")
        (self.folder / "tools").mkdir()
        program = shutil.copy(SOURCE / "tools" / "doc-check", self.folder / "tools")
        status, output = self.run_tool(program)
        self.assertEqual((status, re.findall(r"^(notes/\S+): (no\w*) ", output, re.M)),
                         (1, [("notes/bugs/c.md", "no"), ("notes/bugs/d.md", "not")]), output)
        self.assertEqual(re.findall(r"the way comes back to (\S+)", output), ["src/a.c"], output)
        self.assertEqual(re.findall(r"(\S+) \S+ is a former name", output), ["notes/a.md:1:"],
                         output)


class Layers(Tool):
    """layer-check on a small tree."""

    GOOD = {"ARCHITECTURE.md":
            "```floors\nlib\nxmhf-core/cpu\nxmhf-core/hypapp\nhypapps/one\n```\n",
            "lib/l.h": "", "xmhf-core/cpu/a.h": "", "xmhf-core/cpu/a.c": "#include <cpu/b.h>\n",
            "xmhf-core/cpu/b.h": "#include <cpu/c.h>\n",
            "xmhf-core/cpu/c.S": "#include <cpu/a.h>\n",
            "xmhf-core/cpu/c.h": "", "xmhf-core/hypapp/hypapp.h": "#include <cpu/a.h>\n",
            "hypapps/one/x.c": "#include \"x.h\"\n#include <hypapp/hypapp.h>\n",
            "hypapps/one/x.h": "#include <l.h>\n", "hypapps/one/y.c": "#include \"x.h\"\n"}

    def wrong(self, **changed):
        """Its words on the tree with these files changed; in names _ is / and __ the dot."""
        named = {name.replace("__", ".").replace("_", "/").replace("xmhf/core", "xmhf-core"): text
                 for name, text in changed.items()}
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        for name, text in {**self.GOOD, **named}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, encoding="ascii")
        (tree / "tools").mkdir()
        (tree / "tools" / "lib").symlink_to(SOURCE / "tools" / "lib")
        program = shutil.copy(SOURCE / "tools" / "layer-check", tree / "tools")
        status, output = self.run_tool(program)
        *lines, last = output.splitlines()
        self.assertEqual(status, 1 if lines else 0, output)
        self.assertIn(f" {len(lines)} wrong", last)
        return lines

    def test_good(self):
        self.assertEqual(self.wrong(), [])

    def test_higher_floor(self):
        self.assertEqual(self.wrong(xmhf_core_cpu_c__h="#include <hypapp/hypapp.h>\n")[0],
                         "xmhf-core/cpu/c.h includes xmhf-core/hypapp/hypapp.h, of a higher floor")

    def test_circles(self):
        files = " ".join(f"xmhf-core/cpu/{name}" for name in "abcd")
        self.assertEqual(self.wrong(xmhf_core_cpu_c__S="#include <cpu/d.h>\n",
                                    xmhf_core_cpu_d__h="#include <cpu/a.h>\n"),
                         [f"these files need each other in a circle: {files}"])
        self.assertEqual(self.wrong(hypapps_one_x__h="#include \"y.h\"\n", hypapps_one_y__h=""),
                         ["these files need each other in a circle: hypapps/one/x hypapps/one/y"])

    def test_past_the_interface(self):
        self.assertEqual(self.wrong(hypapps_one_y__c="#include <cpu/a.h>\n"),
                         ["hypapps/one/y.c includes xmhf-core/cpu/a.h: a hypapp includes "
                          "xmhf-core/hypapp/hypapp.h only"])
        self.assertEqual(self.wrong(hypapps_one_y__c="int i = virt->i;\n"),
                         ["hypapps/one/y.c uses virt: what a hypapp needs of it is in "
                          "xmhf-core/hypapp/hypapp.h"])


class Style(Tool):
    """style-check on one file."""

    def wrong(self, text):
        path = self.folder / "x.c"
        path.write_text("/* SPDX-License-Identifier: MIT */\n" + text, encoding="utf-8")
        status, output = self.run_tool(SOURCE / "tools" / "style-check", path)
        found = re.findall(rf"^{re.escape(str(path))}:(\d+): (.*)", output, re.M)
        self.assertEqual(status, 1 if found else 0, output)
        return found

    def test_lines(self):
        self.assertEqual(self.wrong("x" * 100 + "\n"), [])
        self.assertEqual(self.wrong("x" * 101 + "\n"), [("2", "101 columns, more than 100")])
        self.assertEqual(self.wrong("x \n\ty\n"), [("2", "blanks at the end"), ("3", "a tab")])
        self.assertEqual(self.wrong("x\u00e9\n"), [("2", "not ASCII")])
        self.assertEqual([line for line, _ in self.wrong("x\n\n")], ["3"])

    def test_dialect(self):
        found = self.wrong("if (a ||\n    b) {\nif (p == NULL) {\n"
                           "if (a\n    && (p = f()) == NULL) {\n")
        self.assertEqual([line for line, _ in found], ["2", "4"])

    def test_functions(self):
        for lines, wrong in ((46, []), (47, [("4", "f has 51 lines, more than 50")])):
            body = "    x();\n" * lines
            text = f"\nint y;\nstatic void f(int a,\n              int b)\n{{\n{body}}}\n"
            self.assertEqual(self.wrong(text), wrong)


class AptSources(unittest.TestCase):
    def test_lines(self):
        text = ("# deb http://a.example/debian old main\n"
                "deb http://a.example/debian stable main contrib\n"
                "deb-src http://a.example/debian stable main\n"
                "deb [arch=amd64 signed-by=/k.gpg] http://b.example/ stable main\n"
                "deb [ arch=amd64,i386 ] http://c.example/ stable main\n")
        self.assertEqual(aptsources.source_lines(text).splitlines(), [
            "deb-src http://a.example/debian stable main contrib",
            "deb-src [signed-by=/k.gpg] http://b.example/ stable main",
            "deb-src http://c.example/ stable main"])

    def test_stanzas(self):
        text = ("Types: deb deb-src\n# a comment\nURIs: http://a.example/debian\n"
                "Suites: stable\nArchitectures: amd64\nComponents: main\nSigned-By: /k.gpg\n"
                " \nTypes: deb-src\nURIs: http://b.example/\nSuites: stable\n"
                "\nEnabled: no\nTypes: deb\nURIs: http://c.example/\n")
        self.assertEqual(aptsources.source_stanzas(text),
                         "Types: deb-src\nURIs: http://a.example/debian\nSuites: stable\n"
                         "Components: main\nSigned-By: /k.gpg\n\n"
                         "Enabled: no\nTypes: deb-src\nURIs: http://c.example/\n")

    def test_none(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(base.ToolError):
                aptsources.write_sources(pathlib.Path(folder), etc=folder)


class WineFiles(unittest.TestCase):
    def test_from_package(self):
        libs = "lib/x86_64-linux-gnu"
        with tempfile.TemporaryDirectory() as name:
            tree = pathlib.Path(name) / "tree"
            for path in ("DEBIAN", libs, f"usr/{libs}"):
                (tree / path).mkdir(parents=True)
            (tree / "DEBIAN" / "control").write_text(
                "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
                "Description: x\n", encoding="ascii")
            (tree / "usr" / libs / "libunwind.so.8.0.1").write_bytes(b"unwind")
            (tree / "usr" / libs / "libunwind.so.8").symlink_to("libunwind.so.8.0.1")
            (tree / libs / "libc.so.6").write_bytes(b"c")
            (tree / libs / "libcrypt.so.1").write_bytes(b"not wanted")
            deb = pathlib.Path(name) / "x.deb"
            base.run(["dpkg-deb", "-b", tree, deb], "make a package")
            files = wine._take(deb, wine._wanted(wine.WIDTHS["64"]))
        self.assertEqual(files, {f"{libs}/libc.so.6": b"c", f"{libs}/libunwind.so.8": b"unwind"})


if __name__ == "__main__":
    unittest.main()
