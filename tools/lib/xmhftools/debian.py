"""Guest kernels and i386 packages, fetched with apt and kept in the cache.

SPDX-License-Identifier: MIT
"""
import contextlib
import os
import pathlib
import re
import shutil
import tempfile

from .base import ToolError, cache_root, locked, need, run, say

KERNELS = {  # flavour -> (meta package, architecture)
    "amd64": ("linux-image-amd64", "amd64"),
    "cloud-amd64": ("linux-image-cloud-amd64", "amd64"),
    "686": ("linux-image-686", "i386"),
    "686-pae": ("linux-image-686-pae", "i386"),
}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def kernel_arch(flavour):
    """'amd64' or 'i386' for a flavour; a kernel given as a file counts as amd64."""
    return KERNELS[flavour][1] if flavour in KERNELS else "amd64"


def main_archive():
    """The machine's own mirror of Debian's main suite, as (URI, codename)."""
    template = "$(LABEL)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)"
    text = run([need("apt-get", "apt"), "indextargets", "--format", template,
                "Created-By: Packages"], "list the apt sources")
    for line in text.splitlines():
        label, codename, component, uri = line.split("|", 3)
        # "bookworm-updates" and "bookworm-security" carry a dash.
        if label == "Debian" and component == "main" and "-" not in codename:
            return uri, codename
    raise ToolError("this machine's apt has no Debian main suite indexed: "
                    "run  apt-get update  as root")


