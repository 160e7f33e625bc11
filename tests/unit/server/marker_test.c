/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/marker_test.c: end markers into partitions of this node: their own log's rules, and
 * __consumer_offsets by its coordinator, with a core that does what a test tells it.
 */
#include "data_support.h"

#include "fake_group.h"
#include "protocol/generated/api_keys.h"
#include "server/coordinator_internal.h"
#include "server/marker_append.h"

#define TOPIC 1
#define OFFSETS 8

struct sent {
    struct marker_append append;
    bool is_done;
};

static struct rig rig;
static struct sent sent[16];
static size_t sent_count;
static struct rig_request requests[16];
static struct coordinator_call calls[16];
static struct fake_call bodies[16];
static size_t call_count, calls_ended;

static void publish(void)
{
    rig_coordinators_publish(&rig);
    rig_pass(&rig, 500);
}

static void start(size_t shards, const char *properties)
{
    rig = (struct rig){0};
    sent_count = call_count = calls_ended = 0;
    fake_load_err = OK;
    rig_open(&rig, shards, properties);
    rig_coordinators_create(&rig, &coordinator_kind_group);
    rig_topic(&rig, "t", TOPIC, 2);
    rig_topic(&rig, "__consumer_offsets", OFFSETS, 2);
    publish();
}

static void finish(void)
{
    rig_coordinators_stop(&rig);
    for (size_t i = 0; i < sent_count; i++)
        assert_true(sent[i].is_done);
    assert_int_equal(calls_ended, call_count);
    rig_coordinators_release(&rig);
    assert_int_equal(fake_live, 0);
    rig_close(&rig);
}

static void sent_done(struct marker_append *append)
{
    struct sent *own = CONTAINER_OF(append, struct sent, append);

    assert_false(own->is_done);
    own->is_done = true;
}

struct mark {
    const char *topic;
    int32_t index;
    int64_t producer_id;
    int16_t epoch;
    int32_t coordinator_epoch;
    int8_t version;
};

static struct sent *mark(const struct mark *wanted)
{
    struct sent *own = &sent[sent_count++];

    *own = (struct sent){.append = {.producer_id = wanted->producer_id,
                                    .producer_epoch = wanted->epoch,
                                    .coordinator_epoch = wanted->coordinator_epoch,
                                    .transaction_version = wanted->version,
                                    .is_commit = true,
                                    .done = sent_done}};
    marker_append_submit(&rig.shards[0], &own->append, slice_from_text(wanted->topic),
                         wanted->index);
    return own;
}
#define MARK(...) mark(&(struct mark){__VA_ARGS__})

static enum err told(struct sent *own)
{
    rig_pass(&rig, 300);
    assert_true(own->is_done);
    return own->append.err;
}

static void call_done(struct coordinator_call *call)
{
    calls_ended++;
    coordinator_call_end(call);
}

/* A write of the group coordinator of partition 0. */
static void write_group(struct fake_call body)
{
    size_t i = call_count++;

    requests[i] = (struct rig_request){.rig = &rig};
    bodies[i] = body;
    calls[i] = (struct coordinator_call){.kind = &coordinator_kind_group,
                                         .request = &requests[i].request,
                                         .api_key = API_HEARTBEAT,
                                         .body = &bodies[i],
                                         .done = call_done};
    coordinator_call_submit(&rig.shards[0], &calls[i]);
}

static struct log *log_of(uint32_t id, int32_t index)
{
    return rig_partition_open(&rig, id, index)->log;
}

static void a_marker_is_one_control_batch_and_told_when_it_is_committed(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        start(shards, NULL);
        for (int32_t i = 0; i < 2; i++) {
            struct sent *own = MARK("t", i, 7, 3, 5);
            const struct producer_entry *entry;

            assert_int_equal(told(own), OK);
            assert_int_equal(log_end_flushed(log_of(TOPIC, i)), 1);
            entry = producer_state_find(log_producers(log_of(TOPIC, i)), 7);
            assert_int_equal(entry->epoch, 3);
            assert_int_equal(entry->coordinator_epoch, 5);
        }
        finish();
    }
}

