/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories that break a rule are caught by that rule; histories that keep them pass. Written in the lines that
 * history_check reads, so both ways in are tested.
 */
#include "history.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after the three above */
#include <cmocka.h>

/* A word for an event keeps the tables readable; SAY turns words into JSON lines. `a` is the topic. */
#define SENT(op, value, count, acks, more)                                                    \
    "{\"kind\":\"produce\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,\"op\":" #op  \
    ",\"first_value\":" #value ",\"count\":" #count ",\"acks\":" #acks ",\"size_bytes\":100," \
    "\"timestamp_ms\":1000" more "}\n"
#define ACKED(op, at)                                                                    \
    "{\"kind\":\"produce\",\"phase\":\"ok\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"offset\":" #at "}\n"
#define REFUSED(op) \
    "{\"kind\":\"produce\",\"phase\":\"fail\",\"topic\":\"a\",\"partition\":0,\"op\":" #op "}\n"
#define ASKED(op, from)                                                                    \
    "{\"kind\":\"fetch\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"offset\":" #from "}\n"
#define SHOWN(op, high, start, batches)                                                \
    "{\"kind\":\"fetch\",\"phase\":\"ok\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"high_watermark\":" #high ",\"last_stable\":" #high ",\"log_start\":" #start    \
    ",\"wall_ms\":2000,\"batches\":[" batches "]}\n"
#define BATCH(base, last, value, crc, more)                                        \
    "{\"base_offset\":" #base ",\"last_offset\":" #last ",\"first_value\":" #value \
    ",\"crc\":" #crc ",\"timestamp_ms\":1000" more "}"
#define READ(op, from, high, start, batches) ASKED(op, from) SHOWN(op, high, start, batches)
#define BY(producer, sequence) \
    ",\"producer_id\":" #producer ",\"producer_epoch\":0,\"base_sequence\":" #sequence
#define MARK(name) "{\"kind\":\"mark\",\"mark\":\"" #name "\"}\n"
#define TIMES(op, time, answer)                                                                   \
    "{\"kind\":\"list_offsets\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"timestamp_ms\":" #time "}\n"                                                              \
    "{\"kind\":\"list_offsets\",\"phase\":\"ok\",\"topic\":\"a\",\"partition\":0,\"op\":" #op     \
    ",\"offset\":" #answer "}\n"
#define TRIMMED(op, to, start)                                                                  \
    "{\"kind\":\"delete_records\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,"        \
    "\"op\":" #op ",\"offset\":" #to "}\n"                                                      \
    "{\"kind\":\"delete_records\",\"phase\":\"ok\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"log_start\":" #start "}\n"
#define CREATED(ms, bytes)                                                                         \
    "{\"kind\":\"create_topic\",\"phase\":\"ok\",\"topic\":\"a\",\"op\":900,\"retention_ms\":" #ms \
    ",\"retention_bytes\":" #bytes "}\n"

/* Two batches of three, acknowledged. */
#define TWO SENT(1, 10, 3, -1, "") ACKED(1, 0) SENT(2, 13, 3, -1, "") ACKED(2, 3)
#define BOTH BATCH(0, 2, 10, 7, "") "," BATCH(3, 5, 13, 8, "")

