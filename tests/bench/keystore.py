#!/usr/bin/env python3
"""Print what the keystore costs, in instructions: registration, and signatures beside direct calls.

SPDX-License-Identifier: MIT

As with bench.py one instruction is one tick of the TSC. The CPUs of both benches lack the SHA
extensions; what hashing takes with them is reckoned from what tests/guests/sha256.c measures.
"""
import argparse
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # the source tree stays as it is
from bench import BENCHES, BOCHS_MODEL, SOURCE, base  # noqa: E402

SHA_PAGE = 12650             # instructions to hash a page by the SHA extensions
REGISTER_MOST = 1_500_000    # with them
PAGES_MOST = 120
SLOWER_MOST = 2.0            # per cent, of a signature
CALL_MOST = 4000             # instructions of a call, of functions that no interrupt hits: exceeded
                             # before a signature is so much slower
OPERATIONS = (("sign-ed25519", SLOWER_MOST, CALL_MOST), ("sign-p256", SLOWER_MOST, None),
              ("agree-x25519", None, None), ("hmac-64", None, CALL_MOST))


TPM = """\
mkdir -p /tmp/tpm
swtpm socket --tpm2 --tpmstate dir=/tmp/tpm --server type=unixio,path=/tmp/tpm/data \\
    --ctrl type=unixio,path=/tmp/tpm/control --flags not-need-init,startup-clear &
for i in 1 2 3 4 5 6 7 8; do sleep 1; [ -S /tmp/tpm/data ] && break; done
guest_tpm /tmp/tpm/data && guest_keystore
"""


def measure(build, name, tpm):
    """What guest_keystore prints on one bench, and guest_tpm with swtpm in the same guest."""
    program = build / "tests" / "bench" / "guest_keystore"
    if not program.exists():
        raise base.ToolError(f"there is no {program}: run make in the build folder first")
    argv = [SOURCE / "tools" / "xmhf-run", "--build", build, *BENCHES[name][1], "--add", program]
    if name == "vmx":
        argv += ["--cpu-model", BOCHS_MODEL.format(0)]
    command = ["guest_keystore"]
    if tpm:
        root = base.run([SOURCE / "tools" / "mkroot", "swtpm"], "make a root image").strip()
        argv += ["--root", root, "--add", program.parent / "guest_tpm"]
        command = ["sh", "-c", TPM]
    done = subprocess.run([str(part) for part in [*argv, "--", *command]],
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False)
    if done.returncode != 0:
        raise base.ToolError(f"guest_keystore ended with {done.returncode}:\n{done.stdout}")
    return {word: int(value) for word, value in re.findall(r"^([\w-]+) (\d+)$", done.stdout, re.M)}


def image_pages(build):
    """Pages of the image: all, and those that are hashed."""
    image = build / "pal_sdk" / "examples" / "keystore" / "keystore-elf64.pal"
    text = base.run([build / "pal_sdk" / "tools" / "pal-lint", image], "list the keystore")
    pages = re.findall(r"^section +\d+ +(\w+) +0x[0-9a-f]+ +(\d+) pages?", text, re.M)
    return (sum(int(number) for _, number in pages),
            sum(int(number) for kind, number in pages if kind in ("CODE", "RODATA", "DATA")))


def show(name, results, pages, hashed):
    """Print one bench's figures; what is above a ceiling."""
    bad = []

    def line(what, value, limit="", over=False):
        print(f"{BENCHES[name][0]}  {what:44} {value:>12}  {limit}")
        if over:
            bad.append(f"{BENCHES[name][0]} {what}: {value}")
    without = results["open"] - results["open-hash"]
    total = without + hashed * SHA_PAGE
    line("pages (hashed)", f"{pages} ({hashed})", f"at most {PAGES_MOST}", pages > PAGES_MOST)
    line("open, without hashing", f"{without:,}")
    line("  hashing, portable", f"{results['open-hash']:,}")
    line("  open, reckoned with the SHA extensions", f"{total:,}", f"at most {REGISTER_MOST:,}",
         total > REGISTER_MOST)
    for operation, most, call_most in OPERATIONS:
        inside, direct = results[operation], results[operation + "-direct"]
        slower = 100 * (inside / direct - 1)
        line(f"{operation}: the PAL's, called directly", f"{inside:,}", f"{direct:,}")
        line("  slower", f"{slower:.2f} %", f"at most {most} %" if most else "",
             most is not None and slower > most)
        line("  the call", f"{inside - direct:,}", f"at most {call_most:,}" if call_most else "",
             call_most is not None and inside - direct > call_most)
        line("  per 1e9 instructions", f"{1e9 / inside:,.0f}")
    if "tpm-sign-p256" in results:
        line("P-256 by swtpm in the same guest: least, mean", f"{results['tpm-sign-p256']:,}",
             f"{results['tpm-sign-p256-mean']:,}")
        line("  per 1e9 instructions (mean)", f"{1e9 / results['tpm-sign-p256-mean']:,.0f}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default="svm", help="svm, vmx or svm,vmx")
    parser.add_argument("--tpm", action="store_true", help="beside swtpm, in a root image")
    parser.add_argument("--check", action="store_true", help="fail if a ceiling is exceeded")
    parser.add_argument("--build", default=base.build_root(), metavar="DIR",
                        help="build folder (default: $XMHF_BUILD, or in the cache)")
    args = parser.parse_args()
    build, bad = pathlib.Path(args.build).absolute(), []
    pages, hashed = image_pages(build)
    for name in args.bench.split(","):
        bad += show(name, measure(build, name, args.tpm), pages, hashed)
    for text in bad:
        print(f"above its ceiling: {text}")
    return 1 if bad and args.check else 0


base.main(main)
