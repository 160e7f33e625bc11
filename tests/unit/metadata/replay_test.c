/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay: what each record does, which records cannot be, transactions, snapshots.
 */
#include "support.h"

static void partition_changes_move_the_epochs(void **state)
{
    struct partition_change_record *change;
    const struct metadata_partition *partition;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    bench_partition(&bench, 1, 0, 3);
    change = bench_record(&bench, METADATA_RECORD_PARTITION_CHANGE, 2);
    change->topic_id = id_of(1);
    change->partition_id = 0;
    change->isr = (int32_t[]){4};
    change->isr_count = 1;
    assert_int_equal(bench_replay(&bench), OK);
    partition = metadata_topic_partition(metadata_image_topic(bench_view(&bench), SLICE("a")), 0);
    assert_int_equal(partition->leader_epoch, 0); /* leader -2: unchanged */
    assert_int_equal(partition->partition_epoch, 1);
    assert_int_equal(partition->isr_count, 1);
    assert_int_equal(bench_leader(&bench, 1, 0, 3), OK); /* the same leader: still a new epoch */
    partition = metadata_topic_partition(metadata_image_topic(bench_view(&bench), SLICE("a")), 0);
    assert_int_equal(partition->leader_epoch, 1);
    assert_int_equal(partition->partition_epoch, 2);
    assert_int_equal(bench_leader(&bench, 1, 0, -1), OK);
    partition = metadata_topic_partition(metadata_image_topic(bench_view(&bench), SLICE("a")), 0);
    assert_int_equal(partition->leader, -1);
    assert_int_equal(partition->leader_epoch, 2);
    bench_end(&bench);
}

static void directories_are_one_per_replica_or_all_migrating(void **state)
{
    struct partition_change_record *change;
    struct uuid directories[2] = {{{1}}, {{2}}};
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    bench_partition(&bench, 1, 0, 3);
    assert_true(
        uuid_equal(metadata_topic_partition(metadata_image_topic(bench_view(&bench), SLICE("a")), 0)
                       ->directories[1],
                   DIRECTORY_MIGRATING));
    change = bench_record(&bench, METADATA_RECORD_PARTITION_CHANGE, 2);
    change->topic_id = id_of(1);
    change->partition_id = 0;
    change->directories = directories;
    change->directories_count = 1;
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    change = bench_record(&bench, METADATA_RECORD_PARTITION_CHANGE, 2);
    change->topic_id = id_of(1);
    change->partition_id = 0;
    change->directories = directories;
    change->directories_count = 2;
    assert_int_equal(bench_replay(&bench), OK);
    assert_true(
        uuid_equal(metadata_topic_partition(metadata_image_topic(bench_view(&bench), SLICE("a")), 0)
                       ->directories[1],
                   directories[1]));
    bench_end(&bench);
}

