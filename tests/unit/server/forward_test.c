/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is handed to the controller and to the quorum: quotas, deadlines, waiting for a leader,
 * envelopes, raft's requests, and requesters that hang up.
 */
#include "admin_support.h"

static struct desk desk;
static struct desk_request asked;

static int setup_home(int home)
{
    desk_open(&desk, NULL, home);
    desk_broker(&desk, 1, false, "PLAINTEXT", NULL);
    desk_publish(&desk);
    return 0;
}

static int setup(void **state)
{
    UNUSED(state);
    return setup_home(0);
}

static int setup_away(void **state)
{
    UNUSED(state);
    return setup_home(1);
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

static struct create_topics_request *topics_body(int32_t timeout_ms)
{
    struct create_topics_request *body = create_topics_request_array(&desk.arena, 1);

    body->topics = create_topics_request_creatable_topic_array(&desk.arena, 1);
    body->topics_count = 1;
    body->topics->name = SLICE("new");
    body->topics->num_partitions = 3;
    body->topics->replication_factor = 1;
    body->timeout_ms = timeout_ms;
    return body;
}

static void create(int16_t version, int32_t timeout_ms)
{
    desk_ask(&desk, &asked, API_CREATE_TOPICS, version, topics_body(timeout_ms),
             handle_create_topics);
}

/* ---- the controller ---- */

static void a_request_over_the_mutation_quota_is_refused_from_version_6(void **state)
{
    static const struct {
        int16_t version;
        enum err err;
    } rows[] = {{5, OK}, {6, ERR_THROTTLING_QUOTA_EXCEEDED}, {7, ERR_THROTTLING_QUOTA_EXCEEDED}};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct controller_quota *quota;

        create(rows[i].version, 1000);
        quota = desk.call->request.quota;
        desk.quota_throttle_ms = 250;
        assert_int_equal(quota->record(quota, 3), rows[i].err);
        desk.quota_throttle_ms = 0;
        assert_int_equal(quota->record(quota, 1), OK);
        desk_controller_answer(&desk, NULL, OK);
        assert_int_equal(asked.throttle_ms, 250); /* refused or not, it is told */
        desk_request_end(&asked);
    }
}

static void strictness_follows_api_and_version(void **state)
{
    struct delete_topics_request deletion;
    struct create_partitions_request partitions;

    UNUSED(state);
    for (int16_t version = 4; version <= 5; version++) {
        delete_topics_request_init(&deletion);
        deletion.timeout_ms = 1000;
        desk_ask(&desk, &asked, API_DELETE_TOPICS, version, &deletion, handle_delete_topics);
        OKAY(desk.call->request.quota->record(desk.call->request.quota, 1));
        assert_int_equal(desk.quota_strict, version >= 5);
        desk_controller_answer(&desk, NULL, OK);
        desk_request_end(&asked);
    }
    for (int16_t version = 2; version <= 3; version++) {
        create_partitions_request_init(&partitions);
        partitions.timeout_ms = 1000;
        desk_ask(&desk, &asked, API_CREATE_PARTITIONS, version, &partitions,
                 handle_create_partitions);
        OKAY(desk.call->request.quota->record(desk.call->request.quota, 1));
        assert_int_equal(desk.quota_strict, version >= 3);
        desk_controller_answer(&desk, NULL, OK);
        desk_request_end(&asked);
    }
}

static void the_clients_timeout_is_the_controllers_deadline(void **state)
{
    struct update_features_request features;

    UNUSED(state);
    create(7, 1000);
    assert_int_equal(desk.call->request.deadline_ms, asked.request.received_ms + 1000);
    assert_true(desk.call->request.forwarded);
    desk_controller_answer(&desk, NULL, OK);
    desk_request_end(&asked);
    create(7, 0);
    assert_true(desk.call->request.deadline_ms < asked.request.received_ms);
    desk_controller_answer(&desk, NULL, ERR_REQUEST_TIMED_OUT);
    assert_int_equal(((struct create_topics_response *)asked.response)->topics[0].error_code,
                     ERR_REQUEST_TIMED_OUT);
    desk_request_end(&asked);
    update_features_request_init(&features);
    desk_ask(&desk, &asked, API_UPDATE_FEATURES, 2, &features, handle_forwarded);
    assert_true(desk.call->request.deadline_ms == INT64_MAX);
    assert_null(desk.call->request.quota);
    desk_controller_answer(&desk, NULL, OK);
    desk_request_end(&asked);
}

