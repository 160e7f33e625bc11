/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shell of the coordinators with a core that does what a test tells it: loading, admission,
 * appends, commits, refusals, unloading, from the owner's shard and from another.
 */
#include "data_support.h"

#include "base/assert.h"
#include "fake_group.h"
#include "protocol/generated/api_keys.h"
#include "server/coordinator.h"
#include "server/coordinator_internal.h"

#define TOPIC_ID 8
#define PARTITIONS 2

struct asked {
    struct rig_request request;
    struct coordinator_call call;
    struct fake_call body;
    bool is_answered;
    int releases;
    int64_t replayed;
};

struct fixture {
    struct rig rig;
    struct asked asked[64];
    size_t asked_count;
    bool is_stopped;
};

static struct fixture fixture;
static const struct coordinator_kind *kind_of_services = &coordinator_kind_group;

/* ---- the fixture ---- */

static void services_create(struct rig *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++)
        OKAY(coordinator_service_create(&rig->shards[i], kind_of_services,
                                        &rig->shards[i].coordinators));
}

static void publish(void)
{
    struct rig *rig = &fixture.rig;
    const struct publication *before = rig->shards[0].publication;

    rig_publish(rig);
    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_apply(rig->shards[i].coordinators, before, rig->shards[i].publication);
}

static void stopped(void *context)
{
    ++*(size_t *)context;
}

static void stop(void)
{
    struct rig *rig = &fixture.rig;
    size_t count = 0;

    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_stop(rig->shards[i].coordinators, stopped, &count);
    rig_pass(rig, 200);
    assert_int_equal(count, rig->shard_count);
    fixture.is_stopped = true;
}

static void open_with(size_t shards, const char *properties)
{
    memset(&fixture, 0, sizeof fixture);
    fake_load_err = OK;
    rig_open(&fixture.rig, shards, properties);
    services_create(&fixture.rig);
}

static void open_led(size_t shards, const char *properties)
{
    open_with(shards, properties);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID, PARTITIONS);
    publish();
    rig_pass(&fixture.rig, 500);
}

static void services_release(void)
{
    for (size_t i = 0; i < fixture.rig.shard_count; i++)
        coordinator_service_release(&fixture.rig.shards[i].coordinators);
}

static int teardown(void **state)
{
    UNUSED(state);
    if (!fixture.is_stopped)
        stop();
    assert_int_equal(fake_live, 0);
    for (size_t i = 0; i < fixture.asked_count; i++) {
        assert_true(fixture.asked[i].is_answered);
        assert_int_equal(fixture.asked[i].request.holds, 0);
    }
    services_release();
    rig_close(&fixture.rig);
    return 0;
}

static void answered(struct coordinator_call *call)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);

    assert_false(asked->is_answered);
    asked->is_answered = true;
    asked->replayed = call->err == OK ? ((struct fake_response *)call->response)->replayed : -1;
    coordinator_call_end(call);
}

static void call_released(struct coordinator_call *call)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);

    assert_true(asked->is_answered);
    assert_true(asked->request.holds > 0);
    asked->releases++;
}

static struct asked *ask_as(int home, int32_t index, struct fake_call body, bool rests)
{
    struct asked *asked = &fixture.asked[fixture.asked_count++];

    asked->request.rig = &fixture.rig;
    asked->body = body;
    asked->call = (struct coordinator_call){
        .kind = &coordinator_kind_group,
        .request = &asked->request.request,
        .index = index,
        .api_key = API_HEARTBEAT,
        .body = &asked->body,
        .done = answered,
        .released = rests ? call_released : NULL,
        .rests = rests,
    };
    coordinator_call_submit(&fixture.rig.shards[home], &asked->call);
    return asked;
}

static struct asked *ask(int home, int32_t index, struct fake_call body)
{
    return ask_as(home, index, body, false);
}

static struct asked *ask_and_wait(int home, int32_t index, struct fake_call body)
{
    struct asked *asked = ask(home, index, body);

    rig_pass(&fixture.rig, 300);
    return asked;
}

#define ASK(...) ask_and_wait(0, 0, (struct fake_call){__VA_ARGS__})

static void expect(const struct asked *asked, enum err err)
{
    assert_true(asked->is_answered);
    assert_int_equal(asked->call.err, err);
}

static struct partition *partition(void)
{
    return rig_partition(&fixture.rig, TOPIC_ID, 0);
}

