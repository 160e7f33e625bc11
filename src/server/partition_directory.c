/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_directory.c: which log directory a new replica goes to, and telling the
 * controller where it went (AssignReplicasToDirs). docs/design/partitions.md §6; kraft.md §5.4,
 * storage.md §5.9 of the reference.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"

/* ---- choice ---- */

bool directory_is_cordoned(const struct partition_table *table,
                           const struct log_directory *directory)
{
    struct config_list list = config_list(table->after->config, BROKER_CORDONED_LOG_DIRS);

    for (size_t i = 0; i < list.count; i++)
        if (slice_equal_text(list.items[i], "*") ||
            slice_equal_text(list.items[i], log_directory_path(directory)))
            return true;
    return false;
}

static size_t replicas_here(const struct partition_table *table,
                            const struct log_directory *directory)
{
    size_t count = 0;

    HASH_MAP_EACH (node, &table->partitions)
        count +=
            HASH_MAP_ITEM(node, struct hosted, partition.node)->partition.directory == directory;
    return count;
}

/* Cordoned directories take new replicas only when all are cordoned. */
static struct log_directory *directory_emptiest(const struct partition_table *table)
{
    struct log_directories *directories = table->shard->node->directories;
    struct log_directory *emptiest = log_directories_emptiest(directories);
    struct log_directory *best = NULL;
    size_t least = SIZE_MAX;

    if (!emptiest || !directory_is_cordoned(table, emptiest))
        return emptiest;
    for (size_t i = 0; i < log_directories_count(directories); i++) {
        struct log_directory *each = log_directories_at(directories, i);
        size_t count;

        if (log_directory_is_offline(each) || directory_is_cordoned(table, each))
            continue;
        count = replicas_here(table, each);
        if (count < least) {
            best = each;
            least = count;
        }
    }
    return best ? best : emptiest;
}

static void preference_free(struct partition_table *table, struct directory_preference *preference)
{
    list_remove(&preference->node);
    table->preference_count--;
    server_free((void *)(uintptr_t)preference->topic.data, preference->topic.size_bytes + 1);
    SERVER_DELETE(preference);
}

static struct log_directory *preference_take(struct partition_table *table, struct slice topic,
                                             int32_t index)
{
    LIST_EACH_SAFE (node, &table->preferences) {
        struct directory_preference *each = LIST_ITEM(node, struct directory_preference, node);
        struct log_directory *directory = each->directory;

        if (each->index != index || !slice_equal(each->topic, topic))
            continue;
        preference_free(table, each);
        return log_directory_is_offline(directory) ? NULL : directory;
    }
    return NULL;
}

void directory_prefer(struct partition_table *table, struct slice topic, int32_t index,
                      struct log_directory *directory)
{
    struct directory_preference *preference;
    uint8_t *name;

    LIST_EACH (node, &table->preferences) {
        struct directory_preference *each = LIST_ITEM(node, struct directory_preference, node);

        if (each->index == index && slice_equal(each->topic, topic)) {
            each->directory = directory;
            return;
        }
    }
    if (table->preference_count == DIRECTORY_PREFERENCES_MAX)
        preference_free(
            table, LIST_ITEM(list_first(&table->preferences), struct directory_preference, node));
    table->preference_count++;
    preference = SERVER_NEW(struct directory_preference);
    name = server_allocate(topic.size_bytes + 1);
    memcpy(name, topic.data, topic.size_bytes);
    preference->topic = slice_of(name, topic.size_bytes);
    preference->index = index;
    preference->directory = directory;
    list_push_back(&table->preferences, &preference->node);
}

struct preference_mail {
    struct mail mail;
    struct shard *to;
    struct log_directory *directory;
    int32_t index;
    size_t size_bytes; /* of this struct with the name */
    size_t name_bytes;
    uint8_t name[];
};

static void preference_deliver(struct mail *mail, struct reactor *to)
{
    struct preference_mail *told = CONTAINER_OF(mail, struct preference_mail, mail);

    UNUSED(to);
    directory_prefer(told->to->partitions, slice_of(told->name, told->name_bytes), told->index,
                     told->directory);
    server_free(told, told->size_bytes);
}

