/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/broker_heartbeat.c: BrokerHeartbeat of this node: how far it is, what it wants, which of
 * its directories failed or take no new partitions; and what the controller's answer makes of its
 * state.
 */
#include "base/hash_map.h"
#include "base/memory_reserve.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/broker_heartbeat_request.h"
#include "protocol/generated/broker_heartbeat_response.h"
#include "server/quorum_internal.h"

/* cordoned.log.dirs in force: the ids of the directories that it names; "*": all. */
static int32_t cordoned_ids(struct quorum *quorum, struct uuid *out)
{
    struct config_list paths = config_list(quorum_config(quorum), BROKER_CORDONED_LOG_DIRS);
    const struct log_directories *directories = quorum->node->directories;
    int32_t count = 0;

    for (size_t i = 0; i < log_directories_count(directories); i++) {
        const struct log_directory *directory = log_directories_at(directories, i);
        struct slice path = slice_from_text(log_directory_path(directory));
        bool named = false;

        for (size_t k = 0; k < paths.count; k++)
            named =
                named || slice_equal(paths.items[k], path) || slice_equal_text(paths.items[k], "*");
        if (named && !log_directory_is_offline(directory))
            out[count++] = log_directory_id(directory);
    }
    return count;
}

static uint64_t cordoned_hash(struct quorum *quorum, struct arena *arena)
{
    struct uuid *ids;
    int32_t count;

    MEMORY_MUST(ids,
                ARENA_ARRAY(arena, struct uuid, log_directories_count(quorum->node->directories)));
    count = cordoned_ids(quorum, ids);
    return hash_bytes(ids, (size_t)count * sizeof *ids) | 1;
}

static bool cordoned_is_known(const struct quorum *quorum)
{
    return metadata_image_version(metadata_state_view(quorum->loader.state)) >=
           METADATA_VERSION_CORDONED;
}

bool broker_cordon_changed(struct quorum *quorum)
{
    CLEANUP(arena_release) struct arena arena;

    if (!cordoned_is_known(quorum))
        return false;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    return cordoned_hash(quorum, &arena) != quorum->broker.cordoned_hash;
}

void broker_heartbeat_make(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;
    struct broker_heartbeat_request *request;
    int64_t now_ms = reactor_now_ms(quorum->reactor);

    MEMORY_MUST(request, ARENA_NEW(&life->arena, struct broker_heartbeat_request));
    broker_heartbeat_request_init(request);
    request->broker_id = quorum->node->config.node_id;
    request->broker_epoch = life->epoch;
    request->current_metadata_offset = quorum->loader.settled_offset - 1;
    request->want_fence = !life->may_unfence;
    request->want_shut_down = life->state == BROKER_PENDING_CONTROLLED_SHUTDOWN;
    if (life->offline_count > 0) {
        MEMORY_MUST(request->offline_log_dirs,
                    ARENA_ARRAY(&life->arena, struct uuid, life->offline_count));
        memcpy(request->offline_log_dirs, life->offline,
               life->offline_count * sizeof *life->offline);
        request->offline_log_dirs_count = (int32_t)life->offline_count;
    }
    life->offline_sent = life->offline_count;
    if (life->is_caught_up && cordoned_is_known(quorum)) {
        MEMORY_MUST(request->cordoned_log_dirs,
                    ARENA_ARRAY(&life->arena, struct uuid,
                                log_directories_count(quorum->node->directories)));
        request->cordoned_log_dirs_count = cordoned_ids(quorum, request->cordoned_log_dirs);
        life->cordoned_hash = cordoned_hash(quorum, &life->arena);
    }
    life->call.request.api_key = API_BROKER_HEARTBEAT;
    life->call.request.api_version = broker_heartbeat_request_type.version_max;
    life->call.request.body = request;
    life->call.request.deadline_ms =
        now_ms + config_long(quorum->node->boot_config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
}

static void unfenced(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    broker_life_move(quorum, BROKER_RUNNING, "The broker has been unfenced.");
    life->running(life->running_context);
}

void broker_heartbeat_take(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;
    const struct broker_heartbeat_response *response = life->call.response;
    enum err err = life->call.err != OK ? life->call.err : err_from_wire(response->error_code);

    if (err != OK) {
        LOG_WARN(quorum->logger, "server", "heartbeat_failed", "error=%s reason=\"%s\"",
                 err_name(err), life->call.why.text);
        /* Unregistered: nothing is left to hand over, and nobody will ever say that it was. */
        if (err == ERR_STALE_BROKER_EPOCH && life->state == BROKER_PENDING_CONTROLLED_SHUTDOWN)
            broker_life_stop_finish(quorum);
        else
            broker_life_schedule(quorum, true);
        return;
    }
    life->offline_told = MAX(life->offline_told, life->offline_sent);
    if (life->offline_told == life->offline_count)
        timer_cancel(quorum->reactor, &life->failure_timer);
    if (life->state == BROKER_STARTING && response->is_caught_up) {
        life->is_caught_up = true;
        broker_life_move(quorum, BROKER_RECOVERY, "The broker has caught up.");
        if (life->may_unfence && response->is_fenced)
            life->again = true;
    }
    if (life->state == BROKER_RECOVERY && !response->is_fenced)
        unfenced(quorum);
    if (life->state == BROKER_PENDING_CONTROLLED_SHUTDOWN && response->should_shut_down) {
        broker_life_stop_finish(quorum);
        return;
    }
    broker_life_schedule(quorum, false);
}