static void what_the_log_refuses_is_told_as_it_is(void **state)
{
    UNUSED(state);
    start(2, NULL);
    assert_int_equal(told(MARK("t", 0, 7, 3, 5)), OK);
    assert_int_equal(told(MARK("t", 0, 7, 2, 5)), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(told(MARK("t", 0, 7, 3, 4)), ERR_TRANSACTION_COORDINATOR_FENCED);
    assert_int_equal(told(MARK("t", 9, 7, 3, 5)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(told(MARK("none", 0, 7, 3, 5)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(told(MARK("t", 0, -1, 3, 5)), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(told(MARK("t", 0, 7, -1, 5)), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(log_end_queued(log_of(TOPIC, 0)), 1);
    finish();
}

static void another_leader_is_told(void **state)
{
    UNUSED(state);
    start(1, NULL);
    (void)log_of(TOPIC, 0);
    rig_leader(&rig, TOPIC, 0, 2);
    publish();
    assert_int_equal(told(MARK("t", 0, 7, 3, 5)), ERR_NOT_LEADER_OR_FOLLOWER);
    finish();
}

static void a_group_coordinator_writes_what_is_open_before_the_marker(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct sent *own;

        start(shards, "group.coordinator.append.linger.ms=5000\n");
        write_group((struct fake_call){.records = 2, .value_bytes = 10});
        own = MARK("__consumer_offsets", 0, 7, 3, 5);
        assert_int_equal(told(own), OK);
        assert_int_equal(log_end_flushed(log_of(OFFSETS, 0)), 3);
        assert_int_equal(calls_ended, 1);
        write_group((struct fake_call){.records = 1, .value_bytes = 10});
        rig_pass(&rig, 6000);
        assert_int_equal(calls_ended, 2);
        assert_int_equal(log_end_flushed(log_of(OFFSETS, 0)), 4);
        finish();
    }
}

static void a_refused_marker_is_not_replayed(void **state)
{
    int64_t markers = 0;

    UNUSED(state);
    start(1, NULL);
    assert_int_equal(told(MARK("__consumer_offsets", 0, 7, 3, 5)), OK);
    for (struct group_coordinator *core = fake_first; core; core = core->next)
        markers += core->markers;
    assert_int_equal(markers, 1);
    assert_int_equal(told(MARK("__consumer_offsets", 0, 7, 2, 5)), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(told(MARK("__consumer_offsets", 0, 7, 3, 4)),
                     ERR_TRANSACTION_COORDINATOR_FENCED);
    markers = 0;
    for (struct group_coordinator *core = fake_first; core; core = core->next)
        markers += core->markers;
    assert_int_equal(markers, 1);
    write_group((struct fake_call){.records = 1, .value_bytes = 10});
    rig_pass(&rig, 300);
    assert_int_equal(calls_ended, 1);
    assert_int_equal(log_end_flushed(log_of(OFFSETS, 0)), 2);
    finish();
}

static void a_group_coordinator_that_is_not_ready_takes_no_marker(void **state)
{
    UNUSED(state);
    start(1, NULL);
    rig_leader(&rig, OFFSETS, 0, 2);
    publish();
    assert_int_equal(told(MARK("__consumer_offsets", 0, 7, 3, 5)), ERR_NOT_LEADER_OR_FOLLOWER);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marker_is_one_control_batch_and_told_when_it_is_committed),
        cmocka_unit_test(what_the_log_refuses_is_told_as_it_is),
        cmocka_unit_test(another_leader_is_told),
        cmocka_unit_test(a_group_coordinator_writes_what_is_open_before_the_marker),
        cmocka_unit_test(a_refused_marker_is_not_replayed),
        cmocka_unit_test(a_group_coordinator_that_is_not_ready_takes_no_marker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
