/* SPDX-License-Identifier: Apache-2.0 */
#include "group_actors.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"

#include <stdio.h>

#define MS ((int64_t)1000000)
#define TOPIC "t"

void group_lab_fail(struct group_lab *lab, const char *format, ...)
{
    va_list arguments;

    if (lab->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(lab->failure, sizeof lab->failure, format, arguments);
    va_end(arguments);
}

bool group_moves(enum err err)
{
    return err == ERR_NOT_COORDINATOR || err == ERR_COORDINATOR_NOT_AVAILABLE ||
           err == ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

/* ---- history ---- */

int64_t group_event(struct group_lab *lab, enum history_kind kind, enum history_phase phase,
                    const struct offset_book *book, int32_t partition, struct history_event more)
{
    struct history_event event;

    history_event_init(&event, kind, phase);
    event.time_ns = sim_now_ns(lab->sim);
    event.group = history_name(lab->history, book->group);
    if (partition >= 0) {
        event.topic = history_topic(lab->history, TOPIC);
        event.partition = partition;
    }
    event.op = more.op > 0 ? more.op : ++lab->ops;
    event.member = more.member;
    event.generation = more.generation;
    event.offset = more.offset;
    event.since_ns = more.since_ns;
    event.lease_ms = more.lease_ms;
    history_add(lab->history, &event);
    return event.op;
}

static int32_t name_of(struct group_lab *lab, const char *id)
{
    return id[0] ? history_name(lab->history, id) : -1;
}

void group_lab_judge(struct group_lab *lab)
{
    struct history_report report;

    history_check(lab->history, &report);
    if (report.count > 0)
        group_lab_fail(lab, "%s event %zu: %s", report.first[0].rule, report.first[0].event + 1,
                       report.first[0].text);
}

static void book_init(struct offset_book *book, const char *group)
{
    snprintf(book->group, sizeof book->group, "%s", group);
}

static void member_name(struct group_lab *lab, struct group_member *member)
{
    snprintf(member->id, sizeof member->id, "member-%d", ++lab->ids);
    member->epoch = 0;
    member->owned = 0;
}

void group_lab_init(struct group_lab *lab, struct sim *sim, struct os *machine, const char *host)
{
    *lab = (struct group_lab){.sim = sim, .host = host, .history = history_new()};
    random_init(&lab->random, sim_seed(sim) * 7919 + 5);
    lab->client = sim_client_new(sim, machine);
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        lab->consumers[i].client = sim_client_new(sim, machine);
        lab->classics[i].client = sim_client_new(sim, machine);
        member_name(lab, &lab->consumers[i]);
    }
    book_init(&lab->simple, "simple");
    book_init(&lab->consumer, "consumers");
    book_init(&lab->classic, "classics");
}

void group_lab_release(struct group_lab *lab)
{
    history_free(&lab->history);
    sim_client_free(&lab->client);
    for (int i = 0; i < GROUP_MEMBERS; i++) {
        sim_client_free(&lab->consumers[i].client);
        sim_client_free(&lab->classics[i].client);
    }
}

bool group_connected(struct group_lab *lab, struct sim_client *client, int64_t deadline_ns)
{
    return sim_client_is_connected(client) ||
           sim_client_connect(client, lab->host, 9092, deadline_ns) == OK;
}

/* ---- topic and coordinator ---- */

static bool topic_make(struct group_lab *lab, struct arena *arena, int64_t deadline_ns)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(arena, 1);
    const struct create_topics_response *answer;
    void *response;

    create_topics_request_init(&body);
    topic->name = SLICE(TOPIC);
    topic->num_partitions = GROUP_PARTITIONS;
    topic->replication_factor = 1;
    body.topics = topic;
    body.topics_count = 1;
    if (sim_client_call(lab->client, API_CREATE_TOPICS, 7, &body, arena, deadline_ns, &response) !=
        OK)
        return false;
    answer = response;
    return answer->topics_count == 1 && (answer->topics[0].error_code == OK ||
                                         answer->topics[0].error_code == ERR_TOPIC_ALREADY_EXISTS);
}