void directory_prefer_everywhere(struct shard *from, struct slice topic, int32_t index,
                                 struct log_directory *directory)
{
    for (size_t i = 0; i < from->node->shard_count; i++) {
        struct shard *to = &from->node->shards[i];
        struct preference_mail *told;
        size_t size_bytes = sizeof *told + topic.size_bytes + 1;

        if (to == from) {
            directory_prefer(from->partitions, topic, index, directory);
            continue;
        }
        told = server_allocate(size_bytes);
        told->mail = (struct mail){.deliver = preference_deliver};
        told->to = to;
        told->directory = directory;
        told->index = index;
        told->size_bytes = size_bytes;
        told->name_bytes = topic.size_bytes;
        memcpy(told->name, topic.data, topic.size_bytes);
        reactor_send(from->reactor, to->reactor, &told->mail);
    }
}

static bool any_offline(const struct log_directories *directories)
{
    for (size_t i = 0; i < log_directories_count(directories); i++)
        if (log_directory_is_offline(log_directories_at(directories, i)))
            return true;
    return false;
}

struct log_directory *directory_choose(struct partition_table *table, struct hosted *hosted,
                                       const struct metadata_partition *metadata)
{
    struct log_directories *directories = table->shard->node->directories;
    struct log_directory *preferred =
        preference_take(table, hosted->partition.topic, hosted->partition.index);
    struct log_directory *assigned = NULL;

    UNUSED(metadata);
    if (!directory_is_reserved(hosted->assigned)) {
        assigned = log_directories_find(directories, hosted->assigned);
        if (assigned && log_directory_is_offline(assigned))
            return NULL;
    }
    if (preferred)
        return preferred;
    if (assigned)
        return assigned;
    /* A replica that was somewhere may be in the directory that is offline: it is not made anew. Of one that is
     * older than this process nobody may have told the controller where it is. */
    if ((hosted->is_older || !uuid_equal(hosted->assigned, DIRECTORY_UNASSIGNED)) &&
        any_offline(directories))
        return NULL;
    return directory_emptiest(table);
}

/* ---- telling the controller ---- */

static void reports_send(struct partition_table *table);

static void reports_later(struct partition_table *table, int64_t delay_ms)
{
    struct reactor *reactor = table->shard->reactor;

    if (!table->report_in_flight && !timer_is_set(&table->report_timer) && !table->is_stopped)
        timer_set(reactor, &table->report_timer, reactor_now_ms(reactor) + delay_ms);
}

void directory_report(struct hosted *hosted, struct uuid directory_id)
{
    struct partition_table *table = hosted->table;

    if (table->after->metadata_version < DIRECTORY_ASSIGNMENT_LEVEL || table->is_stopped) {
        partition_move_reported(hosted, OK);
        return;
    }
    hosted->reported = directory_id;
    hosted->report_in_flight = false; /* a report under way speaks of another directory */
    list_remove(&hosted->report_node);
    list_push_back(&table->reports, &hosted->report_node);
    reports_later(table, DIRECTORY_REPORT_DELAY_MS);
}

void directory_report_cancel(struct hosted *hosted)
{
    hosted->report_in_flight = false;
    list_remove(&hosted->report_node);
}

static void report_result(struct partition_table *table, struct uuid topic_id, int32_t index,
                          struct uuid directory_id, enum err err)
{
    struct hosted *hosted = table_find(table, topic_id, index);

    if (!hosted || !hosted->report_in_flight || !uuid_equal(hosted->reported, directory_id))
        return;
    if (err != OK && err_is_retriable(err) && hosted->end == HOSTED_STAYS &&
        err != ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        hosted->report_in_flight = false;
        return; /* it stays in the list */
    }
    directory_report_cancel(hosted);
    if (err != OK)
        LOG_WARN(table_logger(table), "server", "directory_assignment_refused",
                 "topic=%.*s partition=%d error=%s", SLICE_ARGS(hosted->partition.topic), index,
                 err_name(err));
    partition_move_reported(hosted, err);
}

