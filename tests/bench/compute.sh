#!/bin/sh
# SPDX-License-Identifier: MIT
# A computing guest: as when compiling, many short programs, pipes, small files, and some
# arithmetic. The argument says how often.
set -e
i=0
while [ $i -lt "$1" ]; do
    seq 1 3000 | sort -r | gzip >/tmp/bench.gz
    gunzip -c /tmp/bench.gz | sha256sum >/tmp/bench.sum
    for name in a b c d; do
        sed 's/[0-9]/x/g' /tmp/bench.sum >/tmp/bench.$name
        grep -q x /tmp/bench.$name
    done
    rm /tmp/bench.*
    i=$((i + 1))
done