static const struct {
    const char *name;
    const char *rule; /* NULL: nothing is wrong */
    const char *lines;
} histories[] = {
    {"all is read", NULL, TWO MARK(final) READ(9, 0, 6, 0, BOTH)},
    {"crashes change nothing", NULL,
     TWO MARK(kill) MARK(power_cut) MARK(start) MARK(final) READ(9, 0, 6, 0, BOTH)},
    {"acknowledged and not there", "D1",
     TWO MARK(power_cut) MARK(final) READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"acknowledged and another there", "D1",
     TWO SENT(3, 20, 3, -1, "") MARK(final)
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, "") "," BATCH(3, 5, 20, 9, ""))},
    {"the high watermark ends below what was acknowledged", "D1", TWO READ(9, 0, 3, 0, "")},
    {"the high watermark of an answer under way may be old", NULL,
     ASKED(9, 0) TWO SHOWN(9, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"seen and not there", "D1",
     SENT(1, 10, 3, 1, "") READ(8, 0, 3, 0, BATCH(0, 2, 10, 7, "")) MARK(power_cut) MARK(final)
         READ(9, 0, 0, 0, "")},
    {"acks=1 may go with a power cut", NULL,
     SENT(1, 10, 3, 1, "") ACKED(1, 0) MARK(power_cut) MARK(final) READ(9, 0, 0, 0, "")},
    {"acks=1 may not go with a kill", "D1",
     SENT(1, 10, 3, 1, "") ACKED(1, 0) MARK(kill) MARK(final) READ(9, 0, 0, 0, "")},
    {"flush mode os may lose to a power cut what was not flushed", NULL,
     TWO READ(8, 0, 6, 0, BOTH) MARK(power_cut_volatile) MARK(final)
         READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"flush mode os may lose what was acknowledged while the power went", NULL,
     SENT(1, 10, 3, -1, "") MARK(power_cut_volatile) ACKED(1, 0) MARK(final) READ(9, 0, 0, 0, "")},
    {"flush mode os may not lose what was sent after a power cut", "D1",
     MARK(power_cut_volatile) SENT(1, 10, 3, -1, "") ACKED(1, 0) MARK(final) READ(9, 0, 0, 0, "")},
    {"flush mode os may not lose to a kill what was written", "D1",
     TWO MARK(kill) MARK(final) READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"a kill skips no offset, in flush mode os as in the other", "D4",
     TWO MARK(kill) READ(9, 0, 6, 0, BATCH(3, 5, 13, 8, ""))},
    {"flush mode os may skip offsets after a power cut", NULL,
     TWO MARK(power_cut_volatile) READ(9, 0, 6, 0, BATCH(3, 5, 13, 8, ""))},
    {"a partition that nobody read at the end", "D1", TWO MARK(final)},
    {"a deleted topic owes nothing", NULL,
     TWO "{\"kind\":\"delete_topic\",\"phase\":\"invoke\",\"topic\":\"a\",\"op\":5}\n" MARK(final)},
    {"one offset, two batches", "D2",
     TWO SENT(3, 20, 3, -1, "") READ(8, 0, 6, 0, BOTH) READ(9, 3, 6, 0, BATCH(3, 5, 20, 9, ""))},
    {"one batch, other bytes", "D2",
     TWO READ(8, 0, 6, 0, BOTH) READ(9, 3, 6, 0, BATCH(3, 5, 13, 9, ""))},
    {"overlapping batches", "D2",
     TWO SENT(3, 20, 2, -1, "") READ(8, 0, 6, 0, BOTH) READ(9, 4, 6, 0, BATCH(4, 5, 20, 9, ""))},
    {"acknowledged at another offset", "D2",
     SENT(1, 10, 3, -1, "") ACKED(1, 3) SENT(2, 13, 3, -1, "")
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, "") "," BATCH(3, 5, 13, 8, ""))},
    {"a forgotten producer's repetition is acknowledged where it stands again", NULL,
     SENT(1, 10, 3, -1, BY(5, 0)) MARK(forget) ACKED(1, 3)
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"a forgotten producer's first storing is not what a repetition is told", "D2",
     SENT(1, 10, 3, -1, BY(5, 0)) MARK(forget) ACKED(1, 0)
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"what was acknowledged before a producer was forgotten stands there alone", "D2",
     SENT(1, 10, 3, -1, BY(5, 0)) ACKED(1, 3) MARK(forget)
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"the high watermark goes back", "D3",
     SENT(1, 10, 3, 1, "") SENT(2, 13, 3, 1, "") READ(8, 6, 6, 0, "") READ(9, 0, 3, 0, "")},
    {"the log start goes back", "D3", TWO TRIMMED(7, 3, 3) READ(9, 0, 6, 0, BOTH)},
    {"two answers under way at once may come in either order", NULL,
     SENT(1, 10, 3, 1, "") ASKED(8, 0) ASKED(9, 0) SHOWN(8, 3, 0, "") SHOWN(9, 0, 0, "")},
    {"above the high watermark", "D4", TWO READ(9, 0, 5, 0, BOTH)},
    {"never sent", "D4", TWO READ(9, 0, 9, 0, BOTH "," BATCH(6, 8, 77, 9, ""))},
    {"refused for good, and there", "D4",
     SENT(1, 10, 3, -1, "") REFUSED(1) READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"sent to another partition", "D4",
     "{\"kind\":\"produce\",\"phase\":\"invoke\",\"topic\":\"b\",\"partition\":0,\"op\":1,"
     "\"first_value\":10,\"count\":3,\"acks\":-1}\n" READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"an offset is skipped", "D4", TWO READ(9, 0, 6, 0, BATCH(3, 5, 13, 8, ""))},
    {"part of a batch", "D4", SENT(1, 10, 3, -1, "") READ(9, 0, 2, 0, BATCH(0, 1, 10, 7, ""))},
    {"a repetition is stored twice", "D5",
     SENT(1, 10, 3, -1, BY(5, 0))
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"a sequence is missing", "D5",
     SENT(1, 10, 3, -1, BY(5, 0)) SENT(2, 13, 3, -1, BY(5, 4))
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 13, 8, BY(5, 4)))},
    {"sequences wrap", NULL,
     SENT(1, 10, 3, -1, BY(5, 2147483646)) SENT(2, 13, 3, -1, BY(5, 1))
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 2147483646)) "," BATCH(3, 5, 13, 8, BY(5, 1)))},
    {"one connection, another order", "D5",
     SENT(1, 10, 3, 1, ",\"link\":4") SENT(2, 13, 3, 1, ",\"link\":4")
         READ(9, 0, 6, 0, BATCH(0, 2, 13, 7, "") "," BATCH(3, 5, 10, 8, ""))},
    {"two connections, any order", NULL,
     SENT(1, 10, 3, 1, ",\"link\":4") SENT(2, 13, 3, 1, ",\"link\":5")
         READ(9, 0, 6, 0, BATCH(0, 2, 13, 7, "") "," BATCH(3, 5, 10, 8, ""))},
    {"an open send may show up late", NULL,
     SENT(1, 10, 3, -1, BY(5, 0)) READ(8, 0, 0, 0, "") MARK(final)
         READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, BY(5, 0)))},
    {"removed as asked", NULL,
     TWO TRIMMED(7, 3, 3) MARK(final) READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"removed beyond what was asked", "D9",
     CREATED(-1, -1) TWO TRIMMED(7, 3, 3) READ(9, 6, 6, 6, "")},
    {"removed too early", "D9", CREATED(1001, -1) TWO READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"removed by age", NULL, CREATED(1000, -1) TWO READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"removed by size", NULL, CREATED(-1, 100) TWO READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"removed though too few bytes stay", "D9",
     CREATED(-1, 101) TWO READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"broken bytes", "D10",
     TWO READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, ",\"is_valid\":false") "," BATCH(3, 5, 13, 8, ""))},
    {"damage may lose what it hit", NULL,
     TWO
     "{\"kind\":\"mark\",\"mark\":\"damage\",\"topic\":\"a\",\"partition\":0,\"offset\":3}\n" MARK(
         final) READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"damage may not lose what it did not hit", "D1",
     TWO
     "{\"kind\":\"mark\",\"mark\":\"damage\",\"topic\":\"a\",\"partition\":0,\"offset\":3}\n" MARK(
         final) READ(9, 0, 0, 0, "")},
    {"a search by time finds the first one", NULL, TWO READ(8, 0, 6, 0, BOTH) TIMES(9, 1000, 0)},
    {"a search by time skips one", "T", TWO READ(8, 0, 6, 0, BOTH) TIMES(9, 1000, 3)},
    {"a search by time finds none", "T", TWO READ(8, 0, 6, 0, BOTH) TIMES(9, 900, -1)},
    {"a search by time finds one too old", "T", TWO READ(8, 0, 6, 0, BOTH) TIMES(9, 1001, 0)},
};

