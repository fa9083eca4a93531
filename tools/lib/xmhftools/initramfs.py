"""Makes the guest's initramfs: a cached base, then what one run adds.

SPDX-License-Identifier: MIT
"""
import gzip
import hashlib
import os
import pathlib
import shlex

from . import cpio, debian, programs, wine
from .base import ToolError, cache_root, run
from .programs import ADD_FOLDER, split_add

INIT = pathlib.Path(__file__).resolve().parent.parent / "guest-init"


def _make_base(arch):
    archive = cpio.Archive()
    box = debian.busybox(arch)
    # An i386 busybox may not run on this host, the host's own always does.
    names = run([debian.busybox("amd64"), "--list"], "list busybox's commands").split()
    archive.file("bin/busybox", box.read_bytes(), 0o755)
    for name in names:
        if name != "busybox":
            archive.symlink(f"bin/{name}", "busybox")
    for folder in ("proc", "sys", "dev", "tmp", "root", "etc", "xmhf", ADD_FOLDER):
        archive.folder(folder)
    archive.char_device("dev/console", 5, 1)
    archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    archive.file("init", INIT.read_bytes(), 0o755)
    return gzip.compress(archive.finish(), 6, mtime=0)


def _base(arch):
    """The base initramfs of an architecture, from the cache when still right."""
    digest = hashlib.sha256()
    for source in (INIT, pathlib.Path(__file__), debian.busybox(arch)):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    path = cache_root() / "initramfs" / f"{arch}-{digest.hexdigest()[:16]}.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(_make_base(arch))
        os.replace(partial, path)
    return path.read_bytes()


def _module_files(kernel, names):
    """Files of kernel modules and of what they need, to load in order; not what is built in."""
    if not names:
        return []
    root = debian.kernel_dir(kernel)
    version = (root / "version").read_text(encoding="ascii").strip()
    base = root / "lib" / "modules" / version

    def name_of(path):
        return pathlib.Path(path).name.split(".")[0].replace("-", "_")
    built_in = {name_of(line)
                for line in (base / "modules.builtin").read_text(encoding="utf-8").split()}
    needs, by_name = {}, {}
    for line in (base / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
        by_name[name_of(path)] = path
    order = []
    for name in (name.replace("-", "_") for name in names):
        if name in built_in:
            continue
        path = by_name.get(name)
        if path is None:
            raise ToolError(f"--module: kernel {version} has no module {name}: its modules are "
                            f"in {base}")
        # modules.dep lists what a module needs last-to-load first.
        order += [p for p in [*reversed(needs[path]), path] if p not in order]
    return [base / path for path in order]


def _extra(command, marker, adds, kernel, modules, root):
    archive = cpio.Archive()
    if root:
        archive.file("/xmhf/root", b"")
    for text in adds:
        archive.copy(*split_add(text))
    listing = []
    for path in _module_files(kernel, modules):
        archive.copy(path, f"/xmhf/module/{path.name}")
        listing.append(f"/xmhf/module/{path.name}\n")
    if listing:
        archive.file("/xmhf/modules", "".join(listing).encode())
    if command:
        archive.file("/xmhf/run", f"cd {ADD_FOLDER} || cd /\nexec {shlex.join(command)}\n".encode())
        archive.file("/xmhf/marker", marker.encode())
    return archive.finish()


def make(arch, command=(), marker="end", adds=(), kernel=None, modules=(), wine_bits=None,
         root=False):
    """The initramfs as bytes; with no command the guest starts a shell on ttyS0. With `root` the
    command runs in what is on the disk "xmhf-root"."""
    programs.check(adds, command, wine_bits, root)
    parts = [_base(arch)]
    if wine_bits:
        parts.append(wine.archive(wine_bits))
    parts.append(gzip.compress(_extra(command, marker, adds, kernel, modules, root),
                               1, mtime=0))
    # The kernel takes archives one after another, each on a 4-byte boundary.
    return b"".join(part + b"\0" * (-len(part) % 4) for part in parts)
