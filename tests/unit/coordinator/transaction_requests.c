/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of transaction_support.h: requests and what they gave, state as text, logs from elsewhere.
 */
#include "transaction_support.h"

#include "base/fmt.h"

struct slice text(const char *from)
{
    return slice_from_text(from);
}

/* ---- state as text ---- */

static int lines_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *fixture_dump(struct fixture *fixture, const struct transaction_coordinator *coordinator,
                   bool has_all)
{
    size_t count = 0, size_bytes = 1;
    char **lines = ARENA_ARRAY(&fixture->arena, char *, coordinator->transactions.count + 1);
    char *out;

    for (const struct transaction *t = transaction_after(coordinator, NULL); t;
         t = transaction_after(coordinator, t)) {
        const struct transaction_value *value = transaction_latest(t);
        char buffer[1024];
        struct text line;

        if (value->epoch == -1 || value->state == TRANSACTION_DEAD)
            continue; /* in memory only; gone */
        text_init(&line, buffer, sizeof buffer);
        text_add(&line, "%.*s %s %lld/%d timeout=%d start=%lld update=%lld",
                 SLICE_ARGS(transaction_id(t)),
                 transaction_state_name((enum transaction_state)value->state),
                 (long long)value->producer_id, value->epoch, value->timeout_ms,
                 (long long)value->start_wall_ms, (long long)value->update_wall_ms);
        if (has_all)
            text_add(&line, " previous=%lld next=%lld version=%d",
                     (long long)value->previous_producer_id, (long long)value->next_producer_id,
                     value->client_version);
        for (size_t i = 0; i < transaction_partitions_count(value->partitions); i++)
            text_add(&line, " %.*s-%d", SLICE_ARGS(value->partitions->items[i].topic),
                     value->partitions->items[i].index);
        assert_false(line.truncated);
        lines[count] = arena_format(&fixture->arena, "%s", buffer);
        size_bytes += strlen(lines[count++]) + 1;
    }
    qsort(lines, count, sizeof *lines, lines_order);
    out = arena_allocate(&fixture->arena, size_bytes);
    out[0] = 0;
    for (size_t i = 0, at = 0; i < count; i++)
        at += fmt(out + at, size_bytes - at, "%s\n", lines[i]);
    return out;
}

void fixture_check_replay(struct fixture *fixture, bool has_all)
{
    struct transaction_coordinator *other = NULL;

    assert_int_equal(
        transaction_coordinator_create(&heap_allocator, &fixture->options, 0, NULL, &other), OK);
    assert_int_equal(fixture_replay(fixture, other), OK);
    assert_string_equal(fixture_dump(fixture, fixture->coordinator, has_all),
                        fixture_dump(fixture, other, has_all));
    transaction_coordinator_release(&other);
}

/* ---- requests ---- */

static struct slice id_of(const char *id)
{
    return text(id ? id : "x");
}

uint64_t send_init(struct fixture *fixture, struct init init)
{
    struct init_producer_id_request request;

    init_producer_id_request_init(&request);
    request.transactional_id = id_of(init.id);
    request.transaction_timeout_ms = init.timeout_ms == 0 ? 60000 : MAX(init.timeout_ms, 0);
    request.enable2_pc = init.two_phase;
    request.keep_prepared_txn = init.keeps;
    if (init.expects) {
        request.producer_id = init.expected.id;
        request.producer_epoch = init.expected.epoch;
    }
    return fixture_send(fixture, API_INIT_PRODUCER_ID, 6, &request);
}

/* -2: no answer yet; -3: the write failed. */
static int16_t no_code(struct fixture *fixture, uint64_t token)
{
    return fixture_failure(fixture, token) == OK ? -2 : -3;
}

int16_t init_code(struct fixture *fixture, uint64_t token, struct identity *out)
{
    struct init_producer_id_response *response = fixture_reply(fixture, token);

    if (!response)
        return no_code(fixture, token);
    if (out && response->error_code == 0)
        *out = (struct identity){response->producer_id, response->producer_epoch};
    if (response->error_code != 0) {
        assert_int_equal(response->producer_id, -1);
        assert_int_equal(response->producer_epoch, -1);
    }
    return response->error_code;
}

int16_t init(struct fixture *fixture, struct init init, struct identity *out)
{
    return init_code(fixture, send_init(fixture, init), out);
}

struct identity init_ok(struct fixture *fixture, const char *id)
{
    struct identity identity = {-1, -1};

    assert_code(init(fixture, (struct init){.id = id}, &identity), OK);
    return identity;
}

uint64_t send_add(struct fixture *fixture, struct add add)
{
    struct coordinator_partition partition = {text(add.topic ? add.topic : "t"), add.partition};
    struct transaction_add request = {
        .transactional_id = id_of(add.id),
        .producer_id = add.producer.id,
        .producer_epoch = add.producer.epoch,
        .verify_only = add.verify,
        .transaction_version = add.version,
        .partitions = &partition,
        .partition_count = 1,
    };

    return fixture_send(fixture, API_ADD_PARTITIONS_TO_TXN, 4, &request);
}

