/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/partition_test.c: hosted replicas: made, opened, led, moved, deleted, made
 * again.
 */
#include "data_support.h"

#include <stdio.h>

#include "protocol/generated/alter_replica_log_dirs_request.h"
#include "protocol/generated/alter_replica_log_dirs_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

static bool file_exists(struct rig *rig, const char *path)
{
    struct os_stat stat;

    OKAY(os_stat(rig->os, path, &stat));
    return stat.exists;
}

/* Names in a directory that begin and end so. */
static int names_count(struct rig *rig, const char *directory, const char *start, const char *end)
{
    struct os_names names;
    int count = 0;

    OKAY(os_list(rig->os, directory, &rig->arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        size_t length = strlen(names.names[i]);

        count += strncmp(names.names[i], start, strlen(start)) == 0 && length >= strlen(end) &&
                 strcmp(names.names[i] + length - strlen(end), end) == 0;
    }
    return count;
}

static int64_t produce(struct rig *rig, uint32_t id, int32_t index, int count)
{
    struct produce_request *body = rig_produce_body(
        rig, index, rig_batch(rig, &(struct rig_batch){.count = count, .value_bytes = 10}));
    struct rig_request *request;
    struct produce_response *response;
    struct produce_response_partition_produce_response *answer;
    int64_t offset;

    body->topic_data->topic_id = rig_id(id);
    request = rig_begin(rig, 0, API_PRODUCE, 13, body, handle_produce);
    response = rig_wait(request);
    assert_non_null(response);
    answer = &response->responses[0].partition_responses[0];
    offset = answer->error_code == 0 ? answer->base_offset : -1 - answer->error_code;
    rig_request_free(request);
    return offset;
}

/* "t", whose logs are being opened. */
static void begin(struct rig *rig, size_t shards, int32_t partitions)
{
    rig_open(rig, shards, NULL);
    rig_topic(rig, "t", 1, partitions);
    rig_publish(rig);
}

static void new_replica_is_made_in_the_directory_that_metadata_names(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic_in(&rig, "t", 1, 1, rig_directory_id(1));
    rig_publish(&rig);
    (void)rig_partition_open(&rig, 1, 0);
    assert_true(file_exists(&rig, "/data1/t-0"));
    assert_false(file_exists(&rig, "/data/t-0"));
    rig_pass(&rig, 1000);
    assert_int_equal(rig.assignments, 0);
    rig_close(&rig);
}

static void unassigned_replica_is_reported_where_it_went(void **state)
{
    struct rig rig;
    struct partition *partition;

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic_in(&rig, "t", 1, 1, DIRECTORY_UNASSIGNED);
    rig_publish(&rig);
    partition = rig_partition_open(&rig, 1, 0);
    rig_pass(&rig, 1000);
    assert_int_equal(rig.assignments, 1);
    assert_true(uuid_equal(rig.assigned, log_directory_id(partition->directory)));
    rig_close(&rig);
}

static void cordoned_directory_takes_no_new_replica(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 1, "cordoned.log.dirs=/data\n");
    rig_topic_in(&rig, "t", 1, 4, DIRECTORY_UNASSIGNED);
    rig_publish(&rig);
    for (int32_t i = 0; i < 4; i++)
        assert_string_equal(log_directory_path(rig_partition_open(&rig, 1, i)->directory),
                            "/data1");
    rig_close(&rig);
}

static void each_shard_hosts_its_own_partitions(void **state)
{
    struct rig rig;

    UNUSED(state);
    begin(&rig, 2, 4);
    for (int32_t i = 0; i < 4; i++) {
        int owner = shard_of_partition(&rig.node, rig_id(1), i);

        assert_ptr_equal(rig_partition_open(&rig, 1, i)->shard, &rig.shards[owner]);
        assert_null(partition_find(rig.shards[1 - owner].partitions, rig_id(1), i));
        assert_int_equal(produce(&rig, 1, i, 3), 0);
        assert_int_equal(produce(&rig, 1, i, 3), 3);
    }
    rig_close(&rig);
}

