/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_log_dirs.c: DescribeLogDirs (35): every directory with the replicas in
 * it, also those on their way. Each shard lists its own; the home puts the lists together.
 * requests.md §3.10 of the reference.
 */
#include "server/partition_internal.h"
#include "server/request.h"

#include "base/hash_map.h"
#include "protocol/generated/describe_log_dirs_request.h"
#include "protocol/generated/describe_log_dirs_response.h"
#include "server/handlers/handlers.h"

struct log_row {
    struct log_directory *directory;
    struct slice topic; /* of the row's own memory */
    int32_t index;
    int64_t size_bytes, offset_lag;
    bool is_future;
};

struct describe_state;
struct describe_shard {
    struct mail mail;
    struct describe_state *state;
    struct shard *shard;
    bool is_home;
    struct arena arena;
    struct log_row *rows;
    size_t count, capacity;
    struct partition_op *ops; /* open what is closed */
    size_t op_count, op_capacity;
    size_t opening;
    bool is_short; /* no memory for some of them */
};

/* A topic of the request, by the id that its name had then; bit n of `wanted`: partition n. */
struct topic_asked {
    struct hash_map_node node;
    struct uuid id;
    size_t partition_count;
    uint64_t wanted[];
};

struct describe_state {
    struct request *request;
    struct hash_map asked; /* struct topic_asked; read by all shards, while nobody changes it */
    struct describe_shard *shards;
    size_t left;
};

/* ---- what is asked ---- */

#define WORD_BITS 64

static bool asked_matches(const struct hash_map_node *node, const void *key)
{
    return uuid_equal(CONTAINER_OF(node, const struct topic_asked, node)->id,
                      *(const struct uuid *)key);
}

static struct topic_asked *asked_find(const struct describe_state *state, struct uuid id)
{
    struct hash_map_node *node = hash_map_find(&state->asked, hash_uuid(id), &id);

    return node ? CONTAINER_OF(node, struct topic_asked, node) : NULL;
}

static enum err asked_topic(struct describe_state *state, const struct metadata_topic *topic,
                            struct topic_asked **out)
{
    struct topic_asked *asked = asked_find(state, topic->id);
    size_t count = (size_t)topic->partition_count;

    if (!asked) {
        asked = arena_zeroed(&state->request->arena, 1,
                             sizeof *asked + (count / WORD_BITS + 1) * sizeof asked->wanted[0]);
        if (!asked)
            return ERR_NO_MEMORY;
        asked->id = topic->id;
        asked->partition_count = count;
        TRY(hash_map_insert(&state->asked, hash_uuid(topic->id), &asked->node));
    }
    *out = asked;
    return OK;
}

/* A request may name millions, with long names, again and again, or what is not there: each costs a bit at most,
 * and no comparison of names. */
static enum err asked_fill(struct describe_state *state)
{
    const struct metadata_image *image = state->request->shard->publication->image;
    const struct describe_log_dirs_request *body = state->request->body;

    for (int32_t i = 0; i < body->topics_count; i++) {
        const struct metadata_topic *topic = metadata_image_topic(image, body->topics[i].topic);
        struct topic_asked *asked;

        if (!topic)
            continue;
        TRY(asked_topic(state, topic, &asked));
        for (int32_t j = 0; j < body->topics[i].partitions_count; j++) {
            int32_t index = body->topics[i].partitions[j];

            if (index >= 0 && (size_t)index < asked->partition_count)
                asked->wanted[index / WORD_BITS] |= UINT64_C(1) << (index % WORD_BITS);
        }
    }
    return OK;
}

static bool is_asked(const struct describe_state *state, const struct partition *partition)
{
    const struct describe_log_dirs_request *body = state->request->body;
    const struct topic_asked *asked;
    int32_t index = partition->index;

    if (body->topics_count < 0)
        return true;
    asked = asked_find(state, partition->topic_id);
    return asked && index >= 0 && (size_t)index < asked->partition_count &&
           (asked->wanted[index / WORD_BITS] >> (index % WORD_BITS) & 1);
}

/* ---- on each shard ---- */

static void row_add(struct describe_shard *list, const struct partition *partition, struct log *log,
                    int64_t lag, bool is_future)
{
    if (list->count == list->capacity) {
        size_t capacity = MAX(list->capacity * 2, 64);
        struct log_row *rows = ARENA_ARRAY(&list->arena, struct log_row, capacity);

        if (!rows) {
            list->is_short = true;
            return;
        }
        if (list->count > 0)
            memcpy(rows, list->rows, list->count * sizeof *rows);
        list->rows = rows;
        list->capacity = capacity;
    }
    list->rows[list->count++] = (struct log_row){
        .directory = log_log_directory(log),
        .topic = arena_copy(&list->arena, partition->topic),
        .index = partition->index,
        .size_bytes = log_size_bytes(log),
        .offset_lag = lag,
        .is_future = is_future,
    };
}