static void impossible_records_are_refused_with_a_reason(void **state)
{
    struct unregister_broker_record *unregister;
    struct broker_registration_change_record *change;
    struct producer_ids_record *ids;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    bench_partition(&bench, 1, 0, 3);
    bench_broker(&bench, 1, 10);
    assert_int_equal(bench_topic(&bench, "a", 2), ERR_STATE);
    assert_int_equal(bench_topic(&bench, "b", 1), ERR_STATE);
    assert_int_equal(bench_partition(&bench, 9, 0, 1), ERR_STATE);
    assert_int_equal(bench_partition(&bench, 1, -1, 1), ERR_STATE);
    assert_int_equal(bench_partition(&bench, 1, INT32_MAX, 1), ERR_STATE);
    assert_int_equal(bench_leader(&bench, 1, 1, 1), ERR_STATE);
    assert_string_equal(bench.why.text, "topic a has no partition 1");
    assert_int_equal(bench_remove(&bench, 9), ERR_STATE);
    unregister = bench_record(&bench, METADATA_RECORD_UNREGISTER_BROKER, 0);
    unregister->broker_id = 1;
    unregister->broker_epoch = 11;
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    change = bench_record(&bench, METADATA_RECORD_BROKER_REGISTRATION_CHANGE, 0);
    change->broker_id = 2;
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    change = bench_record(&bench, METADATA_RECORD_BROKER_REGISTRATION_CHANGE, 0);
    change->broker_id = 1;
    change->broker_epoch = 10;
    change->fenced = 2;
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    ids = bench_record(&bench, METADATA_RECORD_PRODUCER_IDS, 0);
    ids->next_producer_id = 1000;
    assert_int_equal(bench_replay(&bench), OK);
    ids = bench_record(&bench, METADATA_RECORD_PRODUCER_IDS, 0);
    ids->next_producer_id = 1000;
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    assert_int_equal(bench_level(&bench, FEATURE_METADATA_VERSION, 34), ERR_STATE);
    assert_int_equal(bench_level(&bench, "unknown.version", 1), ERR_STATE);
    bench_record(&bench, METADATA_RECORD_REMOVE_USER_SCRAM_CREDENTIAL, 0);
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    bench_record(&bench, METADATA_RECORD_REMOVE_ACCESS_CONTROL_ENTRY, 0);
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    bench_record(&bench, METADATA_RECORD_UNREGISTER_CONTROLLER, 0);
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    bench_record(&bench, METADATA_RECORD_END_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    bench_record(&bench, METADATA_RECORD_NO_OP, 0);
    assert_int_equal(bench_replay(&bench), OK);
    bench_end(&bench);
}

static void a_broker_changes_by_tagged_fields(void **state)
{
    struct broker_registration_change_record *change;
    struct uuid directories[2] = {{{9}}, {{8}}};
    const struct metadata_broker *broker;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_broker(&bench, 1, 10);
    change = bench_record(&bench, METADATA_RECORD_BROKER_REGISTRATION_CHANGE, 3);
    change->broker_id = 1;
    change->broker_epoch = 10;
    change->fenced = -1;
    change->in_controlled_shutdown = 1;
    change->log_dirs = directories;
    change->log_dirs_count = 2;
    change->cordoned_log_dirs = directories;
    change->cordoned_log_dirs_count = 1;
    assert_int_equal(bench_replay(&bench), OK);
    broker = metadata_image_broker(bench_view(&bench), 1);
    assert_false(broker->fenced);
    assert_true(broker->in_controlled_shutdown);
    assert_int_equal(broker->directory_count, 2);
    assert_true(uuid_equal(broker->directories[0], directories[1])); /* ascending */
    assert_true(broker->cordoned_known);
    assert_int_equal(broker->registration_offset, 0);
    change = bench_record(&bench, METADATA_RECORD_BROKER_REGISTRATION_CHANGE, 0);
    change->broker_id = 1;
    change->broker_epoch = 10;
    assert_int_equal(bench_replay(&bench), OK); /* says nothing, changes nothing */
    broker = metadata_image_broker(bench_view(&bench), 1);
    assert_false(broker->fenced);
    assert_true(broker->in_controlled_shutdown);
    bench_end(&bench);
}

static void clearing_elr_touches_only_partitions_that_have_some(void **state)
{
    struct partition_change_record *change;
    struct clear_elr_record *clear;
    const struct metadata_topic *topic;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    bench_topic(&bench, "b", 2);
    for (uint32_t id = 1; id <= 2; id++) {
        bench_partition(&bench, id, 0, 3);
        bench_partition(&bench, id, 1, 3);
        change = bench_record(&bench, METADATA_RECORD_PARTITION_CHANGE, 2);
        change->topic_id = id_of(id);
        change->partition_id = 1;
        change->eligible_leader_replicas = (int32_t[]){4};
        change->eligible_leader_replicas_count = 1;
        assert_int_equal(bench_replay(&bench), OK);
    }
    clear = bench_record(&bench, METADATA_RECORD_CLEAR_ELR, 0);
    clear->topic_name = SLICE("a");
    assert_int_equal(bench_replay(&bench), OK);
    topic = metadata_image_topic(bench_view(&bench), SLICE("a"));
    assert_int_equal(metadata_topic_partition(topic, 0)->partition_epoch, 0);
    assert_int_equal(metadata_topic_partition(topic, 1)->partition_epoch, 2);
    assert_int_equal(metadata_topic_partition(topic, 1)->elr_count, 0);
    topic = metadata_image_topic(bench_view(&bench), SLICE("b"));
    assert_int_equal(metadata_topic_partition(topic, 1)->elr_count, 1);
    bench_record(&bench, METADATA_RECORD_CLEAR_ELR, 0);
    assert_int_equal(bench_replay(&bench), OK);
    topic = metadata_image_topic(bench_view(&bench), SLICE("b"));
    assert_int_equal(metadata_topic_partition(topic, 1)->elr_count, 0);
    clear = bench_record(&bench, METADATA_RECORD_CLEAR_ELR, 0);
    clear->topic_name = SLICE("c");
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    bench_end(&bench);
}

/* ---- transactions ---- */

static void an_open_transaction_is_not_published_and_abort_takes_it_back(void **state)
{
    struct metadata_image *image;
    struct bench bench;
    uint64_t before;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    before = metadata_image_hash(bench_view(&bench));
    bench_record(&bench, METADATA_RECORD_BEGIN_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), OK);
    assert_true(metadata_state_in_transaction(bench.state));
    bench_topic(&bench, "b", 2);
    bench_record(&bench, METADATA_RECORD_BEGIN_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), ERR_STATE);
    assert_int_equal(metadata_state_publish(bench.state, &image), OK);
    assert_null(metadata_image_topic(image, SLICE("b")));
    metadata_image_release(&image);
    metadata_state_advance(bench.state, (struct metadata_provenance){50, 1, 1});
    bench_record(&bench, METADATA_RECORD_ABORT_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), OK);
    assert_true(before == metadata_image_hash(bench_view(&bench)));
    assert_int_equal(metadata_image_provenance(bench_view(&bench)).offset, 50);
    bench_record(&bench, METADATA_RECORD_BEGIN_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), OK);
    bench_topic(&bench, "c", 3);
    bench_record(&bench, METADATA_RECORD_END_TRANSACTION, 0);
    assert_int_equal(bench_replay(&bench), OK);
    assert_int_equal(metadata_state_publish(bench.state, &image), OK);
    assert_non_null(metadata_image_topic(image, SLICE("c")));
    metadata_image_release(&image);
    bench_end(&bench);
}

