/* SPDX-License-Identifier: MIT */
/* For libsodium's files: none of its types are used. */
