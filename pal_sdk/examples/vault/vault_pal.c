/* SPDX-License-Identifier: MIT */
/*
 * The vault's PAL. Its root key is born inside. Each secret is encrypted by AES-256-GCM under a key
 * that needs both the root key and the master password:
 *
 *     entry key = HMAC-SHA-256(root, "entries" PBKDF2-HMAC-SHA-256(password, salt))
 *     proof     = HMAC-SHA-256(root, "proof"   PBKDF2-HMAC-SHA-256(password, salt))
 *     blob key  = HMAC-SHA-256(root, "blob")
 *
 * While the vault is locked the entry key is nowhere. One stack: one call at a time, no locks.
 */
#include "vault_interface.h"

#include <bearssl.h>
#include <pal/rt.h>
#include <string.h>

enum { ROUNDS = 1000 }; /* of PBKDF2: nobody can try passwords without this PAL */

struct secret {
    char name[VAULT_NAME + 1]; /* empty: free */
    uint32_t size;
    uint8_t nonce[12], tag[16];
    uint8_t data[VAULT_SECRET];
};

/* What a blob holds. */
struct content {
    uint64_t version;          /* goes up with each change */
    uint8_t salt[16], proof[32];
    struct secret secret[VAULT_SECRETS];
};

struct blob {
    uint8_t nonce[12], tag[16];
    struct content content;
};
_Static_assert(sizeof(struct blob) <= VAULT_BLOB, "fits");

static struct content vault;
static struct blob scratch;    /* of `save` and `restore` */
static uint8_t root[32], entry_key[32];
static bool there, is_open;
static uint32_t wrong;

/* --- keys ------------------------------------------------------------------------------ */

/* HMAC of a label and what follows it. */
static void derive(uint8_t out[32], const uint8_t key[32], const char *label, const uint8_t *more,
                   size_t size)
{
    br_hmac_key_context k;
    br_hmac_context context;

    br_hmac_key_init(&k, &br_sha256_vtable, key, 32);
    br_hmac_init(&context, &k, 0);
    br_hmac_update(&context, label, strlen(label));
    br_hmac_update(&context, more, size);
    br_hmac_out(&context, out);
    pal_wipe(&k, sizeof(k));
    pal_wipe(&context, sizeof(context));
}

/* RFC 8018, 5.2, for one block of output. */
static void pbkdf2(uint8_t out[32], const char *password, const uint8_t salt[16])
{
    static const uint8_t block[4] = { 0, 0, 0, 1 };
    br_hmac_key_context k;
    br_hmac_context context;
    uint8_t u[32];

    br_hmac_key_init(&k, &br_sha256_vtable, password, strlen(password));
    br_hmac_init(&context, &k, 0);
    br_hmac_update(&context, salt, 16);
    br_hmac_update(&context, block, 4);
    br_hmac_out(&context, u);
    memcpy(out, u, 32);
    for (unsigned i = 1; i < ROUNDS; i++) {
        br_hmac_init(&context, &k, 0);
        br_hmac_update(&context, u, 32);
        br_hmac_out(&context, u);
        for (unsigned j = 0; j < 32; j++) {
            out[j] ^= u[j];
        }
    }
    pal_wipe(&k, sizeof(k));
    pal_wipe(&context, sizeof(context));
    pal_wipe(u, sizeof(u));
}

static void keys_of(const char *password, const uint8_t salt[16], uint8_t entries[32],
                    uint8_t proof[32])
{
    uint8_t stretched[32];

    pbkdf2(stretched, password, salt);
    derive(entries, root, "entries", stretched, sizeof(stretched));
    derive(proof, root, "proof", stretched, sizeof(stretched));
    pal_wipe(stretched, sizeof(stretched));
}

/* AES-256-GCM in place; the tag is bound to a name. */
static void crypt(bool encrypt, const uint8_t key[32], const uint8_t nonce[12], const char *name,
                  uint8_t *data, size_t size, uint8_t tag[16])
{
    br_aes_ct64_ctr_keys aes;
    br_gcm_context gcm;

    br_aes_ct64_ctr_init(&aes, key, 32);
    br_gcm_init(&gcm, &aes.vtable, br_ghash_ctmul64);
    br_gcm_reset(&gcm, nonce, 12);
    br_gcm_aad_inject(&gcm, name, strlen(name));
    br_gcm_flip(&gcm);
    br_gcm_run(&gcm, encrypt, data, size);
    br_gcm_get_tag(&gcm, tag);
    pal_wipe(&aes, sizeof(aes));
    pal_wipe(&gcm, sizeof(gcm));
}

