#!/usr/bin/env python3
"""Host tests of what makes disks and variables for UEFI firmware, with nothing booted.

SPDX-License-Identifier: MIT
"""
import hashlib
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import uuid
import zlib

sys.dont_write_bytecode = True  # the source tree stays as it is
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tools" / "lib"))
from xmhftools import base, binaries, efidisk, nvram, uefi  # noqa: E402

STORE_BYTES = 4096


def template(path, size=STORE_BYTES):
    """A store without variables, as OVMF's template has it."""
    header = bytearray(0x48)
    header[0x28:0x2C], header[0x30:0x32] = b"_FVH", struct.pack("<H", len(header))
    path.write_bytes(bytes(header) + nvram._STORE.bytes_le + struct.pack("<I", size)
                     + bytes((0x5A, 0xFE)) + bytes(6) + b"\xff" * (size - 28))
    return path


class Folder(unittest.TestCase):
    def setUp(self):
        keep = tempfile.TemporaryDirectory(prefix="xmhf efi ")
        self.addCleanup(keep.cleanup)
        self.folder = pathlib.Path(keep.name)


class Variables(Folder):
    def setUp(self):
        super().setUp()
        self.store = nvram.Store(template(self.folder / "vars"))

    def test_set_and_replaced(self):
        self.assertEqual(self.store.names(), [])
        self.store.set("Odd", b"123")
        self.store.set("Other", b"45", nvram.SHIM)
        self.store.set("Odd", b"6")
        self.store.write(self.folder / "copy")
        again = nvram.Store(self.folder / "copy")
        self.assertEqual(again.names(), [("Other", nvram.SHIM), ("Odd", nvram.GLOBAL)])
        self.assertEqual((again.get("Odd"), again.get("Other", nvram.SHIM)), (b"6", b"45"))
        self.assertIsNone(again.get("Other"))

    def test_full(self):
        with self.assertRaisesRegex(base.ToolError, "no room for Big"):
            for _ in range(10):
                self.store.set("Big", bytes(600))
        self.assertEqual(len(self.store.data), 0x48 + STORE_BYTES)

    def test_boot_options(self):
        partition = nvram.partition_path(1, 2048, 100, uuid.UUID(int=5))
        self.store.boot_options([uefi.option("a", partition, "x/y.efi", "b=1"),
                                 uefi.option("c", partition, "z.efi")])
        self.assertEqual(self.store.get("BootOrder"), b"\0\0\1\0")
        option = self.store.get("Boot0000")
        active, length = struct.unpack_from("<IH", option)
        title = "a\0".encode("utf-16-le")
        self.assertEqual((active, option[6:6 + len(title)]), (1, title))
        path = option[6 + len(title):6 + len(title) + length]
        self.assertEqual(path[:42], partition)
        self.assertIn("\\x/y.efi".replace("/", "\\").encode("utf-16-le"), path)
        self.assertEqual(path[-4:], nvram.END_PATH)
        self.assertEqual(option[6 + len(title) + length:], "b=1\0".encode("utf-16-le"))

    def test_lists_grow(self):
        self.store.trust(nvram.certificate_list(b"first"))
        self.store.trust(nvram.hash_list(bytes(32)))
        lists = self.store.get("db", nvram.SECURITY)
        sizes = []
        while lists:
            size = struct.unpack_from("<I", lists, 16)[0]
            sizes.append(size)
            lists = lists[size:]
        self.assertEqual(sizes, [28 + 16 + 5, 28 + 16 + 32])

    def test_no_store(self):
        (self.folder / "other").write_bytes(bytes(4096))
        with self.assertRaisesRegex(base.ToolError, "no store of EFI variables"):
            nvram.Store(self.folder / "other")


