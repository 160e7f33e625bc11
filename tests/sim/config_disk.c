/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_disk.c: what keys change on the disk of a node.
 */
#include "config_observe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/generated/alter_replica_log_dirs_request.h"
#include "protocol/generated/alter_replica_log_dirs_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "protocol/generated/describe_producers_request.h"
#include "protocol/generated/describe_producers_response.h"

static int64_t number_of(const char *argument)
{
    return strtoll(argument, NULL, 10);
}

static void produce(struct lab *lab, int count, int32_t value_bytes)
{
    struct lab_batch batch = {.value_bytes = value_bytes, .is_random = true};

    for (int i = 0; i < count; i++)
        assert_int_equal(lab_produce(lab, &batch, NULL), 0);
}

/* ---- durability ---- */

int64_t kept_after_power_cut(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    produce(lab, 5, 10);
    lab_pass(lab, 1000);
    lab_restart(lab, true);
    assert_int_equal(lab->start_err, OK);
    return lab_offset(lab, -1);
}

/* ---- segments ---- */

int64_t files_with_end(struct lab *lab, const char *argument)
{
    produce(lab, 3, 600 * 1024);
    return lab_files(lab, "/t-0/", argument, NULL);
}

int64_t files_after_pause(struct lab *lab, const char *argument)
{
    produce(lab, 1, 10);
    lab_pass(lab, number_of(argument));
    produce(lab, 1, 10);
    return lab_files(lab, "/t-0/", ".log", NULL);
}

int64_t bytes_with_end(struct lab *lab, const char *argument)
{
    int64_t bytes;

    produce(lab, 20, 1000);
    sim_client_close(lab->client);
    assert_true(sim_node_stop(&lab->node, 600000));
    (void)lab_files(lab, "/t-0/", argument, &bytes);
    return bytes;
}

int64_t disk_bytes_used(struct lab *lab, const char *argument)
{
    int64_t before, after, total_bytes;

    UNUSED(argument);
    lab_connect(lab, 9092);
    assert_int_equal(os_disk_space(lab->node.machine, "/data", &before, &total_bytes), OK);
    produce(lab, 1, 10);
    lab_pass(lab, 10000);
    produce(lab, 1, 10); /* in another segment */
    assert_int_equal(os_disk_space(lab->node.machine, "/data", &after, &total_bytes), OK);
    return (before - after) / (50 * (int64_t)MIB);
}

/* ---- what goes ---- */

int64_t earliest_after(struct lab *lab, const char *argument)
{
    produce(lab, 10, 100 * 1024);
    lab_pass(lab, number_of(argument));
    return lab_offset(lab, -2) > 0;
}

int64_t earliest_late(struct lab *lab, const char *argument)
{
    assert_int_equal(lab_create_topic(lab, "t", 1, 1), 0);
    lab_pass(lab, 40000);
    return earliest_after(lab, argument);
}

int64_t deleted_files_after(struct lab *lab, const char *argument)
{
    struct delete_topics_request body;
    const struct delete_topics_response *answer;

    produce(lab, 1, 10);
    delete_topics_request_init(&body);
    body.topics = delete_topics_request_delete_topic_state_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    body.timeout_ms = 10000;
    answer = lab_call(lab, API_DELETE_TOPICS, 6, &body);
    if (answer->responses[0].error_code != 0)
        return -answer->responses[0].error_code;
    lab_pass(lab, number_of(argument));
    return lab_files(lab, "-delete/", ".log", NULL);
}

/* ---- checkpoints ---- */

int64_t recovery_point_after(struct lab *lab, const char *argument)
{
    produce(lab, 3, 10);
    lab_pass(lab, number_of(argument));
    return lab_file_has(lab, "/data/recovery-point-offset-checkpoint", "t 0 3");
}

/* A start that moves is written at once, before anything goes. When its segment is the first that is left, it says no more
 * than the file's name, and its line goes with the next checkpoint. */
int64_t start_offset_after(struct lab *lab, const char *argument)
{
    produce(lab, 10, 100 * 1024);
    lab_pass(lab, number_of(argument));
    assert_true(lab_offset(lab, -2) > 0);
    return lab_file_has(lab, "/data/log-start-offset-checkpoint", "t 0 ");
}

int64_t high_watermark_after(struct lab *lab, const char *argument)
{
    produce(lab, 3, 10);
    lab_pass(lab, number_of(argument));
    return lab_file_has(lab, "/data/replication-offset-checkpoint", "t 0 3");
}

/* ---- producers ---- */