/* --- opening --------------------------------------------------------------------------- */

/* Whether it is the password; then `entries` is its key. Wrong ones are counted. */
static uint32_t check(const char *password, uint8_t entries[32])
{
    uint8_t proof[32];
    bool good;

    if (!there) {
        return VAULT_NONE;
    }
    if (wrong >= VAULT_WRONG) {
        return VAULT_LOCKED_OUT;
    }
    keys_of(password, vault.salt, entries, proof);
    good = pal_equal_ct(proof, vault.proof, sizeof(proof));
    pal_wipe(proof, sizeof(proof));
    wrong = good ? 0 : wrong + 1;
    if (!good) {
        pal_wipe(entries, 32);
    }
    return good ? VAULT_OK : VAULT_WRONG_PASSWORD;
}

uint32_t found(const char *password)
{
    if (there) {
        return VAULT_THERE;
    }
    if (password[0] == 0) {
        return VAULT_BAD_SIZE;
    }
    if (pal_random(root, sizeof(root)) != 0 || pal_random(vault.salt, sizeof(vault.salt)) != 0) {
        return VAULT_NO_ENTROPY;
    }
    keys_of(password, vault.salt, entry_key, vault.proof);
    vault.version = 1;
    there = is_open = true;
    return VAULT_OK;
}

uint32_t unlock(const char *password)
{
    uint8_t entries[32];
    uint32_t error = check(password, entries);

    if (error == VAULT_OK) {
        memcpy(entry_key, entries, sizeof(entry_key));
        is_open = true;
    }
    pal_wipe(entries, sizeof(entries));
    return error;
}

uint32_t lock(void)
{
    pal_wipe(entry_key, sizeof(entry_key));
    is_open = false;
    return there ? VAULT_OK : VAULT_NONE;
}

static uint32_t usable(void)
{
    return !there ? VAULT_NONE : is_open ? VAULT_OK : VAULT_LOCKED;
}

/* --- secrets --------------------------------------------------------------------------- */

/* The secret of that name, or with an empty name a free place; NULL if there is none. */
static struct secret *find(const char *name)
{
    for (unsigned i = 0; i < VAULT_SECRETS; i++) {
        if (strcmp(vault.secret[i].name, name) == 0) {
            return &vault.secret[i];
        }
    }
    return NULL;
}

/* Encrypt a plaintext into a place. */
static uint32_t lay_down(struct secret *s, const char *name, const uint8_t *plain, uint32_t size,
                         const uint8_t key[32])
{
    if (pal_random(s->nonce, sizeof(s->nonce)) != 0) {
        return VAULT_NO_ENTROPY;
    }
    memset(s->name, 0, sizeof(s->name));
    memcpy(s->name, name, strlen(name));
    memcpy(s->data, plain, size);
    s->size = size;
    crypt(true, key, s->nonce, s->name, s->data, size, s->tag);
    return VAULT_OK;
}

/* Decrypt into `plain`. It can't fail: nobody else can write here. */
static bool take_up(const struct secret *s, uint8_t *plain, const uint8_t key[32])
{
    uint8_t tag[16];

    memcpy(plain, s->data, s->size);
    crypt(false, key, s->nonce, s->name, plain, s->size, tag);
    return pal_equal_ct(tag, s->tag, sizeof(tag));
}

uint32_t put(const char *name, const uint8_t *secret, uint32_t size)
{
    uint32_t error = usable();
    struct secret fresh = { .size = 0 }, *s;

    if (error != VAULT_OK) {
        return error;
    }
    if (name[0] == 0) {
        return VAULT_BAD_SIZE;
    }
    s = find(name);
    s = s ? s : find("");
    if (!s) {
        return VAULT_FULL;
    }
    error = lay_down(&fresh, name, secret, size, entry_key);
    if (error == VAULT_OK) {
        *s = fresh;
        vault.version++;
    }
    return error;
}

uint32_t get(const char *name, uint8_t secret[VAULT_SECRET], uint32_t size[1])
{
    uint32_t error = usable();
    const struct secret *s;

    if (error != VAULT_OK) {
        return error;
    }
    s = name[0] != 0 ? find(name) : NULL;
    if (!s) {
        return VAULT_NO_SECRET;
    }
    if (!take_up(s, secret, entry_key)) {
        pal_wipe(secret, VAULT_SECRET);
        return VAULT_BAD_BLOB;
    }
    size[0] = s->size;
    return VAULT_OK;
}

