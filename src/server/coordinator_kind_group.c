/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_kind_group.c: the runner's view of the group coordinator: __consumer_offsets.
 * docs/design/coordinator_runner.md §8.
 */
#include "server/coordinator_internal.h"

#include "protocol/generated/api_keys.h"

/* ---- settings ---- */

static void options_read(const struct config *config, struct coordinator_service *service)
{
    coordinator_options(config, &service->options_arena, &service->options.group);
}

static int32_t linger_ms(const struct config *config)
{
    return config_int(config, BROKER_GROUP_COORDINATOR_APPEND_LINGER_MS);
}

static enum compression codec(const struct config *config)
{
    int32_t chosen = config_int(config, BROKER_OFFSETS_TOPIC_COMPRESSION_CODEC);

    return chosen >= 0 && chosen < COMPRESSION_COUNT ? (enum compression)chosen : COMPRESSION_NONE;
}

static int32_t commit_timeout_ms(const struct config *config)
{
    return config_int(config, BROKER_OFFSETS_COMMIT_TIMEOUT_MS);
}

/* A fetch of stable offsets is told of such troubles as Kafka tells it (§1.7). */
static enum err error_told(const struct coordinator_call *call, enum err err)
{
    enum err told = coordinator_error(err);

    return call->api_key == API_OFFSET_FETCH && told == ERR_COORDINATOR_NOT_AVAILABLE
               ? ERR_NOT_COORDINATOR
               : told;
}

/* ---- the core ---- */

COORDINATOR_KIND_CORE(group_coordinator)

static enum err create(struct coordinator_runner *runner, void **out)
{
    struct group_coordinator *core = NULL;

    TRY(group_coordinator_create(&heap_allocator, &runner->service->options.group,
                                 runner_logger(runner), &core));
    *out = core;
    return OK;
}

static enum err set_options(void *core, const struct coordinator_service *service)
{
    return group_coordinator_set_options(core, &service->options.group);
}

static enum err replay(void *core, const struct coordinator_record *record, int64_t offset,
                       int64_t producer_id, int16_t producer_epoch, struct why *why)
{
    return group_coordinator_replay(core, record, offset, producer_id, producer_epoch, why);
}

static enum err replay_marker(void *core, int64_t producer_id, int16_t producer_epoch,
                              bool is_commit, int64_t offset)
{
    return group_coordinator_replay_marker(core, producer_id, producer_epoch, is_commit, offset);
}

static enum err image_changed(void *core, const struct metadata_image *before,
                              const struct coordinator_moment *moment,
                              struct coordinator_effects *effects)
{
    return group_coordinator_image_changed(core, before, moment, effects);
}

static enum err task_done(void *core, struct coordinator_task **task,
                          const struct coordinator_moment *moment,
                          struct coordinator_effects *effects)
{
    return group_coordinator_task_done(core, task, moment, effects);
}

static void each(const void *core, const struct coordinator_watcher *watcher)
{
    if (watcher->group)
        group_coordinator_each(core, watcher->group, watcher->context);
    if (watcher->offset)
        group_coordinator_each_offset(core, watcher->offset, watcher->context);
    if (watcher->assigned)
        group_coordinator_each_assigned(core, watcher->image, watcher->assigned, watcher->context);
}

const struct coordinator_kind coordinator_kind_group = {
    .topic = {(const uint8_t *)"__consumer_offsets", 18},
    .options_read = options_read,
    .load_buffer_size = BROKER_OFFSETS_LOAD_BUFFER_SIZE,
    .linger_ms = linger_ms,
    .codec = codec,
    .commit_timeout_ms = commit_timeout_ms,
    .error = error_told,
    .create = create,
    .set_options = set_options,
    .replay = replay,
    .replay_marker = replay_marker,
    .image_changed = image_changed,
    .task_done = task_done,
    .each = each,
    COORDINATOR_KIND_CORE_ROW,
};
