/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/raft/bench.c: see bench.h. */
#include "bench.h"

#include "raft/raft_internal.h"

#include <string.h>

enum bench_logging bench_logging;

static void line_check(struct logger *self, enum log_level level, const char *module,
                       const char *event, const char *fields)
{
    assert_true(level >= self->level);
    assert_string_equal(module, "raft");
    assert_true(event[0] != '\0' && fields[0] != '\0');
}

static struct logger *logger_now(void)
{
    static struct logger all = {line_check, LOG_LEVEL_TRACE};
    static struct logger none = {line_check, LOG_LEVEL_ERROR + 1};
    static struct logger *const loggers[BENCH_LOGGING_COUNT] = {
        [BENCH_LOGS_ALL] = &all, [BENCH_LOGS_NONE] = &none};

    return loggers[bench_logging];
}

struct uuid bench_directory(int id)
{
    struct uuid uuid;

    memset(uuid.bytes, id, sizeof uuid.bytes);
    return uuid;
}

struct raft_replica_key bench_key(int id)
{
    return (struct raft_replica_key){id, bench_directory(id)};
}

static struct raft_endpoint endpoint_of(int id)
{
    static char hosts[16][8];

    fmt(hosts[id & 15], sizeof hosts[0], "n%d", id);
    return (struct raft_endpoint){SLICE("CONTROLLER"), slice_from_text(hosts[id & 15]),
                                  (uint16_t)(9090 + id)};
}

struct raft_voters bench_voters(struct bench *bench, int fixed, ...)
{
    size_t count = 0;
    va_list ids;

    va_start(ids, fixed);
    for (int id = va_arg(ids, int); id != 0; id = va_arg(ids, int)) {
        bench->endpoints[count] = endpoint_of(id);
        bench->voters[count] = (struct raft_voter){
            .key = bench_key(id),
            .endpoints = {&bench->endpoints[count], 1},
            .kraft_version_max = 1,
        };
        if (fixed) {
            bench->voters[count].key.directory_id = UUID_ZERO;
            bench->voters[count].kraft_version_max = 0;
        }
        count++;
    }
    va_end(ids);
    return (struct raft_voters){bench->voters, count};
}

void bench_init(struct bench *bench, int self)
{
    struct raft_endpoint *own;

    memset(bench, 0, sizeof *bench);
    arena_init(&bench->arena, &heap_allocator, SIZE_MAX);
    text_init(&bench->text, bench->buffer, sizeof bench->buffer);
    bench->options = raft_options_default();
    bench->options.self = bench_key(self);
    bench->options.cluster_id = SLICE("cluster");
    bench->options.can_vote = true;
    own = ARENA_NEW(&bench->arena, struct raft_endpoint);
    *own = endpoint_of(self);
    bench->options.endpoints = (struct raft_endpoints){own, 1};
    bench->options.default_listener = SLICE("CONTROLLER");
    bench->now_ms = 1000;
    bench->last_token = 100;
    bench->allocator = &heap_allocator;
    bench->squeezed_step = -1;
}

/* ---- effects as text ---- */

static void line_persist(struct bench *bench, const struct raft_quorum_state *state)
{
    text_add(&bench->text, "persist epoch=%d leader=%d voted=%d version=%d\n", state->leader_epoch,
             state->leader_id, state->voted_id, state->data_version);
}

static void line_control(struct bench *bench, const struct raft_effect *effect)
{
    const struct raft_control *control = &effect->append_control.control;

    text_add(&bench->text, "control at=%lld epoch=%d",
             (long long)effect->append_control.base_offset, effect->append_control.epoch);
    if (control->leader_change) {
        text_add(&bench->text, " leader=%d voters=", control->leader_id);
        for (size_t i = 0; i < control->voter_id_count; i++)
            text_add(&bench->text, "%s%d", i > 0 ? "," : "", control->voter_ids[i]);
        text_add(&bench->text, " granting=");
        for (size_t i = 0; i < control->granting_id_count; i++)
            text_add(&bench->text, "%s%d", i > 0 ? "," : "", control->granting_ids[i]);
    }
    if (control->kraft_version >= 0)
        text_add(&bench->text, " kraft=%d", control->kraft_version);
    for (size_t i = 0; control->voters && i < control->voters->count; i++)
        text_add(&bench->text, "%s%d", i > 0 ? "," : " set=", control->voters->items[i].key.id);
    text_add(&bench->text, "\n");
}