uint32_t drop(const char *name)
{
    uint32_t error = usable();
    struct secret *s;

    if (error != VAULT_OK) {
        return error;
    }
    s = name[0] != 0 ? find(name) : NULL;
    if (!s) {
        return VAULT_NO_SECRET;
    }
    pal_wipe(s, sizeof(*s));
    vault.version++;
    return VAULT_OK;
}

uint32_t names(struct vault_names *list)
{
    uint32_t error = usable();

    list->count = 0;
    for (unsigned i = 0; error == VAULT_OK && i < VAULT_SECRETS; i++) {
        if (vault.secret[i].name[0] != 0) {
            memcpy(list->name[list->count++], vault.secret[i].name, VAULT_NAME + 1);
        }
    }
    return error;
}

/* --- another password ------------------------------------------------------------------ */

/* All secrets again, into `scratch`, from one key to another. */
static uint32_t encrypt_again(const uint8_t from[32], const uint8_t to[32])
{
    uint8_t plain[VAULT_SECRET];
    uint32_t error = VAULT_OK;

    for (unsigned i = 0; error == VAULT_OK && i < VAULT_SECRETS; i++) {
        struct secret *s = &scratch.content.secret[i];

        *s = vault.secret[i];
        if (s->name[0] != 0) {
            error = take_up(&vault.secret[i], plain, from)
                        ? lay_down(s, vault.secret[i].name, plain, vault.secret[i].size, to)
                        : VAULT_BAD_BLOB;
        }
    }
    pal_wipe(plain, sizeof(plain));
    return error;
}

uint32_t change(const char *old_password, const char *new_password)
{
    uint8_t from[32], to[32];
    uint32_t error = usable();

    if (error == VAULT_OK && new_password[0] == 0) {
        error = VAULT_BAD_SIZE;
    }
    if (error == VAULT_OK) {
        error = check(old_password, from);
    }
    if (error != VAULT_OK) {
        return error;
    }
    if (pal_random(scratch.content.salt, sizeof(scratch.content.salt)) != 0) {
        return VAULT_NO_ENTROPY;
    }
    keys_of(new_password, scratch.content.salt, to, scratch.content.proof);
    error = encrypt_again(from, to);
    if (error == VAULT_OK) {
        scratch.content.version = vault.version + 1;
        vault = scratch.content;
        memcpy(entry_key, to, sizeof(entry_key));
    }
    pal_wipe(from, sizeof(from));
    pal_wipe(to, sizeof(to));
    pal_wipe(&scratch, sizeof(scratch));
    return error;
}

/* --- blobs ----------------------------------------------------------------------------- */

static void crypt_blob(bool encrypt, struct blob *b, uint8_t tag[16])
{
    uint8_t key[32];

    derive(key, root, "blob", NULL, 0);
    crypt(encrypt, key, b->nonce, "blob", (uint8_t *)&b->content, sizeof(b->content), tag);
    pal_wipe(key, sizeof(key));
}

uint32_t save(uint8_t *blob, uint32_t room, uint32_t size[1])
{
    uint32_t error = usable();

    if (error != VAULT_OK) {
        return error;
    }
    if (room < sizeof(scratch)) {
        return VAULT_BAD_SIZE;
    }
    if (pal_random(scratch.nonce, sizeof(scratch.nonce)) != 0) {
        return VAULT_NO_ENTROPY;
    }
    scratch.content = vault;
    crypt_blob(true, &scratch, scratch.tag);
    memcpy(blob, &scratch, sizeof(scratch));
    size[0] = sizeof(scratch);
    return VAULT_OK;
}

uint32_t restore(const uint8_t *blob, uint32_t size)
{
    uint8_t tag[16];
    uint32_t error = usable();

    if (error != VAULT_OK) {
        return error;
    }
    if (size != sizeof(scratch)) {
        return VAULT_BAD_BLOB;
    }
    memcpy(&scratch, blob, sizeof(scratch));
    crypt_blob(false, &scratch, tag);
    if (!pal_equal_ct(tag, scratch.tag, sizeof(tag))) {
        error = VAULT_BAD_BLOB;
    } else if (scratch.content.version < vault.version) {
        error = VAULT_OLD_BLOB;
    }
    if (error == VAULT_OK) {
        vault = scratch.content;
    }
    pal_wipe(&scratch, sizeof(scratch));
    return error;
}
