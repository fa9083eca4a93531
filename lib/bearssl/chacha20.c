/* SPDX-License-Identifier: MIT */
/* ChaCha20 (RFC 8439, 2.4), constant time, from BearSSL's sources, built with our own flags. */
#include "symcipher/chacha20_ct.c"
