/* SPDX-License-Identifier: Apache-2.0 */
/* No memory, at every place where reading or copying a message asks for some: it is said, and only that. */
#include "protocol/message_internal.h"

#include "message_random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STEP_BYTES 16
#define SEED 11

struct scene {
    const struct message_type *type;
    const void *message;
    struct slice json;
    struct slice encoded;
};

typedef enum err (*step)(const struct scene *scene, struct arena *arena, void *out);

static enum err copied(const struct scene *scene, struct arena *arena, void *out)
{
    return message_copy(scene->type, scene->message, arena, out);
}

static enum err read_from_json(const struct scene *scene, struct arena *arena, void *out)
{
    return message_from_json(scene->type, scene->type->version_max, scene->json, arena, out, NULL);
}

static enum err decoded(const struct scene *scene, struct arena *arena, void *out)
{
    struct cursor cursor = cursor_of(scene->encoded);

    return message_decode(scene->type, scene->type->version_max, &cursor, arena, out);
}

/* With more and more memory, until it is enough. */
static void starve(const struct scene *scene, step act)
{
    CLEANUP(arena_release) struct arena large;
    enum err err = ERR_NO_MEMORY;
    void *out;

    arena_init(&large, &heap_allocator, SIZE_MAX);
    out = arena_zeroed(&large, 1, message_struct_bytes(scene->type));
    for (size_t bytes = 0; err != OK; bytes += STEP_BYTES) {
        CLEANUP(arena_release) struct arena arena;

        assert_int_equal(err, ERR_NO_MEMORY);
        arena_init(&arena, &heap_allocator, bytes);
        err = act(scene, &arena, out);
    }
}

static void every_message_may_find_no_memory_anywhere(void **state)
{
    struct random random;

    random_init(&random, SEED);
    for (size_t i = 0; i < message_types_count; i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer json;
        CLEANUP(writer_release) struct writer bytes;
        struct scene scene = {.type = message_types[i]};
        void *message;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        writer_init(&json, &heap_allocator, SIZE_MAX);
        writer_init(&bytes, &heap_allocator, SIZE_MAX);
        message = arena_zeroed(&arena, 1, message_struct_bytes(scene.type));
        message_random(scene.type, scene.type->version_max, &random, &arena, message);
        assert_int_equal(message_to_json(scene.type, scene.type->version_max, message, &json), OK);
        assert_int_equal(message_encode(scene.type, scene.type->version_max, message, &bytes), OK);
        scene.message = message;
        scene.json = writer_slice(&json);
        scene.encoded = writer_slice(&bytes);
        starve(&scene, copied);
        starve(&scene, read_from_json);
        starve(&scene, decoded);
    }
}

static void array_that_memory_cannot_count_is_not_made(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    uint64_t element = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_null(message_array(&arena, SIZE_MAX, &element, sizeof element));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_may_find_no_memory_anywhere),
        cmocka_unit_test(array_that_memory_cannot_count_is_not_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
