/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/fmt.h"
#include "compress/compress.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/update_features_request.h"
#include "protocol/generated/update_features_response.h"
#include "server/format.h"

#define MINUTE_NS (60 * (int64_t)1000000000)
#define VOTER "1@localhost:9093:JEXY6aqzQY-32P5TStzaFg"

static void print_assert(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
}

__attribute__((constructor)) static void hook(void)
{
    assert_hook_set(print_assert);
}

static void log_write(struct logger *self, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    struct seat *seat = CONTAINER_OF(self, struct seat, logger);
    size_t used = strlen(seat->states);

    if (seat->verbose)
        fprintf(stderr, "%lld %d %s %s %s\n", (long long)sim_now_ns(seat->sim) / 1000, (int)level,
                module, event, fields);
    if (strcmp(event, "broker_state") == 0)
        fmt(seat->states + used, sizeof seat->states - used, "%s\n", fields);
}

/* ---- running ---- */

static bool is_over(void *context)
{
    struct seat *seat = context;

    return *seat->waits_for || !sim_machine_is_up(seat->os);
}

bool seat_run_until(struct seat *seat, const bool *flag)
{
    seat->waits_for = flag;
    sim_run_until(seat->sim, sim_now_ns(seat->sim) + MINUTE_NS, is_over, seat);
    for (int i = 0; i < 1000 && !*flag && !sim_machine_is_up(seat->os); i++)
        reactor_turn(seat->shard.reactor);
    return *flag;
}

void seat_pass(struct seat *seat, int64_t time_ms)
{
    sim_run_until(seat->sim, sim_now_ns(seat->sim) + time_ms * 1000000, NULL, NULL);
}

/* ---- what the quorum tells ---- */

static void image_came(struct quorum_listener *listener, struct metadata_image *image)
{
    struct seat *seat = CONTAINER_OF(listener, struct seat, listener);

    metadata_image_release(&seat->image);
    seat->image = image;
    seat->image_count++;
    if (seat->may_unfence)
        quorum_broker_may_unfence(seat->node.quorum);
}

static void failure_came(struct quorum_listener *listener, enum err err, const char *why)
{
    struct seat *seat = CONTAINER_OF(listener, struct seat, listener);

    assert_false(seat->failed); /* once */
    seat->failed = true;
    seat->fail_err = err;
    fmt(seat->fail_why, sizeof seat->fail_why, "%s", why);
}

static void start_came(void *context, enum err err, const struct why *why)
{
    struct seat *seat = context;

    assert_false(seat->started);
    seat->started = true;
    seat->start_err = err;
    if (why)
        seat->start_why = *why;
}

static void running_came(void *context)
{
    struct seat *seat = context;

    assert_false(seat->running);
    seat->running = true;
}

static void stop_came(void *context)
{
    struct seat *seat = context;

    assert_false(seat->stopped);
    seat->stopped = true;
}

/* ---- making ---- */

void seat_format(struct seat *seat)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer report;
    const char *directory = SEAT_DIRECTORY;
    struct format_options options = {
        .cluster_id = SLICE(SEAT_CLUSTER),
        .node_id = 1,
        .directories = &directory,
        .directory_count = 1,
        .metadata_directory = directory,
        .is_controller = true,
        .ignore_formatted = true,
        .controller_listener = SLICE("CONTROLLER"),
        .is_dynamic = !seat->is_static,
    };
    struct why why = {""};
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&report, &heap_allocator, SIZE_MAX);
    if (!seat->is_static)
        OKAY(format_voters_parse(SLICE(VOTER), &arena, &options.voters, &why));
    err = storage_format(seat->os, &options, &report, &why);
    if (sim_machine_is_up(seat->os) && err != OK)
        fail_msg("format: %s %s", err_name(err), why.text);
}

static void open_any(struct seat *seat, uint64_t seed, const char *properties, bool is_static)
{
    memset(seat, 0, sizeof *seat);
    seat->logger.write = log_write;
    seat->logger.level = LOG_LEVEL_INFO;
    seat->verbose = getenv("BARNABAS_VERBOSE") != NULL;
    seat->properties = properties;
    seat->may_unfence = true;
    seat->is_static = is_static;
    arena_init(&seat->arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_create(seed, NULL, &seat->sim));
    OKAY(sim_machine_create(seat->sim, "node1", &seat->os));
    OKAY(os_make_directory(seat->os, SEAT_DIRECTORY));
    OKAY(os_sync_directory(seat->os, "/"));
    seat_format(seat);
}

void seat_open(struct seat *seat, uint64_t seed, const char *properties)
{
    open_any(seat, seed, properties, false);
}

