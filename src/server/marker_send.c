/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/marker_send.c: the end markers that a transaction coordinator gave out, to the leaders of
 * their partitions, and what became of each back to the coordinator, from the turn's end: the core
 * is not entered from inside itself. docs/design/transactions.md §4.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "server/marker_append.h"

struct marker_send {
    struct marker_append append;
    struct coordinator_runner *runner;
    struct effects_block *block; /* the topic's name is in it */
    struct list_node node;       /* of runner->marked */
    uint64_t ticket;
    size_t partition;
};

static void send_done(struct marker_append *append)
{
    struct marker_send *send = CONTAINER_OF(append, struct marker_send, append);
    struct coordinator_runner *runner = send->runner;

    list_push_back(&runner->marked, &send->node);
    reactor_defer(runner->shard->reactor, &runner->marked_turn);
}

void runner_marked_turn(struct deferred *deferred)
{
    struct coordinator_runner *runner =
        CONTAINER_OF(deferred, struct coordinator_runner, marked_turn);

    runner_begin_work(runner);
    while (!list_is_empty(&runner->marked)) {
        struct marker_send *send =
            LIST_ITEM(list_pop_front(&runner->marked), struct marker_send, node);

        if (runner->state == RUNNER_ACTIVE) {
            struct effects_block *block = block_new(runner->service, NULL);
            struct coordinator_moment moment = runner_moment(runner);
            enum err err = runner_kind(runner)->marked(runner->core, send->ticket, send->partition,
                                                       send->append.err, &moment, &block->effects);

            runner_take_more(runner, block, err);
        }
        block_unref(runner->shard, send->block);
        SERVER_DELETE(send);
        runner_end_work(runner);
    }
    runner_end_work(runner);
}

/* One partition's. Its leader is this node as long as there is no other; that of another node will be
 * asked by WriteTxnMarkers from here. */
static void send_one(struct coordinator_runner *runner, struct effects_block *block,
                     const struct coordinator_markers *markers, size_t i)
{
    struct marker_send *send = SERVER_NEW(struct marker_send);

    send->runner = runner;
    send->block = block_ref(block);
    send->ticket = markers->ticket;
    send->partition = i;
    send->append = (struct marker_append){
        .producer_id = markers->producer_id,
        .producer_epoch = markers->producer_epoch,
        .coordinator_epoch = markers->coordinator_epoch,
        .transaction_version = markers->transaction_version,
        .is_commit = markers->is_commit,
        .done = send_done,
    };
    runner_begin_work(runner);
    marker_append_submit(runner->shard, &send->append, markers->partitions[i].topic,
                         markers->partitions[i].index);
}

void runner_markers_send(struct coordinator_runner *runner, struct effects_block *block)
{
    for (size_t i = 0; i < block->effects.marker_count; i++)
        for (size_t k = 0; k < block->effects.markers[i].partition_count; k++)
            send_one(runner, block, &block->effects.markers[i], k);
}
