/* SPDX-License-Identifier: Apache-2.0 */
/* The text of the file quorum-state: Kafka's bytes out, any JSON spelling in, anything else refused. */
#include "bench.h"

static const char *encode(struct arena *arena, const struct raft_quorum_state *state)
{
    CLEANUP(writer_release) struct writer out;
    struct slice text;

    writer_init(&out, &heap_allocator, SIZE_MAX);
    assert_int_equal(raft_quorum_state_encode(state, &out), OK);
    text = writer_slice(&out);
    return arena_format(arena, "%.*s", SLICE_ARGS(text));
}

static void version_0_is_written_as_kafka_does(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    int32_t voters[] = {1, 2, 3};

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_string_equal(
        encode(&arena, &(struct raft_quorum_state){1, 2, -1, UUID_ZERO, 0, voters, 1}),
        "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":2,\"votedId\":-1,\"appliedOffset\":0,"
        "\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}");
    assert_string_equal(
        encode(&arena, &(struct raft_quorum_state){-1, 7, 3, UUID_ZERO, 0, voters, 3}),
        "{\"clusterId\":\"\",\"leaderId\":-1,\"leaderEpoch\":7,\"votedId\":3,\"appliedOffset\":0,"
        "\"currentVoters\":[{\"voterId\":1},{\"voterId\":2},{\"voterId\":3}],\"data_version\":0}");
}

static void version_1_is_written_as_kafka_does(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct raft_quorum_state vote = {-1, 2, 1, UUID_ZERO, 1, NULL, 0};

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(uuid_from_text(SLICE("J8aAPcfLQt2bqs1JT_rMgQ"), &vote.voted_directory_id), OK);
    assert_string_equal(encode(&arena, &vote),
                        "{\"leaderId\":-1,\"leaderEpoch\":2,\"votedId\":1,\"votedDirectoryId\":"
                        "\"J8aAPcfLQt2bqs1JT_rMgQ\",\"data_version\":1}");
    vote.voted_directory_id = UUID_ZERO;
    vote.voted_id = -1;
    assert_string_equal(encode(&arena, &vote),
                        "{\"leaderId\":-1,\"leaderEpoch\":2,\"votedId\":-1,\"votedDirectoryId\":"
                        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}");
}

static void any_spelling_of_json_is_read(void **state)
{
    static const char *const texts[] = {
        "{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}",
        " {\n \"data_version\" : 0 , \"votedId\":-1,\t\"leaderEpoch\" : 9, \"leaderId\":4 }\n",
        "{\"clusterId\":\"x\\\"y\",\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,"
        "\"appliedOffset\":0,\"currentVoters\":[],\"data_version\":0}",
        "{\"leaderId\":4,\"later\":[1,{\"a\":null,\"b\":[true,-1.5e3]}],\"leaderEpoch\":9,"
        "\"votedId\":-1,\"data_version\":0}",
        "{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"votedDirectoryId\":"
        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
        "{\"later\":{},\"leaderId\":4,\"more\":[],\"leaderEpoch\":9,\r\n\"votedId\":-1,"
        "\"data_version\":0}",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        CLEANUP(arena_release) struct arena arena;
        struct raft_quorum_state read;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        assert_int_equal(raft_quorum_state_decode(slice_from_text(texts[i]), &arena, &read, NULL),
                         OK);
        assert_int_equal(read.leader_id, 4);
        assert_int_equal(read.leader_epoch, 9);
        assert_int_equal(read.voted_id, -1);
    }
}

