/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_http.c: asks the shards for copies of their numbers and serves the pages.
 * Threads  answer: the HTTP thread. It sends one mail to each shard and waits on a port of its own until
 *          the last has answered or the time is out; a late shard still writes into the request, which
 *          lives until the last of both sides is done with it.
 */
#include "server/node_http.h"

#include "base/assert.h"
#include "http/http.h"
#include "server/lag_times.h"
#include "server/metrics_page.h"
#include "server/node_internal.h"
#include "server/partition.h"

#include <stdatomic.h>

#define ANSWER_MS_MAX 5000

struct node_http {
    struct http_handler handler;
    struct http_server *server;
    struct os_port *port; /* the HTTP thread's, to sleep on */
    struct node *node;
    struct lag_times *lag_times;
    int64_t started_ns;
};

struct sample_part {
    struct mail mail;
    struct sample_request *request;
    struct shard *shard;
    struct arena arena; /* what the shard copies */
    struct shard_sample sample;
};

struct sample_request {
    atomic_int references; /* parts under way, and the asker */
    atomic_int left;       /* parts under way */
    struct node_http *http;
    /* of shard 0 */
    int broker_state;
    bool is_active_controller;
    struct controller_stats controller;
    int64_t metadata_offset;
    bool is_running;
    size_t part_count;
    struct sample_part parts[];
};

static void request_unref(struct sample_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) > 1)
        return;
    for (size_t i = 0; i < request->part_count; i++)
        arena_release(&request->parts[i].arena);
    server_free(request, sizeof *request + request->part_count * sizeof request->parts[0]);
}

/* ---- on the shard ---- */

static void partition_copy(void *context, struct partition *partition)
{
    struct sample_part *part = context;
    struct partition_sample *to = (struct partition_sample *)(uintptr_t)part->sample.partitions +
                                  part->sample.partition_count++;

    *to = (struct partition_sample){
        .topic = arena_copy(&part->arena, partition->topic),
        .topic_id = partition->topic_id,
        .partition = partition->index,
        .is_open = partition->log != NULL,
        .is_offline = partition->stage == PARTITION_OFFLINE,
        .is_leader = partition->replica.role == REPLICA_LEADER,
        .replicas = (int32_t)partition->replica.replica_count,
        .isr = (int32_t)partition->replica.isr_count,
        .min_isr = partition->settings ? partition->settings->topic.min_insync_replicas : 1,
    };
    if (!partition->log)
        return;
    to->start_offset = log_start_offset(partition->log);
    to->end_offset = log_end_written(partition->log);
    to->high_watermark = log_high_watermark(partition->log);
    to->size_bytes = log_size_bytes(partition->log);
    to->segments = (int64_t)log_segment_count(partition->log);
}

static void partition_count(void *context, struct partition *partition)
{
    UNUSED(partition);
    ++*(size_t *)context;
}

static void shard_copy(struct sample_part *part)
{
    const struct shard *shard = part->shard;
    struct shard_sample *sample = &part->sample;
    size_t count = 0;

    sample->metrics = shard->metrics;
    for (size_t i = 0; i < METRICS_API_KEYS; i++) {
        if (!shard->metrics.apis[i])
            continue;
        sample->metrics.apis[i] = ARENA_NEW(&part->arena, struct api_metrics);
        if (sample->metrics.apis[i])
            *sample->metrics.apis[i] = *shard->metrics.apis[i];
    }
    sample->network = *network_counts(shard->network);
    log_store_cleaner_stats(shard->store, &sample->cleaner);
    partition_table_each(shard->partitions, partition_count, &count);
    sample->partitions = ARENA_ARRAY(&part->arena, struct partition_sample, MAX(count, (size_t)1));
    if (sample->partitions)
        partition_table_each(shard->partitions, partition_copy, part);
    group_sample_take(shard, &part->arena, sample);
    transaction_sample_take(shard, &part->arena, sample);
}

static void node_copy(struct sample_request *request, struct node *node)
{
    const struct publication *publication = node->shards[0].publication;

    request->broker_state = (int)quorum_broker_state(node->quorum);
    request->is_active_controller = quorum_controller_stats(node->quorum, &request->controller);
    request->metadata_offset =
        publication ? metadata_image_provenance(publication->image).offset : -1;
    request->is_running = node_private(node)->phase == NODE_RUNNING;
}

static void part_end(struct sample_part *part)
{
    struct sample_request *request = part->request;
    struct os_port *port = request->http->port;

    atomic_fetch_sub(&request->left, 1);
    os_port_wake(port);
    request_unref(request);
}

static void part_deliver(struct mail *mail, struct reactor *to)
{
    struct sample_part *part = CONTAINER_OF(mail, struct sample_part, mail);

    UNUSED(to);
    shard_copy(part);
    if (part->shard->index == 0)
        node_copy(part->request, part->shard->node);
    part_end(part);
}

static void part_drop(struct mail *mail)
{
    request_unref(CONTAINER_OF(mail, struct sample_part, mail)->request);
}

/* ---- on the HTTP thread ---- */

/* NULL when a shard did not answer in time. End with request_unref. */
static struct sample_request *sample_take(struct node_http *http)
{
    struct node *node = http->node;
    size_t size_bytes =
        sizeof(struct sample_request) + node->shard_count * sizeof(struct sample_part);
    struct sample_request *request = server_allocate(size_bytes);
    int64_t deadline_ns = os_now_ns(node->os) + ANSWER_MS_MAX * (int64_t)1000000;

