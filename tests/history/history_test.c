/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories that break a rule are caught by that rule; histories that keep them pass. Written in the lines that
 * history_check reads, so both ways in are tested.
 */
#include "history_rows.h"

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
#define MARKED(name, from)                                                                        \
    "{\"kind\":\"mark\",\"mark\":\"" #name "\",\"topic\":\"a\",\"partition\":0,\"offset\":" #from \
    "}\n"
#define ANSWERED(kind, phase, op, error)                                                           \
    "{\"kind\":\"" #kind "\",\"phase\":\"" #phase "\",\"topic\":\"a\",\"partition\":0,\"op\":" #op \
    ",\"error\":\"" #error "\"}\n"
#define REFUSAL(op, error) ANSWERED(produce, unknown, op, error)
/* Two batches of producer 5 in flight; the first one is refused. */
#define PAIR SENT(1, 10, 3, -1, BY(5, 0)) ACKED(1, 0) SENT(2, 13, 3, -1, BY(5, 3))
#define TRIPLE PAIR SENT(3, 16, 3, -1, BY(5, 6))
#define THIRD \
    BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 13, 8, BY(5, 3)) "," BATCH(6, 8, 16, 9, BY(5, 6))
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

/* Groups: members m and n of g, partition 0 of topic a. Times in milliseconds. */
#define AT(ms) ",\"time_ns\":" #ms "000000"
#define GROUP(kind, phase, who, more)                                                           \
    "{\"kind\":\"group_" #kind "\",\"phase\":\"" #phase "\",\"group\":\"g\",\"member\":\"" #who \
    "\"" more "}\n"