static void a_broker_waits_for_a_controller_and_gives_up_after_a_minute(void **state)
{
    int calls = 0;

    UNUSED(state);
    create(7, 1000);
    while (!asked.is_answered) {
        assert_true(++calls < 1000);
        desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
        desk_pass(&desk, 110);
    }
    assert_in_range(calls, 400, 601);
    assert_int_equal(((struct create_topics_response *)asked.response)->topics[0].error_code,
                     ERR_NOT_CONTROLLER);
    desk_request_end(&asked);
}

static void a_controller_listener_answers_not_controller_at_once(void **state)
{
    UNUSED(state);
    desk_ask_on(&desk, &desk.controller, &asked, API_CREATE_TOPICS, 7, topics_body(1000),
                handle_controller_api);
    assert_false(desk.call->request.forwarded);
    desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
    assert_true(asked.is_answered);
    desk_request_end(&asked);
}

static void a_requester_that_hangs_up_ends_quietly(void **state)
{
    UNUSED(state);
    /* While the controller works… */
    create(7, 1000);
    desk_hang_up(&asked);
    assert_false(asked.is_answered);
    desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
    assert_true(asked.is_answered);
    desk_request_end(&asked);
    /* …and while nobody leads. */
    create(7, 1000);
    desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
    desk_hang_up(&asked);
    assert_true(asked.is_answered);
    desk_request_end(&asked);
    desk_pass(&desk, 1000);
    assert_int_equal(desk.calls, 2);
}

static void results_of_deletions_are_shuffled_and_complete(void **state)
{
    struct delete_topics_request body;
    bool moved = false;

    UNUSED(state);
    for (int round = 0; round < 20; round++) {
        struct delete_topics_response *from = delete_topics_response_array(&desk.arena, 1);
        const struct delete_topics_response *response;
        int sum = 0;

        delete_topics_request_init(&body);
        body.timeout_ms = 1000;
        desk_ask(&desk, &asked, API_DELETE_TOPICS, 6, &body, handle_delete_topics);
        from->responses = delete_topics_response_deletable_topic_result_array(&desk.arena, 5);
        from->responses_count = 5;
        for (int16_t i = 0; i < 5; i++) {
            from->responses[i].error_code = i;
            from->responses[i].name = SLICE_NULL;
        }
        desk_controller_answer(&desk, from, OK);
        response = asked.response;
        for (int i = 0; i < 5; i++) {
            sum += 1 << response->responses[i].error_code;
            moved = moved || response->responses[i].error_code != i;
        }
        assert_int_equal(sum, 31);
        desk_request_end(&asked);
    }
    assert_true(moved);
}

/* ---- envelopes ---- */

static struct slice inner_bytes(int16_t key, int16_t version, const void *body)
{
    struct request_header header = {key, version, 4711, SLICE("tester")};
    struct writer writer;
    struct slice bytes;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    request_header_encode(&header, &writer);
    OKAY(message_encode(api_find(key)->request, version, body, &writer));
    bytes = arena_copy(&desk.arena, writer_slice(&writer));
    writer_release(&writer);
    return bytes;
}

static struct slice principal_bytes(int16_t version)
{
    struct default_principal_data data = {SLICE("User"), SLICE("ANONYMOUS"), false};
    struct writer writer;
    struct slice bytes;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    writer_i16(&writer, version);
    OKAY(message_encode(&default_principal_data_type, 0, &data, &writer));
    bytes = arena_copy(&desk.arena, writer_slice(&writer));
    writer_release(&writer);
    return bytes;
}

