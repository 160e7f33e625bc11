/* SPDX-License-Identifier: Apache-2.0 */
/* Which protocols classic members of a consumer group list, and what a classic group made of them has. */
#include "consumer_support.h"

#include "protocol/generated/messages.h"

static int teardown(void **state)
{
    fixture_check_replay(*state);
    return consumer_teardown(state);
}

static const char *const only_t4[] = {"t4", NULL};

/* A classic member that lists these protocols, "x,x,z", asks for an id and joins with it; the answer. */
static enum err join_with(struct fixture *f, const char *names, const char **member_out)
{
    struct join_group_request_join_group_request_protocol *protocols =
        join_group_request_join_group_request_protocol_array(&f->arena, 8);
    struct join_group_request *request = join_group_request_array(&f->arena, 1);
    struct join_group_response *response;

    request->group_id = text("g");
    request->session_timeout_ms = 10000;
    request->rebalance_timeout_ms = 60000;
    request->member_id = SLICE_EMPTY;
    request->protocol_type = text("consumer");
    request->protocols = protocols;
    for (const char *at = names; *at;) {
        size_t size_bytes = strcspn(at, ",");
        struct join_group_request_join_group_request_protocol *protocol =
            &protocols[request->protocols_count++];

        protocol->name = slice_of((const uint8_t *)at, size_bytes);
        protocol->metadata = subscription_of(f, &(struct join){.topics = only_t4});
        at += size_bytes + (at[size_bytes] == ',');
    }
    response = joined(f, fixture_send(f, API_JOIN_GROUP, 9, request));
    assert_non_null(response);
    if (err_from_wire(response->error_code) == ERR_MEMBER_ID_REQUIRED) {
        request->member_id = response->member_id;
        response = joined(f, fixture_send(f, API_JOIN_GROUP, 9, request));
        assert_non_null(response);
    }
    if (member_out)
        *member_out = arena_format(&f->arena, "%.*s", SLICE_ARGS(response->member_id));
    return err_from_wire(response->error_code);
}

static void a_protocol_that_a_member_lists_twice_counts_once(void **state)
{
    struct fixture *f = *state;
    struct classic_group *group;
    const char *twice;

    (void)beat(f, (struct beat){.member = "b", .topics = "t4"});
    assert_int_equal(join_with(f, "x,x,z", &twice), OK);
    assert_int_equal(join_with(f, "z", NULL), OK);
    /* Two members, and "x" was named twice: one of them does not have it all the same. */
    assert_int_equal(join_with(f, "x", NULL), ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(join_with(f, "y,z,z", NULL), OK);
    assert_code(leave(f, "g", twice, NULL), OK);
    assert_int_equal(consumer_counter_get(&the_group(f, "g")->protocols, text("x")), 0);
    assert_int_equal(consumer_counter_get(&the_group(f, "g")->protocols, text("z")), 2);
    BEAT("-1 -", .member = "b", .epoch = -1);
    group = group_classic(group_find(f->coordinator, text("g")));
    assert_non_null(group);
    assert_true(slice_equal_text(group->protocol, "z"));
}

static void a_member_that_lists_all_twice_lets_others_in(void **state)
{
    struct fixture *f = *state;

    (void)beat(f, (struct beat){.member = "b", .topics = "t4"});
    assert_int_equal(join_with(f, "x,x", NULL), OK);
    assert_int_equal(join_with(f, "x", NULL), OK);
}

/* The subscription of a classic member "m" as another broker may have written it. */
static void foreign_member(struct fixture *f, const char *protocol)
{
    struct consumer_group_member_metadata_value_classic_protocol listed;
    struct consumer_group_member_metadata_value_classic_member_metadata classic;
    struct consumer_group_member_metadata_value value;
    struct consumer_group_member_metadata_key key = {text("g"), text("m")};
    struct slice topic = text("t4");
    struct writer key_writer, value_writer;

    consumer_group_member_metadata_value_classic_protocol_init(&listed);
    consumer_group_member_metadata_value_classic_member_metadata_init(&classic);
    consumer_group_member_metadata_value_init(&value);
    listed.name = text(protocol);
    listed.metadata = subscription_of(f, &(struct join){.topics = only_t4});
    classic.session_timeout_ms = 10000;
    classic.supported_protocols = &listed;
    classic.supported_protocols_count = 1;
    value.client_id = value.client_host = SLICE_EMPTY;
    value.rebalance_timeout_ms = 60000;
    value.subscribed_topic_names = &topic;
    value.subscribed_topic_names_count = 1;
    value.classic_member_metadata = &classic;
    writer_init(&key_writer, &heap_allocator, SIZE_MAX);
    writer_init(&value_writer, &heap_allocator, SIZE_MAX);
    writer_i16(&key_writer, 5);
    writer_i16(&value_writer, 0);
    assert_int_equal(message_encode(&consumer_group_member_metadata_key_type, 0, &key, &key_writer),
                     OK);
    assert_int_equal(
        message_encode(&consumer_group_member_metadata_value_type, 0, &value, &value_writer), OK);
    fixture_append(f, writer_slice(&key_writer), writer_slice(&value_writer), -1);
    fixture_commit(f);
    assert_int_equal(f->failure, OK);
    writer_release(&key_writer);
    writer_release(&value_writer);
}

static void members_without_a_protocol_in_common_stay_in_a_consumer_group(void **state)
{
    struct fixture *f = *state;

    (void)beat(f, (struct beat){.member = "b", .topics = "t4"});
    assert_int_equal(join_with(f, "x", NULL), OK);
    foreign_member(f, "y");
    fixture_load(f);
    BEAT("-1 -", .member = "b", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -7 -5 3");
    assert_null(group_classic(group_find(f->coordinator, text("g"))));
    assert_int_equal(the_group(f, "g")->classic_count, 2);
    assert_int_equal(the_group(f, "g")->member_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_protocol_that_a_member_lists_twice_counts_once),
        TEST(a_member_that_lists_all_twice_lets_others_in),
        TEST(members_without_a_protocol_in_common_stay_in_a_consumer_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
