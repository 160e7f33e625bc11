/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive list, and slices. */
#include "base/list.h"
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
    int value;
    struct list_node node;
};

static int digits_of(struct list_node *list)
{
    int digits = 0;

    LIST_EACH (node, list)
        digits = digits * 10 + LIST_ITEM(node, struct item, node)->value;
    return digits;
}

static void nodes_stand_where_they_were_put(void **state)
{
    struct item items[5] = {{1}, {2}, {3}, {4}, {5}};
    struct list_node list, other;

    list_init(&list);
    list_init(&other);
    assert_null(list_first(&list));
    assert_null(list_pop_front(&list));
    list_push_back(&list, &items[1].node);
    list_push_back(&list, &items[2].node);
    list_push_front(&list, &items[0].node);
    assert_int_equal(digits_of(&list), 123);
    list_splice_back(&list, &other);
    assert_int_equal(digits_of(&list), 123);
    list_push_back(&other, &items[3].node);
    list_push_back(&other, &items[4].node);
    list_splice_back(&list, &other);
    assert_int_equal(digits_of(&list), 12345);
    assert_true(list_is_empty(&other));
    list_remove(&items[2].node);
    list_remove(&items[2].node); /* in no list: nothing happens */
    assert_int_equal(digits_of(&list), 1245);
    assert_ptr_equal(list_pop_front(&list), &items[0].node);
    LIST_EACH_SAFE (node, &list)
        if (LIST_ITEM(node, struct item, node)->value != 4)
            list_remove(node);
    assert_int_equal(digits_of(&list), 4);
}

static void null_and_empty_slices_differ(void **state)
{
    assert_true(slice_equal(SLICE_NULL, SLICE_NULL));
    assert_true(slice_equal(SLICE_EMPTY, SLICE("")));
    assert_false(slice_equal(SLICE_NULL, SLICE_EMPTY));
    assert_false(slice_equal_text(SLICE_NULL, ""));
    assert_true(slice_equal_text(SLICE_NULL, NULL));
    assert_int_equal(slice_compare(SLICE_NULL, SLICE_EMPTY), 0);
}

static void slices_compare_bytewise_and_the_shorter_is_first(void **state)
{
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0);
    assert_int_equal(slice_compare(SLICE("ab"), SLICE("ab")), 0);
    assert_true(slice_starts_with(SLICE("topic"), SLICE("to")));
    assert_true(slice_starts_with(SLICE_NULL, SLICE_EMPTY));
    assert_false(slice_starts_with(SLICE("to"), SLICE("topic")));
}

static void a_part_never_leaves_the_whole(void **state)
{
    assert_true(slice_equal_text(slice_sub(SLICE("abcdef"), 2, 3), "cde"));
    assert_true(slice_equal_text(slice_sub(SLICE("abcdef"), 4, SIZE_MAX), "ef"));
    assert_true(slice_equal_text(slice_sub(SLICE("abcdef"), 9, 2), ""));
    assert_true(slice_is_null(slice_sub(SLICE_NULL, 3, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_stand_where_they_were_put),
        cmocka_unit_test(null_and_empty_slices_differ),
        cmocka_unit_test(slices_compare_bytewise_and_the_shorter_is_first),
        cmocka_unit_test(a_part_never_leaves_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
