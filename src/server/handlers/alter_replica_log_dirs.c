/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/alter_replica_log_dirs.c: AlterReplicaLogDirs (34): begins moves between
 * directories of this node, and remembers wishes for replicas that are not here yet. requests.md
 * §3.10 of the reference.
 */
#include "server/handlers/each_partition.h"

#include "protocol/generated/alter_replica_log_dirs_request.h"
#include "protocol/generated/alter_replica_log_dirs_response.h"
#include "server/handlers/handlers.h"

/* "<topic>-<partition>.<32 hex>-future" must be a file name. */
#define FUTURE_SUFFIX_BYTES 40
#define NAME_BYTES_MAX 255

struct asked_move {
    struct slice topic;
    int32_t index;
    struct log_directory *directory;
};

static void alter_run(struct each_part *part, struct partition *partition)
{
    const struct asked_move *asked = part->asked;

    part->err = partition_move_start(partition, asked->directory);
    partition_op_finish(&part->op);
}

static void alter_finish(struct each_state *state)
{
    struct shard *home = state->request->shard;

    for (size_t i = 0; i < state->count; i++) {
        struct each_part *part = &state->parts[i];
        struct alter_replica_log_dirs_response_alter_replica_log_dir_partition_result *answer =
            part->answer;
        const struct asked_move *asked = part->asked;

        if (part->is_sent && (part->err == ERR_NOT_LEADER_OR_FOLLOWER ||
                              part->err == ERR_UNKNOWN_TOPIC_OR_PARTITION))
            part->err = ERR_REPLICA_NOT_AVAILABLE;
        if (asked->directory &&
            (part->err == ERR_REPLICA_NOT_AVAILABLE || part->err == ERR_UNKNOWN_TOPIC_OR_PARTITION))
            directory_prefer_everywhere(home, asked->topic, asked->index, asked->directory);
        answer->error_code = err_wire_code(part->err);
    }
    request_answer(state->request, state->response);
}

static enum err move_check(const struct request *request, const struct asked_move *asked,
                           const struct metadata_topic *metadata)
{
    size_t digits = 1;

    for (int32_t rest = asked->index; rest >= 10; rest /= 10)
        digits++;
    if (asked->topic.size_bytes + 1 + digits + FUTURE_SUFFIX_BYTES > NAME_BYTES_MAX)
        return ERR_INVALID_TOPIC_EXCEPTION;
    if (!asked->directory)
        return ERR_LOG_DIR_NOT_FOUND;
    if (log_directory_is_offline(asked->directory))
        return ERR_KAFKA_STORAGE_ERROR;
    if (directory_is_cordoned(request->shard->partitions, asked->directory))
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    return each_known(metadata, asked->index);
}

typedef struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result topic_result;

static size_t
topic_answer(struct each_state *state,
             const struct alter_replica_log_dirs_request_alter_replica_log_dir *dir,
             const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *asked,
             struct asked_move *moves, topic_result *result)
{
    struct request *request = state->request;
    struct log_directories *directories = request->shard->node->directories;
    const struct metadata_topic *metadata = each_topic(request, asked->name);

    result->topic_name = asked->name;
    result->partitions =
        alter_replica_log_dirs_response_alter_replica_log_dir_partition_result_array(
            &request->arena, (size_t)asked->partitions_count);
    if (!result->partitions) {
        state->is_short = true;
        return 0;
    }
    result->partitions_count = asked->partitions_count;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        moves[i] = (struct asked_move){
            .topic = asked->name,
            .index = asked->partitions[i],
            .directory = log_directories_find_path(directories, dir->path),
        };
        result->partitions[i].partition_index = asked->partitions[i];
        (void)each_add(state, metadata, asked->partitions[i], &moves[i], &result->partitions[i],
                       move_check(request, &moves[i], metadata));
    }
    return (size_t)asked->partitions_count;
}

void handle_alter_replica_log_dirs(struct request *request)
{
    const struct alter_replica_log_dirs_request *body = request->body;
    struct alter_replica_log_dirs_response *response;
    struct asked_move *moves;
    struct each_state *state;
    size_t count = 0;
    size_t topics = 0;
    size_t at = 0;

    for (int32_t i = 0; i < body->dirs_count; i++) {
        topics += (size_t)body->dirs[i].topics_count;
        for (int32_t j = 0; j < body->dirs[i].topics_count; j++)
            count += (size_t)body->dirs[i].topics[j].partitions_count;
    }
    state = each_create(request, count);
    if (!state)
        return;
    response = request_response(request);
    moves = ARENA_ARRAY(&request->arena, struct asked_move, count);
    response->results = alter_replica_log_dirs_response_alter_replica_log_dir_topic_result_array(
        &request->arena, topics);
    state->response = response;
    state->is_short = !moves || !response->results;
    state->run = alter_run;
    state->finish = alter_finish;
    for (int32_t i = 0; moves && response->results && i < body->dirs_count; i++)
        for (int32_t j = 0; j < body->dirs[i].topics_count; j++)
            at += topic_answer(state, &body->dirs[i], &body->dirs[i].topics[j], &moves[at],
                               &response->results[response->results_count++]);
    each_submit(state);
}