/* ---- snapshots ---- */

static void everything_into(struct bench *bench)
{
    struct user_scram_credential_record *scram;
    struct access_control_entry_record *acl;
    struct delegation_token_record *token;
    struct register_controller_record *controller;
    struct producer_ids_record *ids;
    struct partition_change_record *change;

    bench_level(bench, FEATURE_TRANSACTION_VERSION, 2);
    bench_level(bench, FEATURE_METADATA_VERSION, METADATA_VERSION_LATEST);
    bench_level(bench, FEATURE_ELR_VERSION, 1);
    bench_broker(bench, 2, 11);
    bench_broker(bench, 1, 10);
    controller = bench_record(bench, METADATA_RECORD_REGISTER_CONTROLLER, 0);
    controller->controller_id = 3000;
    controller->incarnation_id = id_of(77);
    bench_replay(bench);
    for (uint32_t t = 0; t < 3; t++) {
        char name[8];

        fmt(name, sizeof name, "t%u", t);
        bench_topic(bench, name, t);
        for (int32_t i = 0; i < 600; i++)
            bench_partition(bench, t, i, 1);
    }
    change = bench_record(bench, METADATA_RECORD_PARTITION_CHANGE, 2);
    change->topic_id = id_of(1);
    change->partition_id = 1;
    change->eligible_leader_replicas = (int32_t[]){4};
    change->eligible_leader_replicas_count = 1;
    change->leader_recovery_state = 1;
    bench_replay(bench);
    bench_config(bench, METADATA_RESOURCE_TOPIC, "t1", "retention.ms", "1");
    bench_config(bench, METADATA_RESOURCE_BROKER, "", "min.insync.replicas", "1");
    bench_quota(bench, "", NULL, "producer_byte_rate", 5.5, false);
    bench_quota(bench, "alice", "", "request_percentage", 50, false);
    ids = bench_record(bench, METADATA_RECORD_PRODUCER_IDS, 0);
    ids->next_producer_id = 5000;
    bench_replay(bench);
    scram = bench_record(bench, METADATA_RECORD_USER_SCRAM_CREDENTIAL, 0);
    scram->name = SLICE("alice");
    scram->mechanism = 1;
    scram->iterations = 4096;
    scram->salt = scram->stored_key = scram->server_key = SLICE("x");
    bench_replay(bench);
    acl = bench_record(bench, METADATA_RECORD_ACCESS_CONTROL_ENTRY, 0);
    acl->id = id_of(5);
    bench_replay(bench);
    token = bench_record(bench, METADATA_RECORD_DELEGATION_TOKEN, 0);
    token->token_id = SLICE("token");
    assert_int_equal(bench_replay(bench), OK);
}