/* The coordinator of partition 0: the one that has replayed something, or the first made. */
static struct group_coordinator *core(void)
{
    struct group_coordinator *found = fake_first;

    for (struct group_coordinator *each = fake_first; each; each = each->next)
        if (each->next_write > 0 || each->replayed > 0)
            found = each;
    assert_non_null(found);
    return found;
}

/* ---- who answers ---- */

static void a_call_without_a_topic_finds_no_coordinator(void **state)
{
    UNUSED(state);
    open_with(1, NULL);
    publish();
    assert_int_equal(coordinator_index_of(&fixture.rig.shards[0], SLICE("g")), -1);
    expect(ask_and_wait(0, -1, (struct fake_call){0}), ERR_NOT_COORDINATOR);
}

static void a_call_while_the_log_is_opened_finds_a_load_in_progress(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_with(1, NULL);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID, PARTITIONS);
    publish();
    asked = ask(0, 0, (struct fake_call){0});
    rig_pass(&fixture.rig, 500);
    expect(asked, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    expect(ASK(0), OK);
}

static void a_partition_that_the_topic_does_not_have_has_no_coordinator(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ask_and_wait(0, PARTITIONS, (struct fake_call){0}), ERR_NOT_COORDINATOR);
}

static void a_call_of_another_shard_is_answered_at_home(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++)
        for (int32_t index = 0; index < PARTITIONS; index++)
            expect(ask_and_wait(home, index, (struct fake_call){.records = 1, .value_bytes = 9}),
                   OK);
}

static void a_core_out_of_memory_is_loaded_anew(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 2, .value_bytes = 3), OK);
    expect(ASK(.fails = true), ERR_NOT_COORDINATOR);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 2);
}

/* ---- writes ---- */

static void a_write_is_replayed_at_its_offset_and_answered_when_committed(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 3, .value_bytes = 10);
    asked = ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    assert_false(asked->is_answered);
    assert_int_equal(core()->last_offset, 4); /* replayed before it is written */
    rig_pass(&fixture.rig, 300);
    expect(asked, OK);
    assert_int_equal(core()->ended_ok, 2);
    assert_int_equal(core()->committed, 5);
    assert_int_equal(log_end_flushed(partition()->log), 5);
}

static void a_reply_that_needs_no_commit_comes_at_once(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    asked = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 1, .early = true});
    rig_pass(&fixture.rig, 0);
    rig_pass(&fixture.rig, 300);
    expect(asked, OK);
}

static void read_done(struct log_read *read)
{
    *(bool *)read->context = true;
}

static int64_t batches_in_log(void)
{
    bool is_read = false;
    struct log_read read = {.offset = 0,
                            .bound_offset = log_end_written(partition()->log),
                            .bytes_max = 1 * MIB,
                            .at_least_one = true,
                            .done = read_done,
                            .context = &is_read};
    uint8_t *buffer;
    struct slice rest, batch;
    int64_t count = 0;

    assert_true(log_read_plan(partition()->log, &read));
    buffer = arena_allocate(&fixture.rig.arena, read.size_bytes);
    log_read_bytes(&read, buffer);
    rig_pass(&fixture.rig, 50);
    assert_true(is_read);
    rest = slice_of(buffer, read.read_bytes);
    for (;;) {
        OKAY(batch_next(&rest, &batch));
        if (batch.size_bytes == 0)
            break;
        count++;
    }
    log_read_release(&read);
    return count;
}

static void the_writes_of_one_turn_are_one_batch(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    for (int i = 0; i < 5; i++)
        ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(log_end_written(partition()->log), 10);
    assert_int_equal(batches_in_log(), 1);
    assert_int_equal(core()->ended_ok, 5);
}

static void a_transactional_write_is_a_batch_of_its_own_and_its_producers(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    ask(0, 0,
        (struct fake_call){.records = 2, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3});
    assert_int_equal(core()->last_offset, 2);
    assert_int_equal(core()->last_producer_id, 7);
    assert_int_equal(core()->last_producer_epoch, 3);
    assert_true(producer_state_has_open_transaction(log_producers(partition()->log), 7, 3));
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    assert_int_equal(core()->last_producer_id, -1);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 3);
    assert_int_equal(core()->ended_ok, 3);
    assert_int_equal(log_last_stable_offset(partition()->log), 1);
    for (size_t i = 0; i < fixture.asked_count; i++)
        expect(&fixture.asked[i], OK);
}

