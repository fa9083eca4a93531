#!/bin/sh
# In the guest: runs the lines that a test sends on a serial port.
# SPDX-License-Identifier: MIT
#
# usage: agent.sh PORT
#
# A line is "NUMBER SHELL COMMAND". What the command prints goes back, then a line
# "#NUMBER STATUS"; number 0 says that the agent is there.
port=/dev/$1
stty -F $port raw -echo -hupcl 115200
exec 3<>$port
printf '\n#0 0\n' >&3
while read -r number line <&3; do
    sh -c "$line" >&3 2>&1 </dev/null 3>&-
    printf '\n#%s %s\n' "$number" $? >&3
done
