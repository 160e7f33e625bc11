/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: sharing, order, hashes, differences, lack of memory.
 */
#include "support.h"

#include "metadata/metadata_internal.h"

static void a_published_image_stays_as_it_was(void **state)
{
    struct metadata_image *before, *after;
    struct bench bench;
    uint64_t hash;

    (void)state;
    bench_start(&bench);
    assert_int_equal(bench_topic(&bench, "a", 1), OK);
    assert_int_equal(bench_partition(&bench, 1, 0, 5), OK);
    assert_int_equal(bench_config(&bench, METADATA_RESOURCE_TOPIC, "a", "retention.ms", "1"), OK);
    metadata_state_advance(bench.state, (struct metadata_provenance){7, 3, 99});
    assert_int_equal(metadata_state_publish(bench.state, &before), OK);
    hash = metadata_image_hash(before);
    assert_int_equal(bench_leader(&bench, 1, 0, 6), OK);
    assert_int_equal(bench_topic(&bench, "b", 2), OK);
    assert_int_equal(bench_config(&bench, METADATA_RESOURCE_TOPIC, "a", "retention.ms", NULL), OK);
    assert_int_equal(metadata_state_publish(bench.state, &after), OK);
    assert_true(metadata_image_hash(before) == hash);
    assert_true(metadata_image_hash(after) != hash);
    assert_int_equal(metadata_image_provenance(before).offset, 7);
    assert_int_equal(metadata_image_provenance(before).epoch, 3);
    assert_int_equal(metadata_topic_partition(metadata_image_topic(before, SLICE("a")), 0)->leader,
                     5);
    assert_int_equal(metadata_topic_partition(metadata_image_topic(after, SLICE("a")), 0)->leader,
                     6);
    assert_null(metadata_image_topic(before, SLICE("b")));
    assert_true(slice_equal_text(
        metadata_image_config(before, METADATA_RESOURCE_TOPIC, SLICE("a"), SLICE("retention.ms")),
        "1"));
    assert_null(metadata_image_configs(after, METADATA_RESOURCE_TOPIC, SLICE("a")));
    metadata_image_release(&before);
    metadata_state_release(&bench.state);
    assert_non_null(metadata_image_topic(after, SLICE("b"))); /* outlives the state */
    metadata_image_release(&after);
    bench_end(&bench);
}

static void unchanged_parts_are_shared(void **state)
{
    struct metadata_image *before, *after;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    assert_int_equal(bench_topic(&bench, "big", 1), OK);
    assert_int_equal(bench_topic(&bench, "other", 2), OK);
    for (int32_t i = 0; i < 200; i++)
        assert_int_equal(bench_partition(&bench, 1, i, 1), OK);
    assert_int_equal(metadata_state_publish(bench.state, &before), OK);
    assert_int_equal(bench_leader(&bench, 1, 70, 2), OK);
    assert_int_equal(metadata_state_publish(bench.state, &after), OK);
    assert_ptr_equal(metadata_image_topic(before, SLICE("other")),
                     metadata_image_topic(after, SLICE("other")));
    assert_ptr_equal(metadata_image_topic(before, SLICE("big"))->blocks[0],
                     metadata_image_topic(after, SLICE("big"))->blocks[0]);
    assert_ptr_not_equal(metadata_image_topic(before, SLICE("big"))->blocks[1],
                         metadata_image_topic(after, SLICE("big"))->blocks[1]);
    assert_ptr_equal(metadata_topic_partition(metadata_image_topic(before, SLICE("big")), 71),
                     metadata_topic_partition(metadata_image_topic(after, SLICE("big")), 71));
    assert_ptr_equal(metadata_image_topic(after, SLICE("big")),
                     metadata_image_topic_by_id(after, id_of(1)));
    metadata_image_release(&before);
    metadata_image_release(&after);
    bench_end(&bench);
}