def _private_options():
    """apt options for an i386 state of our own, leaving the machine's untouched."""
    state = cache_root() / "apt-i386"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    uri, codename = main_archive()
    signed = f" [signed-by={KEYRING}]" if os.path.exists(KEYRING) else ""
    (state / "sources.list").write_text(f"deb{signed} {uri} {codename} main\n", encoding="utf-8")
    (state / "status").touch()
    settings = {
        "APT::Architecture": "i386", "APT::Architectures": "i386",
        "Dir::State::Lists": state / "lists", "Dir::State::status": state / "status",
        "Dir::Cache::archives": state / "archives",
        "Dir::Etc::sourcelist": state / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def apt_options(arch, refresh):
    """Options that make apt see packages of this architecture."""
    # The download folder is ours and private; apt's own user could not write there.
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    if arch != "i386":
        return options
    options += _private_options()
    if refresh or not any((cache_root() / "apt-i386" / "lists").glob("*Packages*")):
        say("fetching the i386 package index (once) ...")
        run([need("apt-get", "apt"), *options, "-q", "update"], "fetch the i386 package index")
    return options


def _real_package(meta, options):
    """The package that a kernel meta package depends on."""
    text = run([need("apt-cache", "apt"), *options, "show", "--no-all-versions", meta],
               f"find {meta} (is the package index there? run  apt-get update  as root)")
    found = re.search(r"^Depends:.*?(linux-image-\d\S*)", text, re.M)
    if not found:
        raise ToolError(f"{meta} names no kernel package it depends on")
    return found.group(1)


def _fetch(package, options, into):
    """Download a package into an empty folder; return the .deb."""
    into = pathlib.Path(into)
    say(f"downloading {package} ...")
    run([need("apt-get", "apt"), *options, "-q", "download", package],
        f"download {package} (no network, or an old index: run  apt-get update  as root)", cwd=into)
    debs = list(into.glob("*.deb"))
    if len(debs) != 1:
        raise ToolError(f"apt-get download {package} left {len(debs)} packages, expected one")
    return debs[0]


def _download(package, options, into):
    """Download a package into a folder and unpack it to tree/ there; return the tree."""
    deb = _fetch(package, options, into)
    tree = pathlib.Path(into) / "tree"
    run([need("dpkg-deb", "dpkg"), "-x", deb, tree], f"unpack {package}")
    deb.unlink()
    return tree


@contextlib.contextmanager
def downloaded(package, arch):
    """A package's .deb for as long as it is wanted; only what is made of it stays."""
    with locked("fetch"), scratch_folder() as scratch:
        yield _fetch(package, apt_options(arch, False), scratch)


def _publish(tree, target):
    """Put a finished folder in its place in one step, replacing a previous one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        old = tempfile.mkdtemp(dir=target.parent, prefix=".old-")
        os.rename(target, os.path.join(old, "x"))
        os.rename(tree, target)
        shutil.rmtree(old)
    else:
        os.rename(tree, target)


def scratch_folder():
    """A temporary folder in the cache, on the file system of the final place."""
    cache_root().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=cache_root(), prefix=".fetch-")


def _build_kernel(flavour, update):
    meta, arch = KERNELS[flavour]
    options = apt_options(arch, update)
    package = _real_package(meta, options)
    version = package[len("linux-image-"):]
    with scratch_folder() as scratch:
        tree = _download(package, options, scratch)
        boot = tree / "boot"
        for name in ("vmlinuz", "System.map", "config"):
            os.rename(boot / f"{name}-{version}", tree / name)
        run([need("depmod", "kmod"), "-b", tree, version], "index the kernel's modules")
        (tree / "version").write_text(version + "\n", encoding="ascii")
        for rest in ("boot", "usr"):
            shutil.rmtree(tree / rest, ignore_errors=True)
        _publish(tree, cache_root() / "kernels" / flavour)


def kernel_dir(flavour, update=False):
    """Folder with vmlinuz, version, config, System.map and lib/modules of a flavour."""
    if flavour not in KERNELS:
        raise ToolError(f"unknown kernel {flavour}: one of {', '.join(KERNELS)}")
    target = cache_root() / "kernels" / flavour
    if update or not (target / "vmlinuz").exists():
        with locked("fetch"):
            if update or not (target / "vmlinuz").exists():
                _build_kernel(flavour, update)
    return target


def _build_headers(flavour):
    arch = KERNELS[flavour][1]
    version = (kernel_dir(flavour) / "version").read_text(encoding="ascii").strip()
    options = apt_options(arch, False)
    text = run([need("apt-cache", "apt"), *options, "show", "--no-all-versions",
                f"linux-headers-{version}"],
               f"find linux-headers-{version} (fetch-kernel --update gets a kernel of today)")
    depends = re.search(r"^Depends: (.*)$", text, re.M).group(1)
    packages = re.findall(r"(linux-headers-\S+-common|linux-kbuild-\S+)", depends)
    target = cache_root() / "headers" / flavour
    with scratch_folder() as scratch:
        for package in (f"linux-headers-{version}", *packages):
            tree = _download(package, options, scratch)
        # Debian's makefile includes the common one by its installed, absolute place.
        wrapper = tree / "usr" / "src" / f"linux-headers-{version}" / "Makefile"
        wrapper.write_text(wrapper.read_text(encoding="utf-8").replace(
            "/usr/src/", f"{target}/usr/src/"), encoding="utf-8")
        _publish(tree, target)


def kernel_headers(flavour):
    """Folder to give to make -C when building a module for the kernel of kernel_dir()."""
    if any(letter.isspace() for letter in str(cache_root())):
        raise ToolError(f"the kernel's makefiles can't be used in {cache_root()}, whose path has a "
                        f"blank: "
                        "set XMHF_CACHE to another folder")
    version = (kernel_dir(flavour) / "version").read_text(encoding="ascii").strip()
    folder = cache_root() / "headers" / flavour / "usr" / "src" / f"linux-headers-{version}"
    if not folder.exists():
        with locked("fetch"):
            if not folder.exists():
                _build_headers(flavour)
    return folder


def package_dir(package):
    """Folder with the files of a Debian package, which is not installed."""
    target = cache_root() / "packages" / package
    if not target.exists():
        with locked("fetch"), scratch_folder() as scratch:
            if not target.exists():
                _publish(_download(package, apt_options("amd64", False), scratch), target)
    return target


def busybox(arch):
    """Path of a static busybox for guests of this architecture."""
    if arch != "i386":
        return pathlib.Path(need("busybox", "busybox-static"))
    target = cache_root() / "busybox-i386"
    if not (target / "bin" / "busybox").exists():
        with locked("fetch"), scratch_folder() as scratch:
            if not (target / "bin" / "busybox").exists():
                _publish(_download("busybox-static", apt_options(arch, False), scratch), target)
    return target / "bin" / "busybox"