static void what_is_not_understood_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } rows[] = {
        {"", ERR_FORMAT},
        {"{}", ERR_FORMAT},
        {"[]", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":2}",
         ERR_UNSUPPORTED_VERSION},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":-1}",
         ERR_UNSUPPORTED_VERSION},
        {"{\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":1}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":-9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":-2,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4.5,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":9999999999,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"leaderId\":\"4\",\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0} x", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0,}", ERR_FORMAT},
        {"{\"leaderId\" 4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"votedDirectoryId\":\"no id\","
         "\"data_version\":1}",
         ERR_FORMAT},
        {"{\"clusterId\":\"a\nb\",\"leaderId\":4}", ERR_FORMAT},
        {"{\"clusterId\":\"does not end", ERR_FORMAT},
        {"{\"clusterId\":\"does not end\\", ERR_FORMAT},
        {"{\"a\":{\"b\" 1},\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data"
         "_version\":0}",
         ERR_FORMAT},
        {"{\"a\":{b:1},\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_ver"
         "sion\":0}",
         ERR_FORMAT},
        {"{\"a\":[1,2,\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_vers"
         "ion\":0}",
         ERR_FORMAT},
        {"{\"a\":,\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\""
         ":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":{},\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,\""
         "data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[1],\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1,"
         "\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{1}],\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-"
         "1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{\"id\":1}],\"leaderId\":4,\"leaderEpoch\":9,\"vote"
         "dId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{\"voterId\" 1}],\"leaderId\":4,\"leaderEpoch\":9,\""
         "votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{\"voterId\":x}],\"leaderId\":4,\"leaderEpoch\":9,\""
         "votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{\"voterId\":1,],\"leaderId\":4,\"leaderEpoch\":9,\""
         "votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"currentVoters\":[{\"voterId\":1} \"leaderId\":4,\"leaderEpoch\":9,\""
         "votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"votedDirectoryId\":7,\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-1"
         ",\"data_version\":0}",
         ERR_FORMAT},
        {"{\"votedDirectoryId\":\"\\u0041AAAAAAAAAAAAAAAAAAAA\",\"leaderId\":4,\""
         "leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}",
         ERR_FORMAT},
        {"{\"leaderId\":4e1,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4E1,\"leaderEpoch\":9,\"votedId\":-1,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":4,\"leaderEpoch\":9,\"votedId\":-2,\"data_version\":0}", ERR_FORMAT},
        {"{\"leaderId\":-9999999999,\"leaderEpoch\":9,\"votedId\":-1,\"data_versi"
         "on\":0}",
         ERR_FORMAT},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", ERR_FORMAT},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_release) struct arena arena;
        struct raft_quorum_state read;
        struct why why = {""};

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        assert_int_equal(
            raft_quorum_state_decode(slice_from_text(rows[i].text), &arena, &read, &why),
            rows[i].err);
        assert_int_not_equal(why.text[0], '\0');
    }
}

static void every_cut_of_a_good_text_is_refused(void **state)
{
    static const char text[] =
        "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":2,\"votedId\":-1,\"appliedOffset\":0,"
        "\"currentVoters\":[{\"voterId\":1},{\"voterId\":22}],\"data_version\":0}";

    for (size_t size = 0; size < sizeof text; size++) {
        CLEANUP(arena_release) struct arena arena;
        struct raft_quorum_state read;
        enum err err;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        err = raft_quorum_state_decode(slice_of(text, size), &arena, &read, NULL);
        assert_int_equal(err, size == sizeof text - 1 ? OK : ERR_FORMAT);
        if (size < sizeof text - 1)
            continue;
        assert_int_equal(read.voter_id_count, 2);
        assert_int_equal(read.voter_ids[1], 22);
        break;
    }
}

static void voters_that_find_no_memory_are_an_error(void **state)
{
    CLEANUP(arena_release) struct arena arena;
    struct raft_quorum_state read;

    arena_init(&arena, &heap_allocator, 0);
    assert_int_equal(raft_quorum_state_decode(SLICE("{\"currentVoters\":[]}"), &arena, &read, NULL),
                     ERR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_0_is_written_as_kafka_does),
        cmocka_unit_test(version_1_is_written_as_kafka_does),
        cmocka_unit_test(any_spelling_of_json_is_read),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(every_cut_of_a_good_text_is_refused),
        cmocka_unit_test(voters_that_find_no_memory_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
