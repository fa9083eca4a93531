/* SPDX-License-Identifier: MIT */
/* Rights of an access or of a mapping. */
#ifndef XMHF_ACCESS_H
#define XMHF_ACCESS_H

#include <stdbool.h>

#define ACCESS_READ  1u
#define ACCESS_WRITE 2u
#define ACCESS_EXEC  4u
#define ACCESS_USER  8u
/* Of a nested mapping: execution by linear addresses that the guest's own tables call user's (all
 * of them without paging), so not of ring 0 with SMEP. ACCESS_EXEC is execution by all. */
#define ACCESS_EXEC_USER 32u
#define ACCESS_NO_AD 16u /* of a software walk: set no accessed or dirty bit */

/* What a nested mapping's rights are by a linear address that is the user's or not: ACCESS_READ,
 * WRITE, EXEC. */
static inline unsigned access_rights_by(bool user, unsigned rights)
{
    return (rights & (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC))
        | (user && (rights & ACCESS_EXEC_USER) ? ACCESS_EXEC : 0);
}

#endif
