/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and JSON captured from Apache Kafka's own classes: argv[1] holds "Name version hex json". */
#include "message_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *golden_path;

static void every_captured_message_is_read_and_written_as_kafka_does(void **state)
{
    FILE *file = fopen(golden_path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int entries = 0, versions = 0;
    char last[128] = "";

    assert_non_null(file);
    while ((size = getline(&line, &capacity, file)) > 0) {
        struct why why = {{0}};
        const char *space = strchr(line, ' ');
        size_t head = space ? (size_t)(strchr(space + 1, ' ') - line) : 0;

        if (message_line_check(slice_of(line, (size_t)size - 1), &why) != OK)
            fail_msg("%.200s: %s", line, why.text);
        versions += head != strlen(last) || strncmp(line, last, head) != 0;
        snprintf(last, sizeof last, "%.*s", (int)head, line);
        entries++;
    }
    free(line);
    fclose(file);
    assert_int_equal(versions,
                     744); /* 2 · 309 and every version of the records and data messages */
    assert_true(entries >= versions);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_captured_message_is_read_and_written_as_kafka_does),
    };

    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
