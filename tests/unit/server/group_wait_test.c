/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may wait long at a coordinator, and gave its memory back, is told why it failed like any other: the
 * requests of dispatch, the general errors and the coordinators' shell are real, their core is fake_group.c.
 */
#include "data_support.h"

#include "fake_group.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"
#include "server/coordinator.h"
#include "server/request_internal.h"

#define TOPIC_ID 8
#define PARTITIONS 2
#define SHARDS 2
#define ASKED_MAX 16

struct asked {
    struct frame frame; /* of the request */
    int16_t key, version;
    void *response;
    bool is_released; /* the frame */
};

struct fixture {
    struct rig rig;
    struct request_service services[SHARDS];
    struct asked asked[ASKED_MAX];
    size_t asked_count;
    bool is_closed, is_stopped;
};

static struct fixture fixture;

/* ---- what stands around the requests ---- */

const struct os_address *__wrap_connection_peer_address(const struct connection *connection);
void __wrap_frame_release(struct frame **frame);

const struct os_address *__wrap_connection_peer_address(const struct connection *connection)
{
    static const struct os_address address = {.text = "127.0.0.1"};

    UNUSED(connection);
    return &address;
}

void __wrap_frame_release(struct frame **frame)
{
    if (*frame) {
        CONTAINER_OF(*frame, struct asked, frame)->is_released = true;
        *frame = NULL;
    }
}

void latency_histogram_add(struct latency_histogram *histogram, int64_t micros)
{
    UNUSED(histogram);
    UNUSED(micros);
}

void rig_loan_end(struct request *request)
{
    UNUSED(request);
}

void request_lend(struct request *request, struct request_loan *loan, size_t slices_max)
{
    UNUSED(request);
    UNUSED(loan);
    UNUSED(slices_max);
    fail_msg("nothing is lent here");
}

bool request_broker_endpoint(const struct request *request, int32_t broker_id,
                             struct slice *host_out, int32_t *port_out)
{
    UNUSED(request);
    UNUSED(broker_id);
    UNUSED(host_out);
    UNUSED(port_out);
    return false;
}

void session_close(struct session *session, const char *why)
{
    UNUSED(session);
    print_message("closed: %s\n", why);
    fixture.is_closed = true;
}

void session_flush(struct session *session)
{
    struct list_node later = {&later, &later};
    struct request *request;

    while ((request = session_oldest(session))) {
        session_remove(session, request);
        if (request->is_answered) {
            request->session = NULL;
            request_settle(request);
        } else {
            list_push_back(&later, &request->node);
        }
    }
    while (!list_is_empty(&later))
        session_push(session, LIST_ITEM(list_pop_front(&later), struct request, node));
}

enum err request_encode(struct request *request, const void *response)
{
    const struct message_type *type = request->api->response;
    struct asked *asked = request->private_state;
    CLEANUP(writer_release) struct writer writer;
    struct slice bytes;
    struct cursor cursor;

    assert_non_null(asked);
    assert_null(asked->response);
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    OKAY(message_encode(type, request->header.api_version, response, &writer));
    bytes = arena_copy(&fixture.rig.arena, writer_slice(&writer));
    cursor = cursor_of(bytes);
    asked->response = arena_zeroed(&fixture.rig.arena, 1, message_struct_bytes(type));
    return message_decode(type, request->header.api_version, &cursor, &fixture.rig.arena,
                          asked->response);
}

void request_answer_drop(struct request *request)
{
    UNUSED(request);
}

/* ---- the fixture ---- */

static void publish(void)
{
    rig_coordinators_publish(&fixture.rig);
}

static void lead(int32_t leader)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        rig_leader(&fixture.rig, TOPIC_ID, i, leader);
    publish();
}

static void stop(void)
{
    rig_coordinators_stop(&fixture.rig);
    fixture.is_stopped = true;
}

static int setup(void **state)
{
    struct rig *rig = &fixture.rig;

    UNUSED(state);
    memset(&fixture, 0, sizeof fixture);
    fake_load_err = OK;
    fake_told = NULL;
    rig_open(rig, SHARDS, NULL);
    rig_coordinators_create(rig, &coordinator_kind_group);
    for (size_t i = 0; i < SHARDS; i++) {
        fixture.services[i].shard = &rig->shards[i];
        list_init(&fixture.services[i].spare);
        rig->shards[i].requests = &fixture.services[i];
    }
    rig_topic(rig, "other", TOPIC_ID + 2, 1);
    publish();
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    if (!fixture.is_stopped)
        stop();
    assert_int_equal(fake_live, 0);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &fixture.rig.shards[i];
        struct list_node *spare;

        assert_int_equal(fixture.services[i].live_count, 0);
        while ((spare = list_pop_front(&fixture.services[i].spare))) {
            struct request *request = LIST_ITEM(spare, struct request, node);

            arena_release(&request->arena);
            SERVER_DELETE(request);
        }
        for (size_t k = 0; k < METRICS_API_KEYS; k++)
            if (shard->metrics.apis[k])
                SERVER_DELETE(shard->metrics.apis[k]);
    }
    rig_coordinators_release(&fixture.rig);
    rig_close(&fixture.rig);
    return 0;
}

static void topic_made(void)
{
    rig_topic(&fixture.rig, "__consumer_offsets", TOPIC_ID, PARTITIONS);
    publish();
}

/* ---- asking ---- */

static void *sync_body(struct arena *arena)
{
    struct sync_group_request *body = sync_group_request_array(arena, 1);

    body->group_id = arena_copy(arena, SLICE("g"));
    body->member_id = arena_copy(arena, SLICE("m"));
    body->protocol_type = SLICE("consumer");
    body->protocol_name = SLICE("range");
    return body;
}