    request->http = http;
    request->part_count = node->shard_count;
    atomic_init(&request->references, (int)node->shard_count + 1);
    atomic_init(&request->left, (int)node->shard_count);
    for (size_t i = 0; i < node->shard_count; i++) {
        struct sample_part *part = &request->parts[i];

        part->request = request;
        part->shard = &node->shards[i];
        arena_init(&part->arena, &heap_allocator, SIZE_MAX);
        part->mail.deliver = part_deliver;
        part->mail.drop = part_drop;
        reactor_send(NULL, part->shard->reactor, &part->mail);
    }
    while (atomic_load(&request->left) > 0 && os_now_ns(node->os) < deadline_ns)
        os_port_poll(http->port, deadline_ns);
    if (atomic_load(&request->left) == 0)
        return request;
    request_unref(request);
    return NULL;
}

static void text_answer(struct http_answer *answer, int status, const char *text)
{
    answer->status = status;
    answer->content_type = "text/plain; charset=utf-8";
    writer_bytes(&answer->body, text, strlen(text));
}

static void metrics_answer(struct node_http *http, struct sample_request *request,
                           struct http_answer *answer)
{
    struct node *node = http->node;
    size_t directories = log_directories_count(node->directories);
    struct arena scratch;
    struct shard_sample *shards;
    struct directory_sample *disks;
    struct node_sample sample = {
        .broker_state = request->broker_state,
        .is_active_controller = request->is_active_controller,
        .controller = request->controller,
        .metadata_offset = request->metadata_offset,
        .uptime_ms = (os_now_ns(node->os) - http->started_ns) / 1000000,
        .version = BARNABAS_VERSION,
        .shard_count = request->part_count,
        .directory_count = directories,
    };

    arena_init(&scratch, &heap_allocator, SIZE_MAX);
    shards = ARENA_ARRAY(&scratch, struct shard_sample, request->part_count);
    disks = ARENA_ARRAY(&scratch, struct directory_sample, directories);
    if (!shards || !disks) {
        arena_release(&scratch);
        text_answer(answer, 503, "no memory\n");
        return;
    }
    for (size_t i = 0; i < request->part_count; i++)
        shards[i] = request->parts[i].sample;
    for (size_t i = 0; i < directories; i++) {
        const struct log_directory *directory = log_directories_at(node->directories, i);

        disks[i] = (struct directory_sample){
            .path = log_directory_path(directory),
            .free_bytes = log_directory_free_bytes(directory),
            .total_bytes = log_directory_total_bytes(directory),
            .is_offline = log_directory_is_offline(directory),
            .is_low = log_directory_is_low_on_space(directory),
        };
    }
    sample.group_series_left_out = group_offsets_match(shards, request->part_count);
    lag_times_fill(http->lag_times, shards, request->part_count,
                   os_now_ns(node->os) + ANSWER_MS_MAX * (int64_t)1000000);
    sample.wall_ms = os_wall_ms(node->os);
    os_usage(node->os, &sample.usage);
    sample.shards = shards;
    sample.directories = disks;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_page_write(&sample, &answer->body);
    arena_release(&scratch);
}

static void answer(struct http_handler *handler, const struct http_request *asked,
                   struct http_answer *answer)
{
    struct node_http *http = CONTAINER_OF(handler, struct node_http, handler);
    struct sample_request *request;

    if (strcmp(asked->method, "GET") != 0 && strcmp(asked->method, "HEAD") != 0) {
        answer->status = 405;
        return;
    }
    if (strcmp(asked->path, "/metrics") != 0 && strcmp(asked->path, "/healthz") != 0 &&
        strcmp(asked->path, "/readyz") != 0) {
        answer->status = 404;
        return;
    }
    request = sample_take(http);
    if (!request) { /* alive is a node whose shards all turn */
        text_answer(answer, 503, "a shard does not answer\n");
        return;
    }
    if (strcmp(asked->path, "/metrics") == 0)
        metrics_answer(http, request, answer);
    else if (strcmp(asked->path, "/healthz") == 0 || request->is_running)
        text_answer(answer, 200, "ok\n");
    else
        text_answer(answer, 503, "not running\n");
    request_unref(request);
}

enum err node_http_start(struct node *node, struct node_http **out, struct why *why)
{
    struct node_http *http;
    struct http_options options = {
        .connections_max = 32, .idle_seconds = 15, .request_bytes_max = 16 * KIB};
    enum err err;

    *out = NULL;
    if (!node->config.http_on)
        return OK;
    http = SERVER_NEW(struct node_http);
    http->node = node;
    http->started_ns = os_now_ns(node->os);
    http->handler.answer = answer;
    options.address = arena_format(&node->arena, "%.*s", SLICE_ARGS(node->config.http.host));
    options.port = (uint16_t)node->config.http.port;
    err = os_port_create(node->os, &http->port);
    http->lag_times = lag_times_create(node, http->port);
    if (err == OK)
        err = http_server_start(&options, node->logger, &http->handler, &http->server, why);
    if (err != OK) {
        lag_times_release(&http->lag_times);
        os_port_release(&http->port);
        SERVER_DELETE(http);
        return err;
    }
    LOG_INFO(node->logger, "http", "listening", "host=%s port=%d", options.address,
             http_server_port(http->server));
    *out = http;
    return OK;
}

void node_http_stop(struct node_http **http)
{
    if (!*http)
        return;
    http_server_stop(&(*http)->server);
    lag_times_release(&(*http)->lag_times);
    os_port_release(&(*http)->port);
    SERVER_DELETE(*http);
    *http = NULL;
}