int64_t producers_after(struct lab *lab, const char *argument)
{
    struct describe_producers_request body;
    struct lab_batch batch = {.producer_id = 5};
    int32_t index = 0;
    const struct describe_producers_response *answer;

    assert_int_equal(lab_produce(lab, &batch, NULL), 0);
    lab_pass(lab, number_of(argument));
    describe_producers_request_init(&body);
    body.topics = describe_producers_request_topic_request_array(&lab->arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    body.topics->partition_indexes = &index;
    body.topics->partition_indexes_count = 1;
    answer = lab_call(lab, API_DESCRIBE_PRODUCERS, 0, &body);
    assert_int_equal(answer->topics[0].partitions[0].error_code, 0);
    return answer->topics[0].partitions[0].active_producers_count;
}

/* ---- directories ---- */

int64_t directory_exists(struct lab *lab, const char *argument)
{
    struct os_stat stat;

    assert_int_equal(os_stat(lab->node.machine, argument, &stat), OK);
    return stat.exists;
}

int64_t reserve_bytes(struct lab *lab, const char *argument)
{
    int64_t free_bytes, total_bytes;

    UNUSED(argument);
    UNUSED(total_bytes);
    lab_pass(lab, 1000);
    if (lab_files(lab, "/data/", ".barnabas_reserve", NULL) == 0)
        return 0;
    assert_int_equal(os_disk_space(lab->node.machine, "/data", &free_bytes, &total_bytes), OK);
    return total_bytes - free_bytes >= 32 * (int64_t)MIB;
}

int64_t move_takes_ms(struct lab *lab, const char *argument)
{
    struct alter_replica_log_dirs_request body;
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic =
        alter_replica_log_dirs_request_alter_replica_log_dir_topic_array(&lab->arena, 1);
    const struct alter_replica_log_dirs_response *answer;
    int32_t partition = 0;
    int64_t began_ns, waited_ms = 0;
    bool is_second;

    if (argument)
        assert_int_equal(lab_alter(lab, CONFIG_RESOURCE_BROKER, "1",
                                   "replica.alter.log.dirs.io.max.bytes.per.second", argument),
                         0);
    produce(lab, 20, 200 * 1024);
    is_second = lab_files(lab, "/data2/t-0/", ".log", NULL) > 0;
    alter_replica_log_dirs_request_init(&body);
    body.dirs = alter_replica_log_dirs_request_alter_replica_log_dir_array(&lab->arena, 1);
    body.dirs_count = 1;
    body.dirs->path = is_second ? SLICE("/data") : SLICE("/data2");
    body.dirs->topics = topic;
    body.dirs->topics_count = 1;
    topic->name = SLICE("t");
    topic->partitions = &partition;
    topic->partitions_count = 1;
    began_ns = sim_now_ns(lab->sim);
    answer = lab_call(lab, API_ALTER_REPLICA_LOG_DIRS, 2, &body);
    assert_int_equal(answer->results[0].partitions[0].error_code, 0);
    while (lab_files(lab, is_second ? "/data/t-0/" : "/data2/t-0/", ".log", NULL) == 0) {
        lab_pass(lab, 100);
        waited_ms += 100;
        assert_true(waited_ms < 600000);
    }
    return (sim_now_ns(lab->sim) - began_ns) / MS;
}

int64_t directory_failure(struct lab *lab, const char *argument)
{
    struct sim_fault fault = {.calls = ~0U,
                              .path_part = "/data2/t-0",
                              .is_sticky = true,
                              .effect = SIM_EFFECT_ERROR,
                              .err = ERR_IO};

    UNUSED(argument);
    for (int i = 0; i < 4 && lab_files(lab, "/data2/t-0/", ".log", NULL) == 0; i++)
        assert_int_equal(lab_create_topic(lab, i == 0 ? "s" : "t", 1, 1), 0);
    (void)sim_fault_add(lab->node.machine, &fault);
    (void)lab_produce(lab, &(struct lab_batch){0}, NULL);
    lab_pass(lab, 5000);
    return lab->node.is_stopped;
}

/* ---- the metadata log ---- */

static void changes(struct lab *lab, int count, size_t value_bytes, int64_t pause_ms)
{
    char *value = malloc(value_bytes + 8);

    assert_non_null(value);
    if (lab_partitions(lab, "t", false) < 0)
        assert_int_equal(lab_create_topic(lab, "t", 1, 1), 0);
    for (int i = 0; i < count; i++) {
        size_t at = 0;

        while (at < value_bytes)
            at += (size_t)snprintf(value + at, 8, "%s%d:1", at ? "," : "",
                                   (int)(at + (size_t)i) % 100);
        assert_int_equal(lab_alter(lab, CONFIG_RESOURCE_TOPIC, "t",
                                   "leader.replication.throttled.replicas", value),
                         0);
        arena_reset(&lab->arena);
        lab_pass(lab, pause_ms);
    }
    free(value);
}

int64_t metadata_files(struct lab *lab, const char *argument)
{
    changes(lab, 40, 2000, 100);
    return lab_files(lab, "__cluster_metadata-0/", argument, NULL);
}

int64_t metadata_files_large(struct lab *lab, const char *argument)
{
    changes(lab, 320, 30000, 0);
    lab_pass(lab, 1000);
    return lab_files(lab, "__cluster_metadata-0/", argument, NULL);
}

int64_t metadata_files_slow(struct lab *lab, const char *argument)
{
    changes(lab, 12, 2000, 300000);
    lab_pass(lab, 100000);
    return lab_files(lab, "__cluster_metadata-0/", argument, NULL);
}

int64_t metadata_log_bytes(struct lab *lab, const char *argument)
{
    int64_t bytes;

    UNUSED(argument);
    if (lab_create_topic(lab, "t", 200, 1) != 0)
        return -1;
    (void)lab_files(lab, "__cluster_metadata-0/", ".log", &bytes);
    return bytes;
}
