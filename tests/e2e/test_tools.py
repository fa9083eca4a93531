#!/usr/bin/env python3
"""Host tests of the pure parts of tools/lib/xmhftools, with nothing booted.

SPDX-License-Identifier: MIT
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
sys.path.insert(0, str(SOURCE / "tests" / "guests"))
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