static void deleted_topic_leaves_a_delete_directory(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    rig_topic_remove(&rig, 1);
    rig_publish(&rig);
    assert_null(rig_partition(&rig, 1, 0));
    rig_pass(&rig, 1000);
    assert_false(file_exists(&rig, "/data/t-0"));
    assert_int_equal(names_count(&rig, "/data", "t-0.", "-delete"), 1);
    rig_pass(&rig, 120000);
    assert_int_equal(names_count(&rig, "/data", "t-0.", "-delete"), 0);
    rig_close(&rig);
}

/* With two shards, the old and the new topic id have different owners. */
static void topic_made_again_in_one_step_gets_a_fresh_log(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct partition *partition;

        begin(&rig, shards, 1);
        assert_int_equal(produce(&rig, 1, 0, 5), 0);
        rig_topic_remove(&rig, 1);
        rig_topic(&rig, "t", 2, 1);
        rig_publish(&rig);
        partition = rig_partition_open(&rig, 2, 0);
        assert_int_equal(log_end_written(partition->log), 0);
        assert_true(uuid_equal(log_topic_id(partition->log), rig_id(2)));
        assert_int_equal(produce(&rig, 2, 0, 2), 0);
        assert_int_equal(produce(&rig, 1, 0, 2), -1 - 100); /* UNKNOWN_TOPIC_ID */
        rig_close(&rig);
    }
}

static void topic_made_and_removed_again_while_the_name_is_taken_leaves_nothing(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_start(&rig, 2, 1);
    rig_topic_remove(&rig, 1);
    rig_topic(&rig, "t", 2, 1);
    rig_publish(&rig);
    rig_topic_remove(&rig, 2);
    rig_topic(&rig, "t", 3, 1);
    rig_publish(&rig);
    (void)rig_partition_open(&rig, 3, 0);
    assert_int_equal(produce(&rig, 3, 0, 1), 0);
    assert_null(rig_partition(&rig, 2, 0));
    rig_close(&rig);
}

static void logs_are_found_again_after_a_clean_and_an_unclean_stop(void **state)
{
    struct rig rig;

    UNUSED(state);
    begin(&rig, 2, 3);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(produce(&rig, 1, i, 4), 0);
    rig_restart(&rig, true);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(produce(&rig, 1, i, 4), 4);
    rig_restart(&rig, false);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(produce(&rig, 1, i, 4), 8);
    rig_close(&rig);
}

static void ready_done(void *context)
{
    *(bool *)context = true;
}

static bool flag_is_set(void *context)
{
    return *(bool *)context;
}

static void node_is_ready_when_all_logs_of_an_unclean_stop_are_open(void **state)
{
    struct rig rig;
    bool is_ready = false;

    UNUSED(state);
    rig_start(&rig, 1, 40);
    rig_restart(&rig, false);
    partition_table_ready(rig.shards[0].partitions, ready_done, &is_ready);
    assert_true(rig_run_until(&rig, flag_is_set, &is_ready));
    for (int32_t i = 0; i < 40; i++)
        assert_int_equal(rig_partition(&rig, 1, i)->stage, PARTITION_OPEN);
    rig_close(&rig);
}

static void log_of_a_topic_that_is_gone_becomes_stray_at_start(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic(&rig, "gone", 1, 1);
    rig_topic(&rig, "again", 2, 1);
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 1, 0, 1), 0);
    assert_int_equal(produce(&rig, 2, 0, 1), 0);
    rig_topic_remove(&rig, 1);
    rig_topic_remove(&rig, 2);
    rig_topic(&rig, "again", 3, 1);
    rig_restart(&rig, true); /* the process did not live to see it */
    (void)rig_partition_open(&rig, 3, 0);
    rig_pass(&rig, 1000);
    assert_int_equal(names_count(&rig, "/data", "gone-0.", "-stray"), 1);
    assert_int_equal(names_count(&rig, "/data", "again-0.", "-stray"), 1);
    assert_int_equal(produce(&rig, 3, 0, 1), 0);
    rig_close(&rig);
}

static void second_fails(struct rig *rig)
{
    sim_fault_add(rig->os, &(struct sim_fault){.calls = SIM_CALLS_ALL,
                                               .path_part = "/data1/",
                                               .is_sticky = true,
                                               .effect = SIM_EFFECT_ERROR,
                                               .err = ERR_IO});
}

