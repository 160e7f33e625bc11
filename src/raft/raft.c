/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/raft.c: making a core, one step, looking in.
 * Invariants  1. a step that returns OK has left the state whole; after ERR_NO_MEMORY the core refuses
 *                every later event.   2. the timers are looked at after every event, so the deadline
 *                that is told is never in the past.
 * Crash       everything here is memory; what survives is what the shell wrote (docs/design/raft.md).
 * Threads     one; the core is not shared.
 */
#include "raft/raft_internal.h"

#define RAFT_MAGIC 0x52414654u

const char *raft_api_name(enum raft_api api)
{
    static const char *const names[] = {
        [RAFT_API_VOTE] = "Vote",
        [RAFT_API_BEGIN_QUORUM_EPOCH] = "BeginQuorumEpoch",
        [RAFT_API_END_QUORUM_EPOCH] = "EndQuorumEpoch",
        [RAFT_API_FETCH] = "Fetch",
        [RAFT_API_FETCH_SNAPSHOT] = "FetchSnapshot",
        [RAFT_API_DESCRIBE_QUORUM] = "DescribeQuorum",
        [RAFT_API_ADD_VOTER] = "AddRaftVoter",
        [RAFT_API_REMOVE_VOTER] = "RemoveRaftVoter",
        [RAFT_API_UPDATE_VOTER] = "UpdateRaftVoter",
        [RAFT_API_API_VERSIONS] = "ApiVersions",
    };

    return names[api];
}

struct raft_options raft_options_default(void)
{
    return (struct raft_options){
        .self = {.id = -1},
        .kraft_version_max = 1,
        .election_timeout_ms = 1000,
        .election_backoff_max_ms = 1000,
        .fetch_timeout_ms = 2000,
        .request_timeout_ms = 2000,
        .retry_backoff_ms = 20,
        .fetch_bytes_max = 1048576,
        .fetch_snapshot_bytes_max = 1048576,
    };
}

void raft_fail(struct raft *raft)
{
    raft->failed = true;
}

bool raft_reserve(struct raft *raft, void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    void **array = items; /* every object pointer has one representation here */
    size_t larger = *capacity < 8 ? 8 : *capacity * 2;
    void *grown;

    if (count < *capacity)
        return true;
    grown = raft->allocator->resize(raft->allocator, *array, *capacity * item_bytes,
                                    larger * item_bytes);
    if (!grown) {
        raft_fail(raft);
        return false;
    }
    *array = grown;
    *capacity = larger;
    return true;
}

void raft_free_array(struct raft *raft, void *items, size_t capacity, size_t item_bytes)
{
    if (items)
        raft->allocator->release(raft->allocator, items, capacity * item_bytes);
}

/* The options' slices and arrays move into the core's own memory. */
static enum err options_copy(struct raft *raft, const struct raft_options *from)
{
    struct raft_options *to = &raft->options;
    struct arena *arena = &raft->options_arena;
    void *endpoints, *voters, *servers;

    *to = *from;
    to->cluster_id = arena_copy(arena, from->cluster_id);
    to->default_listener = arena_copy(arena, from->default_listener);
    endpoints = arena_allocate(arena, raft_endpoints_bytes(from->endpoints));
    voters = arena_allocate(arena, raft_voters_bytes(from->static_voters));
    servers = arena_allocate(arena, raft_endpoints_bytes(from->bootstrap_servers));
    if (slice_is_null(to->default_listener) != slice_is_null(from->default_listener) ||
        slice_is_null(to->cluster_id) != slice_is_null(from->cluster_id) || !endpoints || !voters ||
        !servers)
        return ERR_NO_MEMORY;
    to->endpoints = raft_endpoints_place(endpoints, from->endpoints);
    to->static_voters = raft_voters_place(voters, from->static_voters);
    to->bootstrap_servers = raft_endpoints_place(servers, from->bootstrap_servers);
    return OK;
}

enum err raft_create(struct allocator *allocator, const struct raft_options *options,
                     struct logger *logger, struct raft **out)
{
    struct raft *raft = ALLOCATOR_NEW(allocator, struct raft);
    enum err err;

    ASSERT(options->self.id >= 0);
    ASSERT(!uuid_is_zero(options->self.directory_id));
    *out = NULL;
    if (!raft)
        return ERR_NO_MEMORY;
    raft->magic = RAFT_MAGIC;
    raft->allocator = allocator;
    raft->logger = logger;
    arena_init(&raft->options_arena, allocator, SIZE_MAX);
    arena_init(&raft->queue.arena, allocator, SIZE_MAX);
    raft->leader_id = -1;
    raft->voted.id = -1;
    raft->high_watermark = -1;
    raft->leader_high_watermark = -1;
    raft->election_deadline_ms = raft->fetch_deadline_ms = raft->update_deadline_ms = INT64_MAX;
    raft->deadline_ms = raft->stop_deadline_ms = INT64_MAX;
    raft->next_number = 1;
    err = options_copy(raft, options);
    *out = raft;
    if (err != OK)
        raft_release(out);
    return err;
}

