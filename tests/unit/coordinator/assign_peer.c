/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of tests/interop/test_assignors.py: one answer line per question line of stdin; see assign_text.h. */
#include "assign_text.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    struct arena arena;
    char *line = NULL;
    size_t capacity = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    while (getline(&line, &capacity, stdin) > 0) {
        printf("%s\n", assign_answer(&arena, line));
        arena_reset(&arena);
    }
    free(line);
    arena_release(&arena);
    return 0;
}