static void *join_body(struct arena *arena)
{
    struct join_group_request *body = join_group_request_array(arena, 1);

    body->group_id = arena_copy(arena, SLICE("g"));
    body->member_id = arena_copy(arena, SLICE("m"));
    return body;
}

static void ask(int home, int16_t key, int16_t version)
{
    struct asked *asked = &fixture.asked[fixture.asked_count++];
    struct request *request;

    assert_true(fixture.asked_count <= ASKED_MAX);
    asked->key = key;
    asked->version = version;
    asked->frame.size_bytes = 100;
    request = request_new(&fixture.rig.sessions[home], &asked->frame);
    request->private_state = asked;
    request->api = api_find(key);
    request->header = (struct request_header){
        .api_key = key, .api_version = version, .client_id = SLICE("client")};
    if (key == API_SYNC_GROUP) {
        request->body = sync_body(&request->arena);
        handle_sync_group(request);
    } else {
        request->body = join_body(&request->arena);
        handle_join_group(request);
    }
}

/* From the group's own shard and from the other, in the first version and in one with nullable names. */
static void ask_all(void)
{
    for (int home = 0; home < SHARDS; home++) {
        ask(home, API_SYNC_GROUP, 0);
        ask(home, API_SYNC_GROUP, 5);
        ask(home, API_JOIN_GROUP, 0);
        ask(home, API_JOIN_GROUP, 7);
    }
}

static void expect_join(const struct asked *asked, enum err err)
{
    const struct join_group_response *response = asked->response;

    assert_int_equal(response->error_code, err_wire_code(err));
    assert_true(slice_equal(response->member_id,
                            err == ERR_COORDINATOR_NOT_AVAILABLE ? SLICE("m") : SLICE_EMPTY));
    assert_int_equal(response->members_count, 0);
}

static void expect_sync(const struct asked *asked, enum err err)
{
    const struct sync_group_response *response = asked->response;

    assert_int_equal(response->error_code, err_wire_code(err));
    assert_int_equal(response->assignment.size_bytes, 0);
    assert_true(slice_is_null(response->protocol_type));
    assert_true(slice_is_null(response->protocol_name));
}

/* All of them, on sessions that stay open. */
static void expect_all(enum err err)
{
    rig_pass(&fixture.rig, 500);
    assert_false(fixture.is_closed);
    for (size_t i = 0; i < fixture.asked_count; i++) {
        const struct asked *asked = &fixture.asked[i];

        assert_non_null(asked->response);
        assert_true(asked->is_released);
        if (asked->key == API_SYNC_GROUP)
            expect_sync(asked, err);
        else
            expect_join(asked, err);
    }
}

static void park_all(void)
{
    static const struct fake_call parks = {.parks = true};

    topic_made();
    rig_pass(&fixture.rig, 500);
    fake_told = &parks;
    ask_all();
    rig_pass(&fixture.rig, 500);
    for (size_t i = 0; i < fixture.asked_count; i++) {
        assert_null(fixture.asked[i].response);
        assert_true(fixture.asked[i].is_released);
    }
}

/* ---- the tests ---- */

static void without_its_topic_a_group_has_no_coordinator(void **state)
{
    UNUSED(state);
    ask_all();
    expect_all(ERR_NOT_COORDINATOR);
}

static void a_group_that_is_led_elsewhere_has_no_coordinator_here(void **state)
{
    UNUSED(state);
    topic_made();
    lead(7);
    rig_pass(&fixture.rig, 500);
    ask_all();
    expect_all(ERR_NOT_COORDINATOR);
}

static void a_group_whose_coordinator_loads_is_told_so(void **state)
{
    UNUSED(state);
    topic_made();
    ask_all();
    expect_all(ERR_COORDINATOR_LOAD_IN_PROGRESS);
}

static void who_waits_is_told_when_the_leadership_moves(void **state)
{
    UNUSED(state);
    park_all();
    lead(7);
    expect_all(ERR_NOT_COORDINATOR);
}

static void who_waits_is_told_when_the_topic_is_deleted(void **state)
{
    UNUSED(state);
    park_all();
    rig_topic_remove(&fixture.rig, TOPIC_ID);
    publish();
    expect_all(ERR_NOT_COORDINATOR);
}

static void who_waits_is_told_when_the_coordinators_stop(void **state)
{
    UNUSED(state);
    park_all();
    stop();
    expect_all(ERR_COORDINATOR_NOT_AVAILABLE);
}

static void who_comes_after_the_stop_is_told(void **state)
{
    UNUSED(state);
    topic_made();
    rig_pass(&fixture.rig, 500);
    stop();
    ask_all();
    expect_all(ERR_COORDINATOR_NOT_AVAILABLE);
}

static void a_write_that_fails_tells_the_leader_of_the_group(void **state)
{
    static const struct fake_call fails = {.fails = true};

    UNUSED(state);
    topic_made();
    rig_pass(&fixture.rig, 500);
    fake_told = &fails;
    ask(0, API_SYNC_GROUP, 0);
    expect_all(ERR_NOT_COORDINATOR);
    ask(1, API_SYNC_GROUP, 5);
    expect_all(ERR_NOT_COORDINATOR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_its_topic_a_group_has_no_coordinator),
        TEST(a_group_that_is_led_elsewhere_has_no_coordinator_here),
        TEST(a_group_whose_coordinator_loads_is_told_so),
        TEST(who_waits_is_told_when_the_leadership_moves),
        TEST(who_waits_is_told_when_the_topic_is_deleted),
        TEST(who_waits_is_told_when_the_coordinators_stop),
        TEST(who_comes_after_the_stop_is_told),
        TEST(a_write_that_fails_tells_the_leader_of_the_group),
    };

    return cmocka_run_group_tests_name("server/group_wait", tests, NULL, NULL);
}