static void a_producer_that_the_log_has_fenced_is_refused_before_the_replay(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3), OK);
    expect(ASK(.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 2),
           ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(core()->replayed, 1);
    assert_int_equal(core()->last_bad, ERR_INVALID_PRODUCER_EPOCH);
    expect(ASK(.records = 1, .value_bytes = 10), OK);
    assert_int_equal(core()->last_offset, 1);
    assert_int_equal(batches_in_log(), 2);
}

static void a_transactional_write_that_was_to_be_verified_and_was_not_is_refused(void **state)
{
    struct asked *asked = &fixture.asked[0];

    UNUSED(state);
    open_led(1, NULL);
    fixture.asked_count = 1;
    asked->request.rig = &fixture.rig;
    asked->body =
        (struct fake_call){.records = 1, .value_bytes = 10, .producer_id = 7, .producer_epoch = 3};
    asked->call = (struct coordinator_call){
        .kind = &coordinator_kind_group,
        .request = &asked->request.request,
        .api_key = API_TXN_OFFSET_COMMIT,
        .body = &asked->body,
        .done = answered,
        .verification_guard = 5,
        .verification_required = true,
    };
    coordinator_call_submit(&fixture.rig.shards[0], &asked->call);
    rig_pass(&fixture.rig, 300);
    expect(asked, ERR_INVALID_TXN_STATE);
    assert_int_equal(log_end_queued(partition()->log), 0);
}

static void without_linger_each_write_is_a_batch(void **state)
{
    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=0\n");
    for (int i = 0; i < 5; i++)
        ask(0, 0, (struct fake_call){.records = 2, .value_bytes = 10});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 5);
}

static void a_linger_collects_writes_of_several_turns(void **state)
{
    struct asked *first;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    first = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    rig_pass(&fixture.rig, 50);
    assert_false(first->is_answered);
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 10});
    rig_pass(&fixture.rig, 400);
    expect(first, OK);
    assert_int_equal(batches_in_log(), 1);
}

static void a_full_batch_leaves_before_the_next_write(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    for (int i = 0; i < 4; i++)
        ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 1200});
    rig_pass(&fixture.rig, 300);
    assert_int_equal(batches_in_log(), 4);
    assert_int_equal(core()->ended_ok, 4);
}

static void a_write_larger_than_a_batch_is_refused_and_changes_nothing(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 2, .value_bytes = 1200), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(core()->ended_bad, 1);
    assert_int_equal(core()->last_bad, ERR_RECORD_LIST_TOO_LARGE);
    assert_int_equal(core()->replayed, 0);
    assert_int_equal(log_end_queued(partition()->log), 0);
    expect(ASK(.records = 1, .value_bytes = 1200), OK);
}

static void a_large_write_that_fits_when_compressed_is_taken(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.topic.compression.codec=1\n");
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 2, .value_bytes = 12000), OK);
    assert_int_equal(core()->replayed, 2);
}

static void parked_replies_of_a_refused_write_fail_with_it(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    parked = ASK(.parks = true);
    assert_false(parked->is_answered);
    ASK(.records = 2, .value_bytes = 1200, .wakes = true);
    expect(parked, ERR_UNKNOWN_SERVER_ERROR);
}

static void parked_replies_come_with_the_commit_of_another_call(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    assert_false(parked->is_answered);
    expect(ASK(.records = 1, .value_bytes = 7, .wakes = true), OK);
    expect(parked, OK);
}

static void a_call_that_waits_gives_its_requests_memory_back(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_as(home, 0, (struct fake_call){.parks = true}, true);

        rig_pass(&fixture.rig, 300);
        assert_false(parked->is_answered);
        assert_int_equal(parked->request.rests, 1);
        assert_null(parked->call.body);
        assert_int_equal(parked->releases, 0);
        expect(ASK(.records = 1, .value_bytes = 7, .wakes = true), OK);
        expect(parked, OK);
        assert_int_equal(parked->request.rests, 1);
        assert_int_equal(parked->releases, 1);
    }
}

static void a_body_is_kept_until_what_came_of_it_is_committed(void **state)
{
    struct asked *writing;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    writing = ask_as(0, 0, (struct fake_call){.records = 1, .value_bytes = 5, .parks = true}, true);
    rig_pass(&fixture.rig, 100);
    assert_int_equal(writing->request.rests, 0);
    assert_non_null(writing->call.body);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(writing->request.rests, 1);
    ASK(.wakes = true);
    expect(writing, OK);
}