static struct envelope_response *envelope(struct slice data, struct slice principal,
                                          size_t address_bytes)
{
    struct envelope_request body;

    envelope_request_init(&body);
    body.request_data = data;
    body.request_principal = principal;
    body.client_host_address = slice_of("0123456789abcdef", address_bytes);
    desk_ask_on(&desk, &desk.controller, &asked, API_ENVELOPE, 0, &body, handle_envelope);
    return asked.response;
}

static void an_envelope_is_asked_as_its_client_and_answered_inside(void **state)
{
    struct envelope_response *response;
    struct create_topics_response inner;
    struct cursor cursor;
    int32_t correlation_id;

    UNUSED(state);
    envelope(inner_bytes(API_CREATE_TOPICS, 7, topics_body(1000)), principal_bytes(0), 4);
    assert_slice(desk.call->request.principal, "User:ANONYMOUS");
    assert_int_equal(desk.call->request.api_key, API_CREATE_TOPICS);
    assert_true(desk.call->request.forwarded);
    desk.quota_throttle_ms = 70;
    assert_int_equal(desk.call->request.quota->record(desk.call->request.quota, 1),
                     ERR_THROTTLING_QUOTA_EXCEEDED);
    desk_controller_answer(&desk, NULL, OK);
    assert_int_equal(asked.throttle_ms, 0); /* the broker's connection is not slowed down */
    response = asked.response;
    assert_int_equal(response->error_code, 0);
    cursor = cursor_of(response->response_data);
    OKAY(response_header_decode(API_CREATE_TOPICS, 7, &cursor, &correlation_id));
    assert_int_equal(correlation_id, 4711);
    OKAY(message_decode(&create_topics_response_type, 7, &cursor, &desk.arena, &inner));
    assert_int_equal(inner.throttle_time_ms, 70);
    desk_request_end(&asked);
}

static void not_controller_is_the_envelopes_own_error(void **state)
{
    struct describe_quorum_request quorum;
    struct raft_reply reply = {
        .api = RAFT_API_DESCRIBE_QUORUM, .error = ERR_NOT_LEADER_OR_FOLLOWER, .leader_id = -1};

    UNUSED(state);
    envelope(inner_bytes(API_CREATE_TOPICS, 7, topics_body(1000)), principal_bytes(0), 16);
    desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
    assert_int_equal(((struct envelope_response *)asked.response)->error_code, ERR_NOT_CONTROLLER);
    assert_true(slice_is_null(((struct envelope_response *)asked.response)->response_data));
    desk_request_end(&asked);
    describe_quorum_request_init(&quorum);
    envelope(inner_bytes(API_DESCRIBE_QUORUM, 2, &quorum), principal_bytes(0), 4);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    assert_int_equal(((struct envelope_response *)asked.response)->error_code, ERR_NOT_CONTROLLER);
    desk_request_end(&asked);
}

static void a_bad_envelope_is_told_what_is_bad(void **state)
{
    struct metadata_request metadata;
    struct create_acls_request acls;
    struct slice good = inner_bytes(API_CREATE_TOPICS, 7, topics_body(1000));
    struct slice odd, cut = slice_sub(good, 0, good.size_bytes - 3);

    UNUSED(state);
    metadata_request_init(&metadata);
    odd = inner_bytes(API_METADATA, 9, &metadata);
    create_acls_request_init(&acls);
    assert_int_equal(envelope(good, SLICE("x"), 4)->error_code,
                     ERR_PRINCIPAL_DESERIALIZATION_FAILURE);
    desk_request_end(&asked);
    assert_int_equal(envelope(good, principal_bytes(3), 4)->error_code,
                     ERR_PRINCIPAL_DESERIALIZATION_FAILURE);
    desk_request_end(&asked);
    assert_int_equal(envelope(good, principal_bytes(0), 5)->error_code, ERR_INVALID_REQUEST);
    desk_request_end(&asked);
    assert_int_equal(envelope(SLICE("zz"), principal_bytes(0), 4)->error_code,
                     ERR_UNSUPPORTED_VERSION);
    desk_request_end(&asked);
    assert_int_equal(envelope(odd, principal_bytes(0), 4)->error_code, ERR_INVALID_REQUEST);
    desk_request_end(&asked);
    assert_int_equal(envelope(cut, principal_bytes(0), 4)->error_code, ERR_UNSUPPORTED_VERSION);
    desk_request_end(&asked);
    assert_int_equal(
        envelope(inner_bytes(API_CREATE_ACLS, 3, &acls), principal_bytes(0), 4)->error_code, 0);
    desk_request_end(&asked);
    assert_int_equal(desk.calls, 0);
}

