"""The KVM bench: the host's own CPU, whose nested virtualization the hypervisor uses.

Has never run: no development machine offers it. What it needs is looked at before anything is
started.

SPDX-License-Identifier: MIT
"""
import grp
import os
import pathlib

from .base import ToolError

DEVICE = "/dev/kvm"
CPUINFO = "/proc/cpuinfo"
MODULES = "/sys/module"
FLAGS = {"vmx": "kvm_intel", "svm": "kvm_amd"}  # of /proc/cpuinfo: the module that uses it
CPU_MODEL = "host"

_WHAT = "--bench kvm needs hardware virtualization"


def _flags(cpuinfo):
    """The flags of the first CPU that is listed."""
    try:
        lines = pathlib.Path(cpuinfo).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines
                 if line.partition(":")[0].strip() == "flags"), set())


def extension(cpuinfo=CPUINFO):
    """"vmx" or "svm", what this machine's CPUs have; else None."""
    flags = _flags(cpuinfo)
    return next((flag for flag in FLAGS if flag in flags), None)


def _no_extension(cpuinfo):
    """Linux drops the flag of a CPU whose firmware has locked the feature off."""
    if "hypervisor" in _flags(cpuinfo):
        return (f"{_WHAT}, and this machine is a virtual one that has none: have its host offer "
                "nested virtualization (for QEMU: -cpu host)")
    return (f"{_WHAT}, and the CPU has none: if it is a recent one, enable VT-x, VMX, SVM or "
            "AMD-V in the firmware's setup")


def _group(device):
    """The group that may use the device."""
    number = os.stat(device).st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _unusable(device, module):
    """Why the device can't be opened; None: it can."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return (f"--bench kvm needs {device}, which isn't there: run  modprobe {module}  as root, "
                f"and dmesg tells why if that fails (in a container: start it with --device "
                f"{device})")
    except PermissionError:
        return (f"--bench kvm may not open {device}: run  usermod -aG {_group(device)} USER  as "
                "root with your user's name, then log in again")
    except OSError as problem:
        return (f"--bench kvm can't open {device} ({problem.strerror}): run  modprobe {module}  "
                "as root, and dmesg tells why if that fails")
    return None


def missing(device=DEVICE, cpuinfo=CPUINFO, modules=MODULES):
    """One line that says what this bench lacks here and how to get it; None: nothing."""
    flag = extension(cpuinfo)
    if flag is None:
        return _no_extension(cpuinfo)
    module = FLAGS[flag]
    problem = _unusable(device, module)
    if problem:
        return problem
    nested = pathlib.Path(modules, module, "parameters", "nested")
    try:
        value = nested.read_text(encoding="ascii").strip()
    except OSError:
        return (f"--bench kvm needs KVM with nested virtualization, and there is no {nested} to "
                f"tell of it: run  modprobe {module} nested=1  as root")
    if value in ("Y", "1"):
        return None
    return (f"--bench kvm needs KVM with nested virtualization, which is off ({nested} is "
            f"{value or 'empty'}): with no virtual machine running, run  modprobe -r {module} && "
            f"modprobe {module} nested=1  as root (for good: the line  options {module} nested=1  "
            "in /etc/modprobe.d/kvm.conf)")


def check():
    """Refuse the bench where it can't be."""
    problem = missing()
    if problem:
        raise ToolError(problem)


def cpu_option(model, cpuinfo=CPUINFO):
    """QEMU's -cpu value; a model with flags of its own is taken as it is."""
    if not model:
        return CPU_MODEL
    flag = extension(cpuinfo)
    return model if "," in model or not flag else f"{model},+{flag}"
