/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/broker_life.c: the broker's states and when it speaks to the controller (kraft.md §5 of
 * the reference).
 *
 *   NOT_RUNNING ─start─► STARTING ─caught up─► RECOVERY ─unfenced─► RUNNING
 *                            │ stop                │ stop              │ stop
 *                            ▼                     ▼                   ▼
 *                          SHUTTING_DOWN ◄───agreed, or too long─── PENDING_CONTROLLED_SHUTDOWN
 *
 * Invariants  1. one word is under way at a time; a wish to speak meanwhile is granted when it
 *                ends, but not after a failure.   2. a broker never asks to be unfenced before its
 *                logs are ready.
 *             3. a fenced broker that runs stays RUNNING: its next heartbeat unfences it again.
 * Crash       the controller fences a broker whose session ends; the next registration takes its
 *             place.
 */
#include "server/quorum_internal.h"

#include "base/fault_point.h"

#define CAUGHT_UP_MS 10        /* between heartbeats until caught up */
#define PENDING_SHUTDOWN_MS 50 /* the controller is in this process or near it */
#define SHUTDOWN_MS_MAX 300000

static const struct {
    const char *name;
    unsigned next;
} states[] = {
#define TO(state) (1u << (state))
    [BROKER_NOT_RUNNING] = {"NOT_RUNNING", TO(BROKER_STARTING) | TO(BROKER_SHUTTING_DOWN)},
    [BROKER_STARTING] = {"STARTING", TO(BROKER_RECOVERY) | TO(BROKER_SHUTTING_DOWN)},
    [BROKER_RECOVERY] = {"RECOVERY", TO(BROKER_RUNNING) | TO(BROKER_SHUTTING_DOWN)},
    [BROKER_RUNNING] = {"RUNNING",
                        TO(BROKER_PENDING_CONTROLLED_SHUTDOWN) | TO(BROKER_SHUTTING_DOWN)},
    [BROKER_PENDING_CONTROLLED_SHUTDOWN] = {"PENDING_CONTROLLED_SHUTDOWN",
                                            TO(BROKER_SHUTTING_DOWN)},
    [BROKER_SHUTTING_DOWN] = {"SHUTTING_DOWN", 0},
#undef TO
};

void broker_life_move(struct quorum *quorum, enum broker_state state, const char *reason)
{
    struct broker_life *life = &quorum->broker;

    ASSERT((states[life->state].next & (1u << state)) != 0);
    LOG_INFO(quorum->logger, "server", "broker_state",
             "node=%d text=\"%s%sTransitioning from %s to %s.\"", quorum->node->config.node_id,
             reason, reason[0] ? " " : "", states[life->state].name, states[state].name);
    life->state = state;
}

static int64_t heartbeat_ms(const struct quorum *quorum)
{
    return config_long(quorum->node->boot_config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
}

static void speak_in(struct quorum *quorum, int64_t delay_ms)
{
    timer_set(quorum->reactor, &quorum->broker.timer, reactor_now_ms(quorum->reactor) + delay_ms);
}

/* ---- a word and its answer ---- */

static void spoken(struct controller_call *call)
{
    struct quorum *quorum = call->context;
    struct broker_life *life = &quorum->broker;

    life->in_flight = false;
    if (life->is_stopped)
        return;
    if (life->is_heartbeat && FAULT_POINT(heartbeat_lost))
        broker_life_schedule(quorum, true);
    else if (life->is_heartbeat)
        broker_heartbeat_take(quorum);
    else
        broker_registration_take(quorum);
}

void broker_life_speak(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    if (!life->is_started || life->is_stopped)
        return;
    if (life->in_flight) {
        life->again = true;
        return;
    }
    timer_cancel(quorum->reactor, &life->timer);
    arena_reset(&life->arena);
    life->call = (struct controller_call){.arena = &life->arena, .done = spoken, .context = quorum};
    life->call.request.principal = SLICE("User:ANONYMOUS");
    life->call.request.from_this_process = true;
    life->again = false;
    life->is_heartbeat = life->is_registered;
    if (life->is_heartbeat)
        broker_heartbeat_make(quorum);
    else
        broker_registration_make(quorum);
    life->in_flight = true;
    controller_call_submit(quorum->shard, &life->call);
}

/* What comes after an answer. */
void broker_life_schedule(struct quorum *quorum, bool failed)
{
    struct broker_life *life = &quorum->broker;

    if (life->is_stopped)
        return;
    if (failed)
        speak_in(quorum, heartbeat_ms(quorum));
    else if (life->again)
        broker_life_speak(quorum);
    else if (life->state == BROKER_STARTING)
        speak_in(quorum, CAUGHT_UP_MS);
    else if (life->state == BROKER_PENDING_CONTROLLED_SHUTDOWN)
        speak_in(quorum, PENDING_SHUTDOWN_MS);
    else
        speak_in(quorum, heartbeat_ms(quorum));
}

static void life_fire(struct timer *timer)
{
    broker_life_speak(CONTAINER_OF(timer, struct quorum, broker.timer));
}

/* ---- starting ---- */

static void registration_begin(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    life->is_registered = false;
    life->registration_deadline_ms =
        reactor_now_ms(quorum->reactor) +
        config_long(quorum->node->boot_config, BROKER_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS);
    broker_life_speak(quorum);
}

void quorum_broker_start(struct quorum *quorum, int64_t previous_broker_epoch,
                         void (*running)(void *context), void *context)
{
    struct broker_life *life = &quorum->broker;
    char incarnation[UUID_TEXT_BYTES];

    ASSERT(!life->is_started);
    life->is_started = true;
    life->running = running;
    life->running_context = context;
    life->previous_epoch = previous_broker_epoch;
    uuid_to_text(quorum->node->incarnation_id, incarnation);
    life->state = BROKER_STARTING;
    LOG_INFO(quorum->logger, "server", "broker_state",
             "text=\"Incarnation %s of broker %d in cluster %.*s is now STARTING.\"", incarnation,
             quorum->node->config.node_id, SLICE_ARGS(quorum->node->cluster_id));
    registration_begin(quorum);
}

void quorum_broker_may_unfence(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    if (life->may_unfence)
        return;
    life->may_unfence = true;
    if (life->is_registered)
        broker_life_speak(quorum);
}

/* metadata.version has come to know directories, and the log does not name ours: the same
 * incarnation registers again and keeps its epoch. */
static bool directories_are_missing(const struct quorum *quorum, const struct metadata_image *image)
{
    const struct metadata_broker *own = metadata_image_broker(image, quorum->node->config.node_id);

    return metadata_image_version(image) >= METADATA_VERSION_DIRECTORIES && own &&
           own->epoch == quorum->broker.epoch && own->directory_count == 0 &&
           quorum->broker.offline_count < log_directories_count(quorum->node->directories);
}

void broker_life_published(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    if (life->is_registered &&
        directories_are_missing(quorum, metadata_state_view(quorum->loader.state))) {
        registration_begin(quorum);
        return;
    }
    if (life->is_registered && life->is_caught_up && broker_cordon_changed(quorum))
        broker_life_speak(quorum);
}

/* ---- failed directories ---- */

static void failure_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, broker.failure_timer);

    if (quorum->broker.offline_told < quorum->broker.offline_count)
        quorum_fail(quorum, ERR_KAFKA_STORAGE_ERROR,
                    "the controller could not be told of a failed log directory in time");
}