static void a_call_that_need_not_wait_is_released_once_wherever_it_came_from(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++)
        for (int32_t index = -1; index < PARTITIONS; index++) {
            struct asked *asked = ask_as(home, index, (struct fake_call){0}, true);

            rig_pass(&fixture.rig, 300);
            expect(asked, index < 0 ? ERR_NOT_COORDINATOR : OK);
            assert_int_equal(asked->releases, 1);
        }
}

static void a_call_that_waits_and_is_forgotten_is_released_once(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_as(home, 0, (struct fake_call){.parks = true}, true);

        if (home == 1) /* also while the body is on its way home */
            rig_pass(&fixture.rig, 300);
        coordinator_call_cancel(&parked->call);
        rig_pass(&fixture.rig, 300);
        expect(parked, ERR_COORDINATOR_NOT_AVAILABLE);
        assert_int_equal(parked->releases, 1);
        assert_int_equal(parked->request.holds, 0);
    }
}

static void an_answer_about_uncommitted_state_waits_for_its_commit(void **state)
{
    struct asked *reading;

    UNUSED(state);
    open_led(1, "group.coordinator.append.linger.ms=200\n");
    expect(ASK(.stable = true), OK); /* nothing to wait for */
    ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    reading = ask(0, 0, (struct fake_call){.stable = true});
    rig_pass(&fixture.rig, 100);
    assert_false(reading->is_answered);
    rig_pass(&fixture.rig, 300);
    expect(reading, OK);
    assert_int_equal(core()->ended_ok, 1);
}

static void a_write_that_may_be_cut_leaves_in_as_many_batches_as_it_takes(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    rig_topic_config(&fixture.rig, "__consumer_offsets", "max.message.bytes", "2000");
    publish();
    expect(ASK(.records = 7, .value_bytes = 900, .divisible = true), OK);
    assert_int_equal(batches_in_log(), 4);
    assert_int_equal(core()->replayed, 7);
    assert_int_equal(core()->ended_ok, 1);
    expect(ASK(.records = 2, .value_bytes = 3000, .divisible = true), ERR_UNKNOWN_SERVER_ERROR);
    assert_int_equal(core()->replayed, 7);
}

/* ---- loading ---- */

static void restart(void)
{
    struct rig *rig = &fixture.rig;

    stop();
    services_release();
    rig_restart(rig, true);
    services_create(rig);
    fixture.is_stopped = false;
    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_apply(rig->shards[i].coordinators, NULL, rig->shards[i].publication);
    rig_pass(rig, 2000);
}

static void the_state_comes_back_from_the_log(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.load.buffer.size=1000\n");
    for (int i = 0; i < 40; i++)
        expect(ASK(.records = 50, .value_bytes = 40), OK);
    restart();
    assert_int_equal(core()->loaded_replayed, 2000);
    assert_int_equal(core()->first_offset, 0);
    assert_int_equal(core()->last_offset, 1999);
    expect(ASK(.records = 1, .value_bytes = 1), OK);
    assert_int_equal(core()->last_offset, 2000);
}

static void a_compressed_log_is_loaded(void **state)
{
    UNUSED(state);
    open_led(1, "offsets.topic.compression.codec=4\n");
    for (int i = 0; i < 4; i++)
        expect(ASK(.records = 700, .value_bytes = 40), OK);
    restart();
    assert_int_equal(core()->loaded_replayed, 2800);
}

static void a_log_that_cannot_be_replayed_fails_until_the_next_epoch(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 3, .value_bytes = 1), OK);
    fake_load_err = ERR_UNSUPPORTED_VERSION;
    restart();
    expect(ASK(0), ERR_NOT_COORDINATOR);
    expect(ask_and_wait(0, 1, (struct fake_call){0}), OK); /* the other partition is well */
    fake_load_err = OK;
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), ERR_NOT_COORDINATOR);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE); /* a new epoch */
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 3);
}

/* ---- the end of a leadership ---- */

static void a_deposed_coordinator_tells_all_that_wait(void **state)
{
    struct asked *parked;
    struct asked *writing;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(parked, ERR_NOT_COORDINATOR);
    expect(writing, ERR_NOT_COORDINATOR);
    expect(ASK(0), ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, PARTITIONS - 1);
}

static void a_leader_again_loads_what_it_wrote(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.records = 5, .value_bytes = 5), OK);
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE);
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 5);
}