static void line_send(struct bench *bench, const struct raft_effect *effect)
{
    const struct raft_request *request = &effect->send.request;

    bench->last_number = effect->send.number;
    text_add(&bench->text, "send %d %s", effect->send.peer_id, raft_api_name(request->api));
    switch (request->api) {
    case RAFT_API_VOTE:
        text_add(&bench->text, "%s epoch=%d end=%lld/%d", request->vote.pre_vote ? " pre" : "",
                 request->vote.candidate_epoch, (long long)request->vote.log_end.offset,
                 request->vote.log_end.epoch);
        break;
    case RAFT_API_BEGIN_QUORUM_EPOCH:
        text_add(&bench->text, " epoch=%d", request->begin.leader_epoch);
        break;
    case RAFT_API_END_QUORUM_EPOCH:
        text_add(&bench->text, " epoch=%d preferred=", request->end.leader_epoch);
        for (size_t i = 0; i < request->end.preferred_count; i++)
            text_add(&bench->text, "%s%d", i > 0 ? "," : "", request->end.preferred[i].id);
        break;
    case RAFT_API_FETCH:
        text_add(&bench->text, " epoch=%d at=%lld/%d hw=%lld", request->fetch.current_leader_epoch,
                 (long long)request->fetch.fetch_offset, request->fetch.last_fetched_epoch,
                 (long long)request->fetch.high_watermark);
        break;
    case RAFT_API_FETCH_SNAPSHOT:
        text_add(&bench->text, " epoch=%d id=%lld/%d from=%lld",
                 request->fetch_snapshot.current_leader_epoch,
                 (long long)request->fetch_snapshot.snapshot_id.offset,
                 request->fetch_snapshot.snapshot_id.epoch,
                 (long long)request->fetch_snapshot.position);
        break;
    case RAFT_API_ADD_VOTER:
        text_add(&bench->text, " %d", request->add_voter.voter.id);
        break;
    case RAFT_API_REMOVE_VOTER:
        text_add(&bench->text, " %d", request->remove_voter.voter.id);
        break;
    case RAFT_API_UPDATE_VOTER:
        text_add(&bench->text, " %d epoch=%d", request->update_voter.voter.id,
                 request->update_voter.current_leader_epoch);
        break;
    case RAFT_API_API_VERSIONS:
    case RAFT_API_DESCRIBE_QUORUM:
        break;
    }
    text_add(&bench->text, "\n");
}

static void line_fetch_answer(struct bench *bench, const struct raft_fetch_answer *fetch)
{
    text_add(&bench->text, " hw=%lld", (long long)fetch->high_watermark);
    if (fetch->diverging.epoch >= 0)
        text_add(&bench->text, " diverging=%lld/%d", (long long)fetch->diverging.offset,
                 fetch->diverging.epoch);
    if (fetch->snapshot_id.epoch >= 0)
        text_add(&bench->text, " snapshot=%lld/%d", (long long)fetch->snapshot_id.offset,
                 fetch->snapshot_id.epoch);
    if (fetch->read_bytes_max > 0)
        text_add(&bench->text, " read=%lld", (long long)fetch->read_offset);
}

static void line_reply(struct bench *bench, const struct raft_effect *effect)
{
    const struct raft_reply *reply = &effect->reply.reply;

    bench->last_reply = *reply;
    text_add(&bench->text, "reply %s ", raft_api_name(reply->api));
    if (reply->error_top != OK) {
        text_add(&bench->text, "top=%s\n", err_name(reply->error_top));
        return;
    }
    text_add(&bench->text, "%s leader=%d epoch=%d", err_name(reply->error), reply->leader_id,
             reply->leader_epoch);
    if (reply->api == RAFT_API_VOTE)
        text_add(&bench->text, reply->vote_granted ? " granted" : " refused");
    if (reply->api == RAFT_API_FETCH && reply->error == OK)
        line_fetch_answer(bench, &reply->fetch);
    if (reply->api == RAFT_API_FETCH_SNAPSHOT && reply->error == OK)
        text_add(&bench->text, " id=%lld/%d size=%lld from=%lld bytes=%d",
                 (long long)reply->fetch_snapshot.snapshot_id.offset,
                 reply->fetch_snapshot.snapshot_id.epoch,
                 (long long)reply->fetch_snapshot.size_bytes,
                 (long long)reply->fetch_snapshot.position, reply->fetch_snapshot.chunk_bytes);
    text_add(&bench->text, "\n");
}

