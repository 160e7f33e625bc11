/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to requests that failed whole, byte for byte: argv[1] holds for each API a checksum over its
 * answers to the same random requests in all versions. When an answer is meant to change, its line becomes
 * the one that the test prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/fmt.h"
#include "message_random.h"
#include "records/crc32c.h"
#include "server/error_response.h"

#define BODIES 24

static const char *golden_path;

/* Appends "version" and the answer to one failure. */
static void answer_append(const struct api *api, int16_t version, const void *body,
                          struct arena *arena, unsigned which, struct writer *out)
{
    static const enum err errs[] = {ERR_POLICY_VIOLATION, ERR_NOT_CONTROLLER,
                                    ERR_UNSUPPORTED_VERSION, ERR_INVALID_REQUEST};
    static const char *const texts[] = {NULL, "because", ""};
    void *answer = error_response_build(api, version, body, arena, errs[which % 4],
                                        texts[which % ARRAY_COUNT(texts)]);

    writer_u8(out, (uint8_t)version);
    if (answer)
        assert_int_equal(message_encode(api->response, version, answer, out), OK);
}

static uint32_t answers_checksum(const struct api *api)
{
    struct writer out;
    uint32_t checksum;

    writer_init(&out, &heap_allocator, SIZE_MAX);
    for (int16_t version = api->request->version_min; version <= api->request->version_max;
         version++) {
        for (unsigned n = 0; n < BODIES; n++) {
            struct arena arena;
            struct random random;
            void *body;

            arena_init(&arena, &heap_allocator, SIZE_MAX);
            random_init(&random, n);
            body = arena_zeroed(&arena, 1, message_struct_bytes(api->request));
            message_random(api->request, version, &random, &arena, body);
            answer_append(api, version, body, &arena, n, &out);
            arena_release(&arena);
        }
    }
    checksum = crc32c(slice_of(out.data, out.size_bytes));
    writer_release(&out);
    return checksum;
}

static void every_api_fails_as_it_always_did(void **state)
{
    FILE *file = fopen(golden_path, "r");
    const struct api *api;
    unsigned changed = 0;

    UNUSED(state);
    assert_non_null(file);
    for (size_t i = 0; (api = api_at(i)); i++) {
        char expected[128] = "", now[128];

        if (fgets(expected, sizeof expected, file))
            expected[strcspn(expected, "\n")] = '\0';
        fmt(now, sizeof now, "%s %08x", api->name, (unsigned)answers_checksum(api));
        if (strcmp(expected, now) != 0) {
            print_error("%s\n", now);
            changed++;
        }
    }
    fclose(file);
    assert_int_equal(changed, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_api_fails_as_it_always_did),
    };

    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests_name("error_golden", tests, NULL, NULL);
}