static bool coordinator_find(struct group_lab *lab, struct arena *arena, int64_t deadline_ns)
{
    struct find_coordinator_request body;
    const struct find_coordinator_response *answer;
    struct slice key = SLICE("simple");
    void *response;

    find_coordinator_request_init(&body);
    body.coordinator_keys = &key;
    body.coordinator_keys_count = 1;
    if (sim_client_call(lab->client, API_FIND_COORDINATOR, 4, &body, arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    if (answer->coordinators_count != 1)
        group_lab_fail(lab, "FindCoordinator answered %d keys", answer->coordinators_count);
    else if (answer->coordinators[0].error_code == OK && answer->coordinators[0].node_id != 1)
        group_lab_fail(lab, "the coordinator is node %d", answer->coordinators[0].node_id);
    return answer->coordinators_count == 1 && answer->coordinators[0].error_code == OK;
}

static void lab_prepare(struct group_lab *lab, struct arena *arena, int64_t deadline_ns)
{
    if (group_connected(lab, lab->client, deadline_ns) && topic_make(lab, arena, deadline_ns) &&
        coordinator_find(lab, arena, deadline_ns))
        lab->is_ready = true;
    else
        sim_run_until(lab->sim, MIN(sim_now_ns(lab->sim) + 50 * MS, deadline_ns), NULL, NULL);
}

/* ---- offsets ---- */

enum group_commit_outcome group_commit(struct group_lab *lab, struct sim_client *client,
                                       struct offset_book *book, int32_t partition, const char *id,
                                       int32_t generation, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct offset_commit_request body;
    struct offset_commit_request_offset_commit_request_topic *topic;
    const struct offset_commit_response *answer;
    int64_t value = ++book->sent[partition];
    struct history_event event = {
        .member = name_of(lab, id), .generation = generation, .offset = value, .lease_ms = -1};
    void *response;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_commit_request_init(&body);
    topic = offset_commit_request_offset_commit_request_topic_array(&arena, 1);
    topic->name = SLICE(TOPIC);
    topic->partitions = offset_commit_request_offset_commit_request_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions->partition_index = partition;
    topic->partitions->committed_offset = value;
    topic->partitions->committed_metadata = SLICE("m");
    body.group_id = slice_from_text(book->group);
    body.member_id = slice_from_text(id);
    body.generation_id_or_member_epoch = generation;
    body.topics = topic;
    body.topics_count = 1;
    if (!group_connected(lab, client, deadline_ns))
        return COMMIT_LOST;
    event.op = group_event(lab, HISTORY_GROUP_COMMIT, HISTORY_INVOKE, book, partition, event);
    if (sim_client_call(client, API_OFFSET_COMMIT, 9, &body, &arena, deadline_ns, &response) != OK)
        return COMMIT_LOST;
    answer = response;
    if (answer->topics_count != 1 || answer->topics[0].partitions_count != 1) {
        group_lab_fail(lab, "OffsetCommit of one partition answered others");
        return COMMIT_LOST;
    }
    err = err_from_wire(answer->topics[0].partitions[0].error_code);
    if (err != OK && group_moves(err))
        return COMMIT_LOST;
    group_event(lab, HISTORY_GROUP_COMMIT, err == OK ? HISTORY_OK : HISTORY_FAIL, book, partition,
                event);
    if (err != OK)
        return COMMIT_REFUSED;
    lab->commits++;
    return COMMIT_DONE;
}

static bool offsets_fetch(struct group_lab *lab, struct offset_book *book, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct offset_fetch_request body;
    struct offset_fetch_request_offset_fetch_request_group *group;
    const struct offset_fetch_response *answer;
    const struct history_event nothing = {
        .member = -1, .generation = -1, .offset = -1, .lease_ms = -1};
    int64_t ops[GROUP_PARTITIONS];
    void *response;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_fetch_request_init(&body);
    group = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    group->group_id = slice_from_text(book->group);
    group->topics = offset_fetch_request_offset_fetch_request_topics_array(&arena, 1);
    group->topics_count = 1;
    group->topics->name = SLICE(TOPIC);
    group->topics->partition_indexes = ARENA_ARRAY(&arena, int32_t, GROUP_PARTITIONS);
    group->topics->partition_indexes_count = GROUP_PARTITIONS;
    for (int32_t i = 0; i < GROUP_PARTITIONS; i++)
        group->topics->partition_indexes[i] = i;
    body.groups = group;
    body.groups_count = 1;
    body.require_stable = random_chance(&lab->random, 1, 2);
    if (!group_connected(lab, lab->client, deadline_ns))
        return false;
    for (int32_t i = 0; i < GROUP_PARTITIONS; i++)
        ops[i] = group_event(lab, HISTORY_GROUP_OFFSET, HISTORY_INVOKE, book, i, nothing);
    if (sim_client_call(lab->client, API_OFFSET_FETCH, 9, &body, &arena, deadline_ns, &response) !=
        OK)
        return false;
    answer = response;
    if (answer->groups_count != 1) {
        group_lab_fail(lab, "OffsetFetch of one group answered %d", answer->groups_count);
        return false;
    }
    if (answer->groups[0].error_code != OK) {
        if (!group_moves(err_from_wire(answer->groups[0].error_code)))
            group_lab_fail(lab, "OffsetFetch of %s: %s", book->group,
                           err_name(err_from_wire(answer->groups[0].error_code)));
        return false;
    }
    if (answer->groups[0].topics_count != 1 ||
        answer->groups[0].topics[0].partitions_count != GROUP_PARTITIONS) {
        group_lab_fail(lab, "OffsetFetch left partitions out");
        return false;
    }
    for (int32_t i = 0; i < GROUP_PARTITIONS; i++) {
        const struct offset_fetch_response_offset_fetch_response_partitions *partition =
            &answer->groups[0].topics[0].partitions[i];

        struct history_event event = nothing;

        if (partition->error_code != OK || partition->partition_index < 0 ||
            partition->partition_index >= GROUP_PARTITIONS)
            continue;
        event.op = ops[partition->partition_index];
        event.offset = partition->committed_offset;
        group_event(lab, HISTORY_GROUP_OFFSET, HISTORY_OK, book, partition->partition_index, event);
    }
    lab->fetches++;
    return true;
}

/* ---- consumer groups ---- */

/* A member that has heard nothing good for its session has nothing for certain. */
static struct history_event leased(struct group_lab *lab, const struct group_member *member)
{
    return (struct history_event){.member = name_of(lab, member->id),
                                  .generation = member->epoch,
                                  .offset = -1,
                                  .since_ns = member->last_beat_ns,
                                  .lease_ms = GROUP_SESSION_NS / MS};
}

static void member_ends(struct group_lab *lab, struct group_member *member)
{
    member->owned = 0;
    group_event(lab, HISTORY_GROUP_END, HISTORY_OK, &lab->consumer, -1, leased(lab, member));
}

static void beat_fill(const struct group_lab *lab, const struct group_member *member, int32_t epoch,
                      struct arena *arena, struct consumer_group_heartbeat_request *body)
{
    struct slice *topics = ARENA_NEW(arena, struct slice);

    *topics = SLICE(TOPIC);
    consumer_group_heartbeat_request_init(body);
    body->group_id = slice_from_text(lab->consumer.group);
    body->member_id = slice_from_text(member->id);
    body->member_epoch = epoch;
    body->rebalance_timeout_ms = 120000;
    body->subscribed_topic_names = topics;
    body->subscribed_topic_names_count = 1;
    body->topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(arena, 1);
    body->topic_partitions_count = 0;
    if (member->owned == 0)
        return;
    body->topic_partitions_count = 1;
    body->topic_partitions->topic_id = lab->topic_id;
    body->topic_partitions->partitions = ARENA_ARRAY(arena, int32_t, GROUP_PARTITIONS);
    for (int32_t p = 0; p < GROUP_PARTITIONS; p++)
        if (member->owned >> p & 1)
            body->topic_partitions->partitions[body->topic_partitions->partitions_count++] = p;
}

static void assignment_take(struct group_lab *lab, struct group_member *member,
                            const struct consumer_group_heartbeat_response_assignment *assignment)
{
    uint32_t before = member->owned;

    member->owned = 0;
    for (int32_t i = 0; i < assignment->topic_partitions_count; i++) {
        lab->topic_id = assignment->topic_partitions[i].topic_id;
        for (int32_t k = 0; k < assignment->topic_partitions[i].partitions_count; k++) {
            int32_t partition = assignment->topic_partitions[i].partitions[k];

            if (partition < 0 || partition >= GROUP_PARTITIONS)
                group_lab_fail(lab, "partition %d was assigned", partition);
            else
                member->owned |= (uint32_t)1 << partition;
        }
    }
    for (int32_t p = 0; p < GROUP_PARTITIONS; p++) {
        if (member->owned >> p & 1)
            group_event(lab, HISTORY_GROUP_OWN, HISTORY_OK, &lab->consumer, p, leased(lab, member));
        else if (before >> p & 1)
            group_event(lab, HISTORY_GROUP_GIVE_UP, HISTORY_OK, &lab->consumer, p,
                        leased(lab, member));
    }
}

static void consumer_beat(struct group_lab *lab, struct group_member *member, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct consumer_group_heartbeat_request body;
    const struct consumer_group_heartbeat_response *answer;
    int64_t sent_ns = sim_now_ns(lab->sim);
    void *response;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    beat_fill(lab, member, member->epoch, &arena, &body);
    if (!group_connected(lab, member->client, deadline_ns) ||
        sim_client_call(member->client, API_CONSUMER_GROUP_HEARTBEAT, 1, &body, &arena, deadline_ns,
                        &response) != OK)
        return;
    answer = response;
    err = err_from_wire(answer->error_code);
    if (err == ERR_UNKNOWN_MEMBER_ID || err == ERR_FENCED_MEMBER_EPOCH) {
        member_ends(lab, member);
        member->epoch = 0;
        return;
    }
    if (err != OK) {
        if (!group_moves(err))
            group_lab_fail(lab, "heartbeat of %s (epoch %d): %s", member->id, member->epoch,
                           err_name(err));
        return;
    }
    lab->beats++;
    if (answer->member_epoch < member->epoch)
        group_lab_fail(lab, "the epoch of %s went from %d to %d", member->id, member->epoch,
                       answer->member_epoch);
    member->epoch = answer->member_epoch;
    member->last_beat_ns = sent_ns;
    group_event(lab, HISTORY_GROUP_BEAT, HISTORY_OK, &lab->consumer, -1, leased(lab, member));
    if (answer->assignment)
        assignment_take(lab, member, answer->assignment);
}

static void consumer_leave(struct group_lab *lab, struct group_member *member, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct consumer_group_heartbeat_request body;
    void *response;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    member_ends(lab, member);
    beat_fill(lab, member, -1, &arena, &body);
    if (group_connected(lab, member->client, deadline_ns) &&
        sim_client_call(member->client, API_CONSUMER_GROUP_HEARTBEAT, 1, &body, &arena, deadline_ns,
                        &response) == OK)
        lab->beats++;
    member_name(lab, member);
}

/* A member may think that it owns what it lost long ago: its commit must not be taken then. */
static void consumer_commit(struct group_lab *lab, struct group_member *member, int64_t deadline_ns)
{
    int32_t p = (int32_t)random_below(&lab->random, GROUP_PARTITIONS);

    if (member->epoch == 0 || !(member->owned >> p & 1))
        return;
    (void)group_commit(lab, member->client, &lab->consumer, p, member->id, member->epoch,
                       deadline_ns);
}

static void consumer_act(struct group_lab *lab, int64_t deadline_ns)
{
    struct group_member *member = &lab->consumers[random_below(&lab->random, GROUP_MEMBERS)];
    uint64_t what = random_below(&lab->random, 100);

    if (member->paused_until_ns > sim_now_ns(lab->sim))
        return;
    if (what < 60)
        consumer_beat(lab, member, deadline_ns);
    else if (what < 97)
        consumer_commit(lab, member, deadline_ns);
    else if (what < 99)
        consumer_leave(lab, member, deadline_ns);
    else
        member->paused_until_ns =
            sim_now_ns(lab->sim) + random_between(&lab->random, 1000, 90000) * MS;
}

/* ---- the whole ---- */

void group_lab_step(struct group_lab *lab, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    uint64_t what = random_below(&lab->random, 100);

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    if (!lab->is_ready) {
        lab_prepare(lab, &arena, deadline_ns);
        return;
    }
    if (what < 15)
        (void)group_commit(lab, lab->client, &lab->simple,
                           (int32_t)random_below(&lab->random, GROUP_PARTITIONS), "", -1,
                           deadline_ns);
    else if (what < 25)
        (void)offsets_fetch(lab, &lab->simple, deadline_ns);
    else if (what < 30)
        (void)offsets_fetch(lab, &lab->consumer, deadline_ns);
    else if (what < 35)
        (void)offsets_fetch(lab, &lab->classic, deadline_ns);
    else if (what < 42)
        group_classic_round(lab, deadline_ns);
    else
        consumer_act(lab, deadline_ns);
    sim_run_until(lab->sim,
                  MIN(sim_now_ns(lab->sim) + random_between(&lab->random, 0, 20) * MS, deadline_ns),
                  NULL, NULL);
}

void group_lab_check(struct group_lab *lab, int64_t deadline_ns)
{
    struct offset_book *books[] = {&lab->simple, &lab->consumer, &lab->classic};

    for (size_t i = 0; i < ARRAY_COUNT(books) && !lab->failure[0]; i++) {
        while (!offsets_fetch(lab, books[i], deadline_ns) && !lab->failure[0]) {
            if (sim_now_ns(lab->sim) >= deadline_ns) {
                group_lab_fail(lab, "the offsets of %s cannot be read", books[i]->group);
                return;
            }
            sim_run_until(lab->sim, sim_now_ns(lab->sim) + 20 * MS, NULL, NULL);
        }
    }
}
