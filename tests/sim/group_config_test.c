/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_config_test.c: keys that concern groups: each is set, and something that a client or the log shows
 * differs. A row runs a node without the key and one with it; a group's own config is then set by
 * IncrementalAlterConfigs. See config_test.c.
 *   group_config_test [KEY]    rows that name it
 */
#include "config_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"

#define GROUP "g"
#define NO_DELAY "group.initial.rebalance.delay.ms=0\n"

struct row {
    const char *keys; /* "effect: key" */
    const char *with; /* properties of both nodes */
    const char *set;  /* "key=value" of the second node; starts with the key */
    bool of_group;    /* `set` is a config of the group, given at run time */
    int64_t (*observe)(struct lab *lab, const char *argument);
    const char *argument;
    int64_t before, after;
    const char *event, *field;
};

/* ---- what a client sees ---- */

static void ready(struct lab *lab)
{
    struct find_coordinator_request body;
    const struct find_coordinator_response *answer;
    struct slice key = SLICE(GROUP);

    assert_int_equal(lab_create_topic(lab, "t", 4, 1), 0);
    find_coordinator_request_init(&body);
    body.coordinator_keys = &key;
    body.coordinator_keys_count = 1;
    for (int i = 0; i < 200; i++) {
        answer = lab_call(lab, API_FIND_COORDINATOR, 4, &body);
        if (answer->coordinators[0].error_code == 0)
            break;
        lab_pass(lab, 50);
    }
    assert_int_equal(answer->coordinators[0].error_code, 0);
    lab_pass(lab, 500); /* it is loaded */
}

static int64_t join(struct lab *lab, int32_t session_ms, struct join_group_response **out)
{
    struct join_group_request body;

    join_group_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.session_timeout_ms = session_ms;
    body.rebalance_timeout_ms = 5000;
    body.protocol_type = SLICE("consumer");
    body.protocols = join_group_request_join_group_request_protocol_array(&lab->arena, 1);
    body.protocols_count = 1;
    body.protocols->name = SLICE("range");
    body.protocols->metadata = SLICE("");
    *out = lab_call(lab, API_JOIN_GROUP, 3, &body);
    return (*out)->error_code;
}

/* argument: the session timeout */
static int64_t join_error(struct lab *lab, const char *argument)
{
    struct join_group_response *answer;

    ready(lab);
    return join(lab, (int32_t)strtol(argument, NULL, 10), &answer);
}

static int64_t second_join_error(struct lab *lab, const char *argument)
{
    struct join_group_response *answer;

    UNUSED(argument);
    ready(lab);
    assert_int_equal(join(lab, 10000, &answer), 0);
    return join(lab, 10000, &answer);
}

static int64_t join_seconds(struct lab *lab, const char *argument)
{
    struct join_group_response *answer;
    int64_t began_ns;

    UNUSED(argument);
    ready(lab);
    began_ns = sim_now_ns(lab->sim);
    assert_int_equal(join(lab, 10000, &answer), 0);
    return (sim_now_ns(lab->sim) - began_ns) / (1000 * MS);
}

