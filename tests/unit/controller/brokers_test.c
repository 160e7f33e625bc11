/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration, heartbeats, sessions, controlled shutdown, claim and failover.
 */
#include "support.h"

/* ---- claim ---- */

static void a_new_cluster_is_bootstrapped_in_one_transaction(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    assert_int_equal(fixture.result.records.items[0].type->key, METADATA_RECORD_BEGIN_TRANSACTION);
    assert_int_equal(fixture.result.records.items[fixture.result.records.count - 1].type->key,
                     METADATA_RECORD_END_TRANSACTION);
    assert_int_equal(fixture.result.records.count, 9); /* six levels, min.insync.replicas */
    assert_false(metadata_state_in_transaction(fixture.loader));
    assert_int_equal(metadata_image_version(controller_view(fixture.controller)), 33);
    assert_true(slice_equal_text(metadata_image_config(controller_view(fixture.controller),
                                                       METADATA_RESOURCE_BROKER, SLICE_EMPTY,
                                                       SLICE("min.insync.replicas")),
                                 "1"));
    fixture_end(&fixture);
    fixture_start(&fixture, METADATA_VERSION_3_3_IV3); /* no transactions yet */
    assert_int_equal(fixture.result.records.count, 1);
    assert_true(fixture.result.atomic);
    fixture_end(&fixture);
}

static void a_half_written_bootstrap_is_aborted_and_written_again(void **state)
{
    struct metadata_record_list half = {0};
    struct controller_claim claim;
    struct fixture fixture;
    void *message;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    controller_renounce(fixture.controller);
    metadata_state_clear(fixture.loader);
    assert_int_equal(
        metadata_record_add(&half, &fixture.arena, METADATA_RECORD_BEGIN_TRANSACTION, 0, &message),
        OK);
    assert_int_equal(metadata_state_replay(fixture.loader, &half.items[0], 1, NULL), OK);
    claim = (struct controller_claim){.epoch = 2, .transaction_open = true};
    {
        struct metadata_image *image;

        assert_int_equal(metadata_state_publish(fixture.loader, &image), OK);
        claim.image = image;
        assert_int_equal(controller_claim(fixture.controller, &claim, &fixture.moment,
                                          &fixture.arena, &fixture.result),
                         OK);
        metadata_image_release(&image);
    }
    assert_int_equal(fixture.result.records.items[0].type->key, METADATA_RECORD_ABORT_TRANSACTION);
    assert_int_equal(fixture.result.records.items[1].type->key, METADATA_RECORD_BEGIN_TRANSACTION);
    assert_int_equal(controller_replay(fixture.controller, &fixture.result.records,
                                       fixture.moment.next_offset, 0, NULL),
                     OK);
    for (size_t i = 0; i < fixture.result.records.count; i++)
        assert_int_equal(
            metadata_state_replay(fixture.loader, &fixture.result.records.items[i], 0, NULL), OK);
    assert_true(metadata_image_hash(controller_view(fixture.controller)) ==
                metadata_image_hash(metadata_state_view(fixture.loader)));
    fixture_end(&fixture);
}

static void an_inactive_controller_answers_not_controller(void **state)
{
    struct controller_request request = {.api_key = API_CREATE_TOPICS, .deadline_ms = INT64_MAX};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    controller_renounce(fixture.controller);
    assert_int_equal(controller_handle(fixture.controller, &request, &fixture.moment,
                                       &fixture.arena, &fixture.result),
                     ERR_NOT_CONTROLLER);
    assert_true(controller_deadline_ms(fixture.controller) == INT64_MAX);
    request.api_key = API_PRODUCE;
    assert_int_equal(controller_handle(fixture.controller, &request, &fixture.moment,
                                       &fixture.arena, &fixture.result),
                     ERR_UNKNOWN_API);
    fixture_end(&fixture);
}

static void a_request_past_its_deadline_is_not_run(void **state)
{
    struct create_topics_request body = {0};
    struct controller_request request = {
        .api_key = API_CREATE_TOPICS, .api_version = 7, .body = &body};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    request.deadline_ms = fixture.moment.now_ms - 1;
    assert_int_equal(controller_handle(fixture.controller, &request, &fixture.moment,
                                       &fixture.arena, &fixture.result),
                     ERR_REQUEST_TIMED_OUT);
    fixture_end(&fixture);
}

/* ---- registration ---- */

