/* SPDX-License-Identifier: MIT */
/* Which ports exit, and which accesses reset the machine or put it to sleep
 * (notes/reset-and-sleep.md). */
#ifndef XMHF_POLICY_IO_POLICY_H
#define XMHF_POLICY_IO_POLICY_H

#include <acpi/acpi.h>

enum io_action {
    IO_PASS,      /* carry it out */
    IO_RESET,     /* resets the machine: wipe first */
    IO_POWER_OFF, /* S4 or S5: wipe, then carry it out */
    IO_SUSPEND,   /* S1 to S3, or nobody knows: the OS would wake up without us, so it is refused */
};

/* The ports of this machine, from the FADT. Once, before io_policy_ports. */
void io_policy_init(const struct acpi_info *acpi);

/*
 * Say that this machine can't wake up without us, however it sleeps (guest/facs.h). Only then may
 * a power-off be carried out on a machine whose S5 isn't understood: any type that isn't known as
 * a sleep counts as one then.
 */
void io_policy_no_wake(void);

/* The ports whose accesses the next two functions are to be asked about; some may be there twice.
 * Returns how many. */
#define IO_POLICY_PORTS 11
size_t io_policy_ports(uint16_t out[IO_POLICY_PORTS]);

/*
 * What writing `*value` of `size` bytes to `port` would do. Changes `*value` where the guest may
 * write the register but not this bit: the A20 gate stays open, since closing it would
 * move the hypervisor's own memory accesses too. Remembers the keyboard controller's
 * command D1h, whose data byte at port 60h sets gate and reset line: no other CPU may write a port
 * before the caller has carried this one out.
 */
enum io_action io_policy_write(uint16_t port, unsigned size, uint32_t *value);

/*
 * A refused suspend looks to the OS like one that ended at once: the wake status that it
 * waits for reads as set until it clears it. `in` is what the hardware gave.
 */
void io_policy_suspend_refused(void);
uint32_t io_policy_read(uint16_t port, unsigned size, uint32_t in);

#endif
