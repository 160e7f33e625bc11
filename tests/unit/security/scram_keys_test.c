/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes and SCRAM keys against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fmt.h"
#include "security/scram_keys.h"
#include "security/sha2.h"

static const char *hex(const uint8_t *bytes, size_t count)
{
    static char text[2 * SHA512_BYTES + 1];

    for (size_t i = 0; i < count; i++)
        fmt(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static void sha256_gives_the_values_of_fips_180(void **state)
{
    static const struct {
        const char *text;
        const char *hash;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct sha256 sha;
        uint8_t out[SHA256_BYTES];

        sha256_init(&sha);
        sha256_add(&sha, slice_from_text(rows[i].text));
        sha256_finish(&sha, out);
        assert_string_equal(hex(out, sizeof out), rows[i].hash);
    }
}

static void sha512_gives_the_values_of_fips_180(void **state)
{
    static const char long_text[] =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
        "lmnopqrsmnopqrstnopqrstu";
    struct sha512 sha;
    uint8_t out[SHA512_BYTES];

    sha512_init(&sha);
    sha512_add(&sha, SLICE("abc"));
    sha512_finish(&sha, out);
    assert_string_equal(hex(out, sizeof out),
                        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a"
                        "274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    sha512_init(&sha);
    for (size_t i = 0; i < sizeof long_text - 1; i++) /* byte by byte is the same */
        sha512_add(&sha, slice_of(long_text + i, 1));
    sha512_finish(&sha, out);
    assert_string_equal(hex(out, sizeof out),
                        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e"
                        "4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909");
}

static void a_million_letters_hash_right(void **state)
{
    static uint8_t letters[1000];
    struct sha256 sha;
    uint8_t out[SHA256_BYTES];

    memset(letters, 'a', sizeof letters);
    sha256_init(&sha);
    for (int i = 0; i < 1000; i++)
        sha256_add(&sha, slice_of(letters, sizeof letters));
    sha256_finish(&sha, out);
    assert_string_equal(hex(out, sizeof out),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void hmac_gives_the_values_of_rfc_4231(void **state)
{
    uint8_t key[131];
    uint8_t out[SCRAM_KEY_BYTES_MAX];

    scram_hmac(SCRAM_SHA_256, SLICE("Jefe"), SLICE("what do ya want for nothing?"), out);
    assert_string_equal(hex(out, 32),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key); /* longer than a block */
    scram_hmac(SCRAM_SHA_256, slice_of(key, sizeof key),
               SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_string_equal(hex(out, 32),
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    scram_hmac(SCRAM_SHA_512, slice_of(key, sizeof key),
               SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_string_equal(hex(out, 64),
                        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

static void keys_are_those_of_the_exchange_in_rfc_7677(void **state)
{
    static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                   0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
    uint8_t salted[SCRAM_KEY_BYTES_MAX], out[SCRAM_KEY_BYTES_MAX];

    scram_salted_password(SCRAM_SHA_256, SLICE("pencil"), slice_of(salt, sizeof salt), 4096,
                          salted);
    scram_stored_key(SCRAM_SHA_256, slice_of(salted, 32), out);
    assert_string_equal(hex(out, 32),
                        "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
    scram_server_key(SCRAM_SHA_256, slice_of(salted, 32), out);
    assert_string_equal(hex(out, 32),
                        "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5");
}

static void mechanisms_have_kafka_s_names(void **state)
{
    assert_string_equal(scram_mechanism_name(SCRAM_SHA_256), "SCRAM-SHA-256");
    assert_int_equal(scram_mechanism_from_name(SLICE("SCRAM-SHA-512")), SCRAM_SHA_512);
    assert_int_equal(scram_mechanism_from_name(SLICE("SCRAM-SHA-1")), SCRAM_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_values_of_fips_180),
        cmocka_unit_test(sha512_gives_the_values_of_fips_180),
        cmocka_unit_test(a_million_letters_hash_right),
        cmocka_unit_test(hmac_gives_the_values_of_rfc_4231),
        cmocka_unit_test(keys_are_those_of_the_exchange_in_rfc_7677),
        cmocka_unit_test(mechanisms_have_kafka_s_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
