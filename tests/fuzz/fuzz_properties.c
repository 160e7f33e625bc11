/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.properties: the parser, and everything that looks at its values. Input: the text of the file;
 * a first line that begins with "+" is an override of the command line.
 */
#include "base/assert.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct slice override = SLICE_NULL;
    struct config_report report;
    struct config_file file;
    const struct config *config;
    struct arena arena;
    struct why why;

    if (size > 0 && data[0] == '+') {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;

        override = slice_sub(text, 1, length - 1);
        text = slice_sub(text, length, SIZE_MAX);
    }
    arena_init(&arena, &heap_allocator, 64 * MIB);
    if (config_file_parse(&arena, SLICE("server.properties"), text, &file, &why) == OK) {
        struct config_layers layers = {.file = &file};

        if (!slice_is_null(override))
            (void)!config_file_override(&arena, &file, override, &why);
        for (size_t i = 0; i < file.set.count; i++) {
            bool prefixed;

            ASSERT(!slice_is_null(file.set.pairs[i].value));
            ASSERT(slice_equal(config_set_get(&file.set, file.set.pairs[i].key),
                               file.set.pairs[i].value));
            (void)config_broker_find(file.set.pairs[i].key, &prefixed);
        }
        config_report_init(&report, &arena);
        (void)!config_resolve(&arena, &layers, &report, &config);
    }
    arena_release(&arena);
    return 0;
}
