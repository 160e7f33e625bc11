/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_control.c: control batches, and voter sets between raft's form and the log's.
 */
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/leader_change_message.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"
#include "server/quorum_internal.h"

static struct leader_change_message_voter *ids_make(const int32_t *ids, size_t count,
                                                    struct arena *arena)
{
    struct leader_change_message_voter *voters = leader_change_message_voter_array(arena, count);

    for (size_t i = 0; voters && i < count; i++)
        voters[i].voter_id = ids[i];
    return voters;
}

static enum err leader_change(const struct raft_control *control, struct batch_builder *builder,
                              int64_t now_ms, struct arena *arena)
{
    struct leader_change_message message;

    leader_change_message_init(&message);
    message.leader_id = control->leader_id;
    message.voters = ids_make(control->voter_ids, control->voter_id_count, arena);
    message.voters_count = (int32_t)control->voter_id_count;
    message.granting_voters = ids_make(control->granting_ids, control->granting_id_count, arena);
    message.granting_voters_count = (int32_t)control->granting_id_count;
    if (!message.voters || !message.granting_voters)
        return ERR_NO_MEMORY;
    return control_append_leader_change(builder, now_ms, &message, arena);
}

static enum err records_append(const struct raft_control *control, struct batch_builder *builder,
                               int64_t now_ms, struct arena *arena)
{
    if (control->leader_change)
        TRY(leader_change(control, builder, now_ms, arena));
    if (control->kraft_version >= 0) {
        struct kraft_version_record version;

        kraft_version_record_init(&version);
        version.kraft_version = control->kraft_version;
        TRY(control_append_kraft_version(builder, now_ms, &version, arena));
    }
    if (control->voters) {
        struct voters_record voters;

        TRY(quorum_voters_to_record(*control->voters, arena, &voters));
        TRY(control_append_voters(builder, now_ms, &voters, arena));
    }
    return OK;
}

static enum err batch_make(struct quorum *quorum, const struct raft_control *control,
                           struct writer *out, struct arena *arena)
{
    struct batch_options options;
    struct batch_builder builder;

    batch_options_init(&options);
    options.control = true;
    batch_builder_begin(&builder, &options, NULL, NULL, out);
    TRY(records_append(control, &builder, reactor_wall_ms(quorum->reactor), arena));
    ASSERT(builder.record_count == control->record_count);
    return batch_builder_finish(&builder, NULL);
}

enum err quorum_control_batch(struct quorum *quorum, const struct raft_control *control,
                              struct quorum_batch **out)
{
    CLEANUP(arena_release) struct arena arena;
    struct quorum_batch *batch;
    struct writer bytes;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&bytes, &heap_allocator, RAFT_BATCH_BYTES_MAX);
    err = batch_make(quorum, control, &bytes, &arena);
    if (err != OK) {
        writer_release(&bytes);
        return err;
    }
    batch = SERVER_NEW(struct quorum_batch);
    list_init(&batch->node);
    batch->quorum = quorum;
    batch->record_count = control->record_count;
    batch->data = writer_take(&bytes, &batch->size_bytes, &batch->capacity_bytes);
    *out = batch;
    return OK;
}

/* ---- voter sets ---- */

enum err quorum_voters_from_record(const struct voters_record *record, struct arena *arena,
                                   struct raft_voters *out)
{
    struct raft_voter *voters = ARENA_ARRAY(arena, struct raft_voter, (size_t)record->voters_count);

    if (!voters)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < record->voters_count; i++) {
        const struct voters_record_voter *from = &record->voters[i];
        struct raft_endpoint *endpoints =
            ARENA_ARRAY(arena, struct raft_endpoint, (size_t)from->endpoints_count);

        if (!endpoints)
            return ERR_NO_MEMORY;
        if (from->voter_id < 0) /* nobody can be it, and nobody could be counted for it */
            return ERR_CORRUPT;
        for (int32_t k = 0; k < i; k++)
            if (record->voters[k].voter_id == from->voter_id)
                return ERR_CORRUPT;
        for (int32_t k = 0; k < from->endpoints_count; k++) {
            endpoints[k].listener = arena_copy(arena, from->endpoints[k].name);
            endpoints[k].host = arena_copy(arena, from->endpoints[k].host);
            endpoints[k].port = from->endpoints[k].port;
            if (slice_is_null(endpoints[k].listener) || slice_is_null(endpoints[k].host))
                return ERR_NO_MEMORY;
        }
        voters[i] = (struct raft_voter){
            .key = {from->voter_id, from->voter_directory_id},
            .endpoints = {endpoints, (size_t)from->endpoints_count},
            .kraft_version_min = from->kraft_version_feature.min_supported_version,
            .kraft_version_max = from->kraft_version_feature.max_supported_version,
        };
    }
    *out = (struct raft_voters){voters, (size_t)record->voters_count};
    return OK;
}

enum err quorum_voters_to_record(struct raft_voters voters, struct arena *arena,
                                 struct voters_record *out)
{
    voters_record_init(out);
    out->voters = voters_record_voter_array(arena, voters.count);
    out->voters_count = (int32_t)voters.count;
    if (!out->voters)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < voters.count; i++) {
        const struct raft_voter *from = &voters.items[i];
        struct voters_record_voter *to = &out->voters[i];

        to->voter_id = from->key.id;
        to->voter_directory_id = from->key.directory_id;
        to->endpoints = voters_record_endpoint_array(arena, from->endpoints.count);
        to->endpoints_count = (int32_t)from->endpoints.count;
        to->kraft_version_feature.min_supported_version = from->kraft_version_min;
        to->kraft_version_feature.max_supported_version = from->kraft_version_max;
        if (!to->endpoints)
            return ERR_NO_MEMORY;
        for (size_t k = 0; k < from->endpoints.count; k++) {
            to->endpoints[k].name = from->endpoints.items[k].listener;
            to->endpoints[k].host = from->endpoints.items[k].host;
            to->endpoints[k].port = from->endpoints.items[k].port;
        }
    }
    return OK;
}
