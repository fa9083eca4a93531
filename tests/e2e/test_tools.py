#!/usr/bin/env python3
"""Host tests of the pure parts of tools/lib/xmhftools, with nothing booted.

SPDX-License-Identifier: MIT
"""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.path.insert(0, str(SOURCE / "tests" / "guests"))
sys.path.insert(0, str(SOURCE / "tests"))
import choose  # noqa: E402
import harness  # noqa: E402
import run as guests_run  # noqa: E402
from xmhftools import aptsources, base, bench, cpio, grubimage, initramfs, wine  # noqa: E402


class Splitter(unittest.TestCase):
    def split(self, chunks):
        out = []
        splitter = bench.OutputSplitter("mark", out.append)
        for chunk in chunks:
            splitter.feed(chunk)
        return b"".join(out), splitter

    def test_every_way_to_cut_in_two(self):
        whole = b"a\0mar\0mark\0b\n\0mark 12\n"
        for at in range(len(whole)):
            data, splitter = self.split([whole[:at], whole[at:]])
            self.assertEqual((data, splitter.status), (b"a\0mar\0mark\0b\n", 12))

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
        for log, last, text in (
                ("[xmhf] cannot start: no\n[xmhf] launch refused\nx", "refused\n", "[xmhf] cannot start: no"),
                ("a\n[xmhf cpu1 guest] PANIC: no\nmore", "no\n", "[xmhf cpu1 guest] PANIC: no"),
                ("a\nGUEST PASS yes\nmore", "yes\n", "yes")):
            for end in range(len(log) + 1):
                outcome = guests_run.judge(log[:end], False)
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
                         {"build", "unit", "guests", "svm"})
        self.assertEqual(self.needed("tests/model/pal.pml", "tests/attack/pal_race.c"),
                         {"model", "guests", "svm", "vmx"})

    def test_what_no_row_knows_needs_everything(self):
        for path in ("configure.ac", "tests/check.py", "new/file.c", "check.sh", "m4/x.m4"):
            self.assertIs(self.needed("README.md", path), choose.EVERYTHING)

    def test_rows_name_groups(self):
        groups = {"build", *choose.SMOKE}
        for _, row in choose.ROWS:
            self.assertLessEqual(row, groups)

    def test_git(self):
        with tempfile.TemporaryDirectory() as folder:
            def git(*words):
                base.run(["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x", *words], "use git")
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
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w", encoding="ascii") as null, \
                contextlib.redirect_stdout(null):
            session = harness.Session(pathlib.Path(folder), len(works))
            session.run([harness.Job("unit", work) for work in works], rows)
            return session

    def test_counts(self):
        def runner(row):
            row.runner("r", ["printf", "ok a: b\nnot ok c: d\nskip e: f\nerror g: h\nnoise\n"], None)
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
        self.assertEqual(initramfs.split_add("/etc/passwd")[1], "/add/passwd")
        self.assertEqual(initramfs.split_add("/etc/passwd:x")[1], "/add/x")
        self.assertEqual(initramfs.split_add("/etc/passwd:/x/")[1], "/x/passwd")
        with self.assertRaises(base.ToolError):
            initramfs.split_add("/no/such/file:x")

    def test_command(self):
        self.assertEqual(base.split_command(["-a", "--", "b", "--"]), (["-a"], ["b", "--"]))
        self.assertEqual(base.split_command(["-a"]), (["-a"], []))

    def test_grub_takes_words_literally(self):
        text = grubimage._config("linux", "a=$b {c;d}", "", None)
        self.assertIn("linux /boot/vmlinuz 'a=$b' '{c;d}'", text)
        self.assertNotIn("multiboot", text)


class Advice(unittest.TestCase):
    """What an error tells one to install is what the tree itself installs."""

    # Packages that every Debian has.
    ESSENTIAL = {"apt", "dpkg", "util-linux"}

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
