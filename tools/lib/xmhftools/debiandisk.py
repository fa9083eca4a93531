"""Makes a whole Debian on a disk: kernel, initrd, root file system and boot loaders of packages.

SPDX-License-Identifier: MIT

Installed, not only unpacked: the packages' scripts have run (mmdebstrap), so the initrd is the one
that initramfs-tools makes. Nothing in the root file system is ours but GRUB's menu, which has the
system run a script of a disk labelled LABEL, and log to the first serial port.
"""
import hashlib
import os
import pathlib
import shlex

from . import debian, efidisk, uefi
from .base import cache_root, locked, need, run, say

LABEL = "XMHF"  # of the FAT file system that has what a machine is to run
ROOT_LABEL = "xmhf-debian"
PACKAGES = ("linux-image-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "kmod",
            "efivar", "zstd")
SCRIPT = "run.sh"  # there
ROOT_MIB = 1536
LAYOUT = 1  # counts changes that the other texts here don't show: a new image is made then
# systemd's own option; quotes in it would not survive GRUB.
_RUN = f"systemd.run=/bin/mount LABEL={LABEL} /mnt ; /bin/sh /mnt/{SCRIPT}"

_GRUB = """\
set timeout=0
menuentry "Debian GNU/Linux" {{
    search --no-floppy --label --set=root {label}
    linux /vmlinuz root=LABEL={label} ro console=ttyS0,115200 panic=-1 \
        systemd.run_success_action=none systemd.run_failure_action=none '{run}'
    initrd /initrd.img
}}
"""
# What grub-install writes beside Debian's signed GRUB.
_STUB = """\
search.fs_label {label} root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
"""
# In the namespace of mmdebstrap, where the files have their owners; /proc and others are mounted
# in the tree meanwhile.
_HOOK = """\
set -e
tree=$(mktemp -d)
mkdir -p "$1/boot/grub"
cp {menu} "$1/boot/grub/grub.cfg"
tar -C "$1" --one-file-system -c . | tar -C "$tree" -x
mke2fs -q -F -t ext4 -L {label} -E root_owner=0:0 -d "$tree" {image} {size}M
rm -rf "$tree"
"""


def loaders():
    """(name on the EFI system partition, path) of Debian's signed loaders, as it installs them."""
    shim = uefi.shim()
    grub = debian.package_dir("grub-efi-amd64-signed") / (
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
    return [("EFI/debian/shimx64.efi", shim), ("EFI/debian/grubx64.efi", grub),
            ("EFI/BOOT/BOOTX64.EFI", shim), ("EFI/BOOT/grubx64.efi", grub)]


def _root(scratch):
    """The root file system's image."""
    uri, codename = debian.main_archive()
    image, menu, hook = (scratch / name for name in ("root.img", "grub.cfg", "hook.sh"))
    menu.write_text(_GRUB.format(label=ROOT_LABEL, run=_RUN), encoding="ascii")
    hook.write_text(_HOOK.format(menu=shlex.quote(str(menu)), image=shlex.quote(str(image)),
                                 label=ROOT_LABEL, size=ROOT_MIB), encoding="utf-8")
    say("installing a Debian to a disk image (once; some minutes) ...")
    run([need("mmdebstrap", "mmdebstrap"), "--variant=minbase",
         f"--include={','.join(PACKAGES)}", "--aptopt=Acquire::Languages \"none\"",
         f"--customize-hook=sh {shlex.quote(str(hook))} \"$1\"", codename, os.devnull, uri],
        "install a Debian")
    return image


def _make(target):
    with debian.scratch_folder() as name:
        scratch = pathlib.Path(name)
        root = _root(scratch)
        stub = scratch / "stub.cfg"
        stub.write_text(_STUB.format(label=ROOT_LABEL), encoding="ascii")
        files = [*loaders(), ("EFI/debian/grub.cfg", stub)]
        efidisk.make(scratch / "disk.img", files, root, "DEBIAN")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / "disk.img", target)


def image():
    """Path of the disk's image; made if the cache has none. Machines must not write to it."""
    key = repr((PACKAGES, ROOT_MIB, _RUN, _GRUB, _STUB, _HOOK, LAYOUT)).encode()
    target = cache_root() / "disks" / f"debian-{hashlib.sha256(key).hexdigest()[:16]}.img"
    if not target.exists():
        loaders()  # they take the same lock
        with locked("disk"):
            if not target.exists():
                _make(target)
    return target
