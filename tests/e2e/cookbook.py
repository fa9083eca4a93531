"""The cookbook of the SDK, its commands for guests among them.

SPDX-License-Identifier: MIT
"""
import os
import subprocess

from common import SOURCE, check


def test_cookbook(machines):
    """Each command of pal_sdk/README.md: Linux, C++, DLLs, deaths, Windows programs under Wine."""
    done = subprocess.run([SOURCE / "tests" / "sdk" / "installed.py", "--build", machines.build,
                           "--guest", machines.args.bench, "cookbook"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          errors="replace", check=False, env=os.environ)
    check(done.returncode == 0, done.stdout[-4000:])
    return done.stdout.strip().partition(": ")[2]


BASIC = ()
MORE = (test_cookbook,)  # seven boots; tests/sdk/installed.py does the rest of it every time
