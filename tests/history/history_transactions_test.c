/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of transactions that break a rule are caught by that rule; histories that keep them pass. Written in the lines
 * that history_check reads.
 */
#include "history_rows.h"

#define MARK(name) "{\"kind\":\"mark\",\"mark\":\"" #name "\"}\n"
/* Transactions of the id x, producer 5, on partitions of topic a. */
#define X_LINE(kind, phase, op, more) \
    "{\"kind\":\"" #kind "\",\"phase\":\"" #phase "\",\"op\":" #op ",\"member\":\"x\"" more "}\n"
#define X_ID(epoch) ",\"producer_id\":5,\"producer_epoch\":" #epoch
#define X_INIT(op, epoch) X_LINE(txn_init, invoke, op, "") X_LINE(txn_init, ok, op, X_ID(epoch))
#define X_BEGIN(number, epoch) \
    X_LINE(txn_begin, ok, 70##number, ",\"transaction\":" #number X_ID(epoch))
#define X_ON(partition) ",\"topic\":\"a\",\"partition\":" #partition
#define X_SENDS(op, number, part, epoch, sequence, value, sum, more)             \
    X_LINE(produce, invoke, op,                                                  \
           X_ON(part) ",\"transaction\":" #number X_ID(                          \
               epoch) ",\"base_sequence\":" #sequence ",\"first_value\":" #value \
                      ",\"count\":1,\"acks\":-1,\"amount\":" #sum more)
#define X_STORED(op, part, at) X_LINE(produce, ok, op, X_ON(part) ",\"offset\":" #at)
#define X_PUT(op, number, part, epoch, sequence, value, sum, at) \
    X_SENDS(op, number, part, epoch, sequence, value, sum, "") X_STORED(op, part, at)
#define X_ENDS(op, number, is) \
    X_LINE(txn_end, invoke, op, ",\"transaction\":" #number ",\"is_commit\":" #is)
#define X_ENDED(op, number, is, phase) \
    X_LINE(txn_end, phase, op, ",\"transaction\":" #number ",\"is_commit\":" #is)
#define X_COMMIT(op, number) X_ENDS(op, number, 1) X_ENDED(op, number, 1, ok)
#define X_ABORT(op, number) X_ENDS(op, number, 0) X_ENDED(op, number, 0, ok)
#define X_READ(op, part, high, stable, list)                                   \
    X_LINE(fetch, invoke, op, X_ON(part) ",\"offset\":0,\"isolation\":1")      \
    X_LINE(fetch, ok, op,                                                      \
           X_ON(part) ",\"high_watermark\":" #high ",\"last_stable\":" #stable \
                      ",\"log_start\":0,\"isolation\":1,\"batches\":[" list "]")
#define X_BATCH(at, epoch, sequence, value, sum, more)                                             \
    "{\"base_offset\":" #at ",\"last_offset\":" #at ",\"first_value\":" #value ",\"crc\":" #value  \
    ",\"base_sequence\":" #sequence ",\"is_transactional\":true,\"amount\":" #sum X_ID(epoch) more \
        "}"
#define X_DROPPED ",\"is_aborted\":true"
#define X_MARKER(at, epoch, is)                                                         \
    "{\"base_offset\":" #at ",\"last_offset\":" #at ",\"first_value\":-1,\"crc\":9" #at \
    ",\"is_transactional\":true,\"is_control\":true,\"marker\":" #is X_ID(epoch) "}"
#define X_MOVES(op, number, from_count, to)                                       \
    X_LINE(txn_offsets, invoke, op,                                               \
           X_ON(9) ",\"group\":\"g\",\"transaction\":" #number ",\"offset\":" #to \
                   ",\"count\":" #from_count)                                     \
    X_LINE(txn_offsets, ok, op, "")
#define X_STANDS(op, at)                                       \
    X_LINE(txn_offset, invoke, op, X_ON(9) ",\"group\":\"g\"") \
    X_LINE(txn_offset, ok, op, ",\"offset\":" #at)
#define X_COMPACTED                                                           \
    "{\"kind\":\"create_topic\",\"phase\":\"ok\",\"topic\":\"a\",\"op\":900," \
    "\"is_compacted\":1,\"retention_ms\":-1,\"retention_bytes\":-1}\n"
/* Seven from one key to another: values 10 and 11, on partitions 0 and 1. */
#define X_MOVED \
    X_INIT(1, 0) X_BEGIN(7, 0) X_PUT(2, 7, 0, 0, 0, 10, -7, 0) X_PUT(3, 7, 1, 0, 0, 11, 7, 0)
#define X_FIRST X_BATCH(0, 0, 0, 10, -7, "")
#define X_SECOND X_BATCH(0, 0, 0, 11, 7, "")
#define X_BOTH_READ                                    \
    X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 1)) \
    X_READ(21, 1, 2, 2, X_SECOND "," X_MARKER(1, 0, 1))
#define X_BOTH_DROPPED                                                             \
    X_READ(20, 0, 2, 2, X_BATCH(0, 0, 0, 10, -7, X_DROPPED) "," X_MARKER(1, 0, 0)) \
    X_READ(21, 1, 2, 2, X_BATCH(0, 0, 0, 11, 7, X_DROPPED) "," X_MARKER(1, 0, 0))

static const struct history_row histories[] = {
    {"a committed transaction is read", NULL, X_MOVED X_COMMIT(4, 7) MARK(final) X_BOTH_READ},
    {"an aborted one is dropped", NULL, X_MOVED X_ABORT(4, 7) MARK(final) X_BOTH_DROPPED},
    {"one without an end is dropped", NULL, X_MOVED MARK(final) X_BOTH_DROPPED},
    {"an end without an answer may be either: committed", NULL,
     X_MOVED X_ENDS(4, 7, 1) MARK(final) X_BOTH_READ},
    {"an end without an answer may be either: aborted", NULL,
     X_MOVED X_ENDS(4, 7, 1) X_ENDED(4, 7, 1, unknown) MARK(final) X_BOTH_DROPPED},
    {"an aborted record is seen", "X1",
     X_MOVED X_ABORT(4, 7) X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 0))},
    {"a marker commits what was to be aborted", "X1",
     X_MOVED X_ABORT(4, 7)
         X_READ(20, 0, 2, 2, X_BATCH(0, 0, 0, 10, -7, X_DROPPED) "," X_MARKER(1, 0, 1))},
    {"a record of an open transaction is seen", "X1", X_MOVED X_READ(20, 0, 1, 1, X_FIRST)},
    {"a record is seen before the commit was asked for", "X1",
     X_MOVED X_READ(20, 0, 1, 1, X_FIRST) X_COMMIT(4, 7)},
    {"read_committed goes past the last stable offset", "X1",
     X_MOVED X_ENDS(4, 7, 1) X_READ(20, 0, 1, 0, X_FIRST)},
    {"a refused commit has its effect", "X1",
     X_MOVED X_ENDS(4, 7, 1) X_ENDED(4, 7, 1, fail) X_READ(20, 0, 1, 1, X_FIRST)},
    {"half is committed, half aborted", "X2",
     X_MOVED X_ENDS(4, 7, 1) X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 1))
         X_READ(21, 1, 2, 2, X_BATCH(0, 0, 0, 11, 7, X_DROPPED) "," X_MARKER(1, 0, 0))},
    {"half of a committed one is not there", "X3",
     X_MOVED X_COMMIT(4, 7) MARK(final) X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 1))
         X_READ(21, 1, 0, 0, "")},
    {"half of one that was seen committed is not there", "X3",
     X_MOVED X_ENDS(4, 7, 1) MARK(final) X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 1))
         X_READ(21, 1, 0, 0, "")},
    {"answered as committed, dropped", "X4", X_MOVED X_COMMIT(4, 7) X_BOTH_DROPPED},
    {"answered as committed and as aborted", "X4", X_MOVED X_COMMIT(4, 7) X_ABORT(5, 7)},
    {"a late batch is ended by the next transaction's marker", "X1",
     X_MOVED X_ABORT(4, 7) X_BEGIN(8, 0) X_PUT(5, 8, 0, 0, 1, 12, 0, 1) X_COMMIT(6, 8)
         X_READ(20, 0, 3, 3, X_FIRST "," X_BATCH(1, 0, 1, 12, 0, "") "," X_MARKER(2, 0, 1))},
    {"what a fenced producer had sent before may count", NULL,
     X_MOVED X_ENDS(4, 7, 1) X_INIT(5, 2) MARK(final) X_BOTH_READ},
    {"a fenced producer's record is acknowledged", "X5",
     X_INIT(1, 0) X_BEGIN(7, 0) X_INIT(5, 1) X_PUT(2, 7, 0, 0, 0, 10, 0, 0)},
    {"a fenced producer's commit is answered well", "X5", X_MOVED X_INIT(5, 1) X_COMMIT(4, 7)},
    {"two instances have the same epoch", "X5", X_INIT(1, 0) X_INIT(2, 0)},
    {"offsets and records go on together", NULL,
     X_MOVED X_MOVES(30, 7, 4, 4) X_COMMIT(4, 7) X_STANDS(31, 4) X_BEGIN(8, 0) X_MOVES(32, 8, 2, 6)
         X_ABORT(33, 8) X_STANDS(34, 4) MARK(final) X_BOTH_READ X_STANDS(35, 4)},
    {"offsets of an aborted transaction are read", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_ABORT(4, 7) X_STANDS(31, 4)},
    {"offsets are read before the commit was asked for", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_STANDS(31, 4) X_COMMIT(4, 7)},
    {"committed offsets are not there", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_COMMIT(4, 7) X_STANDS(31, -1)},
    {"offsets without their records", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_ENDS(4, 7, 1) MARK(final) X_BOTH_DROPPED X_STANDS(31, 4)},
    {"records without their offsets", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_ENDS(4, 7, 1) MARK(final) X_BOTH_READ X_STANDS(31, -1)},
    {"two transactions consume the same", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_COMMIT(4, 7) X_BEGIN(8, 0) X_MOVES(32, 8, 3, 6)
         X_COMMIT(33, 8)},
    {"nobody consumes what lies between", "X6",
     X_MOVED X_MOVES(30, 7, 4, 4) X_COMMIT(4, 7) X_BEGIN(8, 0) X_MOVES(32, 8, 2, 7)
         X_COMMIT(33, 8)},
    {"offsets may have expired", NULL,
     X_MOVED X_MOVES(30, 7, 4, 4) X_COMMIT(4, 7) MARK(expire) X_STANDS(31, -1)},
    {"the sum changes", "X7",
     X_MOVED X_COMMIT(4, 7) MARK(final) X_READ(20, 0, 2, 2, X_FIRST "," X_MARKER(1, 0, 1))
         X_READ(21, 1, 2, 2, X_BATCH(0, 0, 0, 11, 6, "") "," X_MARKER(1, 0, 1))},
    {"compaction takes what a later committed record replaces", NULL,
     X_COMPACTED X_INIT(1, 0) X_BEGIN(7, 0) X_SENDS(2, 7, 0, 0, 0, 10, 0, ",\"key\":1")
         X_STORED(2, 0, 0) X_COMMIT(4, 7) X_BEGIN(8, 0) X_SENDS(5, 8, 0, 0, 1, 11, 0, ",\"key\":1")
             X_STORED(5, 0, 2) X_COMMIT(6, 8) MARK(final)
                 X_READ(20, 0, 4, 4, X_BATCH(2, 0, 1, 11, 0, "") "," X_MARKER(3, 0, 1))},
    {"compaction takes what only an aborted record replaces", "X8",
     X_COMPACTED X_INIT(1, 0) X_BEGIN(7, 0) X_SENDS(2, 7, 0, 0, 0, 10, 0, ",\"key\":1")
         X_STORED(2, 0, 0) X_COMMIT(4, 7) X_BEGIN(8, 0) X_SENDS(5, 8, 0, 0, 1, 11, 0, ",\"key\":1")
             X_STORED(5, 0, 2) X_ABORT(6, 8) MARK(final) X_READ(20, 0, 4, 4, X_MARKER(3, 0, 0))},
    {"a fenced epoch writes behind the marker that raised it", "D5",
     X_MOVED X_ABORT(4, 7) X_BEGIN(8, 0) X_SENDS(5, 8, 0, 0, 1, 12, 0, "")
         X_READ(20, 0, 3, 3,
                X_BATCH(0, 0, 0, 10, -7,
                        X_DROPPED) "," X_MARKER(1, 1, 0) "," X_BATCH(2, 0, 1, 12, 0, X_DROPPED))},
    {"protocol 2 begins anew at 0 behind each marker", NULL,
     X_MOVED X_ABORT(4, 7) X_BEGIN(8, 1) X_PUT(5, 8, 0, 1, 0, 12, 0, 2) X_COMMIT(6, 8)
         X_READ(20, 0, 4, 4,
                X_BATCH(0, 0, 0, 10, -7, X_DROPPED) "," X_MARKER(1, 1, 0) "," X_BATCH(
                    2, 1, 0, 12, 0, "") "," X_MARKER(3, 2, 1))},
};

static void each_rule_of_transactions_catches_what_breaks_it(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_of_transactions_catches_what_breaks_it),
        cmocka_unit_test(what_is_written_is_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
