"""Root file systems for guests: Debian packages, unpacked into an ext4 image, in the cache.

SPDX-License-Identifier: MIT

notes/testing.md tells what such a root has and what it lacks.
"""
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import tempfile

from . import binaries, debian
from .base import FULL, ToolError, cache_root, disk_full, locked, need, run, say

ARCHITECTURES = ("amd64", "i386")
ALWAYS = ("base-files", "dash")  # folders and /bin/sh
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # links into /usr
FOLDERS = ("add", "dev", "proc", "sys", "tmp", "run", "xmhf")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nshadow:x:42:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/hostname": "guest\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
}
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")
LABEL = "xmhf-root-"             # and the architecture: the file system's label
CYLINDER = 16 * 63 * 512 * 8     # the size is a multiple of it: of Bochs' geometry, of 4 KiB
FREE_MIB = 64                    # that stay for what the guest writes
_LABEL_AT, _MAGIC_AT, _MAGIC = 1024 + 0x78, 1024 + 0x38, 0xEF53


def check_names(packages):
    """Refuse what is no name of a Debian package; apt would take some as other words."""
    for name in packages:
        if not PACKAGE.fullmatch(name):
            raise ToolError(f"{name!r} is no name of a Debian package")


# --- packages ------------------------------------------------------------------------------

def _options(arch, scratch, refresh):
    """apt options for a machine that has nothing installed yet."""
    (scratch / "archives" / "partial").mkdir(parents=True)
    (scratch / "status").touch()
    settings = {"Dir::State::status": scratch / "status", "Dir::Cache::archives":
                scratch / "archives", "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
                "APT::Install-Recommends": "false", "Debug::NoLocking": "true"}
    return debian.apt_options(arch, refresh) + [
        part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _resolve(packages, options):
    """What must be there for these to be: [(file name of a package, bytes)]."""
    text = run([need("apt-get", "apt"), *options, "-qq", "-y", "--print-uris", "install",
                *packages],
               f"find {' '.join(packages)} and what they need (is the index there? run  apt-get "
               "update  as root)")
    found = re.findall(r"^'[^']*' (\S+\.deb) (\d+)", text, re.M)
    return [(name, int(size)) for name, size in found]


def _download(packages, options, count):
    """Have apt download them all, and say how far it is."""
    argv = [need("apt-get", "apt"), *options, "-q", "-y", "--download-only", "install", *packages]
    done, last = 0, []
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        for line in process.stdout:
            last = [*last, line.rstrip()][-8:]
            if re.match(r"(Get|Hit):", line):
                done += 1
                if done % 25 == 0:
                    say(f"  {done} of {count} ...")
    if process.returncode:
        text = "\n".join(last)
        raise ToolError(disk_full() if any(words in text for words in FULL) else
                        f"cannot download the packages (is there a network?):\n{text}")


def wanted(packages, arch, scratch, refresh=False):
    """All packages of a root: (their names for apt, options, [(file name, bytes)])."""
    names = sorted({*packages, *ALWAYS})
    options = _options(arch, pathlib.Path(scratch), refresh)
    return names, options, _resolve(names, options)


# --- the tree ------------------------------------------------------------------------------

def _unpack(deb, tree):
    """A package's files into the tree, through its links into /usr."""
    with subprocess.Popen([need("dpkg-deb", "dpkg"), "--fsys-tarfile", deb],
                          stdout=subprocess.PIPE) as process:
        run([need("tar", "tar"), "-x", "--keep-directory-symlink", "--numeric-owner", "-p",
             "-C", tree], f"unpack {deb.name}", stdin=process.stdout)
    if process.returncode:
        raise ToolError(f"cannot unpack {deb.name}: dpkg-deb ended with "
                        f"status {process.returncode}")


def _fill(tree, debs):
    for name in MERGED:
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for deb in debs:
        _unpack(deb, tree)
    for name in FOLDERS:
        (tree / name).mkdir(exist_ok=True)
    for name, text in FILES.items():
        path = tree / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="ascii")


