/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/format_scram.c: the text of --add-scram. Texts of errors are those that Kafka's tool prints;
 * none repeats a password.
 */
#include "server/format.h"

#include "base/assert.h"
#include "base/parse.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "security/scram_keys.h"

#define ITERATIONS_DEFAULT 4096
#define SALT_BYTES 24

struct credential {
    enum scram_mechanism mechanism;
    struct slice name, salt, iterations, password, salted_password; /* null: not given */
};

static bool has_prefix_and_end(struct slice text, char first, char last)
{
    return text.size_bytes >= 2 && text.data[0] == (uint8_t)first &&
           text.data[text.size_bytes - 1] == (uint8_t)last;
}

static struct slice *field_of(struct credential *credential, struct slice name)
{
    if (slice_equal_text(name, "name"))
        return &credential->name;
    if (slice_equal_text(name, "salt"))
        return &credential->salt;
    if (slice_equal_text(name, "iterations"))
        return &credential->iterations;
    if (slice_equal_text(name, "password"))
        return &credential->password;
    return slice_equal_text(name, "saltedpassword") ? &credential->salted_password : NULL;
}

static enum err component_parse(struct slice text, struct credential *credential, struct why *why)
{
    size_t equals = 0;
    struct slice name, value;
    struct slice *field;

    while (equals < text.size_bytes && text.data[equals] != '=')
        equals++;
    if (equals == text.size_bytes)
        return why_set(why, ERR_USAGE, "No equals sign found in a SCRAM component");
    name = slice_sub(text, 0, equals);
    value = slice_sub(text, equals + 1, text.size_bytes);
    if (has_prefix_and_end(value, '"', '"'))
        value = slice_sub(value, 1, value.size_bytes - 2);
    field = field_of(credential, name);
    if (!field)
        return why_set(why, ERR_USAGE, "Unknown SCRAM configurations: %.*s", SLICE_ARGS(name));
    *field = value;
    return OK;
}

static enum err text_parse(struct slice text, struct credential *credential, struct why *why)
{
    size_t equals = 0;
    struct slice mechanism;

    while (text.size_bytes > 0 && text.data[0] <= ' ')
        text = slice_sub(text, 1, text.size_bytes);
    while (text.size_bytes > 0 && text.data[text.size_bytes - 1] <= ' ')
        text.size_bytes--;
    while (equals < text.size_bytes && text.data[equals] != '=')
        equals++;
    if (equals == text.size_bytes)
        return why_set(why, ERR_USAGE, "Failed to find equals sign in SCRAM argument '%.*s'",
                       SLICE_ARGS(text));
    mechanism = slice_sub(text, 0, equals);
    text = slice_sub(text, equals + 1, text.size_bytes);
    credential->mechanism = scram_mechanism_from_name(mechanism);
    if (credential->mechanism == SCRAM_UNKNOWN)
        return why_set(why, ERR_USAGE, "The add-scram mechanism %.*s is not supported.",
                       SLICE_ARGS(mechanism));
    if (text.size_bytes == 0 || text.data[0] != '[')
        return why_set(why, ERR_USAGE, "Expected configuration string to start with [");
    if (text.data[text.size_bytes - 1] != ']')
        return why_set(why, ERR_USAGE, "Expected configuration string to end with ]");
    text = slice_sub(text, 1, text.size_bytes - 2);
    while (text.size_bytes > 0) {
        size_t end = 0;

        while (end < text.size_bytes && text.data[end] != ',')
            end++;
        TRY(component_parse(slice_sub(text, 0, end), credential, why));
        text = slice_sub(text, MIN(end + 1, text.size_bytes), text.size_bytes);
    }
    return OK;
}

static int base64_digit(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

/* As Java's Base64.getDecoder: padding may be missing, nothing else may stand there. */
static enum err base64_decode(struct slice text, struct arena *arena, struct slice *out)
{
    uint8_t *bytes = arena_allocate(arena, text.size_bytes + 1);
    size_t digits = 0;
    size_t size = 0;
    uint32_t bits = 0;
    size_t padding = 0;

    if (!bytes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < text.size_bytes; i++) {
        int digit = base64_digit(text.data[i]);

        if (text.data[i] == '=') {
            padding++;
            continue;
        }
        if (digit < 0 || padding > 0)
            return ERR_FORMAT;
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 != 1)
            bytes[size++] = (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4)));
    }
    if (digits % 4 == 1 || padding > 2 || (padding > 0 && (digits + padding) % 4 != 0))
        return ERR_FORMAT;
    *out = slice_of(bytes, size);
    return OK;
}

static enum err iterations_parse(const struct credential *credential, int32_t *out, struct why *why)
{
    const char *name = credential->mechanism == SCRAM_SHA_256 ? "SCRAM_SHA_256" : "SCRAM_SHA_512";

