/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a commit of offsets is answered when some of its topics are not there: what was told here and
 * what the coordinator tells are put together, topic by topic, however many there are.
 */
#include "admin_support.h"

#include "server/handlers/offset_topics.h"

#include <string.h>

#define MANY 400000 /* each held against each: many minutes */
#define AGAIN 10000

static struct desk desk;

static int setup(void **state)
{
    UNUSED(state);
    desk_open(&desk, NULL, 0);
    desk_broker(&desk, 1, false, "PLAINTEXT", NULL);
    desk_topic(&desk, "known", 1);
    desk_partition(&desk, 1, 0, "1", NULL, 1);
    desk_publish(&desk);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

static offsets_asked_topic *asked_topics(const char *const *names, size_t count,
                                         const int32_t *partitions, int32_t partition_count)
{
    offsets_asked_topic *topics =
        offset_commit_request_offset_commit_request_topic_array(&desk.arena, count);

    assert_non_null(topics);
    for (size_t i = 0; i < count; i++) {
        topics[i].name = slice_from_text(names[i]);
        topics[i].partitions = offset_commit_request_offset_commit_request_partition_array(
            &desk.arena, (size_t)partition_count);
        assert_non_null(topics[i].partitions);
        topics[i].partitions_count = partition_count;
        for (int32_t k = 0; k < partition_count; k++)
            topics[i].partitions[k].partition_index = partitions[k];
    }
    return topics;
}

static void split(struct offset_topics *topics, const offsets_asked_topic *asked, size_t count)
{
    *topics = (struct offset_topics){.arena = &desk.arena};
    assert_int_equal(offset_topics_split(topics, desk.publication.image, asked, (int32_t)count),
                     OK);
}

static void a_topic_that_is_there_in_part_is_answered_once(void **state)
{
    static const char *const names[] = {"unknown", "known"};
    static const int32_t partitions[] = {7, 0};
    struct offset_topics topics;

    UNUSED(state);
    split(&topics, asked_topics(names, 2, partitions, 2), 2);
    assert_int_equal(topics.kept_count, 1);
    assert_int_equal(topics.kept[0].partitions_count, 1);
    assert_int_equal(offset_topics_fail(&topics, ERR_NOT_COORDINATOR), OK);
    assert_int_equal(topics.told_count, 2);
    assert_true(slice_equal_text(topics.told[0].name, "unknown"));
    assert_int_equal(topics.told[0].partitions_count, 2);
    assert_int_equal(topics.told[1].partitions_count, 2);
    assert_int_equal(topics.told[1].partitions[0].partition_index, 7);
    assert_int_equal(topics.told[1].partitions[0].error_code,
                     err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
    assert_int_equal(topics.told[1].partitions[1].partition_index, 0);
    assert_int_equal(topics.told[1].partitions[1].error_code, err_wire_code(ERR_NOT_COORDINATOR));
}

static void many_topics_are_put_together_without_each_being_held_against_each(void **state)
{
    static const int32_t zero = 0;
    const char **names = ARENA_ARRAY(&desk.arena, const char *, 2 * MANY);
    struct offset_topics topics;

    UNUSED(state);
    assert_non_null(names);
    for (size_t i = 0; i < MANY; i++) {
        names[i] = arena_format(&desk.arena, "u%06zu", i);
        names[MANY + i] = "known";
    }
    split(&topics, asked_topics(names, 2 * (size_t)MANY, &zero, 1), 2 * (size_t)MANY);
    assert_int_equal(topics.own_count, MANY);
    assert_int_equal(topics.kept_count, MANY);
    assert_int_equal(offset_topics_fail(&topics, ERR_NOT_COORDINATOR), OK);
    assert_int_equal(topics.told_count, 2 * MANY);
}

static void a_topic_named_again_and_again_does_not_cost_a_copy_each_time(void **state)
{
    static const int32_t partitions[] = {7, 0};
    const char **names = ARENA_ARRAY(&desk.arena, const char *, AGAIN);
    struct offset_topics topics;
    size_t before;

    UNUSED(state);
    assert_non_null(names);
    for (size_t i = 0; i < AGAIN; i++)
        names[i] = "known";
    split(&topics, asked_topics(names, AGAIN, partitions, 2), AGAIN);
    before = desk.arena.used_bytes;
    assert_int_equal(offset_topics_fail(&topics, ERR_NOT_COORDINATOR), OK);
    assert_int_equal(topics.told_count, AGAIN); /* the first has what the coordinator was to see */
    assert_int_equal(topics.told[0].partitions_count, AGAIN + 1);
    assert_true(desk.arena.used_bytes - before < (size_t)64 * AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_topic_that_is_there_in_part_is_answered_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            many_topics_are_put_together_without_each_being_held_against_each, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_topic_named_again_and_again_does_not_cost_a_copy_each_time, setup, teardown),
    };

    return cmocka_run_group_tests_name("server/offset_topics", tests, NULL, NULL);
}
