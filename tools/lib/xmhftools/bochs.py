"""The VMX bench: Bochs' emulation of an Intel machine, started from a disk image with GRUB.

SPDX-License-Identifier: MIT
"""
import pathlib

from . import grubimage
from .base import ToolError, need

CPU_MODEL = "corei7_haswell_4770"  # Linux measures its TSC right

# INIT that reaches a CPU in VMX non-root operation exits, but stays pending for ever: every later
# entry of that CPU exits again at once. So INIT must be seen where it is sent.
HYPERVISOR_OPTIONS = "trap-icr"

# Without the last two, Linux with two CPUs hangs in about one boot of five here,
# with no hypervisor at all. The others save emulated instructions.
LINUX_ARGUMENTS = "mitigations=off nokaslr nohz=off highres=off"

_CYLINDER = 16 * 63 * 512  # heads, sectors per track, bytes: what Bochs' disks are counted in

_CONFIG = """\
display_library: rfb, options="timeout=0"
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
memory: guest={mem}, host={mem}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, mode=flat, path="boot.iso"
boot: disk
clock: sync=none, time0=1700000000
log: bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
com1: enabled=1, mode=file, dev=serial.log
com2: enabled=1, mode=file, dev=output
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=0
plugin_ctrl: e1000=0, ne2k=0, sb16=0, es1370=0, voodoo=0, usb_uhci=0, usb_ohci=0, usb_ehci=0, \
usb_xhci=0, gameport=0, parallel=0, speaker=0
"""


def cpu_option(model, bare):
    """Bochs' CPU model; one with settings of its own is taken as it is."""
    model = model or CPU_MODEL
    # A bare Linux reads IA32_MISC_ENABLE (0x1a0) before it can take a #GP, and Bochs does not
    # know that MSR. The hypervisor must see every fault, and gets the guest over this one.
    return model if "," in model else f"{model}, ignore_bad_msrs={int(bare)}"


def _pad_to_cylinders(path):
    size = path.stat().st_size
    with open(path, "r+b") as image:
        image.truncate(size + -size % _CYLINDER)


def command(args, files, folder):
    """Write the image and the configuration into the folder; return the command line."""
    bochs = need("bochs", "bochs")
    if not pathlib.Path("/usr/share/bochs/BIOS-bochs-latest").exists():
        raise ToolError("Bochs' BIOS is missing: run  apt-get install bochsbios")
    if not pathlib.Path("/usr/share/bochs/VGABIOS-lgpl-latest").exists():
        raise ToolError("Bochs' VGA BIOS is missing: run  apt-get install vgabios")
    default = args.boot if files.hypervisor else "linux"
    # A GRUB ISO is a disk image too, and Bochs reads a disk faster than a CD-ROM.
    grubimage.make(folder / "boot.iso", files.kernel, folder / "initrd.gz", files.append,
                   files.hypervisor, f"{HYPERVISOR_OPTIONS} {args.hv_append}".strip(), default)
    _pad_to_cylinders(folder / "boot.iso")
    (folder / "bochsrc").write_text(
        _CONFIG.format(model=cpu_option(args.cpu_model, not files.hypervisor), cpus=args.cpus, mem=args.mem),
        encoding="ascii")
    (folder / "go.rc").write_text("c\n", encoding="ascii")  # for the debugger's prompt
    return [bochs, "-q", "-unlock", "-f", "bochsrc", "-rc", "go.rc"]