static void reports_back(struct controller_call *call)
{
    struct partition_table *table = CONTAINER_OF(call, struct partition_table, report_call);
    const struct assign_replicas_to_dirs_response *response = call->response;
    enum err err = call->err;

    if (err == OK && response)
        err = err_from_wire(response->error_code);
    table->report_in_flight = false;
    if (err == OK && response) {
        table->report_backoff_ms = DIRECTORY_REPORT_DELAY_MS;
        for (int32_t i = 0; i < response->directories_count; i++) {
            const struct assign_replicas_to_dirs_response_directory_data *directory =
                &response->directories[i];

            for (int32_t j = 0; j < directory->topics_count; j++)
                for (int32_t k = 0; k < directory->topics[j].partitions_count; k++)
                    report_result(table, directory->topics[j].topic_id,
                                  directory->topics[j].partitions[k].partition_index, directory->id,
                                  err_from_wire(directory->topics[j].partitions[k].error_code));
        }
    } else {
        LOG_WARN(table_logger(table), "server", "directory_report_failed", "error=%s",
                 err_name(err));
        table->report_backoff_ms =
            MIN(table->report_backoff_ms * 2, DIRECTORY_REPORT_BACKOFF_MS_MAX);
    }
    LIST_EACH (node, &table->reports)
        LIST_ITEM(node, struct hosted, report_node)->report_in_flight = false;
    arena_reset(&table->report_arena);
    if (!list_is_empty(&table->reports))
        reports_later(table, table->report_backoff_ms);
}

/* One element per partition: the controller answers in the same shape, and reports are rare. */
static struct assign_replicas_to_dirs_request *reports_request(struct partition_table *table)
{
    struct arena *arena = &table->report_arena;
    struct assign_replicas_to_dirs_request *request =
        assign_replicas_to_dirs_request_array(arena, 1);
    const struct metadata_broker *self =
        metadata_image_broker(table->after->image, table_self(table));
    size_t count = 0;
    size_t at = 0;

    LIST_EACH (node, &table->reports)
        count++;
    count = MIN(count, (size_t)DIRECTORY_REPORTS_MAX);
    if (!request)
        return NULL;
    request->broker_id = table_self(table);
    request->broker_epoch = self ? self->epoch : -1;
    request->directories = assign_replicas_to_dirs_request_directory_data_array(arena, count);
    LIST_EACH (node, &table->reports) {
        struct hosted *hosted = LIST_ITEM(node, struct hosted, report_node);
        struct assign_replicas_to_dirs_request_directory_data *directory;

        if (!request->directories || at == count)
            break;
        directory = &request->directories[at++];
        directory->id = hosted->reported;
        directory->topics = assign_replicas_to_dirs_request_topic_data_array(arena, 1);
        if (!directory->topics)
            return NULL;
        directory->topics_count = 1;
        directory->topics->topic_id = hosted->partition.topic_id;
        directory->topics->partitions =
            assign_replicas_to_dirs_request_partition_data_array(arena, 1);
        if (!directory->topics->partitions)
            return NULL;
        directory->topics->partitions_count = 1;
        directory->topics->partitions->partition_index = hosted->partition.index;
        hosted->report_in_flight = true;
    }
    request->directories_count = (int32_t)at;
    return request;
}

static void reports_send(struct partition_table *table)
{
    struct assign_replicas_to_dirs_request *request;

    if (table->report_in_flight || list_is_empty(&table->reports))
        return;
    request = reports_request(table);
    if (!request) {
        LIST_EACH (node, &table->reports)
            LIST_ITEM(node, struct hosted, report_node)->report_in_flight = false;
        arena_reset(&table->report_arena);
        reports_later(table, DIRECTORY_REPORT_BACKOFF_MS_MAX);
        return;
    }
    table->report_in_flight = true;
    table->report_call = (struct controller_call){
        .request =
            {
                .api_key = API_ASSIGN_REPLICAS_TO_DIRS,
                .api_version = 0,
                .body = request,
                .principal = SLICE("User:ANONYMOUS"),
                .deadline_ms = INT64_MAX,
                .from_this_process = true,
            },
        .arena = &table->report_arena,
        .done = reports_back,
    };
    controller_call_submit(table->shard, &table->report_call);
}

static void reports_due(struct timer *timer)
{
    reports_send(CONTAINER_OF(timer, struct partition_table, report_timer));
}

void table_reports_init(struct partition_table *table)
{
    list_init(&table->reports);
    timer_init(&table->report_timer, reports_due);
    table->report_backoff_ms = DIRECTORY_REPORT_DELAY_MS;
    arena_init(&table->report_arena, &heap_allocator, SIZE_MAX);
}

void table_reports_stop(struct partition_table *table)
{
    timer_cancel(table->shard->reactor, &table->report_timer);
    while (!list_is_empty(&table->reports))
        list_pop_front(&table->reports);
    if (!table->report_in_flight)
        arena_release(&table->report_arena);
}