static void all_work(struct rig *rig)
{
    sim_faults_clear(rig->os);
}

/* The process died before the controller learned where it is. */
static void replica_of_no_known_directory_is_not_made_anew_while_one_is_offline(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic_in(&rig, "other", 1, 2, rig_directory_id(0));
    rig_publish(&rig);
    for (int32_t i = 0; i < 2; i++)
        assert_int_equal(produce(&rig, 1, i, 1), 0);
    rig_topic_in(&rig, "t", 2, 1, DIRECTORY_UNASSIGNED);
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 2, 0, 3), 0);
    assert_string_equal(log_directory_path(rig_partition(&rig, 2, 0)->directory), "/data1");
    rig_restart_with(&rig, false, second_fails);
    rig_pass(&rig, 1000);
    assert_int_equal(rig_partition(&rig, 2, 0)->stage, PARTITION_OFFLINE);
    rig_topic_in(&rig, "new", 3, 1, DIRECTORY_UNASSIGNED); /* cannot be there */
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 3, 0, 1), 0);
    assert_int_equal(produce(&rig, 1, 0, 1), 1);
    rig_restart_with(&rig, false, all_work);
    assert_int_equal(produce(&rig, 2, 0, 1), 3);
    rig_close(&rig);
}

/* What was put aside at the last start is found in the other directory, under its old name. */
static void remains_in_the_other(struct rig *rig)
{
    struct os_names names;
    bool is_found = false;

    OKAY(os_list(rig->os, "/data", &rig->arena, &names));
    for (size_t i = 0; i < names.count; i++)
        if (strncmp(names.names[i], "again-0.", 8) == 0) {
            char path[256];

            (void)snprintf(path, sizeof path, "/data/%s", names.names[i]);
            OKAY(os_rename(rig->os, path, "/data1/again-0"));
            is_found = true;
        }
    assert_true(is_found);
}

/* A topic that was removed while no process ran, made again, and removed: the second one's log is in its place. */
static void made_twice(struct rig *rig)
{
    rig_topic_in(rig, "again", 1, 1, rig_directory_id(0));
    rig_publish(rig);
    assert_int_equal(produce(rig, 1, 0, 1), 0);
    rig_topic_remove(rig, 1);
    rig_topic_in(rig, "again", 2, 1, rig_directory_id(0));
    rig_restart(rig, false);
    assert_int_equal(produce(rig, 2, 0, 1), 0);
    rig_pass(rig, 1000);
    rig_topic_remove(rig, 2);
}

static void remains_in_two_directories_are_put_aside_before_the_new_replica_is_made(void **state)
{
    UNUSED(state);
    for (int first = 0; first < 2; first++) { /* in either directory */
        const char *directory = first ? "/data1" : "/data";
        struct rig rig;

        rig_open(&rig, 1, NULL);
        made_twice(&rig);
        rig_topic_in(&rig, "again", 3, 1, rig_directory_id(first));
        rig_restart_with(&rig, false, remains_in_the_other);
        assert_int_equal(produce(&rig, 3, 0, 1), 0);
        rig_pass(&rig, 1000);
        assert_int_equal(produce(&rig, 3, 0, 1), 1);
        assert_int_equal(names_count(&rig, "/data", "again-0.", "-stray"), 1);
        assert_int_equal(names_count(&rig, "/data1", "again-0.", "-stray"), 1);
        assert_int_equal(names_count(&rig, directory, "again-0", "again-0"), 1);
        assert_int_equal(names_count(&rig, first ? "/data" : "/data1", "again-0", "again-0"), 0);
        rig_restart(&rig, false);
        assert_int_equal(produce(&rig, 3, 0, 1), 2);
        rig_close(&rig);
    }
}

