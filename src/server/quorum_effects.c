/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_effects.c: what the raft core wants done. Nothing here calls out: roles and high
 * watermarks are noted and quorum_work goes by them at the end of the turn.
 */
#include "server/quorum_internal.h"

/* ---- quorum-state: one durable replacement at a time ---- */

struct quorum_persist {
    struct os_op job;
    struct quorum *quorum;
    struct os *os;
    uint64_t generation;
    struct writer text;
    char path[QUORUM_PATH_BYTES];
};

static void persist_run(struct os_op *job)
{
    struct quorum_persist *persist = CONTAINER_OF(job, struct quorum_persist, job);
    struct slice text = writer_slice(&persist->text);

    job->err = os_durable_replace(persist->os, persist->path, &text, 1);
}

static void persist_done(struct os_op *job)
{
    struct quorum_persist *persist = CONTAINER_OF(job, struct quorum_persist, job);
    struct quorum *quorum = persist->quorum;
    enum err err = job->err;
    uint64_t generation = persist->generation;

    if (err != OK)
        quorum_fail(quorum, err, "%s cannot be written: %s", persist->path, err_text(err));
    writer_release(&persist->text);
    SERVER_DELETE(persist);
    quorum->persist = NULL;
    if (err == OK) {
        struct raft_event event = {.kind = RAFT_EVENT_PERSISTED};

        event.persisted.generation = generation;
        quorum_feed(quorum, event);
    }
    quorum_end(quorum);
}

static void persist(struct quorum *quorum, const struct raft_effect *effect)
{
    struct quorum_persist *persist = SERVER_NEW(struct quorum_persist);

    ASSERT(!quorum->persist); /* raft.h: at most one */
    quorum->persist = persist;
    persist->quorum = quorum;
    persist->os = quorum->node->os;
    persist->generation = effect->persist.generation;
    fmt(persist->path, sizeof persist->path, "%s/quorum-state", quorum->path);
    writer_init(&persist->text, &heap_allocator, SIZE_MAX);
    if (raft_quorum_state_encode(&effect->persist.state, &persist->text) != OK) {
        quorum_fail(quorum, ERR_NO_MEMORY, "no memory for the quorum's state");
        writer_release(&persist->text);
        SERVER_DELETE(persist);
        quorum->persist = NULL;
        return;
    }
    persist->job = (struct os_op){.kind = OS_OP_JOB, .run = persist_run, .done = persist_done};
    quorum_begin(quorum);
    reactor_submit(quorum->reactor, &persist->job);
}

/* ---- appends ---- */

static void append(struct quorum *quorum, const struct raft_effect *effect)
{
    struct quorum_batch *batch = NULL;

    LIST_EACH (node, &quorum->prepared) {
        batch = LIST_ITEM(node, struct quorum_batch, node);
        if (batch->token == effect->append.token)
            break;
        batch = NULL;
    }
    ASSERT(batch); /* it is ours, and it is submitted once */
    list_remove(&batch->node);
    quorum_log_append(quorum, batch, effect->append.era, effect->append.base_offset,
                      effect->append.epoch);
}

static void append_control(struct quorum *quorum, const struct raft_effect *effect)
{
    struct quorum_batch *batch;
    enum err err = quorum_control_batch(quorum, &effect->append_control.control, &batch);

    if (err != OK) {
        quorum_fail(quorum, err, "no control batch could be made: %s", err_text(err));
        return;
    }
    quorum_log_append(quorum, batch, effect->append_control.era, effect->append_control.base_offset,
                      effect->append_control.epoch);
}

static void role_changed(struct quorum *quorum, const struct raft_effect *effect)
{
    quorum->role = effect->role.role;
    quorum->epoch = effect->role.epoch;
    quorum->leader_id = effect->role.leader_id;
    quorum->epoch_start_offset = effect->role.epoch_start_offset;
    quorum_wake(quorum);
}

static void high_watermark_moved(struct quorum *quorum, int64_t offset)
{
    ASSERT(offset >= quorum->high_watermark);
    quorum->high_watermark = offset;
    quorum_wake(quorum);
}

void quorum_execute(struct quorum *quorum, const struct raft_effect *effect)
{
    if (quorum_is_failed(quorum) && effect->kind != RAFT_EFFECT_STOPPED)
        return;
    switch (effect->kind) {
    case RAFT_EFFECT_PERSIST:
        persist(quorum, effect);
        break;
    case RAFT_EFFECT_APPEND:
        append(quorum, effect);
        break;
    case RAFT_EFFECT_APPEND_CONTROL:
        append_control(quorum, effect);
        break;
    case RAFT_EFFECT_SEND:
        quorum_peers_send(quorum, effect);
        break;
    case RAFT_EFFECT_REPLY:
        quorum_reply(quorum, effect->reply.token, &effect->reply.reply);
        break;
    case RAFT_EFFECT_HIGH_WATERMARK:
        high_watermark_moved(quorum, effect->high_watermark.offset);
        break;
    case RAFT_EFFECT_ROLE:
        role_changed(quorum, effect);
        break;
    case RAFT_EFFECT_VOTERS:
        controller_run_voters_changed(quorum, effect);
        break;
    case RAFT_EFFECT_KRAFT_UPGRADED:
        controller_run_upgraded(quorum, effect->kraft_upgraded.token, effect->kraft_upgraded.error,
                                effect->kraft_upgraded.error_text);
        break;
    case RAFT_EFFECT_STOPPED:
        quorum->is_raft_stopped = true;
        quorum_wake(quorum);
        break;
    case RAFT_EFFECT_APPEND_FETCHED:
    case RAFT_EFFECT_TRUNCATE:
    case RAFT_EFFECT_SNAPSHOT_CHUNK:
    case RAFT_EFFECT_SNAPSHOT_INSTALL:
    case RAFT_EFFECT_SNAPSHOT_DROP:
        quorum_peers_effect(quorum, effect);
        break;
    }
}