class Disk(Folder):
    def setUp(self):
        super().setUp()
        self.image = self.folder / "disk.img"
        self.file = self.folder / "file"
        self.file.write_bytes(b"content" * 999)

    def header(self, at):
        """A GPT header's fields, checksums looked at."""
        data = self.image.read_bytes()
        fields = struct.unpack_from("<8sIIIIQQQQ16sQIII", data, at)
        self.assertEqual((fields[0], fields[2]), (b"EFI PART", 92))
        bare = bytearray(data[at:at + 92])
        bare[16:20] = bytes(4)
        self.assertEqual(zlib.crc32(bare), fields[3])
        first, count, size = fields[10] * 512, fields[11], fields[12]
        entries = data[first:first + count * size]
        self.assertEqual(zlib.crc32(entries), fields[13])
        return fields, entries

    def test_partitions(self):
        root = self.folder / "root"
        root.write_bytes(b"r" * 5000)
        node = efidisk.make(self.image, [("EFI/a/b.efi", self.file)], root)
        fields, entries = self.header(512)
        last, same = self.header(self.image.stat().st_size - 512)
        self.assertEqual((entries, fields[5:7]), (same, last[6:4:-1]))
        kind, identity, first, end = struct.unpack_from("<16s16sQQ", entries)
        self.assertEqual((kind, identity), (efidisk.ESP.bytes_le, node[24:40]))
        self.assertEqual(struct.unpack_from("<IQQ", node, 4), (1, first, end - first + 1))
        _, _, second, last = struct.unpack_from("<16s16sQQ", entries, 128)
        data = self.image.read_bytes()
        self.assertEqual(data[second * 512:second * 512 + 5000], b"r" * 5000)
        self.assertLess(end, second)
        self.assertLessEqual(last, fields[8])
        place = f"{self.image}@@{first * 512}"
        self.assertEqual(subprocess.run(["mtype", "-i", place, "::EFI/a/b.efi"], check=True,
                                        stdout=subprocess.PIPE).stdout, self.file.read_bytes())


class Images(unittest.TestCase):
    def image(self, machine=0x8664, subsystem=10):
        data = bytearray(512)
        data[:2], data[0x3C], data[0x40:0x44] = b"MZ", 0x40, b"PE\0\0"
        struct.pack_into("<H", data, 0x44, machine)
        struct.pack_into("<H", data, 0x58, 0x20B)
        struct.pack_into("<H", data, 0x40 + 92, subsystem)
        return bytes(data)

    def test_applications(self):
        self.assertTrue(binaries.is_efi(self.image()))
        for other in (self.image(0x14C), self.image(subsystem=3), b"", b"MZ", self.image()[:0x80],
                      b"MZ" + b"\xff" * 100):
            self.assertFalse(binaries.is_efi(other))

    def test_hash_leaves_out_what_signing_changes(self):
        image = bytearray(self.image())
        digest = nvram.authenticode_sha256(bytes(image))
        for at in (0x40 + 0x58, 0x40 + 0xA8, 0x40 + 0xAF):  # checksum, directory of certificates
            image[at] ^= 1
        self.assertEqual(nvram.authenticode_sha256(bytes(image)), digest)
        image[200] ^= 0x40
        self.assertNotEqual(nvram.authenticode_sha256(bytes(image)), digest)
        self.assertEqual(len(digest), hashlib.sha256().digest_size)


class ManualPage(unittest.TestCase):
    """tools/man/xmhf.efi.8 has every sentence and every option of xmhf.efi."""

    def setUp(self):
        text = (SOURCE / "tools" / "man" / "xmhf.efi.8").read_text(encoding="utf-8")
        self.heads = re.findall(r"^\.T[PQ]\n\.B[IR]? (.*)$", text, re.M)
        text = re.sub(r"^\.\\\".*$|\\$", "", text, flags=re.M)
        text = re.sub(r"^\.[A-Z]+ ?", "", text, flags=re.M)
        text = re.sub(r"\\f[A-Z]", "", text).replace("\\-", "-")
        self.text = " ".join(text.split())

    @staticmethod
    def strings(path):
        """The string constants of a C file."""
        text = re.sub(r"/\*.*?\*/|'\\?.'", "", path.read_text(encoding="utf-8"), flags=re.S)
        return re.findall(r'"((?:[^"\\]|\\.)*)"', re.sub(r'"\s*"', "", text))

    def test_sentences(self):
        found = {piece.strip() for path in sorted((SOURCE / "boot" / "uefi").glob("*.c"))
                 for string in self.strings(path)
                 for piece in re.split(r"%\w+", string) if piece.strip().count(" ") >= 2}
        self.assertGreater(len(found), 40)
        lost = sorted(piece for piece in found if piece not in self.text)
        self.assertEqual(lost, [])

    def test_options(self):
        options = (SOURCE / "xmhf-core" / "facts" / "options.h").read_text(encoding="ascii")
        names = re.findall(r'X\("([\w-]+)"', options)
        self.assertIn("palmem", names)
        for name in [*names, "palbudget", "next", "args", "required"]:
            self.assertTrue([head for head in self.heads
                             if name in re.findall(r"[a-z-]+", head.replace("\\-", "-"))], name)

    @unittest.skipUnless(shutil.which("groff"), "groff isn't installed")
    def test_layout(self):
        for page in sorted((SOURCE / "tools" / "man").iterdir()):
            done = subprocess.run(["groff", "-man", "-ww", "-z", page], stderr=subprocess.PIPE,
                                  check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""), page.name)


if __name__ == "__main__":
    unittest.main()