#define HERE ",\"topic\":\"a\",\"partition\":0"
#define LEASED(since, lease) ",\"since_ns\":" #since "000000,\"lease_ms\":" #lease
#define OWNS(who, epoch, at, since, lease) \
    GROUP(own, ok, who, HERE AT(at) LEASED(since, lease) ",\"generation\":" #epoch)
#define OWNS_FREELY(who, epoch, more) GROUP(own, ok, who, HERE ",\"generation\":" #epoch more)
#define AS(id) ",\"instance\":\"" #id "\""
#define JOINS(op, who, more)                      \
    GROUP(join, invoke, who, ",\"op\":" #op more) \
    GROUP(join, ok, who, ",\"op\":" #op more)
#define COMMITS(op, who, epoch, value, more) \
    GROUP(commit, invoke, who,               \
          HERE ",\"op\":" #op ",\"generation\":" #epoch ",\"offset\":" #value more)
#define COMMITTED(op, who, more) GROUP(commit, ok, who, HERE ",\"op\":" #op more)
#define PUT(op, value) COMMITS(op, m, 1, value, "") COMMITTED(op, m, "")
#define LOOKS(op) \
    "{\"kind\":\"group_offset\",\"phase\":\"invoke\",\"group\":\"g\"" HERE ",\"op\":" #op "}\n"
#define FINDS(op, value)                                                              \
    "{\"kind\":\"group_offset\",\"phase\":\"ok\",\"group\":\"g\"" HERE ",\"op\":" #op \
    ",\"offset\":" #value "}\n"
#define HAS(op, value) LOOKS(op) FINDS(op, value)
#define ADMIN(kind, phase, op) \
    "{\"kind\":\"" #kind "\",\"phase\":\"" #phase "\",\"group\":\"g\"" HERE ",\"op\":" #op "}\n"
#define DEALT(from, count) GROUP(process, ok, m, HERE ",\"offset\":" #from ",\"count\":" #count)
#define DRAINED(end, start)                                                                 \
    "{\"kind\":\"group_drained\",\"phase\":\"ok\",\"group\":\"g\"" HERE ",\"offset\":" #end \
    ",\"log_start\":" #start "}\n"

/* Two batches of three, acknowledged. */
#define TWO SENT(1, 10, 3, -1, "") ACKED(1, 0) SENT(2, 13, 3, -1, "") ACKED(2, 3)
/* Read at 2000 ms, the first is 500 ms old and the second 1000 ms. */
#define YOUNG_AND_OLD                                                                      \
    "{\"kind\":\"produce\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,\"op\":1," \
    "\"first_value\":10,\"count\":3,\"acks\":-1,\"size_bytes\":100,\"timestamp_ms\":1500}" \
    "\n" ACKED(1, 0) SENT(2, 13, 3, -1, "") ACKED(2, 3)
#define BOTH BATCH(0, 2, 10, 7, "") "," BATCH(3, 5, 13, 8, "")

static const struct history_row histories[] = {
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
    {"a power cut takes nothing below what was synced", "D1",
     TWO MARK(power_cut_volatile) MARKED(synced, 6) MARK(final)
         READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"a power cut takes what was not synced", NULL,
     TWO MARK(power_cut_volatile) MARKED(synced, 3) MARK(final)
         READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"what one power cut left is vouched for by its own recovery points", "D1",
     TWO MARK(power_cut_volatile) MARKED(synced, 6) MARK(start) MARK(power_cut_volatile)
         MARKED(synced, 6) MARK(final) READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, ""))},
    {"no hole begins below what was synced", "D4",
     TWO MARK(power_cut_volatile) MARKED(synced, 3) READ(9, 0, 6, 0, BATCH(3, 5, 13, 8, ""))},
    {"a hole at the end, in flush mode os, behind what was synced", NULL,
     TWO MARK(power_cut_volatile) MARKED(synced, 3) MARK(final)
         READ(8, 0, 6, 0, BATCH(0, 2, 10, 7, "")) READ(9, 3, 6, 0, "")},
    {"a hole at the end", "D4",
     SENT(1, 10, 3, 0, "") SENT(2, 13, 3, 0, "") MARK(final)
         READ(8, 0, 6, 0, BATCH(0, 2, 10, 7, "")) READ(9, 3, 6, 0, "")},
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
    {"the log start goes back over a crash", "D3",
     TWO TRIMMED(7, 3, 3) MARK(power_cut) MARK(start) READ(9, 0, 6, 0, BOTH)},
    {"the log start goes back over a crash in flush mode os", "D3",
     TWO TRIMMED(7, 3, 3) MARK(power_cut_volatile) MARK(start) READ(9, 0, 6, 0, BOTH)},
    {"the log start moves though nobody was told that it had", NULL,
     TWO "{\"kind\":\"delete_records\",\"phase\":\"invoke\",\"topic\":\"a\",\"partition\":0,"
         "\"op\":7,\"offset\":3}\n" MARK(power_cut) MARK(start) READ(8, 0, 6, 0, BOTH)
             READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"the high watermark goes back behind a younger answer that says less", "D3",
     SENT(1, 10, 3, 1, "") SENT(2, 13, 3, 1, "") READ(5, 6, 6, 0, "") ASKED(6, 0) ASKED(7, 0)
         ASKED(8, 0) READ(9, 0, 3, 0, "")},
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
    /* One goes by size as long as the other is there; then that one is old enough. */
    {"removed by size, and what had made it too much by age", NULL,
     CREATED(1000, 100) YOUNG_AND_OLD READ(9, 6, 6, 6, "")},
    {"removed by size, and what stayed behind it is young", "D9",
     CREATED(1001, 100) TWO READ(9, 6, 6, 6, "")},
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
    {"two own one partition in one generation", "G1", OWNS_FREELY(m, 3, "") OWNS_FREELY(n, 3, "")},
    {"two own one partition in two generations", NULL, OWNS_FREELY(m, 3, "") OWNS_FREELY(n, 4, "")},
    {"one owns it again in its generation", NULL, OWNS_FREELY(m, 3, "") OWNS_FREELY(m, 3, "")},
    {"given before the other gave it up", "G1",
     OWNS(m, 3, 100, 90, 1000) OWNS(n, 4, 500, 490, 1000)},
    {"given when the other gave it up", NULL,
     OWNS(m, 3, 100, 90, 1000) GROUP(give_up, ok, m, HERE AT(300)) OWNS(n, 4, 500, 490, 1000)},
    {"given though another partition was given up", "G1",
     OWNS(m, 3, 100, 90, 1000) GROUP(give_up, ok, m, ",\"topic\":\"a\",\"partition\":1" AT(300))
         OWNS(n, 4, 500, 490, 1000)},
    {"given when the other had gone", NULL,
     OWNS(m, 3, 100, 90, 1000) GROUP(end, ok, m, AT(300)) OWNS(n, 4, 500, 490, 1000)},
    {"given when the other's lease was over", NULL,
     OWNS(m, 3, 100, 90, 1000) OWNS(n, 4, 1090, 1080, 1000)},
    {"given though the other's lease had begun anew", "G1",
     OWNS(m, 3, 100, 90, 1000) GROUP(beat, ok, m, AT(900) LEASED(890, 1000))
         OWNS(n, 4, 1090, 1080, 1000)},
    {"a heartbeat that was sent when the lease was over renews nothing: any coordinator that loads "
     "answers it",
     NULL,
     OWNS(m, 3, 100, 90, 1000) GROUP(beat, ok, m, AT(1200) LEASED(1190, 1000))
         OWNS(n, 4, 1300, 1290, 1000)},
    {"an answer that comes when its own lease is over", NULL,
     OWNS(m, 3, 100, 90, 9000) OWNS(n, 2, 500, 10, 400)},
    {"given to the new member of an instance", NULL,
     GROUP(own, ok, m, HERE ",\"generation\":3" AS(i)) JOINS(5, n, AS(i))
         GROUP(own, ok, n, HERE ",\"generation\":3" AS(i))},
    {"the former member of an instance has nothing", NULL,
     GROUP(own, ok, m, HERE ",\"generation\":3" AS(i)) JOINS(5, n, AS(i)) OWNS_FREELY(o, 3, "")},
    {"a new member of one instance takes from no other", "G1",
     GROUP(own, ok, m, HERE ",\"generation\":3" AS(j)) JOINS(5, n, AS(i))
         GROUP(own, ok, n, HERE ",\"generation\":3" AS(i))},
    {"flush mode os may lose to a power cut what a group was", NULL,
     OWNS(m, 3, 100, 90, 1000) MARK(power_cut_volatile) OWNS(n, 3, 500, 490, 1000)},
    {"a kill changes no owner", "G1",
     OWNS(m, 3, 100, 90, 1000) MARK(kill) OWNS(n, 4, 500, 490, 1000)},
    {"committed and there", NULL, PUT(1, 5) HAS(2, 5) PUT(3, 7) MARK(power_cut) HAS(4, 7)},
    {"committed and gone", "G2", PUT(1, 5) MARK(power_cut) HAS(2, -1)},
    {"committed and back", "G2", PUT(1, 5) PUT(2, 7) MARK(kill) HAS(3, 5)},
    {"committed lower on purpose", NULL, PUT(1, 7) PUT(2, 5) HAS(3, 5)},
    {"never committed", "G2", PUT(1, 5) HAS(2, 6)},
    {"refused, and there", "G2",
     COMMITS(1, m, 1, 5, "") GROUP(commit, fail, m, HERE ",\"op\":1") HAS(2, 5)},
    {"an open commit may show up late", NULL,
     COMMITS(1, m, 1, 5, "") PUT(2, 7) HAS(3, 7) HAS(4, 5)},
    {"seen, then what stood there before", "G2",
     PUT(1, 5) COMMITS(2, m, 1, 7, "") HAS(3, 7) HAS(4, 5)},
    {"a read under way may see either", NULL, PUT(1, 5) LOOKS(3) PUT(2, 7) FINDS(3, 5) HAS(4, 7)},
    {"deleted and gone", NULL,
     PUT(1, 5) ADMIN(group_delete_offset, invoke, 2) ADMIN(group_delete_offset, ok, 2) HAS(3, -1)},
    {"deleted and there", "G2",
     PUT(1, 5) ADMIN(group_delete_offset, invoke, 2) ADMIN(group_delete_offset, ok, 2) HAS(3, 5)},
    {"its group was deleted", NULL,
     PUT(1, 5) ADMIN(group_delete, invoke, 2) ADMIN(group_delete, ok, 2) HAS(3, -1)},
    {"its group was deleted, it is there", "G2",
     PUT(1, 5) ADMIN(group_delete, invoke, 2) ADMIN(group_delete, ok, 2) HAS(3, 5)},
    {"its topic is being deleted", NULL,
     PUT(1, 5) "{\"kind\":\"delete_topic\",\"phase\":\"invoke\",\"topic\":\"a\",\"op\":5}\n" HAS(
         2, 5) HAS(3, -1)},
    {"expired", NULL, PUT(1, 5) MARK(expire) HAS(2, -1)},
    {"flush mode os may lose committed offsets to a power cut", NULL,
     PUT(1, 5) PUT(2, 7) MARK(power_cut_volatile) HAS(3, 5)},
    {"and what was read behind the cut stays", "G2",
     PUT(1, 5) PUT(2, 7) MARK(power_cut_volatile) HAS(3, 5) HAS(4, 7)},
    {"a member of an older generation commits another's", "G3",
     OWNS(n, 4, 500, 490, 9000) COMMITS(1, m, 3, 5, AT(600)) COMMITTED(1, m, AT(700))},
    {"it is refused", NULL,
     OWNS(n, 4, 500, 490, 9000) COMMITS(1, m, 3, 5, AT(600))
         GROUP(commit, fail, m, HERE ",\"op\":1" AT(700))},
    {"it was sent before the other was told", NULL,
     COMMITS(1, m, 3, 5, AT(400)) OWNS(n, 4, 500, 490, 9000) COMMITTED(1, m, AT(700))},
    {"the other has given it up", NULL,
     OWNS(n, 4, 500, 490, 9000) GROUP(give_up, ok, n, AT(550)) COMMITS(1, m, 3, 5, AT(600))
         COMMITTED(1, m, AT(700))},
    {"a member commits under an instance id that another has", "G3",
     JOINS(1, m, AS(i)) JOINS(2, n, AS(i)) COMMITS(3, m, 3, 5, AS(i)) COMMITTED(3, m, AS(i))},
    {"the one that joined last commits", NULL,
     JOINS(1, m, AS(i)) JOINS(2, n, AS(i)) COMMITS(3, n, 3, 5, AS(i)) COMMITTED(3, n, AS(i))},
    {"of two that join at once either may have the place", NULL,
     GROUP(join, invoke, m, ",\"op\":1" AS(i)) GROUP(join, invoke, n, ",\"op\":2" AS(i))
         GROUP(join, ok, n, ",\"op\":2" AS(i)) GROUP(join, ok, m, ",\"op\":1" AS(i))
             COMMITS(3, n, 3, 5, AS(i)) COMMITTED(3, n, AS(i))},
    {"all was dealt with", NULL, DEALT(0, 4) DEALT(2, 4) DRAINED(6, 0)},
    {"an offset was passed over", "G5", DEALT(0, 3) DEALT(4, 2) DRAINED(6, 0)},
    {"the end was not dealt with", "G5", DEALT(0, 5) DRAINED(6, 0)},
    {"what was removed is not owed", NULL, DEALT(3, 3) DRAINED(6, 3)},
    {"broken bytes where a bit was flipped", NULL,
     TWO MARKED(damage, 3) ASKED(9, 3) ANSWERED(fetch, fail, 9, CORRUPT_MESSAGE)},
    {"broken bytes in front of the bit that was flipped", "R",
     TWO MARKED(damage, 3) ASKED(9, 2) ANSWERED(fetch, fail, 9, CORRUPT_MESSAGE)},
    {"broken bytes before a bit was flipped", "R",
     TWO ASKED(9, 3) ANSWERED(fetch, fail, 9, CORRUPT_MESSAGE) MARKED(damage, 3)},
    {"broken bytes on a sound disk", "R",
     TWO ASKED(9, 0) ANSWERED(fetch, fail, 9, CORRUPT_MESSAGE)},
    {"failed storage where calls failed", NULL,
     TWO MARK(disk_fault) ASKED(9, 0) ANSWERED(fetch, fail, 9, KAFKA_STORAGE_ERROR)},
    {"failed storage where none had failed", "R",
     TWO ASKED(9, 0) ANSWERED(fetch, fail, 9, KAFKA_STORAGE_ERROR)},
    {"failed storage after the faults", "R",
     TWO MARK(disk_fault) MARK(final) ASKED(9, 0) ANSWERED(fetch, fail, 9, KAFKA_STORAGE_ERROR)
         READ(8, 0, 6, 0, BOTH)},
    {"out of range below the log start", NULL,
     TWO TRIMMED(7, 3, 3) ASKED(9, 0) ANSWERED(fetch, fail, 9, OFFSET_OUT_OF_RANGE)},
    {"out of range within the log", "R",
     TWO READ(8, 0, 6, 0, BOTH) ASKED(9, 3) ANSWERED(fetch, fail, 9, OFFSET_OUT_OF_RANGE)},
    {"out of range above what a power cut took, in flush mode os", NULL,
     TWO MARK(power_cut_volatile) MARKED(synced, 0) ASKED(9, 6)
         ANSWERED(fetch, fail, 9, OFFSET_OUT_OF_RANGE)},
    {"an unknown topic that was there", "R",
     TWO READ(8, 0, 6, 0, BOTH) ASKED(9, 0) ANSWERED(fetch, fail, 9, UNKNOWN_TOPIC_OR_PARTITION)},
    {"an unknown topic that is being made", NULL,
     ASKED(9, 0) ANSWERED(fetch, fail, 9, UNKNOWN_TOPIC_OR_PARTITION)},
    {"an error that nothing explains, of an attempt that is made again", "R",
     SENT(1, 10, 3, -1, BY(5, 0)) REFUSAL(1, INVALID_RECORD) ACKED(1, 0)},
    {"no leader after the faults", "R",
     MARK(final) ASKED(9, 0) ANSWERED(fetch, fail, 9, NOT_LEADER_OR_FOLLOWER)},
    {"out of order behind what was acknowledged", "D5",
     PAIR REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"out of order behind what was acknowledged, after a restart", "D5",
     PAIR MARK(kill) MARK(start) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"a repetition of the last but one after a restart is told out of order", NULL,
     TRIPLE MARK(kill) MARK(start) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER) MARK(final)
         READ(9, 0, 9, 0, THIRD)},
    {"told out of order after a restart, and not there", "D5",
     TRIPLE MARK(kill) MARK(start) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER) MARK(final)
         READ(9, 0, 3, 0, BATCH(0, 2, 10, 7, BY(5, 0)))},
    {"out of order, when the next one was sent only after the restart", "D5",
     PAIR MARK(kill) MARK(start) SENT(3, 16, 3, -1, BY(5, 6))
         REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"a producer's first batch comes behind its second", NULL,
     SENT(1, 10, 3, -1, BY(5, 0)) SENT(2, 13, 3, -1, BY(5, 3))
         REFUSAL(1, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"a producer's only batch is out of order", "D5",
     SENT(1, 10, 3, -1, BY(5, 0)) REFUSAL(1, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"out of order when a snapshot rotted and the log has lost its beginning", NULL,
     PAIR TRIMMED(7, 3, 3) MARKED(snapshot_rot, -1) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"a repetition is stored again when a snapshot rotted and the log begins behind the first",
     NULL,
     SENT(1, 10, 3, -1, BY(5, 0)) READ(8, 0, 3, 0, BATCH(0, 2, 10, 7, BY(5, 0))) TRIMMED(7, 3, 3)
         MARKED(snapshot_rot, -1) ACKED(1, 3) READ(9, 3, 6, 3, BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"a repetition is stored again though the log still has the first", "D5",
     SENT(1, 10, 3, -1, BY(5, 0)) READ(8, 0, 3, 0, BATCH(0, 2, 10, 7, BY(5, 0)))
         MARKED(snapshot_rot, -1) ACKED(1, 3) READ(9, 3, 6, 0, BATCH(3, 5, 10, 7, BY(5, 0)))},
    {"out of order when a snapshot rotted and the log is whole", "D5",
     PAIR MARKED(snapshot_rot, -1) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"out of order when a power cut took what acks=1 acknowledged", NULL,
     SENT(1, 10, 3, 1, BY(5, 0)) ACKED(1, 0) SENT(2, 13, 3, 1, BY(5, 3)) MARK(power_cut)
         REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"out of order when a power cut may have taken nothing", "D5",
     PAIR MARK(power_cut) REFUSAL(2, OUT_OF_ORDER_SEQUENCE_NUMBER)},
    {"a repetition is stored twice before producers may be forgotten", "D5",
     SENT(1, 10, 3, -1, BY(5, 0)) READ(
         9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 10, 7, BY(5, 0))) MARK(forget)},
    {"a sequence is missing below the damage", "D5",
     SENT(1, 10, 3, -1, BY(5, 0)) SENT(2, 13, 3, -1, BY(5, 4))
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, BY(5, 0)) "," BATCH(3, 5, 13, 8, BY(5, 4)))
             MARKED(damage, 6)},
    {"acknowledged at another offset below the damage", "D2",
     SENT(1, 10, 3, -1, "") ACKED(1, 3) SENT(2, 13, 3, -1, "") MARKED(damage, 6)
         READ(9, 0, 6, 0, BATCH(0, 2, 10, 7, "") "," BATCH(3, 5, 13, 8, ""))},
    {"removed too early from a damaged log", "D9",
     CREATED(1001, -1) TWO MARKED(damage, 6) READ(9, 3, 6, 3, BATCH(3, 5, 13, 8, ""))},
    {"a search by time skips one below the damage", "T",
     TWO MARKED(damage, 6) READ(8, 0, 6, 0, BOTH) TIMES(9, 1000, 3)},
    {"a search by time passes over what was damaged", NULL,
     TWO MARKED(damage, 0) READ(8, 0, 6, 0, BOTH) TIMES(9, 1000, 3)},
    {"an epoch that nobody else has", "D5", PAIR REFUSAL(2, INVALID_PRODUCER_EPOCH)},
    {"an epoch that a flipped bit shows", "D5",
     PAIR MARKED(damage, 0) REFUSAL(2, INVALID_PRODUCER_EPOCH)},
    {"a search by time finds one too old", "T", TWO READ(8, 0, 6, 0, BOTH) TIMES(9, 1001, 0)},
};

static void each_rule_catches_what_breaks_it(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(histories); i++)
        history_row_check(&histories[i]);
}

static void what_is_written_is_read_again(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(histories); i++)
        history_row_write(&histories[i]);
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