/* The topic is made anew while what lies there of an older one is still being put aside. */
static void topic_that_is_made_while_its_remains_are_put_aside_waits_for_all_of_them(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++)
        for (int first = 0; first < 2; first++) {
            struct rig rig;

            rig_open(&rig, shards, NULL);
            made_twice(&rig);
            rig_restart_with(&rig, false, remains_in_the_other);
            rig_topic_in(&rig, "again", 3, 1, rig_directory_id(first));
            rig_publish(&rig);
            assert_int_equal(produce(&rig, 3, 0, 1), 0);
            rig_pass(&rig, 1000);
            assert_int_equal(produce(&rig, 3, 0, 1), 1);
            assert_int_equal(names_count(&rig, "/data", "again-0.", "-stray"), 1);
            assert_int_equal(names_count(&rig, "/data1", "again-0.", "-stray"), 1);
            rig_close(&rig);
        }
}

static void failed_directory_answers_storage_errors_for_its_replicas_alone(void **state)
{
    struct rig rig;
    struct sim_fault fault = {.calls = 1u << SIM_CALL_WRITE | 1u << SIM_CALL_SYNC,
                              .path_part = "/data1/",
                              .is_sticky = true,
                              .effect = SIM_EFFECT_ERROR,
                              .err = ERR_IO};

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic_in(&rig, "a", 1, 1, rig_directory_id(0));
    rig_topic_in(&rig, "b", 2, 1, rig_directory_id(1));
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 1, 0, 1), 0);
    assert_int_equal(produce(&rig, 2, 0, 1), 0);
    (void)sim_fault_add(rig.os, &fault);
    assert_int_equal(produce(&rig, 2, 0, 1), -1 - 56);
    assert_int_equal(produce(&rig, 2, 0, 1), -1 - 56);
    assert_int_equal(rig_partition(&rig, 2, 0)->stage, PARTITION_OFFLINE);
    assert_int_equal(produce(&rig, 1, 0, 1), 1);
    rig_close(&rig);
}

static void topic_config_reaches_open_logs(void **state)
{
    struct rig rig;
    struct partition *partition;

    UNUSED(state);
    begin(&rig, 1, 1);
    partition = rig_partition_open(&rig, 1, 0);
    rig_topic_config(&rig, "t", "max.message.bytes", "200");
    rig_publish(&rig);
    assert_int_equal(log_config_of(partition->log)->max_message_bytes, 200);
    assert_int_equal(produce(&rig, 1, 0, 50), -1 - 10); /* MESSAGE_TOO_LARGE */
    rig_close(&rig);
}

/* ---- moves ---- */

static int16_t move(struct rig *rig, const char *topic, int32_t index, const char *path)
{
    struct alter_replica_log_dirs_request *body =
        alter_replica_log_dirs_request_array(&rig->arena, 1);
    struct alter_replica_log_dirs_request_alter_replica_log_dir *directory =
        alter_replica_log_dirs_request_alter_replica_log_dir_array(&rig->arena, 1);
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *asked =
        alter_replica_log_dirs_request_alter_replica_log_dir_topic_array(&rig->arena, 1);
    struct alter_replica_log_dirs_response *response;
    struct rig_request *request;
    int16_t code;

    body->dirs = directory;
    body->dirs_count = 1;
    directory->path = slice_from_text(path);
    directory->topics = asked;
    directory->topics_count = 1;
    asked->name = slice_from_text(topic);
    asked->partitions = ARENA_ARRAY(&rig->arena, int32_t, 1);
    asked->partitions[0] = index;
    asked->partitions_count = 1;
    request = rig_begin(rig, 0, API_ALTER_REPLICA_LOG_DIRS, 2, body, handle_alter_replica_log_dirs);
    response = rig_wait(request);
    code = response->results[0].partitions[0].error_code;
    rig_request_free(request);
    return code;
}

static void replica_moves_to_another_directory_with_all_its_records(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct partition *partition;

        begin(&rig, shards, 1);
        for (int i = 0; i < 20; i++)
            assert_int_equal(produce(&rig, 1, 0, 10), i * 10);
        assert_int_equal(move(&rig, "t", 0, "/data1"), 0);
        for (int i = 20; i < 40; i++) /* goes on while it moves */
            assert_int_equal(produce(&rig, 1, 0, 10), i * 10);
        rig_pass(&rig, 5000);
        partition = rig_partition_open(&rig, 1, 0);
        assert_string_equal(log_directory_path(partition->directory), "/data1");
        assert_true(uuid_equal(rig.assigned, rig_directory_id(1)));
        assert_null(partition->future_log);
        assert_int_equal(log_end_written(partition->log), 400);
        assert_int_equal(partition->replica.high_watermark, 400);
        assert_true(file_exists(&rig, "/data1/t-0"));
        assert_false(file_exists(&rig, "/data/t-0"));
        assert_int_equal(names_count(&rig, "/data", "t-0.", "-delete"), 1);
        assert_int_equal(produce(&rig, 1, 0, 1), 400);
        rig_restart(&rig, true);
        assert_int_equal(produce(&rig, 1, 0, 1), 401);
        rig_close(&rig);
    }
}