static void line_voters(struct bench *bench, const struct raft_effect *effect)
{
    text_add(&bench->text, "voters kraft=%d", effect->voters.kraft_version);
    for (size_t i = 0; i < effect->voters.voters.count; i++)
        text_add(&bench->text, "%s%d", i > 0 ? "," : " ", effect->voters.voters.items[i].key.id);
    text_add(&bench->text, "\n");
}

static void line(struct bench *bench, const struct raft_effect *effect)
{
    switch (effect->kind) {
    case RAFT_EFFECT_PERSIST:
        line_persist(bench, &effect->persist.state);
        break;
    case RAFT_EFFECT_APPEND:
        text_add(&bench->text, "append at=%lld epoch=%d token=%llu\n",
                 (long long)effect->append.base_offset, effect->append.epoch,
                 (unsigned long long)effect->append.token);
        break;
    case RAFT_EFFECT_APPEND_CONTROL:
        line_control(bench, effect);
        break;
    case RAFT_EFFECT_APPEND_FETCHED:
        text_add(&bench->text, "fetched batches=%zu from=%lld to=%lld\n",
                 effect->append_fetched.batch_count, (long long)effect->append_fetched.base_offset,
                 (long long)effect->append_fetched.end_offset);
        break;
    case RAFT_EFFECT_TRUNCATE:
        text_add(&bench->text, "truncate to=%lld\n", (long long)effect->truncate.end_offset);
        break;
    case RAFT_EFFECT_SEND:
        line_send(bench, effect);
        break;
    case RAFT_EFFECT_REPLY:
        line_reply(bench, effect);
        break;
    case RAFT_EFFECT_HIGH_WATERMARK:
        text_add(&bench->text, "hw %lld\n", (long long)effect->high_watermark.offset);
        break;
    case RAFT_EFFECT_ROLE:
        text_add(&bench->text, "role %s epoch=%d leader=%d", raft_role_name(effect->role.role),
                 effect->role.epoch, effect->role.leader_id);
        if (effect->role.epoch_start_offset >= 0)
            text_add(&bench->text, " start=%lld", (long long)effect->role.epoch_start_offset);
        text_add(&bench->text, "\n");
        break;
    case RAFT_EFFECT_VOTERS:
        line_voters(bench, effect);
        break;
    case RAFT_EFFECT_SNAPSHOT_CHUNK:
        text_add(&bench->text, "chunk id=%lld/%d at=%lld bytes=%d\n",
                 (long long)effect->chunk.id.offset, effect->chunk.id.epoch,
                 (long long)effect->chunk.position, effect->chunk.size_bytes);
        break;
    case RAFT_EFFECT_SNAPSHOT_INSTALL:
        text_add(&bench->text, "install id=%lld/%d\n", (long long)effect->install.id.offset,
                 effect->install.id.epoch);
        break;
    case RAFT_EFFECT_SNAPSHOT_DROP:
        text_add(&bench->text, "drop id=%lld/%d\n", (long long)effect->install.id.offset,
                 effect->install.id.epoch);
        break;
    case RAFT_EFFECT_KRAFT_UPGRADED:
        text_add(&bench->text, "upgraded %s\n", err_name(effect->kraft_upgraded.error));
        break;
    case RAFT_EFFECT_STOPPED:
        text_add(&bench->text, "stopped\n");
        break;
    }
}

/* ---- feeding ---- */

static void step(struct bench *bench, struct raft_event event);

/* What the disk does for an effect, at once. */
static void complete(struct bench *bench, struct raft_effect effect)
{
    struct raft_event event = {0};
    struct raft_status status;

    switch (effect.kind) {
    case RAFT_EFFECT_PERSIST:
        if (bench->hold_persist)
            return;
        event.kind = RAFT_EVENT_PERSISTED;
        event.persisted.generation = effect.persist.generation;
        break;
    case RAFT_EFFECT_APPEND:
    case RAFT_EFFECT_APPEND_CONTROL:
    case RAFT_EFFECT_APPEND_FETCHED:
    case RAFT_EFFECT_TRUNCATE:
        bench->era = effect.append.era;
        if (bench->hold_flush)
            return;
        raft_status(bench->raft, &status);
        event.kind = RAFT_EVENT_FLUSHED;
        event.log_end.era = bench->era;
        event.log_end.end_offset = status.log_end_offset;
        break;
    default:
        return;
    }
    step(bench, event);
}