def _size_of(tree):
    """Bytes that the tree takes in a file system with blocks of 4 KiB, and its files."""
    total, files = 0, 0
    for folder, names, plain in os.walk(tree):
        files += len(names) + len(plain)
        for name in plain:
            total += -(-os.lstat(os.path.join(folder, name)).st_size // 4096) * 4096
    return total + files * 4096 // 4, files


def _own_all(image, tree):
    """Who isn't root can't unpack files as root's: make them root's in the image."""
    lines = []
    for folder, names, plain in os.walk(tree):
        for name in (*names, *plain):
            path = pathlib.Path(folder, name).relative_to(tree)
            for field in ("uid", "gid"):
                lines.append(f'set_inode_field "/{path}" {field} 0\n')
    with tempfile.NamedTemporaryFile("w", suffix=".debugfs") as script:
        script.write("".join(lines))
        script.flush()
        run([need("debugfs", "e2fsprogs"), "-w", "-f", script.name, image],
            "give the image's files to root")


def _make_image(tree, image, arch, size):
    """An ext4 file system with what is in the tree; `size` in MiB, or None."""
    used, files = _size_of(tree)
    total = size << 20 if size else used + used // 8 + (FREE_MIB << 20)
    total += -total % CYLINDER
    if total < used:
        raise ToolError(f"--size {size}: the packages alone take {used >> 20} MiB")
    with open(image, "wb") as handle:
        handle.truncate(total)
    run([need("mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0",
         "-N", str(2 * files + 4096), "-O", "^has_journal", "-E", "root_owner=0:0",
         "-L", LABEL + arch, "-d", tree, image], "make the file system")
    if os.geteuid():
        _own_all(image, tree)


# --- the cache -----------------------------------------------------------------------------

def _build(packages, arch, size, target, refresh):
    with debian.scratch_folder() as scratch:
        scratch = pathlib.Path(scratch)
        names, options, debs = wanted(packages, arch, scratch, refresh)
        say(f"downloading {len(debs)} packages, {sum(n for _, n in debs) / 1e6:.0f} MB ...")
        _download(names, options, len(debs))
        say("unpacking ...")
        tree = scratch / "tree"
        files = [scratch / "archives" / name for name, _ in debs]
        lost = [path.name for path in files if not path.exists()]
        if lost:
            raise ToolError(f"apt downloaded no {', '.join(lost)}")
        _fill(tree, files)
        say("making the file system ...")
        _make_image(tree, scratch / "image", arch, size)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / "image", target)


def path_of(packages, arch, size):
    """Where the cache has the image with these packages."""
    key = "\n".join((*sorted(set(packages)), arch, str(size),
                     hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()))
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return cache_root() / "roots" / f"{arch}-{digest}.img"


def image_of(packages, arch="amd64", size=None, update=False):
    """Path of an image with these packages and what they need; made if the cache has none."""
    check_names(packages)
    target = path_of(packages, arch, size)
    if update or not target.exists():
        with locked("fetch"):
            if update or not target.exists():
                _build(packages, arch, size, target, update)
    return target


# --- for xmhf-run --------------------------------------------------------------------------

def architecture(path):
    """Refuse a file that is no ext2, 3 or 4 file system; its architecture by its label, or None."""
    path = pathlib.Path(path)
    if not path.exists():
        raise ToolError(f"--root: there is no file {path}: tools/mkroot PACKAGE... makes one")
    if not path.is_file():
        raise ToolError(f"--root: {path} is {binaries.what_it_is_not(path)}: name an image")
    with open(path, "rb") as handle:
        head = handle.read(4096)
    if len(head) < 4096 or struct.unpack_from("<H", head, _MAGIC_AT)[0] != _MAGIC:
        raise ToolError(f"--root: {path} is no ext4 file system ({binaries.describe(head)}): "
                        "tools/mkroot PACKAGE... makes one; a whole disk with partitions is none")
    label = head[_LABEL_AT:_LABEL_AT + 16].rstrip(b"\0").decode("ascii", "replace")
    return label.removeprefix(LABEL) if label.startswith(LABEL) else None