/* What the core was loaded with after the epoch rose and the leader stayed. */
static int64_t loaded_with_the_next_epoch(const struct coordinator_kind *kind)
{
    kind_of_services = kind;
    open_led(1, NULL);
    kind_of_services = &coordinator_kind_group;
    expect(ASK(.records = 3, .value_bytes = 1), OK);
    rig_leader(&fixture.rig, TOPIC_ID, 0, RIG_NODE);
    publish();
    rig_pass(&fixture.rig, 500);
    expect(ASK(0), OK);
    return core()->loaded_replayed;
}

static void a_core_that_is_not_of_an_epoch_goes_on_when_the_epoch_rises(void **state)
{
    UNUSED(state);
    assert_int_equal(loaded_with_the_next_epoch(&coordinator_kind_group), 0);
}

static void a_core_of_an_epoch_is_loaded_anew_when_the_epoch_rises(void **state)
{
    static struct coordinator_kind kind;

    UNUSED(state);
    kind = coordinator_kind_group;
    kind.reloads_on_epoch = true;
    assert_int_equal(loaded_with_the_next_epoch(&kind), 3);
}

static void a_deleted_topic_takes_its_coordinators_away(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    parked = ASK(.parks = true);
    rig_topic_remove(&fixture.rig, TOPIC_ID);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(parked, ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, 0);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID + 2, PARTITIONS);
    publish();
    rig_pass(&fixture.rig, 1000);
    expect(ASK(0), OK);
}

static void a_foreign_append_makes_it_load_anew(void **state)
{
    struct rig_batch batch = {.count = 3, .value_bytes = 4};
    struct slice bytes;
    struct log_append append;
    struct asked *writing;

    UNUSED(state);
    open_led(1, NULL);
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    bytes = rig_batch(&fixture.rig, &batch);
    append = (struct log_append){.data = (uint8_t *)(uintptr_t)bytes.data,
                                 .size_bytes = bytes.size_bytes,
                                 .origin = APPEND_ORIGIN_CLIENT};
    OKAY(log_append(partition()->log, &append, NULL)); /* before the open batch leaves */
    rig_pass(&fixture.rig, 500);
    expect(writing, ERR_NOT_COORDINATOR);
    expect(ASK(0), OK);
    assert_int_equal(core()->loaded_replayed, 4);
}

static void a_stopped_node_has_no_coordinator(void **state)
{
    struct asked *parked;
    struct asked *writing;

    UNUSED(state);
    open_led(2, NULL);
    parked = ask_and_wait(1, 0, (struct fake_call){.parks = true});
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    stop();
    expect(parked, ERR_COORDINATOR_NOT_AVAILABLE);
    expect(writing, ERR_COORDINATOR_NOT_AVAILABLE);
    expect(ASK(0), ERR_COORDINATOR_NOT_AVAILABLE);
}

/* ---- the rest ---- */

static void a_task_runs_aside_and_comes_back(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    expect(ASK(.with_task = true), OK);
}

static void a_coordinator_outlives_its_leadership_for_its_tasks(void **state)
{
    struct asked *asked;

    UNUSED(state);
    open_led(1, NULL);
    asked = ask(0, 0, (struct fake_call){.with_task = true});
    rig_leader(&fixture.rig, TOPIC_ID, 0, 7);
    publish();
    rig_pass(&fixture.rig, 300);
    expect(asked, ERR_NOT_COORDINATOR);
    assert_int_equal(fake_live, PARTITIONS - 1);
}

static void a_deadline_of_the_core_is_kept(void **state)
{
    struct asked *parked;

    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 1, .value_bytes = 1);
    core()->deadline_ms = reactor_now_ms(fixture.rig.shards[0].reactor) + 1000;
    parked = ask(0, 0, (struct fake_call){.parks = true});
    rig_pass(&fixture.rig, 900);
    assert_int_equal(core()->ticks, 0);
    rig_pass(&fixture.rig, 300);
    assert_int_equal(core()->ticks, 1);
    expect(parked, OK);
}

static void a_requester_that_hung_up_is_forgotten(void **state)
{
    UNUSED(state);
    open_led(2, NULL);
    for (int home = 0; home < 2; home++) {
        struct asked *parked = ask_and_wait(home, 0, (struct fake_call){.parks = true});

        assert_false(parked->is_answered);
        coordinator_call_cancel(&parked->call);
        rig_pass(&fixture.rig, 100);
        assert_true(parked->is_answered);
    }
    /* An answer that is on its way when its requester hangs up is not forgotten. */
    coordinator_call_cancel(&ask(1, 0, (struct fake_call){.records = 1, .value_bytes = 1})->call);
    rig_pass(&fixture.rig, 300);
}