static void topics_come_in_the_order_of_their_names(void **state)
{
    const char *names[] = {"m", "a", "z", "aa", "b"};
    const char *sorted[] = {"a", "aa", "b", "m", "z"};
    const struct metadata_topic *topic;
    struct metadata_walk walk;
    struct bench bench;
    size_t at = 0;

    (void)state;
    bench_start(&bench);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(bench_topic(&bench, names[i], i), OK);
    metadata_walk_start(&walk, bench_view(&bench), METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk)))
        assert_true(slice_equal_text(topic->name, sorted[at++]));
    assert_int_equal(at, 5);
    metadata_walk_topics_from(&walk, bench_view(&bench), SLICE("aa"), false);
    assert_true(
        slice_equal_text(((const struct metadata_topic *)metadata_walk_next(&walk))->name, "aa"));
    metadata_walk_topics_from(&walk, bench_view(&bench), SLICE("aa"), true);
    assert_true(
        slice_equal_text(((const struct metadata_topic *)metadata_walk_next(&walk))->name, "b"));
    metadata_walk_topics_from(&walk, bench_view(&bench), SLICE("zz"), false);
    assert_null(metadata_walk_next(&walk));
    bench_end(&bench);
}

static void the_hash_does_not_depend_on_the_order_of_records(void **state)
{
    struct bench one, two;

    (void)state;
    bench_start(&one);
    bench_start(&two);
    bench_topic(&one, "a", 1);
    bench_partition(&one, 1, 0, 1);
    bench_topic(&one, "b", 2);
    bench_broker(&one, 1, 10);
    bench_broker(&one, 2, 11);
    bench_config(&one, METADATA_RESOURCE_TOPIC, "a", "retention.ms", "1");
    bench_config(&one, METADATA_RESOURCE_TOPIC, "a", "segment.ms", "2");
    bench_quota(&one, "alice", "app", "producer_byte_rate", 5, false);
    bench_config(&two, METADATA_RESOURCE_TOPIC, "a", "segment.ms", "2");
    bench_broker(&two, 2, 11);
    bench_topic(&two, "b", 2);
    bench_quota(&two, "alice", "app", "producer_byte_rate", 6, false);
    bench_quota(&two, "alice", "app", "producer_byte_rate", 5, false);
    bench_topic(&two, "c", 3);
    bench_topic(&two, "a", 1);
    bench_partition(&two, 1, 0, 1);
    bench_remove(&two, 3);
    bench_config(&two, METADATA_RESOURCE_TOPIC, "a", "retention.ms", "1");
    bench_broker(&two, 1, 10);
    assert_true(metadata_image_hash(bench_view(&one)) == metadata_image_hash(bench_view(&two)));
    bench_leader(&two, 1, 0, 1);
    assert_true(metadata_image_hash(bench_view(&one)) != metadata_image_hash(bench_view(&two)));
    bench_end(&one);
    bench_end(&two);
}

/* ---- differences ---- */

struct seen {
    struct text text;
    char buffer[2000];
};

static void saw_created(void *context, const struct metadata_topic *topic)
{
    text_add(&((struct seen *)context)->text, "+%.*s ", SLICE_ARGS(topic->name));
}

static void saw_deleted(void *context, const struct metadata_topic *topic)
{
    text_add(&((struct seen *)context)->text, "-%.*s ", SLICE_ARGS(topic->name));
}

static void saw_partition(void *context, const struct metadata_topic *topic,
                          const struct metadata_partition *before,
                          const struct metadata_partition *after)
{
    text_add(&((struct seen *)context)->text, "%.*s:%d%s ", SLICE_ARGS(topic->name), after->index,
             before ? "" : "new");
}

static void saw_object(void *context, enum metadata_map map, const void *before, const void *after)
{
    text_add(&((struct seen *)context)->text, "%d%s%s ", (int)map, before ? "-" : "",
             after ? "+" : "");
}

static void saw_producer_ids(void *context, int64_t next)
{
    text_add(&((struct seen *)context)->text, "ids=%lld ", (long long)next);
}

static const char *difference(struct seen *seen, const struct metadata_image *before,
                              const struct metadata_image *after)
{
    struct metadata_diff diff = {.context = seen,
                                 .topic_created = saw_created,
                                 .topic_deleted = saw_deleted,
                                 .partition_changed = saw_partition,
                                 .object_changed = saw_object,
                                 .producer_ids_changed = saw_producer_ids};

    text_init(&seen->text, seen->buffer, sizeof seen->buffer);
    metadata_image_diff(before, after, &diff);
    return seen->buffer;
}