static void no_memory(struct bench *bench)
{
    assert_int_equal(bench->err, ERR_NO_MEMORY);
    if (bench->no_memory)
        longjmp(*bench->no_memory, 1);
}

/* The scratch memory that the step will find in use: what earlier ones hold back. */
static size_t scratch_held(const struct raft_queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        if (queue->items[i].generation > queue->durable)
            return queue->arena.used_bytes;
    return 0;
}

static enum err step_squeezed(struct bench *bench, const struct raft_event *event,
                              struct raft_effects *effects)
{
    struct arena *scratch = &bench->raft->queue.arena;
    enum err err;

    if (bench->steps == bench->squeezed_step)
        scratch->limit_bytes = MAX(scratch_held(&bench->raft->queue), bench->squeezed_bytes);
    err = raft_step(bench->raft, event, effects);
    if (bench->scratch_log && (size_t)bench->steps < bench->scratch_log_capacity)
        bench->scratch_log[bench->steps] = scratch->used_bytes;
    bench->steps++;
    scratch->limit_bytes = SIZE_MAX;
    return err;
}

static void step(struct bench *bench, struct raft_event event)
{
    struct raft_effects effects;
    struct raft_effect *copy;
    size_t count;

    event.now_ms = bench->now_ms;
    event.random = bench->random;
    bench->err = step_squeezed(bench, &event, &effects);
    if (bench->err == ERR_NO_MEMORY)
        no_memory(bench);
    if (event.kind == RAFT_EVENT_SUBMIT)
        bench->submit_base_offset = effects.submit_base_offset;
    count = effects.count;
    copy = ARENA_ARRAY(&bench->arena, struct raft_effect, count + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < count; i++) {
        line(bench, &effects.items[i]);
        copy[i] = effects.items[i];
    }
    for (size_t i = 0; i < count; i++)
        complete(bench, copy[i]);
}

const char *bench_feed(struct bench *bench, struct raft_event event)
{
    text_init(&bench->text, bench->buffer, sizeof bench->buffer);
    step(bench, event);
    return bench->buffer;
}

void bench_start(struct bench *bench, const struct raft_start *start)
{
    struct raft_event event = {.kind = RAFT_EVENT_START, .start = *start};

    bench->err = raft_create(bench->allocator, &bench->options, logger_now(), &bench->raft);
    if (bench->err != OK)
        no_memory(bench);
    bench_feed(bench, event);
}

static struct raft_voters voters_up_to(struct bench *bench, bool fixed, int count)
{
    struct raft_voters voters = bench_voters(bench, fixed, 1, 2, 3, 4, 5, 0);

    voters.count = (size_t)count;
    return voters;
}

void bench_start_static(struct bench *bench, int voter_count)
{
    bench->options.static_voters = voters_up_to(bench, true, voter_count);
    bench_start(bench, &(struct raft_start){0});
}

void bench_start_dynamic(struct bench *bench, int voter_count)
{
    struct raft_snapshot bootstrap = {.id = {0, 0}, .size_bytes = 100};
    struct raft_voters_at voters = {-1, voters_up_to(bench, false, voter_count)};
    struct raft_kraft_version_at kraft_version = {-1, 1};

    bench_start(bench, &(struct raft_start){.snapshots = &bootstrap,
                                            .snapshot_count = 1,
                                            .voters = &voters,
                                            .voters_count = 1,
                                            .kraft_versions = &kraft_version,
                                            .kraft_version_count = 1});
}

void bench_release(struct bench *bench)
{
    raft_release(&bench->raft);
    arena_release(&bench->arena);
}

const char *bench_pass(struct bench *bench, int64_t ms)
{
    int64_t end_ms = bench->now_ms + ms;

    text_init(&bench->text, bench->buffer, sizeof bench->buffer);
    while (raft_deadline_ms(bench->raft) <= end_ms) {
        bench->now_ms = raft_deadline_ms(bench->raft);
        step(bench, (struct raft_event){.kind = RAFT_EVENT_TIMEOUT});
    }
    bench->now_ms = end_ms;
    return bench->buffer;
}

const char *bench_wait(struct bench *bench, const char *role)
{
    for (int i = 0; i < 100; i++) {
        assert_true(raft_deadline_ms(bench->raft) != INT64_MAX);
        bench->now_ms = raft_deadline_ms(bench->raft);
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_TIMEOUT});
        if (strcmp(bench_role(bench), role) == 0)
            return bench->buffer;
    }
    fail_msg("never %s, but %s", role, bench_role(bench));
    return NULL;
}