static int64_t commit(struct lab *lab, const char *group, size_t metadata_bytes)
{
    struct offset_commit_request body;
    const struct offset_commit_response *answer;
    char *metadata = arena_zeroed(&lab->arena, 1, metadata_bytes + 1);

    memset(metadata, 'm', metadata_bytes);
    offset_commit_request_init(&body);
    body.group_id = slice_from_text(group);
    body.topics = offset_commit_request_offset_commit_request_topic_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    body.topics->partitions =
        offset_commit_request_offset_commit_request_partition_array(&lab->arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->committed_offset = 7;
    body.topics->partitions->committed_metadata = slice_of(metadata, metadata_bytes);
    answer = lab_call(lab, API_OFFSET_COMMIT, 7, &body);
    return answer->topics[0].partitions[0].error_code;
}

static int64_t commit_error(struct lab *lab, const char *argument)
{
    ready(lab);
    return commit(lab, GROUP, (size_t)strtol(argument, NULL, 10));
}

static int64_t commit_seconds(struct lab *lab, const char *argument)
{
    int64_t began_ns;

    UNUSED(argument);
    ready(lab);
    began_ns = sim_now_ns(lab->sim);
    assert_int_equal(commit(lab, GROUP, 1), 0);
    return (sim_now_ns(lab->sim) - began_ns) / (1000 * MS);
}

/* The committed offset `argument` ms after the commit. */
static int64_t offset_after(struct lab *lab, const char *argument)
{
    struct offset_fetch_request body;
    const struct offset_fetch_response *answer;
    int32_t partition = 0;

    ready(lab);
    assert_int_equal(commit(lab, GROUP, 1), 0);
    lab_pass(lab, strtol(argument, NULL, 10));
    lab_connect(lab, 9092);
    offset_fetch_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.topics = offset_fetch_request_offset_fetch_request_topic_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    body.topics->partition_indexes = &partition;
    body.topics->partition_indexes_count = 1;
    answer = lab_call(lab, API_OFFSET_FETCH, 5, &body);
    return answer->topics[0].partitions[0].committed_offset;
}

static int64_t stored_codec(struct lab *lab, const char *argument)
{
    struct fetch_request body;
    const struct fetch_response *answer;

    UNUSED(argument);
    ready(lab);
    assert_int_equal(commit(lab, GROUP, 2000), 0);
    fetch_request_init(&body);
    body.replica_id = -1;
    body.max_wait_ms = 10;
    body.min_bytes = 1;
    body.max_bytes = 1 << 20;
    body.topics = fetch_request_fetch_topic_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->topic = SLICE("__consumer_offsets");
    body.topics->partitions = fetch_request_fetch_partition_array(&lab->arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->partition_max_bytes = 1 << 20;
    answer = lab_call(lab, API_FETCH, 11, &body);
    assert_true(answer->responses[0].partitions[0].records.size_bytes > 61);
    return answer->responses[0].partitions[0].records.data[22] & 7;
}

static int64_t events(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    ready(lab);
    for (int i = 0; i < 30; i++)
        assert_int_equal(commit(lab, GROUP, 1000), 0);
    lab->event_count = 0;
    lab_restart(lab, false);
    lab_connect(lab, 9092);
    lab_pass(lab, 2000);
    return lab->event_count;
}

/* ---- consumer groups ---- */

static const struct consumer_group_heartbeat_response *beat(struct lab *lab, const char *member,
                                                            int32_t epoch, const char *assignor)
{
    struct consumer_group_heartbeat_request body;
    struct slice topic = SLICE("t");

    consumer_group_heartbeat_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.member_id = slice_from_text(member);
    body.member_epoch = epoch;
    body.rebalance_timeout_ms = 5000;
    body.server_assignor = slice_from_text(assignor);
    body.subscribed_topic_names = &topic;
    body.subscribed_topic_names_count = 1;
    body.topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(&lab->arena, 1);
    body.topic_partitions_count = 0;
    return lab_call(lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body);
}

static int64_t beat_error(struct lab *lab, const char *argument)
{
    ready(lab);
    return beat(lab, "one", 0, argument)->error_code;
}

static int64_t second_beat_error(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    ready(lab);
    assert_int_equal(beat(lab, "one", 0, NULL)->error_code, 0);
    return beat(lab, "two", 0, NULL)->error_code;
}

static int64_t interval_ms(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    ready(lab);
    return beat(lab, "one", 0, NULL)->heartbeat_interval_ms;
}

/* Of a member that was silent for `argument` ms. */
static int64_t late_beat_error(struct lab *lab, const char *argument)
{
    int32_t epoch;

    ready(lab);
    epoch = beat(lab, "one", 0, NULL)->member_epoch;
    lab_pass(lab, strtol(argument, NULL, 10));
    lab_connect(lab, 9092);
    return beat(lab, "one", epoch, NULL)->error_code;
}

/* Records in the only partition of __consumer_offsets. */
static int64_t stored_records(struct lab *lab)
{
    struct list_offsets_request body;
    const struct list_offsets_response *answer;

    list_offsets_request_init(&body);
    body.replica_id = -1;
    body.topics = list_offsets_request_list_offsets_topic_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("__consumer_offsets");
    body.topics->partitions = list_offsets_request_list_offsets_partition_array(&lab->arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->timestamp = -1;
    answer = lab_call(lab, API_LIST_OFFSETS, 7, &body);
    assert_int_equal(answer->topics[0].partitions[0].error_code, 0);
    return answer->topics[0].partitions[0].offset;
}

/* Is a pattern's outcome written again within `argument` ms, though nothing has changed? */
static int64_t pattern_is_matched_again(struct lab *lab, const char *argument)
{
    struct consumer_group_heartbeat_request body;
    const struct consumer_group_heartbeat_response *answer;
    int64_t left_ms = strtol(argument, NULL, 10), before = 0;

    ready(lab);
    consumer_group_heartbeat_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.member_id = SLICE("one");
    body.rebalance_timeout_ms = 5000;
    body.subscribed_topic_regex = SLICE("t.*");
    body.topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(&lab->arena, 1);
    body.topic_partitions_count = 0;
    for (int beats = 0; left_ms > 0; beats++, left_ms -= 3000) {
        answer = lab_call(lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body);
        assert_int_equal(answer->error_code, 0);
        consumer_group_heartbeat_request_init(&body);
        body.group_id = SLICE(GROUP);
        body.member_id = SLICE("one");
        body.member_epoch = answer->member_epoch;
        lab_pass(lab, 3000);
        if (beats == 2)
            before = stored_records(lab); /* it has its assignment */
    }
    return stored_records(lab) > before;
}

/* Lines about partitions that a member has for `argument` ms and does not fetch. */
static int64_t unfetched_lines(struct lab *lab, const char *argument)
{
    int64_t left_ms = strtol(argument, NULL, 10);
    int32_t epoch;

    ready(lab);
    epoch = beat(lab, "one", 0, NULL)->member_epoch;
    for (; left_ms > 0; left_ms -= 3000) {
        struct consumer_group_heartbeat_request body;

        lab_pass(lab, 3000);
        consumer_group_heartbeat_request_init(&body);
        body.group_id = SLICE(GROUP);
        body.member_id = SLICE("one");
        body.member_epoch = epoch;
        assert_int_equal(((const struct consumer_group_heartbeat_response *)lab_call(
                              lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body))
                             ->error_code,
                         0);
    }
    return lab->event_count;
}

/* Does the join of a second member have a new assignment at once? */
static int64_t second_target_is_new(struct lab *lab, const char *argument)
{
    int32_t epoch;

    UNUSED(argument);
    ready(lab);
    epoch = beat(lab, "one", 0, NULL)->member_epoch;
    return beat(lab, "two", 0, NULL)->member_epoch > epoch;
}

/* argument: "key=value" that the group is to have */
static int64_t alter_error(struct lab *lab, const char *argument)
{
    size_t name = strcspn(argument, "=");

    ready(lab);
    return lab_alter(lab, 32, GROUP, arena_format(&lab->arena, "%.*s", (int)name, argument),
                     argument + name + 1);
}

/* A consumer that joins a classic group with a member. */
static int64_t upgrade_error(struct lab *lab, const char *argument)
{
    /* ConsumerProtocolSubscription v0: topics ["t"], user data null. */
    static const uint8_t subscription[] = {0, 0, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255};
    struct join_group_request body;
    const struct join_group_response *joined;

    UNUSED(argument);
    ready(lab);
    join_group_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.session_timeout_ms = 45000;
    body.rebalance_timeout_ms = 5000;
    body.protocol_type = SLICE("consumer");
    body.protocols = join_group_request_join_group_request_protocol_array(&lab->arena, 1);
    body.protocols_count = 1;
    body.protocols->name = SLICE("range");
    body.protocols->metadata = slice_of(subscription, sizeof subscription);
    joined = lab_call(lab, API_JOIN_GROUP, 3, &body);
    assert_int_equal(joined->error_code, 0);
    return beat(lab, "one", 0, NULL)->error_code;
}

/* ---- rows ---- */

static const struct row rows[] = {
    {"effect: group.min.session.timeout.ms", .with = NO_DELAY,
     .set = "group.min.session.timeout.ms=1000", .observe = join_error, .argument = "2000",
     .before = ERR_INVALID_SESSION_TIMEOUT, .after = 0},
    {"effect: group.max.session.timeout.ms", .with = NO_DELAY,
     .set = "group.max.session.timeout.ms=20000", .observe = join_error, .argument = "30000",
     .before = 0, .after = ERR_INVALID_SESSION_TIMEOUT},
    {"effect: group.max.size", .with = NO_DELAY, .set = "group.max.size=1",
     .observe = second_join_error, .before = 0, .after = ERR_GROUP_MAX_SIZE_REACHED},
    {"effect: group.initial.rebalance.delay.ms", .set = "group.initial.rebalance.delay.ms=0",
     .observe = join_seconds, .before = 3, .after = 0},
    {"effect: offset.metadata.max.bytes", .set = "offset.metadata.max.bytes=100",
     .observe = commit_error, .argument = "200", .before = 0,
     .after = ERR_OFFSET_METADATA_TOO_LARGE},
    {"effect: offsets.retention.minutes", .with = "offsets.retention.check.interval.ms=1000\n",
     .set = "offsets.retention.minutes=1", .observe = offset_after, .argument = "90000",
     .before = 7, .after = -1},
    {"effect: offsets.retention.check.interval.ms", .with = "offsets.retention.minutes=1\n",
     .set = "offsets.retention.check.interval.ms=1000", .observe = offset_after,
     .argument = "90000", .before = 7, .after = -1},
    {"effect: group.coordinator.append.linger.ms", .set = "group.coordinator.append.linger.ms=2500",
     .observe = commit_seconds, .before = 0, .after = 2},
    {"effect: offsets.commit.timeout.ms", .with = "group.coordinator.append.linger.ms=3000\n",
     .set = "offsets.commit.timeout.ms=1000", .observe = commit_error, .argument = "1", .before = 0,
     .after = ERR_COORDINATOR_NOT_AVAILABLE},
    {"effect: offsets.topic.compression.codec", .with = "offsets.topic.num.partitions=1\n",
     .set = "offsets.topic.compression.codec=1", .observe = stored_codec, .before = 0, .after = 1},
    {"effect: offsets.load.buffer.size", .with = "offsets.topic.num.partitions=1\n",
     .set = "offsets.load.buffer.size=5000", .observe = events, .event = "loaded",
     .field = "records=30 chunks=1 ", .before = 1, .after = 0},
    {"effect: group.coordinator.rebalance.protocols",
     .set = "group.coordinator.rebalance.protocols=classic", .observe = beat_error, .before = 0,
     .after = ERR_UNSUPPORTED_VERSION},
    {"effect: group.consumer.max.size", .set = "group.consumer.max.size=1",
     .observe = second_beat_error, .before = 0, .after = ERR_GROUP_MAX_SIZE_REACHED},
    {"effect: group.consumer.assignors", .set = "group.consumer.assignors=range",
     .observe = beat_error, .argument = "uniform", .before = 0, .after = ERR_UNSUPPORTED_ASSIGNOR},
    {"effect: group.consumer.heartbeat.interval.ms",
     .set = "group.consumer.heartbeat.interval.ms=7000", .observe = interval_ms, .before = 5000,
     .after = 7000},
    {"effect: group.consumer.min.heartbeat.interval.ms",
     .set = "group.consumer.min.heartbeat.interval.ms=1000", .observe = alter_error,
     .argument = "consumer.heartbeat.interval.ms=2000", .before = ERR_INVALID_CONFIG, .after = 0},
    {"effect: group.consumer.max.heartbeat.interval.ms",
     .set = "group.consumer.max.heartbeat.interval.ms=10000", .observe = alter_error,
     .argument = "consumer.heartbeat.interval.ms=12000", .before = 0, .after = ERR_INVALID_CONFIG},
    {"effect: group.consumer.session.timeout.ms", .set = "group.consumer.session.timeout.ms=55000",
     .observe = late_beat_error, .argument = "50000", .before = ERR_UNKNOWN_MEMBER_ID, .after = 0},
    {"effect: group.consumer.min.session.timeout.ms",
     .set = "group.consumer.min.session.timeout.ms=10000", .observe = alter_error,
     .argument = "consumer.session.timeout.ms=20000", .before = ERR_INVALID_CONFIG, .after = 0},
    {"effect: group.consumer.max.session.timeout.ms",
     .set = "group.consumer.max.session.timeout.ms=50000", .observe = alter_error,
     .argument = "consumer.session.timeout.ms=55000", .before = 0, .after = ERR_INVALID_CONFIG},
    {"effect: group.consumer.assignment.interval.ms",
     .set = "group.consumer.assignment.interval.ms=0", .observe = second_target_is_new, .before = 0,
     .after = 1},
    {"effect: group.consumer.min.assignment.interval.ms",
     .set = "group.consumer.min.assignment.interval.ms=500", .observe = alter_error,
     .argument = "consumer.assignment.interval.ms=100", .before = 0, .after = ERR_INVALID_CONFIG},
    {"effect: group.consumer.max.assignment.interval.ms",
     .set = "group.consumer.max.assignment.interval.ms=30000", .observe = alter_error,
     .argument = "consumer.assignment.interval.ms=20000", .before = ERR_INVALID_CONFIG, .after = 0},
    {"effect: group.consumer.regex.refresh.interval.ms", .with = "offsets.topic.num.partitions=1\n",
     .set = "group.consumer.regex.refresh.interval.ms=10000", .observe = pattern_is_matched_again,
     .argument = "60000", .before = 0, .after = 1},
    {"effect: barnabas.group.unfetched.log.ms", .with = "offsets.topic.num.partitions=1\n",
     .set = "barnabas.group.unfetched.log.ms=10000", .observe = unfetched_lines,
     .argument = "24000", .before = 0, .after = 8, .event = "unfetched",
     .field = "group=\"g\" member=\"one\" topic=t "},
    {"effect: group.consumer.migration.policy", .with = NO_DELAY,
     .set = "group.consumer.migration.policy=disabled", .observe = upgrade_error, .before = 0,
     .after = ERR_GROUP_ID_NOT_FOUND},
    {"effect: consumer.heartbeat.interval.ms", .set = "consumer.heartbeat.interval.ms=8000",
     .of_group = true, .observe = interval_ms, .before = 5000, .after = 8000},
    {"effect: consumer.session.timeout.ms", .set = "consumer.session.timeout.ms=58000",
     .of_group = true, .observe = late_beat_error, .argument = "50000",
     .before = ERR_UNKNOWN_MEMBER_ID, .after = 0},
    {"effect: consumer.assignment.interval.ms", .set = "consumer.assignment.interval.ms=0",
     .of_group = true, .observe = second_target_is_new, .before = 0, .after = 1},
};

static int64_t row_run(const struct row *row, bool with_it)
{
    struct lab lab = {.wanted_event = row->event, .wanted_field = row->field};
    struct arena arena;
    const char *properties;
    int64_t seen;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    properties = arena_format(&arena, "%s%s\n", row->with ? row->with : "",
                              with_it && !row->of_group ? row->set : "");
    lab_open(&lab, properties, NULL);
    lab_connect(&lab, 9092);
    if (with_it && row->of_group) {
        size_t name = strcspn(row->set, "=");

        assert_int_equal(lab_alter(&lab, 32, GROUP,
                                   arena_format(&arena, "%.*s", (int)name, row->set),
                                   row->set + name + 1),
                         0);
    }
    seen = row->observe(&lab, row->argument);
    lab_close(&lab);
    arena_release(&arena);
    return seen;
}

static void row_test(void **state)
{
    const struct row *row = *state;
    const char *name = row->keys + strlen("effect: ");
    int64_t before, after;

    if (strncmp(row->set, name, strlen(name)) != 0)
        fail_msg("the row of %s sets %s", name, row->set);
    before = row_run(row, false);
    after = row_run(row, true);
    if (before != row->before || after != row->after)
        fail_msg("%s: %lld without, %lld with it; wanted %lld and %lld", row->set,
                 (long long)before, (long long)after, (long long)row->before,
                 (long long)row->after);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[ARRAY_COUNT(rows)];
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (argc > 1 && !strstr(rows[i].set, argv[1]))
            continue;
        tests[count++] = (struct CMUnitTest){.name = rows[i].set,
                                             .test_func = row_test,
                                             .initial_state = (void *)(uintptr_t)&rows[i]};
    }
    return _cmocka_run_group_tests("group_config", tests, count, NULL, NULL);
}