static void partition_list(void *context, struct partition *partition)
{
    struct describe_shard *list = context;

    if (!is_asked(list->state, partition))
        return;
    if (partition->log && partition->stage == PARTITION_OPEN)
        row_add(list, partition, partition->log,
                MAX(partition->replica.high_watermark - log_end_written(partition->log), 0), false);
    if (partition->log && partition->future_log && partition->stage == PARTITION_OPEN)
        row_add(list, partition, partition->future_log,
                log_end_written(partition->log) - log_end_written(partition->future_log), true);
}

/* ---- opening what is closed: sizes are known to open logs only ---- */

static void describe_home(struct describe_state *state);

static void list_ready(struct describe_shard *list)
{
    struct shard *home = list->state->request->shard;

    partition_table_each(list->shard->partitions, partition_list, list);
    list->is_home = true;
    if (list->shard == home)
        describe_home(list->state);
    else
        reactor_send(list->shard->reactor, home->reactor, &list->mail);
}

static void open_run(struct partition_op *op, struct partition *partition)
{
    UNUSED(partition);
    partition_op_finish(op);
}

static void open_done(struct partition_op *op)
{
    struct describe_shard *list = op->context;

    if (--list->opening == 0)
        list_ready(list);
}

static void closed_note(void *context, struct partition *partition)
{
    struct describe_shard *list = context;
    bool is_closed = partition->stage == PARTITION_CLOSED || partition->stage == PARTITION_OPENING;

    if (!is_closed || !is_asked(list->state, partition))
        return;
    if (list->ops && list->op_count < list->op_capacity)
        list->ops[list->op_count] = (struct partition_op){
            .topic_id = partition->topic_id,
            .index = partition->index,
            .run = open_run,
            .done = open_done,
            .context = list,
        };
    list->op_count++;
}

static void list_begin(struct describe_shard *list)
{
    partition_table_each(list->shard->partitions, closed_note, list);
    list->op_capacity = list->op_count;
    list->op_count = 0;
    list->ops = ARENA_ARRAY(&list->arena, struct partition_op, list->op_capacity);
    if (list->ops)
        partition_table_each(list->shard->partitions, closed_note, list);
    else
        list->is_short = true;
    list->opening = list->op_count + 1;
    for (size_t i = 0; i < list->op_count; i++)
        partition_op_submit(list->shard, &list->ops[i]);
    if (--list->opening == 0)
        list_ready(list);
}

static void list_deliver(struct mail *mail, struct reactor *to)
{
    struct describe_shard *list = CONTAINER_OF(mail, struct describe_shard, mail);

    UNUSED(to);
    if (list->is_home)
        describe_home(list->state);
    else
        list_begin(list);
}

/* ---- at home ---- */