static void a_difference_names_what_changed_and_nothing_else(void **state)
{
    struct producer_ids_record *ids;
    struct metadata_image *before, *after;
    struct bench bench;
    struct seen seen;

    (void)state;
    bench_start(&bench);
    for (uint32_t i = 0; i < 300; i++) {
        char name[8];

        fmt(name, sizeof name, "t%u", i);
        bench_topic(&bench, name, i);
        bench_partition(&bench, i, 0, 1);
        bench_partition(&bench, i, 1, 1);
    }
    bench_broker(&bench, 1, 10);
    bench_config(&bench, METADATA_RESOURCE_TOPIC, "t1", "retention.ms", "1");
    assert_int_equal(metadata_state_publish(bench.state, &before), OK);
    bench_leader(&bench, 7, 1, 2);
    bench_remove(&bench, 150);
    bench_topic(&bench, "t150", 1000);
    bench_partition(&bench, 1000, 0, 1);
    bench_remove(&bench, 299);
    bench_topic(&bench, "u", 1001);
    bench_broker(&bench, 2, 11);
    bench_config(&bench, METADATA_RESOURCE_TOPIC, "t1", "retention.ms", NULL);
    bench_config(&bench, METADATA_RESOURCE_BROKER, "", "retention.ms", "3");
    ids = bench_record(&bench, METADATA_RECORD_PRODUCER_IDS, 0);
    ids->next_producer_id = 1000;
    bench_replay(&bench);
    assert_int_equal(metadata_state_publish(bench.state, &after), OK);
    assert_string_equal(difference(&seen, before, after),
                        "-t150 +t150 t150:0new -t299 t7:1 +u 1+ 3- 3+ ids=1000 ");
    assert_string_equal(difference(&seen, after, after), "");
    assert_string_equal(difference(&seen, after, before),
                        "-t150 +t150 t150:0new t150:1new +t299 t299:0new t299:1new t7:1 -u 1- 3+ "
                        "3- ids=0 ");
    metadata_image_release(&before);
    metadata_image_release(&after);
    bench_end(&bench);
}

static void the_difference_to_nothing_is_everything(void **state)
{
    struct bench bench;
    struct seen seen;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "a", 1);
    bench_partition(&bench, 1, 0, 1);
    bench_broker(&bench, 1, 10);
    assert_string_equal(difference(&seen, NULL, bench_view(&bench)), "+a a:0new 1+ ");
    bench_end(&bench);
}

/* ---- random ---- */

static void count_changes(void *context, enum metadata_map map, const void *before,
                          const void *after)
{
    (void)map;
    (void)before;
    (void)after;
    (*(int *)context)++;
}

static void tree_check(const struct metadata_node *node, size_t *depth_max, size_t depth)
{
    size_t left, right;

    if (!node)
        return;
    *depth_max = MAX(*depth_max, depth);
    left = tree_count(node->left) + 1;
    right = tree_count(node->right) + 1;
    assert_int_equal(node->count, left + right - 1);
    assert_true(left <= 3 * right && right <= 3 * left);
    tree_check(node->left, depth_max, depth + 1);
    tree_check(node->right, depth_max, depth + 1);
}

static void trees_stay_balanced_and_differences_exact_under_random_changes(void **state)
{
    struct metadata_image *images[40] = {NULL};
    bool there[40][200] = {{false}};
    struct random random;
    struct bench bench;
    size_t depth = 0;

    (void)state;
    bench_start(&bench);
    random_init(&random, test_seed());
    for (size_t round = 0; round < 40; round++) {
        if (round > 0)
            memcpy(there[round], there[round - 1], sizeof there[0]);
        for (size_t i = random_below(&random, 60); i > 0; i--) {
            uint32_t id = (uint32_t)random_below(&random, 200);
            char name[16];

            fmt(name, sizeof name, "resource%u", id);
            there[round][id] = !there[round][id];
            assert_int_equal(bench_config(&bench, METADATA_RESOURCE_GROUP, name, "k",
                                          there[round][id] ? "v" : NULL),
                             OK);
        }
        assert_int_equal(metadata_state_publish(bench.state, &images[round]), OK);
        tree_check(images[round]->maps[METADATA_CONFIGS], &depth, 1);
    }
    assert_true(depth <= 16);
    for (size_t a = 0; a < 40; a++) {
        for (size_t b = 0; b < 40; b++) {
            struct metadata_diff diff = {.object_changed = count_changes};
            int changes = 0, expected = 0;

            for (size_t id = 0; id < 200; id++)
                expected += there[a][id] != there[b][id];
            diff.context = &changes;
            metadata_image_diff(images[a], images[b], &diff);
            assert_int_equal(changes, expected);
        }
    }
    for (size_t round = 0; round < 40; round++)
        metadata_image_release(&images[round]);
    bench_end(&bench);
}