void raft_release(struct raft **raft_pointer)
{
    struct raft *raft = *raft_pointer;

    if (!raft)
        return;
    ASSERT(raft->magic == RAFT_MAGIC);
    raft_role_release(raft);
    raft_log_release(raft);
    raft_queue_release(raft);
    RAFT_FREE_ARRAY(raft, raft->peers, raft->peer_capacity);
    arena_release(&raft->options_arena);
    raft->magic = 0;
    raft->allocator->release(raft->allocator, raft, sizeof *raft);
    *raft_pointer = NULL;
}

static void take_request(struct raft *raft, const struct raft_event *event)
{
    ASSERT(event->request.token != 0);
    raft_request(raft, event->request.token, event->request.listener, event->request.request);
}

static void take_stop(struct raft *raft)
{
    if (raft->stopping)
        return;
    raft->stopping = true;
    raft->stop_deadline_ms = raft_after(raft, RAFT_STOP_MS);
}

/* Everything but SUBMIT, which alone has an answer of its own. */
static void take(struct raft *raft, const struct raft_event *event)
{
    switch (event->kind) {
    case RAFT_EVENT_START:
        raft_start(raft, &event->start);
        break;
    case RAFT_EVENT_TIMEOUT:
        break; /* raft_poll follows every event */
    case RAFT_EVENT_PERSISTED:
        raft_persisted(raft, event->persisted.generation);
        break;
    case RAFT_EVENT_WRITTEN:
    case RAFT_EVENT_FLUSHED:
        raft_log_written(raft, event->log_end.era, event->log_end.end_offset,
                         event->kind == RAFT_EVENT_FLUSHED);
        break;
    case RAFT_EVENT_REQUEST:
        take_request(raft, event);
        break;
    case RAFT_EVENT_REPLY:
        raft_reply(raft, event->reply.number, event->reply.reply);
        break;
    case RAFT_EVENT_SEND_FAILED:
        raft_send_failed(raft, event->send_failed.number, event->send_failed.unsupported_version);
        break;
    case RAFT_EVENT_REQUEST_GONE:
        raft_fetch_gone(raft, event->request_gone.token);
        break;
    case RAFT_EVENT_RESIGN:
        raft_resign(raft, event->resign.epoch);
        break;
    case RAFT_EVENT_KRAFT_UPGRADE:
        raft_kraft_upgrade(raft, event);
        break;
    case RAFT_EVENT_SNAPSHOT_MADE:
        raft_snapshot_add(raft, event->snapshot_made);
        break;
    case RAFT_EVENT_LOG_CLEANED:
        raft_log_cleaned(raft, event->log_cleaned.log_start_offset);
        break;
    case RAFT_EVENT_CHUNK_STORED:
        raft_chunk_stored(raft, event->chunk_stored.id, event->chunk_stored.end_position);
        break;
    case RAFT_EVENT_INSTALLED:
        raft_installed(raft, event);
        break;
    case RAFT_EVENT_INSTALL_FAILED:
        raft_install_failed(raft);
        break;
    case RAFT_EVENT_SHUTDOWN:
        take_stop(raft);
        break;
    case RAFT_EVENT_SUBMIT:
        ASSERT(false);
    }
}

enum err raft_step(struct raft *raft, const struct raft_event *event, struct raft_effects *out)
{
    enum err err = OK;

    ASSERT(raft->magic == RAFT_MAGIC);
    ASSERT(raft->started != (event->kind == RAFT_EVENT_START)); /* START is first, and once */
    ASSERT(event->now_ms >= raft->now_ms);
    *out = (struct raft_effects){.submit_base_offset = -1};
    if (raft->failed)
        return ERR_NO_MEMORY;
    raft->now_ms = event->now_ms;
    random_init(&raft->random, event->random);
    raft_queue_begin(raft);
    if (event->kind == RAFT_EVENT_SUBMIT)
        err = raft_submit(raft, event, out);
    else
        take(raft, event);
    raft_poll(raft);
    raft_queue_finish(raft, out);
    return raft->failed ? ERR_NO_MEMORY : err;
}

int64_t raft_deadline_ms(const struct raft *raft)
{
    return raft->deadline_ms;
}

void raft_status(const struct raft *raft, struct raft_status *out)
{
    const struct raft_snapshot *latest = raft_snapshot_latest(raft);

    *out = (struct raft_status){
        .role = raft->role,
        .epoch = raft->epoch,
        .leader_id = raft->leader_id,
        .is_voter = raft_is_voter(raft),
        .high_watermark = raft->high_watermark,
        .log_start_offset = raft->log.start_offset,
        .log_end_offset = raft->log.end_offset,
        .flushed_end_offset = raft->log.flushed_offset,
        .epoch_start_offset = raft->role == RAFT_LEADER ? raft->leadership.epoch_start_offset : -1,
        .kraft_version = raft_kraft_version_now(raft),
        .voters = raft_voters_now(raft),
        .latest_snapshot = latest ? *latest : (struct raft_snapshot){.id = {-1, -1}},
    };
}

bool raft_leader_endpoint(const struct raft *raft, struct slice listener, struct raft_endpoint *out)
{
    struct raft_endpoints endpoints = {NULL, 0};
    const struct raft_endpoint *found;

    if (raft->leader_id == raft->options.self.id)
        endpoints = raft->options.endpoints;
    else if (raft->leader_endpoints)
        endpoints = raft->leader_endpoints->endpoints;
    found = raft_endpoints_find(endpoints, listener);
    if (found)
        *out = *found;
    return found != NULL;
}
