/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes as Apache Kafka 4.4.0's Utils.computeTopicHash and computeGroupHash give them (AssignorsPeer hash). */
#include "consumer_support.h"

#include "protocol/generated/messages.h"

static void apply(struct metadata_state *state, const struct message_type *type, int16_t version,
                  void *message)
{
    struct metadata_record record = {.type = type, .version = version, .message = message};
    struct why why = {{0}};

    if (metadata_state_replay(state, &record, 1, &why) != OK)
        fail_msg("%s: %s", type->name, why.text);
}

static void broker(struct metadata_state *state, int32_t id, const char *rack)
{
    struct register_broker_record record;

    message_init(&register_broker_record_type, &record);
    record.broker_id = id;
    record.rack = slice_from_text(rack);
    record.broker_epoch = id;
    apply(state, &register_broker_record_type, 0, &record);
}

static uint64_t hash_of(const char *name, int32_t partitions, int32_t (*replicas)[2], int32_t count)
{
    struct metadata_state *state;
    struct topic_record topic = {.name = slice_from_text(name), .topic_id = topic_id_of(1)};
    uint64_t hash;

    topic.topic_id.bytes[15] = 1;
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &state), OK);
    broker(state, 1, "a");
    broker(state, 2, "b");
    broker(state, 3, "a");
    broker(state, 4, NULL);
    broker(state, 5, "rack-a");
    broker(state, 6, "rack-b");
    apply(state, &topic_record_type, 0, &topic);
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_record record;

        message_init(&partition_record_type, &record);
        record.partition_id = i;
        record.topic_id = topic.topic_id;
        record.replicas = record.isr = replicas[i % count];
        record.replicas_count = record.isr_count = 2;
        record.leader = record.replicas[0];
        record.leader_epoch = record.partition_epoch = 0;
        apply(state, &partition_record_type, 0, &record);
    }
    assert_int_equal(consumer_topic_hash(metadata_state_view(state), slice_from_text(name),
                                         &heap_allocator, &hash),
                     OK);
    metadata_state_release(&state);
    return hash;
}

static void topics_and_groups_hash_as_in_kafka(void **state)
{
    int32_t none[][2] = {{4, 9}}, few[][2] = {{2, 1}, {1, 3}}, many[][2] = {{6, 5}};
    uint64_t hashes[3];

    (void)state;
    hashes[0] = hash_of("many", 40, many, 1);
    hashes[1] = hash_of("racks", 2, few, 2);
    hashes[2] = hash_of("t1", 1, none, 1);
    assert_true(hashes[2] == 0x3bb99069c57e4995);
    assert_true(hashes[1] == 0x95ac969ecae10450);
    assert_true(hashes[0] == 0xf8af8d19664bc8aa);
    assert_true(consumer_group_hash(hashes, 3) == 0x9ebfd1afa4299607);
    assert_true(consumer_group_hash(hashes, 0) == 0);
}

static void a_topic_that_is_not_there_hashes_to_0(void **state)
{
    struct metadata_state *metadata;
    uint64_t hash = 7;

    (void)state;
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &metadata), OK);
    assert_int_equal(
        consumer_topic_hash(metadata_state_view(metadata), SLICE("x"), &heap_allocator, &hash), OK);
    assert_true(hash == 0);
    metadata_state_release(&metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_and_groups_hash_as_in_kafka),
        cmocka_unit_test(a_topic_that_is_not_there_hashes_to_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
