"""The SVM bench with UEFI firmware: OVMF, its variables, and the disk that it starts from.

SPDX-License-Identifier: MIT
"""
import dataclasses

from . import binaries, debian, efidisk, efiloader, inputs, nvram
from .base import need, run
from .efiloader import efi_path

XMHF = "EFI/xmhf/xmhf.efi"
CONFIG = "EFI/xmhf/xmhf.conf"
DISK, VARIABLES = "esp.img", "vars.fd"  # in the machine's folder


@dataclasses.dataclass(frozen=True)
class Firmware:
    """One of OVMF's builds, and the template of its variables."""
    code: str
    variables: str
    machine: tuple = ()


# Debian's OVMF_CODE_4M.fd has Secure Boot too, and keeps the variables without SMM.
PLAIN = Firmware("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
SECURE = Firmware("OVMF_CODE_4M.fd", "OVMF_VARS_4M.snakeoil.fd", ("-machine", "q35"))


def ovmf():
    """The folder with OVMF's files."""
    return debian.package_dir("ovmf") / "usr/share/OVMF"


def option(title, partition, name, arguments=""):
    """A boot option that starts a file of the partition."""
    path = partition + nvram.file_path(efi_path(name)) + nvram.END_PATH
    return nvram.load_option(title, path, nvram.arguments(arguments))


def flash(firmware):
    """The emulator's options for the firmware and for its variables, which must be in the
    machine's folder by then."""
    drive = "if=pflash,format=raw"
    return [*firmware.machine, "-drive", f"{drive},readonly=on,file={ovmf() / firmware.code}",
            "-drive", f"{drive},file={VARIABLES}"]


def disk(name=DISK):
    """Those for the disk, whose content is gone with the machine."""
    return ["-drive", f"file={name},format=raw,if=none,id=xmhf-esp,cache=unsafe",
            "-device", "virtio-blk-pci,drive=xmhf-esp,serial=xmhf-esp"]


# --- Secure Boot -----------------------------------------------------------------

def snakeoil(folder):
    """(private key, certificate) of OVMF's variables for tests, in whose db it is. The key goes
    into the folder: no secret, its package has it with its passphrase."""
    shared = debian.package_dir("ovmf") / "usr/share/ovmf"
    key = folder / "snakeoil.key"
    if not key.exists():
        run([need("openssl", "openssl"), "rsa", "-in", shared / "PkKek-1-snakeoil.key", "-passin",
             "pass:snakeoil", "-out", key], "read OVMF's key for tests")
    return key, shared / "PkKek-1-snakeoil.pem"


def sign(image, output, key, certificate):
    """A copy of an EFI image with a signature (more) in it."""
    run([need("sbsign", "sbsigntool"), "--key", key, "--cert", certificate, "--output", output,
         image], f"sign {image}")
    return output


# --- xmhf-run --boot ------------------------------------------------------------------

def configuration(hv_append, name, arguments):
    """The text of xmhf.conf: the hypervisor's options, what it starts next, and that one's."""
    return f"{hv_append}\nnext={efi_path(name)}\nargs={arguments}\n"


def _boot(firmware, signed, args, files, folder):
    """The kernel, by itself or by a loader, started by the firmware or by xmhf.efi."""
    initrd = None if getattr(files, "no_initrd", False) else folder / efiloader.INITRD
    loader = efiloader.LOADERS[getattr(args, "loader", None) or "stub"]
    name, arguments, contents = loader(folder, inputs.efi_kernel(files.kernel), initrd,
                                       files.append)
    if files.hypervisor:
        (folder / "xmhf.conf").write_text(configuration(args.hv_append, name, arguments),
                                          encoding="utf-8")
        contents += [(CONFIG, folder / "xmhf.conf"), (XMHF, files.hypervisor)]
    if signed:
        contents = [(place, sign(path, folder / f"signed-{path.name}", *snakeoil(folder))
                     if binaries.is_efi(binaries.read(path)) else path)
                    for place, path in contents]
    partition = efidisk.make(folder / DISK, contents)
    store = nvram.Store(ovmf() / firmware.variables)
    store.boot_options([option("xmhf", partition, XMHF) if files.hypervisor else
                        option("Linux", partition, name, arguments)])
    store.write(folder / VARIABLES)
    return flash(firmware) + disk()


def plain(args, files, folder):
    """Secure Boot off."""
    return _boot(PLAIN, False, args, files, folder)


def secure(args, files, folder):
    """Secure Boot on; hypervisor and kernel are signed with a key in db."""
    return _boot(SECURE, True, args, files, folder)