void quorum_broker_directory_failed(struct quorum *quorum, struct uuid directory_id)
{
    struct broker_life *life = &quorum->broker;

    for (size_t i = 0; i < life->offline_count; i++)
        if (uuid_equal(life->offline[i], directory_id))
            return;
    if (life->offline_count == life->offline_capacity) {
        size_t capacity = MAX(life->offline_capacity * 2, (size_t)4);
        struct uuid *items = server_allocate(capacity * sizeof *items);

        if (life->offline_count > 0)
            memcpy(items, life->offline, life->offline_count * sizeof *items);
        server_free(life->offline, life->offline_capacity * sizeof *items);
        life->offline = items;
        life->offline_capacity = capacity;
    }
    life->offline[life->offline_count++] = directory_id;
    if (life->is_stopped)
        return;
    if (!timer_is_set(&life->failure_timer))
        timer_set(quorum->reactor, &life->failure_timer,
                  reactor_now_ms(quorum->reactor) +
                      config_long(quorum->node->boot_config, BROKER_LOG_DIR_FAILURE_TIMEOUT_MS));
    if (life->is_registered)
        broker_life_speak(quorum);
}

/* ---- stopping ---- */

void broker_life_stop_finish(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;
    void (*stopped)(void *context) = TAKE(life->stopped);

    if (life->state != BROKER_SHUTTING_DOWN)
        broker_life_move(quorum, BROKER_SHUTTING_DOWN,
                         life->state == BROKER_PENDING_CONTROLLED_SHUTDOWN
                             ? "The controller has asked us to exit controlled shutdown."
                             : "");
    life->is_stopped = true;
    timer_cancel(quorum->reactor, &life->timer);
    timer_cancel(quorum->reactor, &life->stop_timer);
    timer_cancel(quorum->reactor, &life->failure_timer);
    if (stopped)
        stopped(life->stopped_context);
}

static void stop_fire(struct timer *timer)
{
    broker_life_stop_finish(CONTAINER_OF(timer, struct quorum, broker.stop_timer));
}

void quorum_broker_stop(struct quorum *quorum, void (*done)(void *context), void *context)
{
    struct broker_life *life = &quorum->broker;
    bool controlled = life->state == BROKER_RUNNING && quorum_is_running(quorum) &&
                      config_boolean(quorum->node->boot_config, BROKER_CONTROLLED_SHUTDOWN_ENABLE);
    int64_t wait_ms = controlled ? SHUTDOWN_MS_MAX : 0;

    ASSERT(!life->stopped);
    life->stopped = done;
    life->stopped_context = context;
    if (controlled) {
        LOG_INFO(quorum->logger, "server", "controlled_shutdown",
                 "text=\"Beginning controlled shutdown.\"");
        broker_life_move(quorum, BROKER_PENDING_CONTROLLED_SHUTDOWN, "");
        broker_life_speak(quorum);
    }
    timer_set(quorum->reactor, &life->stop_timer, reactor_now_ms(quorum->reactor) + wait_ms);
}

void broker_life_halt(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    if (life->stopped)
        broker_life_stop_finish(quorum);
    life->is_stopped = true;
    timer_cancel(quorum->reactor, &life->timer);
    timer_cancel(quorum->reactor, &life->stop_timer);
    timer_cancel(quorum->reactor, &life->failure_timer);
}

/* ---- looking in, making, ending ---- */

enum broker_state quorum_broker_state(const struct quorum *quorum)
{
    return quorum->broker.state;
}

int64_t quorum_broker_epoch(const struct quorum *quorum)
{
    return quorum->broker.epoch;
}

void broker_life_init(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    life->epoch = -1;
    arena_init(&life->arena, &heap_allocator, SIZE_MAX);
    timer_init(&life->timer, life_fire);
    timer_init(&life->stop_timer, stop_fire);
    timer_init(&life->failure_timer, failure_fire);
}

void broker_life_release(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;

    arena_release(&life->arena);
    server_free(life->offline, life->offline_capacity * sizeof *life->offline);
}