static void a_brokers_epoch_is_the_offset_of_its_registration(void **state)
{
    const struct metadata_broker *broker;
    struct fixture fixture;
    int64_t offset;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    offset = fixture.moment.next_offset;
    fixture_register(&fixture, 1, "r", 2);
    assert_int_equal(fixture.epochs[1], offset);
    broker = metadata_image_broker(controller_view(fixture.controller), 1);
    assert_int_equal(broker->epoch, offset);
    assert_int_equal(broker->registration_offset, offset);
    assert_true(broker->fenced);
    assert_int_equal(broker->directory_count, 2);
    assert_int_equal(broker->endpoints[0].port, 9093);
    fixture_end(&fixture);
}

enum damage {
    DAMAGE_CLUSTER,
    DAMAGE_ZK,
    DAMAGE_NO_DIRECTORY,
    DAMAGE_RESERVED,
    DAMAGE_TWICE,
    DAMAGE_FOREIGN_DIRECTORY,
    DAMAGE_OLD_FEATURE,
    DAMAGE_MISSING_FEATURE,
    DAMAGE_MISSING_KRAFT,
    DAMAGE_MISSING_METADATA_VERSION,
    DAMAGE_NONE,
};

static void feature_remove(struct broker_registration_request *request, const char *name)
{
    for (int32_t i = 0; i < request->features_count; i++) {
        if (slice_equal_text(request->features[i].name, name))
            request->features[i--] = request->features[--request->features_count];
    }
}

static void a_registration_that_does_not_fit_is_refused(void **state)
{
    static const enum err expected[] = {
        [DAMAGE_CLUSTER] = ERR_INCONSISTENT_CLUSTER_ID,
        [DAMAGE_ZK] = ERR_BROKER_ID_NOT_REGISTERED,
        [DAMAGE_NO_DIRECTORY] = ERR_INVALID_REGISTRATION,
        [DAMAGE_RESERVED] = ERR_INVALID_REGISTRATION,
        [DAMAGE_TWICE] = ERR_INVALID_REGISTRATION,
        [DAMAGE_FOREIGN_DIRECTORY] = ERR_INVALID_REGISTRATION,
        [DAMAGE_OLD_FEATURE] = ERR_UNSUPPORTED_VERSION,
        [DAMAGE_MISSING_FEATURE] = ERR_UNSUPPORTED_VERSION,
        [DAMAGE_MISSING_KRAFT] = ERR_UNSUPPORTED_VERSION,
        [DAMAGE_MISSING_METADATA_VERSION] = ERR_INVALID_REGISTRATION,
        [DAMAGE_NONE] = OK,
    };
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_register(&fixture, 1, NULL, 1);
    for (int damage = 0; damage <= DAMAGE_NONE; damage++) {
        struct uuid directories[2] = {fixture_directory(2, 0), fixture_directory(2, 1)};
        struct broker_registration_request_feature features[7];
        struct broker_registration_request request = {.broker_id = 2,
                                                      .cluster_id = SLICE("the-cluster"),
                                                      .incarnation_id = {{9}},
                                                      .features = features,
                                                      .features_count = 7,
                                                      .log_dirs = directories,
                                                      .log_dirs_count = 2};

        for (size_t i = 0; i < 7; i++)
            features[i] = (struct broker_registration_request_feature){
                slice_from_text(feature_at(i)->name), feature_at(i)->level_min,
                feature_at(i)->level_max};
        switch ((enum damage)damage) {
        case DAMAGE_CLUSTER:
            request.cluster_id = SLICE("another");
            break;
        case DAMAGE_ZK:
            request.is_migrating_zk_broker = true;
            break;
        case DAMAGE_NO_DIRECTORY:
            request.log_dirs_count = 0;
            break;
        case DAMAGE_RESERVED:
            directories[1] = DIRECTORY_LOST;
            break;
        case DAMAGE_TWICE:
            directories[1] = directories[0];
            break;
        case DAMAGE_FOREIGN_DIRECTORY:
            directories[1] = fixture_directory(1, 0);
            break;
        case DAMAGE_OLD_FEATURE:
            features[0].max_supported_version = 32; /* metadata.version stands at 33 */
            break;
        case DAMAGE_MISSING_FEATURE:
            feature_remove(&request, FEATURE_TRANSACTION_VERSION);
            break;
        case DAMAGE_MISSING_KRAFT:
            feature_remove(&request, FEATURE_KRAFT_VERSION);
            break;
        case DAMAGE_MISSING_METADATA_VERSION:
            feature_remove(&request, FEATURE_METADATA_VERSION);
            break;
        case DAMAGE_NONE:
            break;
        }
        fixture_call(&fixture, API_BROKER_REGISTRATION, &request);
        if (fixture.err != expected[damage])
            fail_msg("damage %d: %s (%s)", damage, err_name(fixture.err), fixture.result.why.text);
    }
    fixture_end(&fixture);
}