/* ---- the quorum ---- */

static void fetch_ask(struct uuid topic_id, int16_t version)
{
    struct fetch_request body;

    fetch_request_init(&body);
    body.cluster_id = SLICE("desk-cluster-id-00001x");
    body.replica_state.replica_id = version >= 15 ? 9 : -1;
    body.replica_id = version < 15 ? 9 : -1;
    body.max_wait_ms = 500;
    body.max_bytes = 12345;
    body.topics = fetch_request_fetch_topic_array(&desk.arena, 1);
    body.topics_count = 1;
    body.topics->topic_id = topic_id;
    body.topics->partitions = fetch_request_fetch_partition_array(&desk.arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->fetch_offset = 40;
    body.topics->partitions->current_leader_epoch = 3;
    body.topics->partitions->last_fetched_epoch = 2;
    desk_ask_on(&desk, &desk.controller, &asked, API_FETCH, version, &body,
                handle_controller_fetch);
    desk_pass(&desk, 5);
}

static const struct uuid metadata_id = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

static struct raft_reply fetch_reply(void)
{
    return (struct raft_reply){
        .api = RAFT_API_FETCH,
        .leader_id = 1,
        .leader_epoch = 3,
        .fetch = {.high_watermark = 41,
                  .log_start_offset = 0,
                  .diverging = {-1, -1},
                  .snapshot_id = {-1, -1}},
    };
}

static void the_metadata_log_is_fetched_through_raft(void **state)
{
    struct raft_endpoint endpoint = {SLICE("CONTROLLER"), SLICE("leader"), 9093};
    struct raft_reply reply = fetch_reply();
    const struct fetch_response *response;
    const struct raft_request *raft;

    UNUSED(state);
    fetch_ask(metadata_id, 17);
    raft = desk.question->request;
    assert_slice(desk.question->listener, "CONTROLLER");
    assert_int_equal(raft->api, RAFT_API_FETCH);
    assert_true(raft->one_partition && raft->metadata_partition);
    assert_int_equal(raft->fetch.replica.id, 9);
    assert_int_equal(raft->fetch.fetch_offset, 40);
    assert_int_equal(raft->fetch.bytes_max, 12345);
    assert_true(raft->fetch.high_watermark == INT64_MAX);
    reply.leader_endpoints = (struct raft_endpoints){&endpoint, 1};
    desk_quorum_answer(&desk, &reply, SLICE("records"));
    desk_pass(&desk, 5);
    response = asked.response;
    assert_int_equal(response->responses[0].partitions[0].high_watermark, 41);
    assert_slice(response->responses[0].partitions[0].records, "records");
    assert_int_equal(response->responses[0].partitions[0].current_leader.leader_epoch, 3);
    assert_int_equal(response->node_endpoints_count, 1);
    assert_slice(response->node_endpoints[0].host, "leader");
    desk_request_end(&asked);
    /* Below version 17 nobody expects endpoints, below 13 no topic id is there. */
    fetch_ask(metadata_id, 16);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    assert_int_equal(((struct fetch_response *)asked.response)->node_endpoints_count, 0);
    desk_request_end(&asked);
    fetch_ask(UUID_ZERO, 12);
    assert_false(desk.question->request->metadata_partition);
    reply.error_top = ERR_INVALID_REQUEST;
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    assert_int_equal(((struct fetch_response *)asked.response)->error_code, ERR_INVALID_REQUEST);
    assert_int_equal(((struct fetch_response *)asked.response)->responses_count, 0);
    desk_request_end(&asked);
}

static void a_parked_fetch_is_taken_back_when_its_replica_hangs_up(void **state)
{
    UNUSED(state);
    fetch_ask(metadata_id, 17);
    assert_non_null(desk.question);
    desk_hang_up(&asked);
    desk_pass(&desk, 5);
    assert_true(asked.is_answered);
    assert_null(asked.response);
    assert_int_equal(desk.taken_back, 1);
    desk_request_end(&asked);
}

static void an_answer_that_crosses_the_hanging_up_ends_the_request_once(void **state)
{
    struct raft_reply reply = fetch_reply();

    UNUSED(state);
    fetch_ask(metadata_id, 17);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY); /* its mail is under way */
    assert_false(asked.is_answered);
    desk_hang_up(&asked);
    desk_pass(&desk, 5);
    assert_true(asked.is_answered);
    assert_int_equal(desk.taken_back, 0);
    desk_request_end(&asked);
}