void seat_open_static(struct seat *seat, uint64_t seed, const char *properties)
{
    open_any(seat, seed, properties, true);
}

static void configuration_make(struct seat *seat)
{
    static const char usual[] = "process.roles=broker,controller\n"
                                "node.id=1\n"
                                "listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
                                "controller.listener.names=CONTROLLER\n"
                                "log.dirs=" SEAT_DIRECTORY "\n"
                                "broker.rack=r1\n";
    struct config_report report;
    struct config_layers layers = {.file = &seat->file};
    struct slice text = arena_format_slice(
        &seat->arena, "%s%s%s", usual,
        seat->is_static ? "" : "controller.quorum.bootstrap.servers=localhost:9093\n",
        seat->properties ? seat->properties : "");
    struct why why = {""};

    OKAY(config_file_parse(&seat->arena, SLICE("test.properties"), text, &seat->file, &why));
    config_report_init(&report, &seat->arena);
    OKAY(config_resolve(&seat->arena, &layers, &report, &seat->node.boot_config));
    OKAY(config_node(seat->node.boot_config, &report, &seat->node.config));
}

/* False: the machine died in between. */
static bool storage_make(struct seat *seat)
{
    struct node *node = &seat->node;
    const char *paths[] = {SEAT_DIRECTORY};
    struct storage_options options;
    struct random random;
    struct why why = {""};

    storage_options_init(&options);
    sim_random_init(seat->sim, &random, "ids");
    if (log_directories_open(seat->os, &seat->logger, &options, paths, 1, &node->directories,
                             &why) != OK ||
        log_directories_check(node->directories, node->cluster_id, 1, &random, &why) != OK ||
        log_directories_begin(node->directories, &node->previous_broker_epoch) != OK) {
        if (sim_machine_is_up(seat->os))
            fail_msg("storage: %s", why.text);
        if (node->directories)
            log_directories_close(&node->directories, false, -1);
        return false;
    }
    OKAY(log_store_create(node->directories, seat->shard.reactor, seat->shard.reactor, NULL,
                          &seat->shard.store));
    return true;
}

enum err seat_start(struct seat *seat)
{
    struct node *node = &seat->node;

    memset(node, 0, sizeof *node);
    memset(&seat->shard, 0, sizeof seat->shard);
    seat->started = seat->running = seat->stopped = seat->failed = false;
    seat->start_err = seat->fail_err = OK;
    seat->states[0] = '\0';
    seat->run++;
    seat->shard.node = node;
    node->os = seat->os;
    node->logger = &seat->logger;
    node->cluster_id = SLICE(SEAT_CLUSTER);
    memcpy(node->incarnation_id.bytes, &seat->run, sizeof seat->run);
    node->incarnation_id.bytes[15] = 9;
    node->shards = &seat->shard;
    node->shard_count = 1;
    node->options.file = &seat->file;
    configuration_make(seat);
    OKAY(reactor_create(seat->os, 0, sim_seed(seat->sim) + seat->run, &seat->logger,
                        &seat->shard.reactor));
    OKAY(compress_context_open(&seat->shard.compress, &heap_allocator));
    if (!storage_make(seat))
        return ERR_CRASHED;
    seat->listener.image = image_came;
    seat->listener.failed = failure_came;
    OKAY(quorum_create(node, &seat->listener, &node->quorum));
    quorum_start(node->quorum, start_came, seat);
    assert_true(seat_run_until(seat, &seat->started));
    return seat->start_err;
}

bool seat_broker(struct seat *seat)
{
    quorum_broker_start(seat->node.quorum, seat->node.previous_broker_epoch, running_came, seat);
    return seat_run_until(seat, &seat->running);
}

/* ---- taking apart ---- */

static void close_came(struct log_store_close *op)
{
    struct seat *seat = op->context;

    seat->closed = true;
}

void seat_stop(struct seat *seat, bool clean)
{
    struct log_store_close close = {.done = close_came, .context = seat};
    int64_t epoch = -1;

    if (seat->node.quorum) {
        epoch = quorum_broker_epoch(seat->node.quorum);
        quorum_stop(seat->node.quorum, stop_came, seat);
        assert_true(seat_run_until(seat, &seat->stopped));
    }
    if (seat->shard.store) {
        seat->closed = false;
        log_store_close_all(seat->shard.store, &close);
        assert_true(seat_run_until(seat, &seat->closed));
        while (reactor_turn(seat->shard.reactor))
            ;
        quorum_release(&seat->node.quorum);
        log_store_release(&seat->shard.store);
        log_directories_close(&seat->node.directories, clean && sim_machine_is_up(seat->os), epoch);
    }
    while (reactor_turn(seat->shard.reactor))
        ;
    reactor_release(&seat->shard.reactor);
    compress_context_release(&seat->shard.compress);
    metadata_image_release(&seat->image);
    seat->image_count = 0;
    seat->run++;
}

