/* SPDX-License-Identifier: MIT */
/* HMAC and HMAC-DRBG (NIST SP 800-90A, 10.1.2) from BearSSL's sources, built with our own flags. */
#include "mac/hmac.c"
#include "rand/hmac_drbg.c"
