/* SPDX-License-Identifier: MIT */
/* The log: lines on the UART; errors also on the screen, until the guest starts. */
#ifndef XMHF_DEBUG_LOG_H
#define XMHF_DEBUG_LOG_H

/* One line; "[xmhf] " and the newline are added. After guest start lines are marked
 * "[xmhf cpuN guest]" as caused by the guest, and they are printed at a limited rate. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, but `quiet` doesn't hide it, and before guest start the screen shows it. */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Before guest start: the launch is refused, for a reason that was logged. Says so and stays here.
 * On another CPU than the boot CPU: that one waits for it in vain, and then refuses too. */
_Noreturn void launch_refuse(void);
/* Where there is somebody to go back to: launch_refuse calls `back`, which doesn't return, instead.
 * NULL: nobody any more. */
void launch_on_refuse(void (*back)(void));

/* Our own bug: wipe the pool and keys, leave a crash record, stop all CPUs, reset. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same for an exception in the core. */
struct trap_frame;
_Noreturn void panic_trap(const struct trap_frame *f);

#define ASSERT(cond) \
    do { \
        if (!(cond)) { \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
        } \
    } while (0)

#endif