static int row_compare(const struct log_row *a, const struct log_row *b)
{
    int order = slice_compare(a->topic, b->topic);

    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static void rows_sort(struct log_row *rows, struct log_row *scratch, size_t count)
{
    size_t half = count / 2;
    size_t left = 0;
    size_t right = half;

    if (count < 2)
        return;
    rows_sort(rows, scratch, half);
    rows_sort(rows + half, scratch, count - half);
    memcpy(scratch, rows, count * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        bool from_left =
            left < half && (right == count || row_compare(&scratch[left], &scratch[right]) <= 0);

        rows[i] = from_left ? scratch[left++] : scratch[right++];
    }
}

static size_t rows_of(const struct describe_state *state, const struct log_directory *directory,
                      struct log_row *out)
{
    size_t count = 0;

    for (size_t i = 0; i < state->request->shard->node->shard_count; i++) {
        const struct describe_shard *list = &state->shards[i];

        for (size_t j = 0; j < list->count; j++) {
            if (list->rows[j].directory != directory)
                continue;
            if (out)
                out[count] = list->rows[j];
            count++;
        }
    }
    return count;
}

static enum err topics_answer(struct describe_state *state, const struct log_directory *directory,
                              struct describe_log_dirs_response_describe_log_dirs_result *result)
{
    struct arena *arena = &state->request->arena;
    size_t count = rows_of(state, directory, NULL);
    struct log_row *rows = ARENA_ARRAY(arena, struct log_row, count);
    struct log_row *scratch = ARENA_ARRAY(arena, struct log_row, count);
    struct describe_log_dirs_response_describe_log_dirs_topic *topics =
        describe_log_dirs_response_describe_log_dirs_topic_array(arena, count);
    struct describe_log_dirs_response_describe_log_dirs_partition *partitions =
        describe_log_dirs_response_describe_log_dirs_partition_array(arena, count);

    if (!rows || !scratch || !topics || !partitions)
        return ERR_NO_MEMORY;
    (void)rows_of(state, directory, rows);
    rows_sort(rows, scratch, count);
    for (size_t i = 0; i < count; i++) {
        int32_t last = result->topics_count - 1;

        if (last < 0 || !slice_equal(topics[last].name, rows[i].topic)) {
            last = result->topics_count++;
            topics[last].name = arena_copy(arena, rows[i].topic);
            if (slice_is_null(topics[last].name))
                return ERR_NO_MEMORY;
            topics[last].partitions = &partitions[i];
        }
        topics[last].partitions_count++;
        partitions[i].partition_index = rows[i].index;
        partitions[i].partition_size = rows[i].size_bytes;
        partitions[i].offset_lag = rows[i].offset_lag;
        partitions[i].is_future_key = rows[i].is_future;
    }
    result->topics = topics;
    return OK;
}

/* ERR_NO_MEMORY rather than a directory without some of its logs. */
static enum err directories_answer(struct describe_state *state,
                                   struct describe_log_dirs_response *response)
{
    struct request *request = state->request;
    struct log_directories *directories = request->shard->node->directories;
    size_t count = log_directories_count(directories);

    for (size_t i = 0; i < request->shard->node->shard_count; i++)
        if (state->shards[i].is_short)
            return ERR_NO_MEMORY;
    response->results =
        describe_log_dirs_response_describe_log_dirs_result_array(&request->arena, count);
    for (size_t i = 0; response->results && i < count; i++) {
        struct log_directory *directory = log_directories_at(directories, i);
        struct describe_log_dirs_response_describe_log_dirs_result *result = &response->results[i];

        response->results_count = (int32_t)i + 1;
        result->log_dir = slice_from_text(log_directory_path(directory));
        if (log_directory_is_offline(directory)) {
            result->error_code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
            continue;
        }
        result->total_bytes = log_directory_total_bytes(directory);
        result->usable_bytes = log_directory_free_bytes(directory);
        result->is_cordoned =
            request->shard->publication->metadata_version >= METADATA_VERSION_CORDONED &&
            directory_is_cordoned(request->shard->partitions, directory);
        TRY(topics_answer(state, directory, result));
    }
    return response->results ? OK : ERR_NO_MEMORY;
}

static void describe_home(struct describe_state *state)
{
    struct request *request = state->request;
    struct describe_log_dirs_response *response;
    enum err err;

    if (--state->left > 0)
        return;
    response = request_response(request);
    err = directories_answer(state, response);
    for (size_t i = 0; i < request->shard->node->shard_count; i++)
        arena_release(&state->shards[i].arena);
    hash_map_release(&state->asked);
    if (err == OK)
        request_answer(request, response);
    else
        request_answer_failed(request, err, NULL);
}

void handle_describe_log_dirs(struct request *request)
{
    struct node *node = request->shard->node;
    struct describe_state *state = ARENA_NEW(&request->arena, struct describe_state);

    if (state)
        state->shards = ARENA_ARRAY(&request->arena, struct describe_shard, node->shard_count);
    if (!state || !state->shards) {
        request_close(request, "no memory for DescribeLogDirs");
        return;
    }
    state->request = request;
    state->left = node->shard_count;
    hash_map_init(&state->asked, &heap_allocator, asked_matches);
    if (asked_fill(state) != OK) {
        hash_map_release(&state->asked);
        request_close(request, "no memory for DescribeLogDirs");
        return;
    }
    for (size_t i = 0; i < node->shard_count; i++) {
        struct describe_shard *list = &state->shards[i];

        list->state = state;
        list->shard = &node->shards[i];
        list->mail = (struct mail){.deliver = list_deliver};
        arena_init(&list->arena, &heap_allocator, SIZE_MAX);
    }
    for (size_t i = 0; i < node->shard_count; i++) {
        struct describe_shard *list = &state->shards[i];

        if (list->shard != request->shard)
            reactor_send(request->shard->reactor, list->shard->reactor, &list->mail);
    }
    list_deliver(&state->shards[request->shard->index].mail, request->shard->reactor);
}