static void a_live_session_keeps_another_incarnation_out(void **state)
{
    struct fixture fixture;
    int64_t epoch;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_register(&fixture, 1, NULL, 1);
    epoch = fixture.epochs[1];
    fixture_register(&fixture, 1, NULL, 1); /* no heartbeat yet: no session */
    assert_int_equal(fixture.err, OK);
    assert_true(fixture.epochs[1] > epoch);
    fixture_unfence(&fixture, 1);
    fixture.moment.now_ms += 8999;
    fixture_register(&fixture, 1, NULL, 1);
    assert_int_equal(fixture.err, ERR_DUPLICATE_BROKER_REGISTRATION);
    fixture.from_this_process = true; /* this process has the lock of the directories */
    fixture_register(&fixture, 1, NULL, 1);
    assert_int_equal(fixture.err, OK);
    fixture.from_this_process = false;
    fixture_unfence(&fixture, 1);
    fixture.moment.now_ms += 9000;
    fixture_register(&fixture, 1, NULL, 1);
    assert_int_equal(fixture.err, OK);
    fixture_end(&fixture);
}

static void the_same_incarnation_keeps_epoch_and_state(void **state)
{
    struct broker_registration_request_feature features[7];
    struct uuid directories[1] = {{{4}}};
    struct broker_registration_request request = {.broker_id = 1,
                                                  .cluster_id = SLICE("the-cluster"),
                                                  .incarnation_id = {{9}},
                                                  .features = features,
                                                  .features_count = 7,
                                                  .log_dirs = directories,
                                                  .log_dirs_count = 1};
    const struct broker_registration_response *response;
    struct fixture fixture;
    int64_t epoch;

    (void)state;
    for (size_t i = 0; i < 7; i++)
        features[i] = (struct broker_registration_request_feature){
            slice_from_text(feature_at(i)->name), feature_at(i)->level_min,
            feature_at(i)->level_max};
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    response = fixture_call(&fixture, API_BROKER_REGISTRATION, &request);
    epoch = fixture.epochs[1] = response->broker_epoch;
    fixture_unfence(&fixture, 1);
    response = fixture_call(&fixture, API_BROKER_REGISTRATION, &request);
    assert_int_equal(response->broker_epoch, epoch);
    assert_false(metadata_image_broker(controller_view(fixture.controller), 1)->fenced);
    fixture_end(&fixture);
}

/* ---- heartbeats ---- */

static void a_heartbeat_needs_the_epoch_of_the_registration(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    assert_null(fixture_heartbeat(&fixture, 1, false, false));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    fixture_register(&fixture, 1, NULL, 1);
    fixture.epochs[1]--;
    assert_null(fixture_heartbeat(&fixture, 1, false, false));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    fixture_end(&fixture);
}

static void a_broker_is_unfenced_when_it_has_seen_its_registration(void **state)
{
    struct broker_heartbeat_request request;
    const struct broker_heartbeat_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_register(&fixture, 1, NULL, 1);
    broker_heartbeat_request_init(&request);
    request.broker_id = 1;
    request.broker_epoch = fixture.epochs[1];
    request.current_metadata_offset = fixture.epochs[1] - 1;
    response = fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_false(response->is_caught_up);
    assert_true(response->is_fenced);
    assert_int_equal(fixture.records_written, 0);
    request.current_metadata_offset++;
    request.want_fence = true;
    response = fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_true(response->is_caught_up);
    assert_true(response->is_fenced);
    request.want_fence = false;
    response = fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_false(response->is_fenced);
    assert_int_equal(fixture.records_written, 1);
    response = fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_int_equal(fixture.records_written, 0);
    fixture_end(&fixture);
}