int16_t add_code(struct fixture *fixture, uint64_t token)
{
    struct transaction_added *response = fixture_reply(fixture, token);

    if (!response)
        return no_code(fixture, token);
    return err_wire_code(response->err == OK && response->partition_errs
                             ? response->partition_errs[0]
                             : response->err);
}

int16_t add(struct fixture *fixture, struct add add)
{
    return add_code(fixture, send_add(fixture, add));
}

uint64_t send_end(struct fixture *fixture, struct end end)
{
    struct end_txn_request request;

    end_txn_request_init(&request);
    request.transactional_id = id_of(end.id);
    request.producer_id = end.producer.id;
    request.producer_epoch = end.producer.epoch;
    request.committed = end.commit;
    return fixture_send(fixture, API_END_TXN, end.version >= 2 ? 5 : 4, &request);
}

int16_t end_code(struct fixture *fixture, uint64_t token, struct identity *out)
{
    struct end_txn_response *response = fixture_reply(fixture, token);

    if (!response)
        return no_code(fixture, token);
    if (out && response->error_code == 0 && response->producer_id != -1)
        *out = (struct identity){response->producer_id, response->producer_epoch};
    if (response->error_code != 0)
        assert_int_equal(response->producer_id, -1);
    return response->error_code;
}

int16_t end_transaction(struct fixture *fixture, struct end end, struct identity *out)
{
    return end_code(fixture, send_end(fixture, end), out);
}

const char *describe(struct fixture *fixture, const char *id)
{
    static char out[2048];
    struct slice asked = id_of(id);
    const struct describe_transactions_response_transaction_state *state =
        fixture_reply(fixture, fixture_send(fixture, API_DESCRIBE_TRANSACTIONS, 0, &asked));
    struct text line;

    assert_non_null(state);
    assert_true(slice_equal(state->transactional_id, asked));
    if (state->error_code != 0)
        return err_name(err_from_wire(state->error_code));
    text_init(&line, out, sizeof out);
    text_add(&line, "%.*s %lld/%d", SLICE_ARGS(state->transaction_state),
             (long long)state->producer_id, state->producer_epoch);
    for (int32_t i = 0; i < state->topics_count; i++)
        for (int32_t k = 0; k < state->topics[i].partitions_count; k++)
            text_add(&line, " %.*s-%d", SLICE_ARGS(state->topics[i].topic),
                     state->topics[i].partitions[k]);
    return out;
}

const char *list(struct fixture *fixture, const struct list_transactions_request *request,
                 bool (*matches)(void *context, struct slice id))
{
    static char out[2048];
    struct list_transactions_request all;
    struct transaction_list body;
    struct arena arena;
    const struct list_transactions_response *response;
    struct text line;

    list_transactions_request_init(&all);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(transaction_list_init(&arena, request ? request : &all, &body), OK);
    body.matches = matches;
    response = fixture_reply(fixture, fixture_send(fixture, API_LIST_TRANSACTIONS, 2, &body));
    arena_release(&arena);
    assert_non_null(response);
    assert_int_equal(response->error_code, 0);
    text_init(&line, out, sizeof out);
    for (int32_t i = 0; i < response->transaction_states_count; i++)
        text_add(&line, "%s%.*s %.*s %lld", i > 0 ? ", " : "",
                 SLICE_ARGS(response->transaction_states[i].transactional_id),
                 SLICE_ARGS(response->transaction_states[i].transaction_state),
                 (long long)response->transaction_states[i].producer_id);
    return out;
}

/* ---- logs from elsewhere ---- */

struct transaction_log_value log_value(int16_t epoch)
{
    struct transaction_log_value value;

    transaction_log_value_init(&value);
    value.producer_id = 7;
    value.previous_producer_id = 7;
    value.producer_epoch = epoch;
    value.transaction_timeout_ms = 60000;
    value.transaction_partitions_count = -1;
    value.transaction_last_update_timestamp_ms = INT64_C(1700000000000);
    value.transaction_start_timestamp_ms = -1;
    return value;
}

void fixture_log(struct fixture *fixture, const char *id, int16_t version,
                 const struct transaction_log_value *value)
{
    struct transaction_log_key key;
    struct writer writers[2];

    transaction_log_key_init(&key);
    key.transactional_id = text(id);
    for (size_t i = 0; i < 2; i++)
        writer_init(&writers[i], &heap_allocator, SIZE_MAX);
    writer_i16(&writers[0], 0);
    writer_i16(&writers[1], version);
    assert_int_equal(message_encode(&transaction_log_key_type, 0, &key, &writers[0]), OK);
    if (value)
        assert_int_equal(message_encode(&transaction_log_value_type, version, value, &writers[1]),
                         OK);
    transaction_coordinator_release(&fixture->coordinator);
    fixture_append(fixture, writer_slice(&writers[0]),
                   value ? writer_slice(&writers[1]) : SLICE_NULL);
    for (size_t i = 0; i < 2; i++)
        writer_release(&writers[i]);
    fixture_load(fixture);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    fixture_start(fixture);
    fixture->mark_at_once = true;
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(fixture->failure, OK);
    fixture_check_replay(fixture, true);
    fixture_end(fixture);
    free(fixture);
    return 0;
}
