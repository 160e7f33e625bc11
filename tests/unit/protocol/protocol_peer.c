/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our side of tests/interop/test_protocol.py, in bulk. Entries are lines "Name version hex json".
 *   protocol_peer write SEED COUNT   every message in every version, COUNT times at random
 *   protocol_peer check              reads entries and tells where we read or write something else
 *   protocol_peer recast             the same for lines "Name from hex to hex": see message_random.h
 */
#include "message_random.h"

#include <stdio.h>
#include <stdlib.h>

static int entries_write(uint64_t seed, long count)
{
    CLEANUP(writer_release) struct writer out;
    struct random random;
    const struct message_type *type;

    random_init(&random, seed);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; (type = message_type_at(i)) != NULL; i++)
        for (int16_t version = type->version_min; version <= type->version_max; version++)
            for (long n = 0; n < count; n++) {
                CLEANUP(arena_release) struct arena arena;
                void *message;

                arena_init(&arena, &heap_allocator, SIZE_MAX);
                message = arena_zeroed(&arena, 1, message_struct_bytes(type));
                message_random(type, version, &random, &arena, message);
                if (message_line_write(type, version, message, &out) != OK) {
                    fprintf(stderr, "%s v%d cannot be written\n", type->name, version);
                    return 1;
                }
            }
    fwrite(out.data, 1, out.size_bytes, stdout);
    return 0;
}

static int entries_check(enum err (*check)(struct slice line, struct why *why))
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    long entries = 0, wrong = 0;

    while ((size = getline(&line, &capacity, stdin)) > 0) {
        struct why why = {{0}};

        entries++;
        if (line[size - 1] == '\n')
            size--;
        if (check(slice_of(line, (size_t)size), &why) != OK && wrong++ < 20)
            printf("%.*s\n  %s\n", (int)size, line, why.text);
    }
    free(line);
    printf("%ld entries, %ld wrong\n", entries, wrong);
    return wrong > 0 || entries == 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return entries_write(strtoull(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return entries_check(message_line_check);
    if (argc == 2 && strcmp(argv[1], "recast") == 0)
        return entries_check(message_recast_check);
    fprintf(stderr, "usage: protocol_peer write SEED COUNT | check | recast\n");
    return 2;
}
