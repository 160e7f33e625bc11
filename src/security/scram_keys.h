/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security/scram_keys.h: the keys of a SCRAM credential (RFC 5802, RFC 7677), computed from a password
 * or from a salted one, as the formatter and AlterUserScramCredentials need them.
 */
#ifndef SECURITY_SCRAM_KEYS_H
#define SECURITY_SCRAM_KEYS_H

#include "base/slice.h"

/* Values are those of Kafka's records and requests. */
enum scram_mechanism { SCRAM_UNKNOWN = 0, SCRAM_SHA_256 = 1, SCRAM_SHA_512 = 2 };

#define SCRAM_KEY_BYTES_MAX 64
#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 16384

/* "SCRAM-SHA-256", "SCRAM-SHA-512"; "UNKNOWN". */
const char *scram_mechanism_name(enum scram_mechanism mechanism);
enum scram_mechanism scram_mechanism_from_name(struct slice name);
/* 32 or 64. */
size_t scram_key_bytes(enum scram_mechanism mechanism);

/* `out` takes scram_key_bytes. */
void scram_hmac(enum scram_mechanism mechanism, struct slice key, struct slice text, uint8_t *out);
/* Hi() of RFC 5802, which is PBKDF2 with one block. The password is taken as bytes. */
void scram_salted_password(enum scram_mechanism mechanism, struct slice password, struct slice salt,
                           int32_t iterations, uint8_t *out);
void scram_stored_key(enum scram_mechanism mechanism, struct slice salted_password, uint8_t *out);
void scram_server_key(enum scram_mechanism mechanism, struct slice salted_password, uint8_t *out);

#endif