/* ---- memory ---- */

static void replay_all(struct metadata_state *state, const struct bench *bench,
                       struct allocator_failing *failing, struct metadata_image **images,
                       size_t *image_count)
{
    for (size_t i = 0; i < bench->records.count; i++) {
        uint64_t before = metadata_image_hash(metadata_state_view(state));
        enum err err = metadata_state_replay(state, &bench->records.items[i], 0, NULL);

        if (err == ERR_NO_MEMORY) {
            /* Nothing changed, and with memory it works. */
            assert_true(before == metadata_image_hash(metadata_state_view(state)));
            failing->fail_at = -1;
            err = metadata_state_replay(state, &bench->records.items[i], 0, NULL);
        }
        assert_int_equal(err, OK);
        if (i % 5 == 0) {
            if (metadata_state_publish(state, &images[*image_count]) != OK) {
                failing->fail_at = -1;
                assert_int_equal(metadata_state_publish(state, &images[*image_count]), OK);
            }
            (*image_count)++;
        }
    }
}

static void every_failed_allocation_leaves_the_state_as_it_was(void **state)
{
    struct clear_elr_record *clear;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    for (uint32_t i = 0; i < 12; i++) {
        char name[8];

        fmt(name, sizeof name, "t%u", i);
        bench_topic(&bench, name, i);
        bench_partition(&bench, i, 0, 1);
        bench_partition(&bench, i, 65, 1);
        bench_leader(&bench, i, 0, 2);
        bench_config(&bench, METADATA_RESOURCE_TOPIC, name, "retention.ms", "1");
        bench_broker(&bench, (int32_t)i, i);
        bench_quota(&bench, "u", name, "producer_byte_rate", 1, false);
    }
    clear = bench_record(&bench, METADATA_RECORD_CLEAR_ELR, 0);
    (void)clear;
    assert_int_equal(bench_replay(&bench), OK);
    for (uint32_t i = 0; i < 12; i += 2)
        assert_int_equal(bench_remove(&bench, i), OK);
    for (int64_t fail_at = 0; fail_at < 100000; fail_at++) {
        struct metadata_image *images[32] = {NULL};
        struct allocator_failing failing;
        struct metadata_state *second;
        size_t image_count = 0;
        bool failed;

        allocator_failing_init(&failing, &heap_allocator, -1, false);
        assert_int_equal(metadata_state_create(&failing.base, NULL, &second), OK);
        failing.fail_at = failing.calls + fail_at;
        replay_all(second, &bench, &failing, images, &image_count);
        failed = failing.fail_at == -1;
        assert_true(metadata_image_hash(metadata_state_view(second)) ==
                    metadata_image_hash(bench_view(&bench)));
        metadata_state_release(&second);
        for (size_t i = 0; i < image_count; i++)
            metadata_image_release(&images[i]);
        assert_int_equal(failing.bytes_in_use, 0);
        if (!failed)
            break;
        assert_true(fail_at < 99999);
    }
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_image_stays_as_it_was),
        cmocka_unit_test(unchanged_parts_are_shared),
        cmocka_unit_test(topics_come_in_the_order_of_their_names),
        cmocka_unit_test(the_hash_does_not_depend_on_the_order_of_records),
        cmocka_unit_test(a_difference_names_what_changed_and_nothing_else),
        cmocka_unit_test(the_difference_to_nothing_is_everything),
        cmocka_unit_test(trees_stay_balanced_and_differences_exact_under_random_changes),
        cmocka_unit_test(every_failed_allocation_leaves_the_state_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
