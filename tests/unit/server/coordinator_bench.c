/* SPDX-License-Identifier: Apache-2.0 */
#include "coordinator_bench.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"

struct fixture fixture;

void publish(void)
{
    rig_coordinators_publish(&fixture.rig);
}

void stop(void)
{
    rig_coordinators_stop(&fixture.rig);
    fixture.is_stopped = true;
}

void open_with(size_t shards, const char *properties, const struct coordinator_kind *kind)
{
    memset(&fixture, 0, sizeof fixture);
    fake_load_err = OK;
    rig_open(&fixture.rig, shards, properties);
    rig_coordinators_create(&fixture.rig, kind);
}

void open_led_by(size_t shards, const char *properties, const struct coordinator_kind *kind)
{
    open_with(shards, properties, kind);
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID, PARTITIONS);
    publish();
    rig_pass(&fixture.rig, 500);
}

void open_led(size_t shards, const char *properties)
{
    open_led_by(shards, properties, &coordinator_kind_group);
}

int teardown(void **state)
{
    UNUSED(state);
    if (!fixture.is_stopped)
        stop();
    assert_int_equal(fake_live, 0);
    for (size_t i = 0; i < fixture.asked_count; i++) {
        assert_true(fixture.asked[i].is_answered);
        assert_int_equal(fixture.asked[i].request.holds, 0);
    }
    rig_coordinators_release(&fixture.rig);
    rig_close(&fixture.rig);
    return 0;
}

void answered(struct coordinator_call *call)
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

struct asked *ask_as(int home, int32_t index, struct fake_call body, bool rests)
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

struct asked *ask(int home, int32_t index, struct fake_call body)
{
    return ask_as(home, index, body, false);
}

struct asked *ask_and_wait(int home, int32_t index, struct fake_call body)
{
    struct asked *asked = ask(home, index, body);

    rig_pass(&fixture.rig, 300);
    return asked;
}

void expect(const struct asked *asked, enum err err)
{
    assert_true(asked->is_answered);
    assert_int_equal(asked->call.err, err);
}

struct group_coordinator *core(void)
{
    struct group_coordinator *found = fake_first;

    for (struct group_coordinator *each = fake_first; each; each = each->next)
        if (each->next_write > 0 || each->replayed > 0)
            found = each;
    assert_non_null(found);
    return found;
}