static void hanging_up_before_the_question_arrived_takes_it_back(void **state)
{
    struct describe_quorum_request body;

    UNUSED(state);
    describe_quorum_request_init(&body);
    desk_ask(&desk, &asked, API_DESCRIBE_QUORUM, 2, &body, handle_describe_quorum);
    assert_null(desk.question); /* its mail is under way */
    desk_hang_up(&asked);
    desk_pass(&desk, 5);
    assert_true(asked.is_answered);
    assert_int_equal(desk.taken_back, 1);
    desk_request_end(&asked);
}

static void quorum_ask_in(struct session *session, int16_t version)
{
    struct describe_quorum_request body;

    describe_quorum_request_init(&body);
    body.topics = describe_quorum_request_topic_data_array(&desk.arena, 1);
    body.topics_count = 1;
    body.topics->topic_name = SLICE("__cluster_metadata");
    body.topics->partitions = describe_quorum_request_partition_data_array(&desk.arena, 1);
    body.topics->partitions_count = 1;
    desk_ask_on(&desk, session, &asked, API_DESCRIBE_QUORUM, version, &body,
                handle_describe_quorum);
    desk_pass(&desk, 5);
}

static void quorum_ask(struct session *session)
{
    quorum_ask_in(session, 2);
}

static void the_quorum_is_described_in_every_version(void **state)
{
    static const enum err errors[] = {OK, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                                      ERR_NOT_LEADER_OR_FOLLOWER};
    struct raft_voter voter = {.key = {1, desk_id(5)}};
    struct raft_replica_state self = {{1, desk_id(5)}, 50, 0, 0};

    UNUSED(state);
    for (int16_t version = 0; version <= 2; version++) {
        for (size_t i = 0; i < ARRAY_COUNT(errors); i++) {
            struct raft_reply reply = {.api = RAFT_API_DESCRIBE_QUORUM, .error = errors[i]};
            const struct describe_quorum_response *response;

            reply.describe.voters = &self;
            reply.describe.voter_count = 1;
            reply.describe.voter_set = (struct raft_voters){&voter, 1};
            quorum_ask_in(&desk.controller, version);
            desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
            desk_pass(&desk, 5);
            response = asked.response;
            assert_int_equal(response->topics[0].partitions[0].error_code, errors[i]);
            assert_int_equal(response->nodes_count, version == 2 && errors[i] == OK);
            desk_request_end(&asked);
        }
    }
}