const char *bench_request_raw(struct bench *bench, struct raft_request request)
{
    struct raft_event event = {.kind = RAFT_EVENT_REQUEST};

    event.request.token = ++bench->last_token;
    event.request.listener = SLICE("CONTROLLER");
    event.request.request = &request;
    return bench_feed(bench, event);
}

const char *bench_request(struct bench *bench, struct raft_request request)
{
    request.one_partition = request.metadata_partition = true;
    return bench_request_raw(bench, request);
}

const char *bench_reply_to(struct bench *bench, uint64_t number, struct raft_reply reply)
{
    struct raft_event event = {.kind = RAFT_EVENT_REPLY};

    event.reply.number = number;
    event.reply.reply = &reply;
    return bench_feed(bench, event);
}

const char *bench_reply(struct bench *bench, struct raft_reply reply)
{
    return bench_reply_to(bench, bench->last_number, reply);
}

const char *bench_send_failed(struct bench *bench, bool unsupported_version)
{
    struct raft_event event = {.kind = RAFT_EVENT_SEND_FAILED};

    event.send_failed.number = bench->last_number;
    event.send_failed.unsupported_version = unsupported_version;
    return bench_feed(bench, event);
}

const char *bench_submit(struct bench *bench, int32_t record_count)
{
    struct raft_event event = {.kind = RAFT_EVENT_SUBMIT};
    struct raft_status status;

    raft_status(bench->raft, &status);
    event.submit.epoch = status.epoch;
    event.submit.record_count = record_count;
    event.submit.size_bytes = 100;
    event.submit.token = 7;
    return bench_feed(bench, event);
}

struct raft_reply bench_ok(enum raft_api api, int leader, int32_t epoch)
{
    struct raft_reply reply = {.api = api, .leader_id = leader, .leader_epoch = epoch};

    if (api == RAFT_API_FETCH) {
        reply.fetch.high_watermark = -1;
        reply.fetch.diverging.epoch = reply.fetch.snapshot_id.epoch = -1;
        reply.fetch.snapshot_id.offset = -1;
    }
    return reply;
}

void bench_lead(struct bench *bench)
{
    struct raft_status status;

    for (int i = 0; i < 40; i++) {
        struct raft_reply reply;

        raft_status(bench->raft, &status);
        if (status.role == RAFT_LEADER)
            return;
        if (status.role == RAFT_PROSPECTIVE || status.role == RAFT_CANDIDATE) {
            reply = bench_ok(RAFT_API_VOTE, -1, status.epoch);
            reply.vote_granted = true;
            bench_reply(bench, reply);
        } else {
            bench_pass(bench, 1000);
        }
    }
    fail_msg("no leader: %s", bench->buffer);
}

void bench_follow(struct bench *bench, int leader, int32_t epoch)
{
    bench_request(bench,
                  (struct raft_request){
                      .api = RAFT_API_BEGIN_QUORUM_EPOCH,
                      .begin = {.voter.id = -1, .leader_id = leader, .leader_epoch = epoch}});
    assert_string_equal(bench_role(bench), arena_format(&bench->arena, "Follower %d", epoch));
}

struct raft_request bench_vote(int from, int32_t epoch, int64_t end, int32_t end_epoch, bool pre)
{
    return (struct raft_request){.api = RAFT_API_VOTE,
                                 .vote = {.voter.id = -1,
                                          .candidate = bench_key(from),
                                          .candidate_epoch = epoch,
                                          .log_end = {end, end_epoch},
                                          .pre_vote = pre}};
}

struct raft_request bench_fetch(int from, int32_t epoch, int64_t offset, int32_t last_epoch)
{
    return (struct raft_request){.api = RAFT_API_FETCH,
                                 .fetch = {.replica = bench_key(from),
                                           .current_leader_epoch = epoch,
                                           .fetch_offset = offset,
                                           .last_fetched_epoch = last_epoch,
                                           .high_watermark = INT64_MAX,
                                           .wait_ms_max = 500,
                                           .bytes_max = 1000}};
}

const char *bench_role(struct bench *bench)
{
    struct raft_status status;

    raft_status(bench->raft, &status);
    return arena_format(&bench->arena, "%s %d", raft_role_name(status.role), status.epoch);
}