static void news_of_metadata_reach_the_core(void **state)
{
    UNUSED(state);
    open_led(1, NULL);
    ASK(.records = 1, .value_bytes = 1);
    assert_int_equal(core()->images, 0);
    rig_topic(&fixture.rig, "news", 20, 1);
    publish();
    assert_int_equal(core()->images, 1);
}

static void a_write_without_progress_is_given_up_but_stays(void **state)
{
    struct asked *writing;

    UNUSED(state);
    open_led(1, "offsets.commit.timeout.ms=1000\ngroup.coordinator.append.linger.ms=3000\n");
    writing = ask(0, 0, (struct fake_call){.records = 1, .value_bytes = 5});
    rig_pass(&fixture.rig, 900);
    assert_false(writing->is_answered);
    rig_pass(&fixture.rig, 300);
    expect(writing, ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(core()->ended_bad, 1);
    assert_int_equal(core()->last_bad, ERR_REQUEST_TIMED_OUT);
    rig_pass(&fixture.rig, 3000);
    assert_int_equal(core()->ended_ok, 0); /* a write ends once */
    assert_int_equal(core()->replayed, 1);
    assert_int_equal(core()->committed, 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_without_a_topic_finds_no_coordinator),
        TEST(a_call_while_the_log_is_opened_finds_a_load_in_progress),
        TEST(a_partition_that_the_topic_does_not_have_has_no_coordinator),
        TEST(a_call_of_another_shard_is_answered_at_home),
        TEST(a_core_out_of_memory_is_loaded_anew),
        TEST(a_write_is_replayed_at_its_offset_and_answered_when_committed),
        TEST(a_reply_that_needs_no_commit_comes_at_once),
        TEST(the_writes_of_one_turn_are_one_batch),
        TEST(a_transactional_write_is_a_batch_of_its_own_and_its_producers),
        TEST(a_producer_that_the_log_has_fenced_is_refused_before_the_replay),
        TEST(a_transactional_write_that_was_to_be_verified_and_was_not_is_refused),
        TEST(without_linger_each_write_is_a_batch),
        TEST(a_linger_collects_writes_of_several_turns),
        TEST(a_full_batch_leaves_before_the_next_write),
        TEST(a_write_larger_than_a_batch_is_refused_and_changes_nothing),
        TEST(a_large_write_that_fits_when_compressed_is_taken),
        TEST(parked_replies_of_a_refused_write_fail_with_it),
        TEST(parked_replies_come_with_the_commit_of_another_call),
        TEST(a_call_that_waits_gives_its_requests_memory_back),
        TEST(a_body_is_kept_until_what_came_of_it_is_committed),
        TEST(a_call_that_need_not_wait_is_released_once_wherever_it_came_from),
        TEST(a_call_that_waits_and_is_forgotten_is_released_once),
        TEST(an_answer_about_uncommitted_state_waits_for_its_commit),
        TEST(a_write_that_may_be_cut_leaves_in_as_many_batches_as_it_takes),
        TEST(the_state_comes_back_from_the_log),
        TEST(a_compressed_log_is_loaded),
        TEST(a_log_that_cannot_be_replayed_fails_until_the_next_epoch),
        TEST(a_deposed_coordinator_tells_all_that_wait),
        TEST(a_leader_again_loads_what_it_wrote),
        TEST(a_core_that_is_not_of_an_epoch_goes_on_when_the_epoch_rises),
        TEST(a_core_of_an_epoch_is_loaded_anew_when_the_epoch_rises),
        TEST(a_deleted_topic_takes_its_coordinators_away),
        TEST(a_foreign_append_makes_it_load_anew),
        TEST(a_stopped_node_has_no_coordinator),
        TEST(a_task_runs_aside_and_comes_back),
        TEST(a_coordinator_outlives_its_leadership_for_its_tasks),
        TEST(a_deadline_of_the_core_is_kept),
        TEST(a_requester_that_hung_up_is_forgotten),
        TEST(news_of_metadata_reach_the_core),
        TEST(a_write_without_progress_is_given_up_but_stays),
    };

    return cmocka_run_group_tests_name("server/coordinator", tests, NULL, NULL);
}