static void impossible_moves_are_refused(void **state)
{
    struct rig rig;

    UNUSED(state);
    begin(&rig, 1, 1);
    assert_int_equal(move(&rig, "t", 0, "/nowhere"), 57);
    assert_int_equal(move(&rig, "t", 7, "/data1"), 3);
    assert_int_equal(move(&rig, "t", 0, "/data"), 0); /* it is there already */
    rig_close(&rig);
}

static void directory_named_before_the_topic_exists_is_remembered(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 2, NULL); /* the shard that will own it is another one */
    assert_int_equal(move(&rig, "later", 0, "/data1"), 3);
    rig_pass(&rig, 10);
    rig_topic_in(&rig, "later", 1, 1, DIRECTORY_UNASSIGNED);
    rig_publish(&rig);
    assert_string_equal(log_directory_path(rig_partition_open(&rig, 1, 0)->directory), "/data1");
    rig_close(&rig);
}

/* As the crash leaves it: the old directory is renamed, the copy is not yet. */
static void old_one_gone(struct rig *rig)
{
    OKAY(os_rename(rig->os, "/data/t-0", "/data1/t-0.00112233445566778899aabbccddeeff-future"));
}

static void crash_between_the_renames_of_a_move_loses_nothing(void **state)
{
    struct rig rig;

    UNUSED(state);
    begin(&rig, 1, 1);
    assert_int_equal(produce(&rig, 1, 0, 10), 0);
    rig_restart_with(&rig, false, old_one_gone);
    assert_int_equal(produce(&rig, 1, 0, 10), 10);
    assert_true(file_exists(&rig, "/data1/t-0"));
    assert_string_equal(log_directory_path(rig_partition(&rig, 1, 0)->directory), "/data1");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_replica_is_made_in_the_directory_that_metadata_names),
        cmocka_unit_test(unassigned_replica_is_reported_where_it_went),
        cmocka_unit_test(cordoned_directory_takes_no_new_replica),
        cmocka_unit_test(each_shard_hosts_its_own_partitions),
        cmocka_unit_test(deleted_topic_leaves_a_delete_directory),
        cmocka_unit_test(topic_made_again_in_one_step_gets_a_fresh_log),
        cmocka_unit_test(topic_made_and_removed_again_while_the_name_is_taken_leaves_nothing),
        cmocka_unit_test(logs_are_found_again_after_a_clean_and_an_unclean_stop),
        cmocka_unit_test(node_is_ready_when_all_logs_of_an_unclean_stop_are_open),
        cmocka_unit_test(log_of_a_topic_that_is_gone_becomes_stray_at_start),
        cmocka_unit_test(replica_of_no_known_directory_is_not_made_anew_while_one_is_offline),
        cmocka_unit_test(remains_in_two_directories_are_put_aside_before_the_new_replica_is_made),
        cmocka_unit_test(topic_that_is_made_while_its_remains_are_put_aside_waits_for_all_of_them),
        cmocka_unit_test(failed_directory_answers_storage_errors_for_its_replicas_alone),
        cmocka_unit_test(topic_config_reaches_open_logs),
        cmocka_unit_test(replica_moves_to_another_directory_with_all_its_records),
        cmocka_unit_test(impossible_moves_are_refused),
        cmocka_unit_test(directory_named_before_the_topic_exists_is_remembered),
        cmocka_unit_test(crash_between_the_renames_of_a_move_loses_nothing),
    };

    return cmocka_run_group_tests_name("server/partition", tests, NULL, NULL);
}
