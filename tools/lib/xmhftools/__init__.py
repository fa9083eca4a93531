"""Python modules shared by the programs in tools/ (standard library only).

SPDX-License-Identifier: MIT
"""
