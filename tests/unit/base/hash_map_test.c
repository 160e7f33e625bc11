/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive hash map. */
#include "base/hash_map.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ITEM_COUNT 1000

struct item {
    uint64_t key;
    struct hash_map_node node;
};

static bool item_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, struct item, node)->key == *(const uint64_t *)key;
}

static struct item *find(const struct hash_map *map, uint64_t hash, uint64_t key)
{
    struct hash_map_node *node = hash_map_find(map, hash, &key);

    return node ? CONTAINER_OF(node, struct item, node) : NULL;
}

/* Inserts, removes and finds like a plain table of flags; `hash_of` may collide at will. */
static void behave_like_a_table(uint64_t (*hash_of)(uint64_t key))
{
    static struct item items[ITEM_COUNT];
    static bool present[ITEM_COUNT];
    struct hash_map map;
    struct random random;
    size_t count = 0;

    random_init(&random, 7);
    memset(present, 0, sizeof present);
    hash_map_init(&map, &heap_allocator, item_matches);
    for (int i = 0; i < 20000; i++) {
        uint64_t key = random_below(&random, ITEM_COUNT);

        if (present[key]) {
            assert_ptr_equal(find(&map, hash_of(key), key), &items[key]);
            hash_map_remove(&map, &items[key].node);
            count--;
        } else {
            assert_null(find(&map, hash_of(key), key));
            items[key].key = key;
            assert_int_equal(hash_map_insert(&map, hash_of(key), &items[key].node), OK);
            count++;
        }
        present[key] = !present[key];
        assert_int_equal(map.count, count);
    }
    HASH_MAP_EACH (node, &map) {
        assert_true(present[HASH_MAP_ITEM(node, struct item, node)->key]);
        count--;
    }
    assert_int_equal(count, 0);
    hash_map_release(&map);
    assert_null(find(&map, 0, 0));
}

static uint64_t colliding(uint64_t key)
{
    return key % 3;
}

static void keys_are_found_until_they_are_removed(void **state)
{
    behave_like_a_table(hash_u64);
}

static void equal_hashes_are_told_apart_by_the_key(void **state)
{
    behave_like_a_table(colliding);
}

static void iteration_follows_the_order_of_insertion(void **state)
{
    struct item items[100];
    struct hash_map map;
    uint64_t next = 0;

    hash_map_init(&map, &heap_allocator, item_matches);
    for (size_t i = 0; i < ARRAY_COUNT(items); i++) {
        items[i].key = i;
        assert_int_equal(hash_map_insert(&map, hash_u64(i), &items[i].node), OK);
    }
    HASH_MAP_EACH (node, &map)
        assert_int_equal(HASH_MAP_ITEM(node, struct item, node)->key, next++);
    assert_int_equal(next, 100);
    HASH_MAP_EACH_SAFE (node, &map)
        if (HASH_MAP_ITEM(node, struct item, node)->key % 2)
            hash_map_remove(&map, HASH_MAP_NODE(node));
    assert_int_equal(hash_map_insert(&map, hash_u64(1), &items[1].node), OK); /* now the last */
    next = 0;
    HASH_MAP_EACH (node, &map) {
        uint64_t key = HASH_MAP_ITEM(node, struct item, node)->key;

        assert_int_equal(key, next < 100 ? next : 1);
        next += 2;
    }
    assert_int_equal(map.count, 51);
    hash_map_release(&map);
}

static void a_failed_growth_changes_nothing(void **state)
{
    struct allocator_failing failing;
    struct item items[9];
    struct hash_map map;
    size_t i = 0;

    allocator_failing_init(&failing, &heap_allocator, 1, false);
    hash_map_init(&map, &failing.base, item_matches);
    for (; i < 8; i++) {
        items[i].key = i;
        assert_int_equal(hash_map_insert(&map, hash_u64(i), &items[i].node), OK);
    }
    items[8].key = 8;
    assert_int_equal(hash_map_insert(&map, hash_u64(8), &items[8].node), ERR_NO_MEMORY);
    assert_int_equal(map.count, 8);
    assert_null(find(&map, hash_u64(8), 8));
    for (i = 0; i < 8; i++)
        assert_ptr_equal(find(&map, hash_u64(i), i), &items[i]);
    assert_int_equal(hash_map_insert(&map, hash_u64(8), &items[8].node), OK);
    assert_ptr_equal(find(&map, hash_u64(8), 8), &items[8]);
    hash_map_release(&map);
    assert_int_equal(failing.bytes_in_use, 0);
}

static void hashes_do_not_change_between_versions(void **state)
{
    /* FNV-1a of "" and "a", through the finaliser: the same on every machine. */
    assert_true(hash_bytes("", 0) == hash_u64(UINT64_C(0xcbf29ce484222325)));
    assert_true(hash_bytes("a", 1) == hash_u64(UINT64_C(0xaf63dc4c8601ec8c)));
    assert_true(hash_slice(SLICE("foobar")) == hash_u64(UINT64_C(0x85944171f73967e8)));
    assert_true(hash_slice(SLICE_NULL) == hash_slice(SLICE_EMPTY));
    assert_true(hash_u64(1) == UINT64_C(0xb456bcfc34c2cb2c)); /* MurmurHash3's fmix64 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_until_they_are_removed),
        cmocka_unit_test(equal_hashes_are_told_apart_by_the_key),
        cmocka_unit_test(iteration_follows_the_order_of_insertion),
        cmocka_unit_test(a_failed_growth_changes_nothing),
        cmocka_unit_test(hashes_do_not_change_between_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