static void a_snapshot_says_everything_in_kafkas_order(void **state)
{
    static const int16_t order[] = {12, 12, 12, 0, 0, 27, 2, 3, 4, 14, 15, 18, 11, 10};
    struct metadata_snapshot *snapshot;
    struct metadata_record_list list;
    struct metadata_image *image;
    struct metadata_state *copy;
    struct bench bench;
    size_t lists = 0, at = 0;
    int16_t last = -1;

    (void)state;
    bench_start(&bench);
    everything_into(&bench);
    assert_int_equal(metadata_state_publish(bench.state, &image), OK);
    assert_int_equal(metadata_snapshot_start(image, &heap_allocator, &snapshot), OK);
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &copy), OK);
    for (;; lists++) {
        assert_int_equal(metadata_snapshot_next(snapshot, &list), OK);
        if (list.count == 0)
            break;
        assert_true(list.count <= METADATA_SNAPSHOT_LIST);
        for (size_t i = 0; i < list.count; i++) {
            int16_t key = list.items[i].type->key;

            if (lists == 0 && i == 0) {
                const struct feature_level_record *first = list.items[0].message;

                assert_true(slice_equal_text(first->name, FEATURE_METADATA_VERSION));
            }
            if (key != last && !(last == 3 && key == 2)) {
                while (order[at] != key)
                    assert_true(++at < ARRAY_COUNT(order));
            }
            last = key;
            assert_int_equal(metadata_state_replay(copy, &list.items[i], 99, NULL), OK);
        }
    }
    assert_int_equal(lists, 2); /* 1,800 partitions and some */
    assert_true(metadata_image_hash(image) == metadata_image_hash(metadata_state_view(copy)));
    assert_int_equal(metadata_image_broker(metadata_state_view(copy), 1)->registration_offset, 99);
    metadata_snapshot_release(&snapshot);
    metadata_state_release(&copy);
    metadata_image_release(&image);
    bench_end(&bench);
}

static void a_snapshot_replaces_what_was_there(void **state)
{
    struct metadata_record_list list;
    struct metadata_image *image;
    struct bench bench;
    uint64_t hash;

    (void)state;
    bench_start(&bench);
    everything_into(&bench);
    hash = metadata_image_hash(bench_view(&bench));
    assert_int_equal(metadata_state_publish(bench.state, &image), OK);
    assert_int_equal(metadata_image_to_records(image, &bench.arena, &list), OK);
    bench_topic(&bench, "more", 9);
    metadata_state_clear(bench.state);
    assert_int_equal(metadata_image_topic_count(bench_view(&bench)), 0);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(metadata_state_replay(bench.state, &list.items[i], 0, NULL), OK);
    assert_true(hash == metadata_image_hash(bench_view(&bench)));
    metadata_image_release(&image);
    bench_end(&bench);
}

static void a_snapshot_at_an_old_level_uses_old_records(void **state)
{
    struct metadata_record_list list;
    struct writer writer;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    bench_level(&bench, FEATURE_METADATA_VERSION, METADATA_VERSION_3_3_IV3);
    bench_broker(&bench, 1, 10);
    bench_topic(&bench, "a", 1);
    bench_partition(&bench, 1, 0, 1);
    assert_int_equal(metadata_image_to_records(bench_view(&bench), &bench.arena, &list), OK);
    assert_int_equal(list.items[1].version, 1);
    assert_int_equal(list.items[3].version, 0);
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(metadata_record_encode(&list.items[i], &writer), OK);
    writer_release(&writer);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partition_changes_move_the_epochs),
        cmocka_unit_test(directories_are_one_per_replica_or_all_migrating),
        cmocka_unit_test(impossible_records_are_refused_with_a_reason),
        cmocka_unit_test(a_broker_changes_by_tagged_fields),
        cmocka_unit_test(clearing_elr_touches_only_partitions_that_have_some),
        cmocka_unit_test(an_open_transaction_is_not_published_and_abort_takes_it_back),
        cmocka_unit_test(a_snapshot_says_everything_in_kafkas_order),
        cmocka_unit_test(a_snapshot_replaces_what_was_there),
        cmocka_unit_test(a_snapshot_at_an_old_level_uses_old_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
