/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive heap. */
#include "base/heap.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NODE_COUNT 500

static void the_smallest_key_leaves_first_and_equal_keys_in_order(void **state)
{
    static struct heap_node nodes[NODE_COUNT];
    struct heap heap;
    struct random random;
    struct heap_node *node;
    int64_t key = INT64_MIN;
    uint64_t number = 0;
    size_t count = 0;

    random_init(&random, 3);
    heap_init(&heap, &heap_allocator);
    assert_null(heap_peek(&heap));
    assert_null(heap_pop(&heap));
    for (size_t i = 0; i < NODE_COUNT; i++)
        assert_int_equal(heap_push(&heap, &nodes[i], random_between(&random, -20, 20)), OK);
    while ((node = heap_peek(&heap)) != NULL) {
        assert_ptr_equal(heap_pop(&heap), node);
        assert_true(node->position == HEAP_NOWHERE);
        assert_true(node->key >= key);
        if (node->key == key)
            assert_true(node->number > number);
        key = node->key;
        number = node->number;
        count++;
    }
    assert_int_equal(count, NODE_COUNT);
    heap_release(&heap);
}

static void any_node_can_be_removed(void **state)
{
    static struct heap_node nodes[NODE_COUNT];
    static bool inside[NODE_COUNT];
    struct heap heap;
    struct random random;

    random_init(&random, 4);
    memset(inside, 0, sizeof inside);
    heap_init(&heap, &heap_allocator);
    for (int i = 0; i < 20000; i++) {
        size_t at = random_below(&random, NODE_COUNT);

        if (inside[at])
            heap_remove(&heap, &nodes[at]);
        else
            assert_int_equal(heap_push(&heap, &nodes[at], random_between(&random, 0, 99)), OK);
        inside[at] = !inside[at];
        for (size_t k = 1; i % 100 == 0 && k < heap.count; k++) {
            assert_int_equal(heap.items[k]->position, k);
            assert_true(heap.items[(k - 1) / 2]->key <= heap.items[k]->key);
        }
    }
    for (size_t i = 0; i < NODE_COUNT; i++)
        assert_int_equal(inside[i], nodes[i].position < heap.count &&
                                        heap.items[nodes[i].position] == &nodes[i]);
    heap_release(&heap);
    for (size_t i = 0; i < NODE_COUNT; i++)
        if (inside[i])
            assert_true(nodes[i].position == HEAP_NOWHERE);
}

static void a_failed_growth_changes_nothing(void **state)
{
    struct allocator_failing failing;
    struct heap_node nodes[17];
    struct heap heap;

    allocator_failing_init(&failing, &heap_allocator, 1, false);
    heap_init(&heap, &failing.base);
    for (int i = 0; i < 16; i++)
        assert_int_equal(heap_push(&heap, &nodes[i], i), OK);
    assert_int_equal(heap_push(&heap, &nodes[16], -1), ERR_NO_MEMORY);
    assert_ptr_equal(heap_peek(&heap), &nodes[0]);
    assert_int_equal(heap_push(&heap, &nodes[16], -1), OK);
    assert_ptr_equal(heap_peek(&heap), &nodes[16]);
    heap_release(&heap);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void keys_at_both_ends_of_the_range_are_ordered(void **state)
{
    struct heap_node low, middle, high;
    struct heap heap;

    heap_init(&heap, &heap_allocator);
    assert_int_equal(heap_push(&heap, &high, INT64_MAX), OK);
    assert_int_equal(heap_push(&heap, &middle, 0), OK);
    assert_int_equal(heap_push(&heap, &low, INT64_MIN), OK);
    assert_ptr_equal(heap_pop(&heap), &low);
    assert_ptr_equal(heap_pop(&heap), &middle);
    assert_ptr_equal(heap_pop(&heap), &high);
    heap_release(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_key_leaves_first_and_equal_keys_in_order),
        cmocka_unit_test(any_node_can_be_removed),
        cmocka_unit_test(a_failed_growth_changes_nothing),
        cmocka_unit_test(keys_at_both_ends_of_the_range_are_ordered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
