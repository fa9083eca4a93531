/* SPDX-License-Identifier: MIT */
/* SHA-256 from BearSSL's sources (configure finds them), built with our own flags. */
#include "hash/sha2small.c"
#include "codec/dec32be.c"
#include "codec/enc32be.c"
