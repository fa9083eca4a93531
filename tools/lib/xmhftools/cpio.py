"""Writes cpio archives in the "newc" form that Linux unpacks as an initramfs.

SPDX-License-Identifier: MIT
"""
import io
import os
import pathlib
import posixpath
import stat


class Archive:
    """Collects files in memory; parents are made as needed, each name once."""

    def __init__(self):
        self._out = io.BytesIO()
        self._seen = set()
        self._inode = 0

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        name = name.strip("/")
        self._inode += 1
        # newc header: magic and 13 fields of 8 hexadecimal digits. Owner 0 and
        # time 0 keep the archive the same for the same content.
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0)
        self._out.write(b"070701" + b"".join(b"%08X" % f for f in fields))
        self._out.write(name.encode() + b"\0")
        self._pad()
        self._out.write(data)
        self._pad()

    def _pad(self):
        self._out.write(b"\0" * (-self._out.tell() % 4))

    def folder(self, name):
        """A folder and the folders above it."""
        name = posixpath.normpath("/" + name).lstrip("/")
        if name in ("", ".") or name in self._seen:
            return
        self.folder(posixpath.dirname(name))
        self._seen.add(name)
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        """A regular file from bytes."""
        self.folder(posixpath.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        """A symbolic link."""
        self.folder(posixpath.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, name, major, minor):
        """A character device node."""
        self.folder(posixpath.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def copy(self, host, name):
        """A file, or a folder with all that is in it, from the host."""
        host = pathlib.Path(host)
        if host.is_dir():
            self.folder(name)
            for child in sorted(host.iterdir()):
                if child.is_symlink():
                    self.symlink(posixpath.join(name, child.name), os.readlink(child))
                else:
                    self.copy(child, posixpath.join(name, child.name))
        else:
            mode = 0o755 if os.access(host, os.X_OK) else 0o644
            self.file(name, host.read_bytes(), mode)

    def finish(self):
        """The whole archive as bytes."""
        self._entry("TRAILER!!!", 0)
        return self._out.getvalue()