void seat_reboot(struct seat *seat)
{
    struct os *dead = seat->os;

    if (sim_machine_is_up(seat->os))
        sim_machine_crash(seat->os, NULL);
    if (seat->shard.reactor)
        seat_stop(seat, false);
    OKAY(sim_machine_restart(dead, &seat->os));
    os_release(&dead);
}

void seat_renew(struct seat *seat)
{
    struct os *old = seat->os;

    seat_stop(seat, true);
    sim_machine_kill(old);
    OKAY(sim_machine_restart(old, &seat->os));
    os_release(&old);
}

void seat_close(struct seat *seat)
{
    struct sim_counts counts;

    if (seat->shard.reactor)
        seat_stop(seat, true);
    sim_counts(seat->sim, &counts);
    assert_int_equal(counts.blocking_in_turn, 0);
    sim_release(&seat->sim);
    arena_release(&seat->arena);
}

/* ---- calls ---- */

static void call_came(struct controller_call *call)
{
    struct seat *seat = call->context;

    seat->called = true;
}

static void call_run(struct seat *seat, struct shard *home, struct controller_call *call)
{
    call->done = call_came;
    call->context = seat;
    call->request.principal = SLICE("User:ANONYMOUS");
    call->request.deadline_ms = INT64_MAX;
    seat->called = false;
    controller_call_submit(home, call);
    assert_false(seat->called); /* never from inside */
    assert_true(seat_run_until(seat, &seat->called));
    assert_true(call->response || call->err == ERR_NO_MEMORY);
}

static enum err topic_create(struct seat *seat, struct shard *home, const char *name,
                             size_t limit_bytes, bool *has_response_out)
{
    CLEANUP(arena_release) struct arena arena;
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topic;
    const struct create_topics_response *response;
    struct controller_call call = {.arena = &arena};

    arena_init(&arena, &heap_allocator, limit_bytes);
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = slice_from_text(name);
    topic.num_partitions = 2;
    topic.replication_factor = 1;
    request.topics = &topic;
    request.topics_count = 1;
    call.request.api_key = API_CREATE_TOPICS;
    call.request.api_version = 7;
    call.request.body = &request;
    call_run(seat, home, &call);
    *has_response_out = call.response != NULL;
    if (call.err != OK)
        return call.err;
    response = call.response;
    assert_int_equal(response->topics_count, 1);
    return err_from_wire(response->topics[0].error_code);
}

enum err seat_create_topic_from(struct seat *seat, struct shard *home, const char *name)
{
    bool has_response;

    return topic_create(seat, home, name, SIZE_MAX, &has_response);
}

enum err seat_create_topic_within(struct seat *seat, const char *name, size_t limit_bytes,
                                  bool *has_response_out)
{
    return topic_create(seat, &seat->shard, name, limit_bytes, has_response_out);
}

enum err seat_create_topic(struct seat *seat, const char *name)
{
    return seat_create_topic_from(seat, &seat->shard, name);
}

enum err seat_raise_feature(struct seat *seat, const char *name, int16_t level)
{
    CLEANUP(arena_release) struct arena arena;
    struct update_features_request request;
    struct update_features_request_feature_update_key update;
    const struct update_features_response *response;
    struct controller_call call = {.arena = &arena};

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    update_features_request_init(&request);
    update_features_request_feature_update_key_init(&update);
    update.feature = slice_from_text(name);
    update.max_version_level = level;
    request.feature_updates = &update;
    request.feature_updates_count = 1;
    call.request.api_key = API_UPDATE_FEATURES;
    call.request.api_version = 2;
    call.request.body = &request;
    call_run(seat, &seat->shard, &call);
    response = call.response;
    return call.err != OK ? call.err : err_from_wire(response->error_code);
}

bool seat_has_topic(const struct seat *seat, const char *name)
{
    return seat->image && metadata_image_topic(seat->image, slice_from_text(name)) != NULL;
}

int seat_count_files(struct seat *seat, const char *suffix)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;
    size_t wanted = strlen(suffix);
    int count = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_disk_walk(seat->os, &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]);

        if (strncmp(names.names[i], SEAT_LOG "/", strlen(SEAT_LOG "/")) == 0 && size >= wanted &&
            strcmp(names.names[i] + size - wanted, suffix) == 0)
            count++;
    }
    return count;
}
