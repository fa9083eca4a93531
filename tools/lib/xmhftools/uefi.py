"""The SVM bench with UEFI firmware: OVMF, its variables, and the disk that it starts from.

SPDX-License-Identifier: MIT
"""
import dataclasses
import typing

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
SHIM = Firmware("OVMF_CODE_4M.fd", "OVMF_VARS_4M.ms.fd", ("-machine", "q35"))
SMM = Firmware("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.snakeoil.fd",
               ("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
                "-global", "ICH9-LPC.disable_s3=1"))


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


def owner_key(folder):
    """(private key, certificate) of a machine's owner, made for this run."""
    key, certificate = folder / "owner.key", folder / "owner.pem"
    if not key.exists():
        run([need("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
             "3650", "-subj", "/CN=xmhf test owner/", "-keyout", key, "-out", certificate],
            "make a key")
    return key, certificate


def shim():
    """Debian's first stage, which Microsoft has signed."""
    return debian.package_dir("shim-signed") / "usr/lib/shim/shimx64.efi.signed"


# --- xmhf-run --boot ------------------------------------------------------------------

def configuration(hv_append, name, arguments):
    """The text of xmhf.conf: the hypervisor's options, what it starts next, and that one's."""
    return f"{hv_append}\nnext={efi_path(name)}\nargs={arguments}\n"


class Disk(typing.NamedTuple):
    """What is on the disk, and what the firmware starts of it."""
    name: str
    arguments: str
    contents: list  # (name there, path)


def _plan(args, files, folder, usual="stub"):
    """The kernel, by itself or by a loader (`usual`: where none is named), started by the firmware
    or by xmhf.efi."""
    initrd = None if getattr(files, "no_initrd", False) else folder / efiloader.INITRD
    loader = efiloader.LOADERS[getattr(args, "loader", None) or usual]
    name, arguments, contents = loader(folder, inputs.efi_kernel(files.kernel), initrd,
                                       files.append)
    contents = [*contents, *getattr(files, "more", ())]
    if not files.hypervisor:
        return Disk(name, arguments, contents)
    text = getattr(files, "conf", None)
    if text is None:
        text = configuration(args.hv_append, name, arguments)
    (folder / "xmhf.conf").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Disk(XMHF, "", [*contents, (CONFIG, folder / "xmhf.conf"), (XMHF, files.hypervisor)])


def _signed(plan, folder, which, key):
    """The same with signatures in those of its programs that `which` takes."""
    def maybe(name, path):
        if not which(name) or not binaries.is_efi(binaries.read(path)):
            return path
        return sign(path, folder / f"signed-{name.replace('/', '-')}", *key)
    return plan._replace(contents=[(name, maybe(name, path)) for name, path in plan.contents])


def _by_shim(plan):
    """shim in the folder of what it is to start."""
    folder, _, name = plan.name.rpartition("/")
    place = f"{folder}/shimx64.efi".lstrip("/")
    return Disk(place, f"{name} {plan.arguments}".strip(), [*plan.contents, (place, shim())])


def _start(firmware, plan, files, folder, mok=None):
    """Write disk and variables; the emulator's options."""
    partition = efidisk.make(folder / DISK, plan.contents)
    store = nvram.Store(ovmf() / firmware.variables)
    if mok:
        store.trust_by_shim(nvram.certificate_list(nvram.pem_certificate(mok)))
    entries = [*getattr(files, "before", ()),
               ("xmhf" if files.hypervisor else "Linux", plan.name, plan.arguments),
               *getattr(files, "options", ())]
    for name, data, vendor in getattr(files, "variables", ()):
        store.set(name, data, vendor)
    store.boot_options([entry if isinstance(entry, bytes) else option(entry[0], partition,
                                                                      *entry[1:])
                        for entry in entries])
    store.write(folder / VARIABLES)
    return flash(firmware) + disk()


def plain(args, files, folder):
    """Secure Boot off."""
    return _start(PLAIN, _plan(args, files, folder), files, folder)


def _everything(_name):
    return True


def secure(args, files, folder, firmware=SECURE):
    """Secure Boot on; hypervisor and kernel are signed with a key in db."""
    plan = _signed(_plan(args, files, folder), folder,
                   getattr(files, "sign", None) or _everything, snakeoil(folder))
    return _start(firmware, plan, files, folder)


def secure_smm(args, files, folder):
    """The same with a firmware that keeps its variables in SMM, as real machines do."""
    return secure(args, files, folder, SMM)


def secure_shim(args, files, folder):
    """Secure Boot with Microsoft's keys, Debian's shim and loaders; the hypervisor is signed with a
    key that the machine's owner has told shim (MOK)."""
    key = owner_key(folder)
    which = getattr(files, "sign", None) or (lambda name: name == XMHF)
    # shim starts nothing without .sbat, which Debian's kernel 6.1 doesn't have; GRUB may.
    usual = "stub" if getattr(files, "no_initrd", False) else "grub"
    plan = _by_shim(_signed(_plan(args, files, folder, usual), folder, which, key))
    return _start(SHIM, plan, files, folder, key[1])