static void a_late_heartbeat_keeps_the_session_but_moves_nothing(void **state)
{
    struct broker_heartbeat_request body;
    struct controller_request request = {.api_key = API_BROKER_HEARTBEAT, .api_version = 2};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture.moment.now_ms += 8000;
    broker_heartbeat_request_init(&body);
    body.broker_id = 1;
    body.broker_epoch = fixture.epochs[1];
    body.want_fence = true;
    request.body = &body;
    request.deadline_ms = fixture.moment.now_ms - 1;
    assert_int_equal(controller_handle(fixture.controller, &request, &fixture.moment,
                                       &fixture.arena, &fixture.result),
                     ERR_REQUEST_TIMED_OUT);
    fixture_wait(&fixture, 8000);
    assert_true(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    assert_false(metadata_image_broker(controller_view(fixture.controller), 1)->fenced);
    fixture_end(&fixture);
}

static void a_silent_broker_is_fenced_after_its_session(void **state)
{
    struct controller_stats stats;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    fixture_wait(&fixture, 5000);
    fixture_heartbeat(&fixture, 1, false, false);
    fixture_heartbeat(&fixture, 2, false, false);
    fixture_wait(&fixture, 3999);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0,1,2");
    fixture_wait(&fixture, 1200);
    assert_true(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1,2");
    fixture_wait(&fixture, 5000);
    controller_stats(fixture.controller, &stats);
    assert_int_equal(stats.brokers_fenced, 3);
    assert_int_equal(stats.sessions_expired, 3);
    assert_int_equal(stats.partitions_offline, 1);
    fixture_end(&fixture);
}

static void a_fencing_that_could_not_be_written_is_tried_again(void **state)
{
    struct controller_result result;
    struct fixture fixture;
    struct arena arena;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_wait(&fixture, 8000);
    fixture_heartbeat(&fixture, 1, false, false);
    fixture.moment.now_ms += 1100;
    arena_init(&arena, &heap_allocator, 64);
    assert_int_equal(controller_tick(fixture.controller, &fixture.moment, &arena, &result),
                     ERR_NO_MEMORY);
    arena_release(&arena);
    fixture.refuses_writes = true;
    fixture_wait(&fixture, 100);
    assert_false(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    fixture.refuses_writes = false;
    fixture_wait(&fixture, 100);
    assert_true(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1");
    fixture_end(&fixture);
}

static void a_controlled_shutdown_moves_leaders_first(void **state)
{
    const struct broker_heartbeat_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    assert_false(response->is_fenced);
    assert_true(
        metadata_image_broker(controller_view(fixture.controller), 0)->in_controlled_shutdown);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1,2");
    /* The others have not seen it yet. */
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    assert_int_equal(fixture.records_written, 0);
    fixture_heartbeat(&fixture, 1, false, false);
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    fixture_heartbeat(&fixture, 2, false, false);
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_true(response->should_shut_down);
    assert_true(response->is_fenced);
    assert_true(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    fixture_end(&fixture);
}

static void a_single_broker_that_leads_ends_in_two_heartbeats(void **state)
{
    const struct broker_heartbeat_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture_create_on(&fixture, "a", (int32_t[]){0}, 1);
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - elr 0 known 0");
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_true(response->should_shut_down);
    fixture_end(&fixture);
}

static void a_controlled_shutdown_whose_records_were_refused_writes_them_again(void **state)
{
    const struct broker_heartbeat_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture_create_on(&fixture, "a", (int32_t[]){0}, 1);
    fixture.refuses_writes = true;
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    fixture.refuses_writes = false;
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0");
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_false(response->should_shut_down);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - elr 0 known 0");
    response = fixture_heartbeat(&fixture, 0, false, true);
    assert_true(response->should_shut_down);
    fixture_end(&fixture);
}

static void a_broker_without_leaders_may_stop_at_once(void **state)
{
    const struct broker_heartbeat_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    response = fixture_heartbeat(&fixture, 1, false, true);
    assert_true(response->should_shut_down);
    response = fixture_heartbeat(&fixture, 1, false, true); /* fenced now: the same */
    assert_true(response->should_shut_down);
    fixture_end(&fixture);
}

static void an_offline_directory_takes_its_replicas_out(void **state)
{
    struct broker_heartbeat_request request;
    struct uuid offline[2];
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    broker_heartbeat_request_init(&request);
    request.broker_id = 0;
    request.broker_epoch = fixture.epochs[0];
    request.current_metadata_offset = fixture.moment.next_offset;
    offline[0] = fixture_directory(0, 0);
    offline[1] = fixture_directory(7, 7);
    request.offline_log_dirs = offline;
    request.offline_log_dirs_count = 2;
    fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1");
    assert_int_equal(fixture.records_written, 2);
    fixture_end(&fixture);
}

static void a_broker_with_all_directories_cordoned_gets_no_new_replicas(void **state)
{
    struct broker_heartbeat_request request;
    struct uuid cordoned[1];
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    broker_heartbeat_request_init(&request);
    request.broker_id = 0;
    request.broker_epoch = fixture.epochs[0];
    request.current_metadata_offset = fixture.moment.next_offset;
    cordoned[0] = fixture_directory(0, 0);
    request.cordoned_log_dirs = cordoned;
    request.cordoned_log_dirs_count = 1;
    fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_int_equal(fixture.records_written, 1);
    fixture_call(&fixture, API_BROKER_HEARTBEAT, &request);
    assert_int_equal(fixture.records_written, 0);
    assert_int_equal(fixture_create(&fixture, "a", 5, 1)->error_code, 0);
    for (int32_t i = 0; i < 5; i++)
        assert_int_equal(fixture_partition(&fixture, "a", i)->leader, 1);
    assert_int_equal(fixture_create(&fixture, "b", 1, 2)->error_code, 38);
    fixture_end(&fixture);
}

static void an_unregistered_broker_leaves_isr_and_elr(void **state)
{
    struct unregister_broker_request request = {.broker_id = 2};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    assert_non_null(fixture_call(&fixture, API_UNREGISTER_BROKER, &request));
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0,1");
    assert_null(metadata_image_broker(controller_view(fixture.controller), 2));
    assert_null(fixture_call(&fixture, API_UNREGISTER_BROKER, &request));
    assert_int_equal(fixture.err, ERR_BROKER_ID_NOT_REGISTERED);
    assert_null(fixture_heartbeat(&fixture, 2, false, false));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    fixture_end(&fixture);
}

static void a_new_controller_gives_unfenced_brokers_a_whole_session(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_register(&fixture, 2, NULL, 1);
    fixture.moment.now_ms += 8000;
    fixture_fail_over(&fixture);
    assert_int_equal(fixture.result.records.count, 0);
    fixture_wait(&fixture, 8999);
    assert_false(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    fixture_register(&fixture, 2, NULL, 1); /* fenced ones have no session */
    assert_int_equal(fixture.err, OK);
    fixture_wait(&fixture, 1000);
    assert_true(metadata_image_broker(controller_view(fixture.controller), 0)->fenced);
    fixture_end(&fixture);
}

static void no_op_records_move_the_offset(void **state)
{
    struct controller_options options = fixture_options();
    struct fixture fixture;
    int64_t offset;

    (void)state;
    options.idle_alone = false;
    fixture_start_with(&fixture, METADATA_VERSION_LATEST, &options);
    offset = fixture.moment.next_offset;
    fixture_wait(&fixture, 5000);
    assert_int_equal(fixture.moment.next_offset, offset + 10);
    fixture_end(&fixture);
    fixture_start(&fixture, METADATA_VERSION_LATEST); /* alone: one behind other records */
    offset = fixture.moment.next_offset;
    fixture_wait(&fixture, 5000);
    assert_int_equal(fixture.moment.next_offset, offset + 1);
    controller_fetchers_changed(fixture.controller, true);
    fixture_wait(&fixture, 5000);
    assert_int_equal(fixture.moment.next_offset, offset + 12); /* one at once, then ten */
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cluster_is_bootstrapped_in_one_transaction),
        cmocka_unit_test(a_half_written_bootstrap_is_aborted_and_written_again),
        cmocka_unit_test(an_inactive_controller_answers_not_controller),
        cmocka_unit_test(a_request_past_its_deadline_is_not_run),
        cmocka_unit_test(a_brokers_epoch_is_the_offset_of_its_registration),
        cmocka_unit_test(a_registration_that_does_not_fit_is_refused),
        cmocka_unit_test(a_live_session_keeps_another_incarnation_out),
        cmocka_unit_test(the_same_incarnation_keeps_epoch_and_state),
        cmocka_unit_test(a_heartbeat_needs_the_epoch_of_the_registration),
        cmocka_unit_test(a_broker_is_unfenced_when_it_has_seen_its_registration),
        cmocka_unit_test(a_late_heartbeat_keeps_the_session_but_moves_nothing),
        cmocka_unit_test(a_silent_broker_is_fenced_after_its_session),
        cmocka_unit_test(a_fencing_that_could_not_be_written_is_tried_again),
        cmocka_unit_test(a_controlled_shutdown_moves_leaders_first),
        cmocka_unit_test(a_single_broker_that_leads_ends_in_two_heartbeats),
        cmocka_unit_test(a_controlled_shutdown_whose_records_were_refused_writes_them_again),
        cmocka_unit_test(a_broker_without_leaders_may_stop_at_once),
        cmocka_unit_test(an_offline_directory_takes_its_replicas_out),
        cmocka_unit_test(a_broker_with_all_directories_cordoned_gets_no_new_replicas),
        cmocka_unit_test(an_unregistered_broker_leaves_isr_and_elr),
        cmocka_unit_test(a_new_controller_gives_unfenced_brokers_a_whole_session),
        cmocka_unit_test(no_op_records_move_the_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
