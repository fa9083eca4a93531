/* SPDX-License-Identifier: MIT */
/*
 * A password vault: secrets by name, which only the master password opens. Each entry returns an
 * enum vault_error; on an error nothing has changed but the count of wrong passwords.
 */
#ifndef VAULT_INTERFACE_H
#define VAULT_INTERFACE_H

#include <pal/interface.h>

#define VAULT_SECRETS  32u
#define VAULT_NAME     48u     /* bytes of a name, at most */
#define VAULT_SECRET   256u    /* bytes of a secret, at most */
#define VAULT_PASSWORD 128u    /* bytes of the master password, at most */
#define VAULT_BLOB     16384u  /* bytes of an exported vault, at most */
#define VAULT_WRONG    10u     /* so many wrong passwords one after the other, and it stays shut */

enum vault_error {
    VAULT_OK,
    VAULT_NONE,        /* no vault yet: `found` makes one */
    VAULT_THERE,       /* there is a vault already */
    VAULT_LOCKED,        /* `unlock` it first */
    VAULT_WRONG_PASSWORD,
    VAULT_LOCKED_OUT,  /* too many wrong passwords */
    VAULT_FULL,
    VAULT_NO_SECRET,   /* no such name */
    VAULT_BAD_SIZE,
    VAULT_BAD_BLOB,    /* changed, or of another vault: only the PAL that made it takes it back */
    VAULT_OLD_BLOB,    /* older than what the vault has now */
    VAULT_NO_ENTROPY,
};

PAL_STRUCT(vault_names,
    PAL_FIELD(uint32_t, count)
    PAL_FIELD(char, name[VAULT_SECRETS][VAULT_NAME + 1]))

/* A new, empty vault: its key is born here. It is unlocked. */
PAL_ENTRY(vault, uint32_t, found, PAL_STRING(password, VAULT_PASSWORD))
PAL_ENTRY(vault, uint32_t, unlock, PAL_STRING(password, VAULT_PASSWORD))
PAL_ENTRY(vault, uint32_t, lock)
/* Only while it is unlocked: */
PAL_ENTRY(vault, uint32_t, put, PAL_STRING(name, VAULT_NAME),
          PAL_IN(uint8_t, secret, size, VAULT_SECRET), PAL_VALUE(uint32_t, size))
PAL_ENTRY(vault, uint32_t, get, PAL_STRING(name, VAULT_NAME),
          PAL_OUT_ARRAY(uint8_t, secret, VAULT_SECRET), PAL_OUT_ARRAY(uint32_t, size, 1))
PAL_ENTRY(vault, uint32_t, drop, PAL_STRING(name, VAULT_NAME))
PAL_ENTRY(vault, uint32_t, names, PAL_OUT_STRUCT(vault_names, list))
PAL_ENTRY(vault, uint32_t, change, PAL_STRING(old_password, VAULT_PASSWORD),
          PAL_STRING(new_password, VAULT_PASSWORD))
/* All of it, encrypted under the vault's own key. There is no sealing yet: that key ends with the
 * PAL, so a blob comes back into the PAL that made it and no other. */
PAL_ENTRY(vault, uint32_t, save, PAL_OUT(uint8_t, blob, room, VAULT_BLOB),
          PAL_VALUE(uint32_t, room), PAL_OUT_ARRAY(uint32_t, size, 1))
PAL_ENTRY(vault, uint32_t, restore, PAL_IN(uint8_t, blob, size, VAULT_BLOB),
          PAL_VALUE(uint32_t, size))

#endif