static struct history *read_text(const char *lines)
{
    struct history *history = history_new();
    FILE *in = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
    char why[128] = "";

    assert_non_null(in);
    if (!history_read(history, in, why, sizeof why))
        fail_msg("%s in %s", why, lines);
    fclose(in);
    return history;
}

static void each_rule_catches_what_breaks_it(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(histories); i++) {
        struct history *history = read_text(histories[i].lines);
        struct history_report report;
        bool is_caught = false;

        history_check(history, &report);
        for (size_t k = 0; k < report.count && k < ARRAY_COUNT(report.first); k++)
            is_caught |= histories[i].rule && strcmp(report.first[k].rule, histories[i].rule) == 0;
        if (histories[i].rule ? !is_caught : report.count > 0)
            fail_msg("%s: %s was expected; %zu violations, first: %s %s", histories[i].name,
                     histories[i].rule ? histories[i].rule : "nothing", report.count,
                     report.count ? report.first[0].rule : "",
                     report.count ? report.first[0].text : "");
        history_free(&history);
    }
}

static void what_is_written_is_read_again(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(histories); i++) {
        struct history *history = read_text(histories[i].lines), *again;
        char *first = NULL, *second = NULL;
        size_t first_bytes = 0, second_bytes = 0;
        FILE *out = open_memstream(&first, &first_bytes);

        history_write(history, out);
        fclose(out);
        again = read_text(first);
        out = open_memstream(&second, &second_bytes);
        history_write(again, out);
        fclose(out);
        assert_string_equal(first, second);
        free(first);
        free(second);
        history_free(&history);
        history_free(&again);
    }
}

static void lines_that_are_no_events_are_named(void **state)
{
    static const char *const wrong[] = {"{,",
                                        "{}",
                                        "{\"kind\":\"produce\"}",
                                        "{\"kind\":\"mark\",\"mark\":\"x\"}",
                                        "{\"kind\":\"fetch\",\"phase\":\"ok\",\"batches\":[{}]}",
                                        "{\"kind\":\"fetch\",\"phase\":\"ok\",\"offset\":\"1\"}"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct history *history = history_new();
        FILE *in = fmemopen((void *)(uintptr_t)wrong[i], strlen(wrong[i]), "r");
        char why[128];

        assert_non_null(in);
        assert_false(history_read(history, in, why, sizeof why));
        assert_memory_equal(why, "line 1: ", 8);
        fclose(in);
        history_free(&history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_catches_what_breaks_it),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(lines_that_are_no_events_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
