#!/bin/sh
# In the guest: a PAL with a known secret that stays alive in the background.
# SPDX-License-Identifier: MIT
#
# usage: holdpal.sh SEED   until "echo go >pal.in" ends it; pal.out is what it says
mkfifo pal.in
sleep 1000000 >pal.in & # keeps the pipe open
demo_pal --secret-seed "$1" --hold <pal.in >pal.out 2>&1 &
tries=0
until grep -q '^ready' pal.out; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then
        cat pal.out
        exit 1
    fi
    usleep 100000
done
cat pal.out