    *out = ITERATIONS_DEFAULT;
    if (!slice_is_null(credential->iterations) && parse_i32(credential->iterations, out) != OK)
        return why_set(why, ERR_USAGE, "Failed to parse iterations count: %.*s",
                       SLICE_ARGS(credential->iterations));
    if (*out < SCRAM_ITERATIONS_MIN)
        return why_set(why, ERR_USAGE,
                       "The 'iterations' value must be >= %d for add-scram using %s",
                       SCRAM_ITERATIONS_MIN, name);
    if (*out > SCRAM_ITERATIONS_MAX)
        return why_set(why, ERR_USAGE,
                       "The 'iterations' value must be <= %d for add-scram using %s",
                       SCRAM_ITERATIONS_MAX, name);
    return OK;
}

static enum err salt_make(const struct credential *credential, struct random *random,
                          struct arena *arena, struct slice *out, struct why *why)
{
    uint8_t *bytes;

    if (!slice_is_null(credential->salt)) {
        if (base64_decode(credential->salt, arena, out) != OK)
            return why_set(why, ERR_USAGE, "Failed to decode given salt: %.*s",
                           SLICE_ARGS(credential->salt));
        return OK;
    }
    bytes = arena_allocate(arena, SALT_BYTES);
    if (!bytes)
        return ERR_NO_MEMORY;
    random_fill(random, bytes, SALT_BYTES);
    *out = slice_of(bytes, SALT_BYTES);
    return OK;
}

static enum err salted_password_make(const struct credential *credential, struct slice salt,
                                     int32_t iterations, struct arena *arena, struct slice *out,
                                     struct why *why)
{
    uint8_t *bytes;

    if (slice_is_null(credential->password)) {
        if (base64_decode(credential->salted_password, arena, out) != OK)
            return why_set(why, ERR_USAGE, "Failed to decode given saltedPassword");
        return OK;
    }
    bytes = arena_allocate(arena, SCRAM_KEY_BYTES_MAX);
    if (!bytes)
        return ERR_NO_MEMORY;
    scram_salted_password(credential->mechanism, credential->password, salt, iterations, bytes);
    *out = slice_of(bytes, scram_key_bytes(credential->mechanism));
    return OK;
}

static enum err record_add(const struct credential *credential, struct slice salt,
                           struct slice salted_password, int32_t iterations, struct arena *arena,
                           struct metadata_record_list *list)
{
    size_t key_bytes = scram_key_bytes(credential->mechanism);
    uint8_t *stored_key = arena_allocate(arena, key_bytes);
    uint8_t *server_key = arena_allocate(arena, key_bytes);
    struct user_scram_credential_record *record;
    void *message;

    if (!stored_key || !server_key)
        return ERR_NO_MEMORY;
    scram_stored_key(credential->mechanism, salted_password, stored_key);
    scram_server_key(credential->mechanism, salted_password, server_key);
    TRY(metadata_record_add(list, arena, METADATA_RECORD_USER_SCRAM_CREDENTIAL, 0, &message));
    record = message;
    record->name = credential->name;
    record->mechanism = (int8_t)credential->mechanism;
    record->salt = salt;
    record->stored_key = slice_of(stored_key, key_bytes);
    record->server_key = slice_of(server_key, key_bytes);
    record->iterations = iterations;
    return OK;
}

enum err format_scram_parse(struct slice text, struct random *random, struct arena *arena,
                            struct metadata_record_list *list, struct why *why)
{
    struct credential credential = {SCRAM_UNKNOWN};
    struct slice salt, salted_password;
    int32_t iterations;

    TRY(text_parse(text, &credential, why));
    if (slice_is_null(credential.name))
        return why_set(why, ERR_USAGE, "You must supply 'name' to add-scram");
    if (slice_is_null(credential.password) && slice_is_null(credential.salted_password))
        return why_set(why, ERR_USAGE,
                       "You must supply one of 'password' or 'saltedpassword' to add-scram");
    if (slice_is_null(credential.password) && slice_is_null(credential.salt))
        return why_set(why, ERR_USAGE, "You must supply 'salt' with 'saltedpassword' to add-scram");
    if (!slice_is_null(credential.password) && !slice_is_null(credential.salted_password))
        return why_set(why, ERR_USAGE, "Unknown SCRAM configurations: saltedpassword");
    TRY(iterations_parse(&credential, &iterations, why));
    TRY(salt_make(&credential, random, arena, &salt, why));
    TRY(salted_password_make(&credential, salt, iterations, arena, &salted_password, why));
    return record_add(&credential, salt, salted_password, iterations, arena, list);
}