static void a_snapshot_is_fetched_by_its_bytes(void **state)
{
    struct raft_reply reply = {.api = RAFT_API_FETCH_SNAPSHOT, .leader_id = 1, .leader_epoch = 3};
    const struct fetch_snapshot_response *response;
    struct fetch_snapshot_request body;

    UNUSED(state);
    fetch_snapshot_request_init(&body);
    body.max_bytes = 100;
    body.topics = fetch_snapshot_request_topic_snapshot_array(&desk.arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("__cluster_metadata");
    body.topics->partitions = fetch_snapshot_request_partition_snapshot_array(&desk.arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->snapshot_id.end_offset = 30;
    body.topics->partitions->snapshot_id.epoch = 2;
    body.topics->partitions->position = 7;
    desk_ask_on(&desk, &desk.controller, &asked, API_FETCH_SNAPSHOT, 1, &body, handle_raft);
    desk_pass(&desk, 5);
    assert_int_equal(desk.question->request->fetch_snapshot.position, 7);
    assert_int_equal(desk.question->request->fetch_snapshot.snapshot_id.offset, 30);
    reply.fetch_snapshot = (struct raft_fetch_snapshot_answer){{30, 2}, 90, 7, 4};
    desk_quorum_answer(&desk, &reply, SLICE("part"));
    desk_pass(&desk, 5);
    response = asked.response;
    assert_int_equal(response->topics[0].partitions[0].size, 90);
    assert_int_equal(response->topics[0].partitions[0].position, 7);
    assert_slice(response->topics[0].partitions[0].unaligned_records, "part");
    desk_request_end(&asked);
    /* Of another topic: refused under its name. */
    body.topics->name = SLICE("other");
    desk_ask_on(&desk, &desk.controller, &asked, API_FETCH_SNAPSHOT, 0, &body, handle_raft);
    desk_pass(&desk, 5);
    assert_false(desk.question->request->metadata_partition);
    reply.error = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    response = asked.response;
    assert_slice(response->topics[0].name, "other");
    assert_int_equal(response->topics[0].partitions[0].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    desk_request_end(&asked);
}

static void changes_of_voters_keep_raft_s_own_words(void **state)
{
    struct raft_reply reply = {
        .api = RAFT_API_ADD_VOTER, .error = ERR_DUPLICATE_VOTER, .error_text = "the id is taken"};
    struct add_raft_voter_request body;
    const struct add_raft_voter_response *response;

    UNUSED(state);
    add_raft_voter_request_init(&body);
    body.cluster_id = SLICE_NULL;
    body.voter_id = 4;
    body.listeners = add_raft_voter_request_listener_array(&desk.arena, 1);
    body.listeners_count = 1;
    body.listeners->name = SLICE("CONTROLLER");
    body.listeners->host = SLICE("four");
    for (int i = 0; i < 2; i++) {
        desk_ask_on(&desk, i ? &desk.session : &desk.controller, &asked, API_ADD_RAFT_VOTER, 1,
                    &body, handle_raft);
        desk_pass(&desk, 5);
        assert_int_equal(desk.question->request->add_voter.voter.id, 4);
        assert_slice(desk.question->request->add_voter.endpoints.items[0].host, "four");
        assert_true(desk.question->request->add_voter.ack_when_committed);
        desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
        desk_pass(&desk, 5);
        response = asked.response;
        assert_int_equal(response->error_code, ERR_DUPLICATE_VOTER);
        assert_slice(response->error_message, "the id is taken");
        desk_request_end(&asked);
    }
}

static void the_quorum_is_described_in_wall_time(void **state)
{
    struct raft_endpoint endpoint = {SLICE("CONTROLLER"), SLICE("voter"), 9093};
    struct raft_voter voter = {.key = {1, desk_id(5)}, .endpoints = {&endpoint, 1}};
    struct raft_replica_state states[2] = {{{1, desk_id(5)}, 50, 0, 0},
                                           {{7, UUID_ZERO}, -1, -1, -1}};
    struct raft_reply reply = {.api = RAFT_API_DESCRIBE_QUORUM, .leader_id = 1, .leader_epoch = 4};
    const struct describe_quorum_response *response;
    int64_t now_ms;

    UNUSED(state);
    quorum_ask(&desk.session);
    assert_true(desk.question->request->metadata_partition);
    now_ms = reactor_now_ms(desk.shards[0].reactor);
    states[0].last_fetch_ms = states[0].last_caught_up_ms = now_ms;
    reply.describe = (struct raft_describe_answer){.high_watermark = 49,
                                                   .voters = states,
                                                   .voter_count = 1,
                                                   .observers = states + 1,
                                                   .observer_count = 1,
                                                   .voter_set = {&voter, 1}};
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    response = asked.response;
    assert_false(slice_is_null(response->error_message)); /* but empty, as Kafka */
    assert_false(slice_is_null(response->topics[0].partitions[0].error_message));
    assert_int_equal(response->topics[0].partitions[0].leader_id, 1);
    assert_int_equal(response->topics[0].partitions[0].high_watermark, 49);
    assert_int_equal(response->topics[0].partitions[0].current_voters[0].last_fetch_timestamp,
                     reactor_wall_ms(desk.shards[0].reactor) -
                         (reactor_now_ms(desk.shards[0].reactor) - now_ms));
    assert_int_equal(response->topics[0].partitions[0].observers[0].last_fetch_timestamp, -1);
    assert_int_equal(response->nodes_count, 1);
    assert_slice(response->nodes[0].listeners[0].host, "voter");
    desk_request_end(&asked);
}

static void a_broker_waits_for_a_leader_to_describe(void **state)
{
    struct raft_reply reply = {
        .api = RAFT_API_DESCRIBE_QUORUM, .error = ERR_NOT_LEADER_OR_FOLLOWER, .leader_id = -1};

    UNUSED(state);
    quorum_ask(&desk.session);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 150);
    assert_false(asked.is_answered);
    assert_int_equal(desk.questions, 2);
    reply.error = OK;
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    assert_true(asked.is_answered);
    desk_request_end(&asked);
    /* The controller listener says what this node is. */
    reply.error = ERR_NOT_LEADER_OR_FOLLOWER;
    quorum_ask(&desk.controller);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    assert_int_equal(
        ((struct describe_quorum_response *)asked.response)->topics[0].partitions[0].error_code,
        ERR_NOT_LEADER_OR_FOLLOWER);
    desk_request_end(&asked);
}

static void a_vote_without_partitions_is_raft_s_to_refuse(void **state)
{
    struct vote_request body;
    struct raft_reply reply = {.api = RAFT_API_VOTE, .error = ERR_NOT_LEADER_OR_FOLLOWER};

    UNUSED(state);
    vote_request_init(&body);
    desk_ask_on(&desk, &desk.controller, &asked, API_VOTE, 2, &body, handle_raft);
    desk_pass(&desk, 5);
    assert_false(desk.question->request->one_partition);
    desk_quorum_answer(&desk, &reply, SLICE_EMPTY);
    desk_pass(&desk, 5);
    assert_int_equal(((struct vote_response *)asked.response)->error_code,
                     ERR_NOT_LEADER_OR_FOLLOWER);
    desk_request_end(&asked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define AWAY(name)                                                    \
    {                                                                 \
#name "_from_another_shard", name, setup_away, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        T(a_request_over_the_mutation_quota_is_refused_from_version_6),
        T(strictness_follows_api_and_version),
        T(the_clients_timeout_is_the_controllers_deadline),
        T(a_broker_waits_for_a_controller_and_gives_up_after_a_minute),
        T(a_controller_listener_answers_not_controller_at_once),
        T(a_requester_that_hangs_up_ends_quietly),
        T(results_of_deletions_are_shuffled_and_complete),
        T(an_envelope_is_asked_as_its_client_and_answered_inside),
        T(not_controller_is_the_envelopes_own_error),
        T(a_bad_envelope_is_told_what_is_bad),
        T(the_metadata_log_is_fetched_through_raft),
        AWAY(the_metadata_log_is_fetched_through_raft),
        T(a_parked_fetch_is_taken_back_when_its_replica_hangs_up),
        AWAY(a_parked_fetch_is_taken_back_when_its_replica_hangs_up),
        AWAY(an_answer_that_crosses_the_hanging_up_ends_the_request_once),
        AWAY(hanging_up_before_the_question_arrived_takes_it_back),
        T(the_quorum_is_described_in_every_version),
        AWAY(a_snapshot_is_fetched_by_its_bytes),
        T(changes_of_voters_keep_raft_s_own_words),
        T(the_quorum_is_described_in_wall_time),
        AWAY(the_quorum_is_described_in_wall_time),
        T(a_broker_waits_for_a_leader_to_describe),
        AWAY(a_broker_waits_for_a_leader_to_describe),
        T(a_vote_without_partitions_is_raft_s_to_refuse),
        AWAY(a_vote_without_partitions_is_raft_s_to_refuse),
    };

    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
