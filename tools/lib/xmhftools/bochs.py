"""The VMX bench: Bochs' emulation of an Intel machine, started from a disk image with GRUB.

SPDX-License-Identifier: MIT
"""
import pathlib
import re

from . import diskimage
from .base import ToolError, need

CPU_MODEL = "corei7_haswell_4770"  # Linux measures its TSC right

# INIT that reaches a CPU in VMX non-root operation exits, but stays pending for ever: every later
# entry of that CPU exits again at once. So INIT must be seen where it is sent, if any is.
HYPERVISOR_OPTIONS = "trap-icr"

# Without the last two, Linux with two CPUs hangs in about one boot of five here,
# with no hypervisor at all. SYSRET leaves the stack segment's size as the kernel had it, and a
# 32-bit thread dies of its next POP: vdso32=0 keeps 32-bit programs on INT 80h. CPUID shows machine
# checks without their MSRs, at which 686 kernels panic under the hypervisor: mce=off. The others
# save emulated instructions.
LINUX_ARGUMENTS = "mitigations=off nokaslr mce=off vdso32=0 nohz=off highres=off"

DISK = "disk.img"
ROOT_IMAGE = "root.img"  # in the machine's folder
ROOT_MODULES = ("ata_piix", "sd_mod", "crc32c_generic", "ext4")  # for a guest of Debian's
# A change goes into a file beside the image that is gone with the machine.
_ROOT = f'ata0-slave: type=disk, mode=volatile, path="{ROOT_IMAGE}", model="xmhf-root"\n'
CPUS_MAX, MEMORY_MAX = 8, 3072  # MiB; Bochs 2.7 with more ends at once

_CONFIG = """\
display_library: rfb, options="timeout=0"
cpu: ips=50000000, reset_on_triple_fault=0, count={cpus}, model={model}
memory: guest={mem}, host={mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, mode=flat, path="{disk}"
{root}boot: disk
clock: sync=none, time0=1700000000
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore, pc_system=report
debug: action=ignore
com1: enabled=1, mode=file, dev=serial.log
com2: enabled=1, {com2}
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
plugin_ctrl: e1000=0, ne2k=0, sb16=0, es1370=0, voodoo=0, usb_uhci=0, usb_ohci=0, usb_ehci=0, \
usb_xhci=0, gameport=0, parallel=0, speaker=0
"""


def cpu_option(model, bare):
    """Bochs' CPU model; one with settings of its own, which come last, is taken as it is."""
    model = model or CPU_MODEL
    # A bare Linux reads IA32_MISC_ENABLE (0x1a0) before it can take a #GP, and Bochs does not
    # know that MSR. The hypervisor must see every fault, and gets the guest over this one.
    return model if "," in model else f"{model}, ignore_bad_msrs={int(bare)}"


def start(folder, model, bare, cpus, mem, agent_port=None):
    """Write the configuration into the folder, which has the disk's image (DISK); return the
    command line, to be run there. With `agent_port` it waits for a connection at this TCP port, the
    second serial port's, and then for words on standard input for its debugger."""
    bochs = need("bochs", "bochs")
    for name, package in (("BIOS-bochs-latest", "bochsbios"), ("VGABIOS-lgpl-latest", "vgabios")):
        if not pathlib.Path("/usr/share/bochs", name).exists():
            raise ToolError(f"Bochs' {name} is missing: run  apt-get install {package}")
    (folder / "bochsrc").write_text(
        _CONFIG.format(model=cpu_option(model, bare), cpus=cpus, mem=mem, disk=DISK,
                       root=_ROOT if (folder / ROOT_IMAGE).exists() else "",
                       com2=f"mode=socket-server, dev=localhost:{agent_port}" if agent_port else
                       "mode=file, dev=output"),
        encoding="ascii")
    line = [bochs, "-q", "-unlock", "-f", "bochsrc"]
    if agent_port:
        return line
    (folder / "go.rc").write_text("c\n", encoding="ascii")  # for the debugger's prompt
    return [*line, "-rc", "go.rc"]


def resets(folder):
    """How often the machine was reset, by what Bochs logs; switching it on counts too."""
    log = pathlib.Path(folder) / "bochs.log"
    return log.read_bytes().count(b"Reset(HARDWARE)") if log.exists() else 0


def messages(folder):
    """Bochs' last words, of its log."""
    log = pathlib.Path(folder) / "bochs.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    return re.findall(r"^\d+p(\[.*)$", text, re.M)


def _commands(args, files):
    """What GRUB is to do."""
    if not files.hypervisor:
        return diskimage.linux("vmlinuz", files.append, "initrd.gz")
    initrd = () if getattr(files, "no_initrd", False) else (("initrd.gz", ""),)
    options = f"{HYPERVISOR_OPTIONS if args.cpus > 1 else ''} {args.hv_append}".strip()
    return diskimage.hypervisor((("vmlinuz", files.append), *initrd), options,
                                "1" if args.boot == "grub-mb1" else "2")


def command(args, files, folder, agent_port=None):
    """Write the disk and the configuration into the folder; return the command line (see start)."""
    if getattr(args, "root", None):
        (folder / ROOT_IMAGE).symlink_to(args.root)
    contents = [("vmlinuz", files.kernel)]
    if (folder / "initrd.gz").exists():
        contents.append(("initrd.gz", folder / "initrd.gz"))
    if files.hypervisor:
        contents.append(("xmhf.elf", files.hypervisor))
    diskimage.make(folder / DISK, contents, _commands(args, files))
    return start(folder, args.cpu_model, not files.hypervisor, args.cpus, args.mem, agent_port)
