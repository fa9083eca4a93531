/* SPDX-License-Identifier: MIT */
/* Rights of an access or of a mapping. */
#ifndef XMHF_ACCESS_H
#define XMHF_ACCESS_H

#define ACCESS_READ  1u
#define ACCESS_WRITE 2u
#define ACCESS_EXEC  4u
#define ACCESS_USER  8u
#define ACCESS_NO_AD 16u /* of a software walk: set no accessed or dirty bit */

#endif
