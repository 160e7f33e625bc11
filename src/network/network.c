/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/network.c: a shard's network as a whole: options, counters, log lines, stop.
 */
#include "network/network_internal.h"

/* Of misbehaving peers, per second and shard; the next line tells how many were left out. */
#define LOG_LINES_MAX 10

static void network_work(struct deferred *deferred)
{
    struct network *network = CONTAINER_OF(deferred, struct network, work);
    void (*stopped)(void *context) = network->stopped;

    memory_admit(network);
    if (!network->is_stopping || !stopped || network->counts.connections > 0 ||
        network->frames_whole > 0)
        return;
    ASSERT(network->counts.frame_bytes == 0);
    network->stopped = NULL;
    stopped(network->stopped_context);
}

void network_defer(struct network *network)
{
    reactor_defer(network->reactor, &network->work);
}

static void options_check(const struct network_options *options)
{
    ASSERT(options->frame_bytes_each_max > 0);
    ASSERT(options->frame_bytes_max > 0);
    ASSERT(options->idle_ms_max >= -1);
}

enum err network_create(struct reactor *reactor, struct logger *logger,
                        const struct network_options *options, struct network_handler *handler,
                        struct network **out)
{
    struct network *network = ALLOCATOR_NEW(&heap_allocator, struct network);

    *out = NULL;
    options_check(options);
    if (!network)
        return ERR_NO_MEMORY;
    network->reader_calls = connection_reader_calls;
    network->reactor = reactor;
    network->logger = logger;
    network->options = *options;
    network->handler = handler;
    list_init(&network->idle);
    list_init(&network->draining);
    list_init(&network->waiting);
    timer_init(&network->idle_timer, idle_timer_fire);
    timer_init(&network->drain_timer, drain_timer_fire);
    deferred_init(&network->work, network_work);
    deferred_init(&network->turn, connections_turn);
    *out = network;
    return OK;
}

void network_set_options(struct network *network, const struct network_options *options)
{
    options_check(options);
    network->options = *options;
    idle_timer_set(network);
    LIST_EACH (node, &network->idle)
        connection_defer(LIST_ITEM(node, struct connection, idle_node)); /* limits may have risen */
    network_defer(network);
}

void network_stop(struct network *network, void (*done)(void *context), void *context)
{
    ASSERT(!network->is_stopping);
    network->is_stopping = true;
    network->stopped = done;
    network->stopped_context = context;
    LIST_EACH_SAFE (node, &network->idle)
        connection_close(LIST_ITEM(node, struct connection, idle_node), NETWORK_REASON_STOP, false,
                         NULL);
    LIST_EACH_SAFE (node, &network->draining)
        connection_shut(LIST_ITEM(node, struct connection, idle_node));
    network_defer(network);
}

void network_release(struct network **network)
{
    struct network *gone = *network;

    *network = NULL;
    if (!gone)
        return;
    ASSERT(gone->counts.connections == 0);
    ASSERT(gone->frames_whole == 0);
    ASSERT(!gone->turns);
    timer_cancel(gone->reactor, &gone->idle_timer);
    timer_cancel(gone->reactor, &gone->drain_timer);
    reactor_defer_cancel(gone->reactor, &gone->work);
    reactor_defer_cancel(gone->reactor, &gone->turn);
    spare_intakes_free(gone);
    spare_outgoes_free(gone);
    ALLOCATOR_DELETE(&heap_allocator, gone);
}

const struct network_counts *network_counts(const struct network *network)
{
    return &network->counts;
}

const char *network_reason_text(enum network_reason reason)
{
    static const char *const texts[REASON_COUNT] = {
        [NETWORK_REASON_PEER] = "peer",     [NETWORK_REASON_IDLE] = "idle",
        [NETWORK_REASON_LENGTH] = "length", [NETWORK_REASON_REQUEST] = "request",
        [NETWORK_REASON_LIMIT] = "limit",   [NETWORK_REASON_STOP] = "stop",
        [NETWORK_REASON_ERROR] = "error",   [NETWORK_REASON_MOVED] = "moved",
    };

    ASSERT(reason >= 0 && reason < REASON_COUNT);
    return texts[reason];
}

static bool reason_is_ordinary(enum network_reason reason)
{
    return reason == NETWORK_REASON_PEER || reason == NETWORK_REASON_IDLE ||
           reason == NETWORK_REASON_STOP || reason == NETWORK_REASON_MOVED;
}

void network_log_closed(struct network *network, const struct connection *connection,
                        const char *why)
{
    bool is_ordinary = reason_is_ordinary(connection->reason);
    enum log_level level = is_ordinary ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    int64_t second = reactor_now_ms(network->reactor) / 1000;

    if (!is_ordinary) {
        if (second != network->log_second) {
            network->log_second = second;
            network->log_lines = 0;
        }
        if (network->log_lines >= LOG_LINES_MAX) {
            network->log_suppressed++;
            return;
        }
        network->log_lines++;
    }
    LOG_AT(network->logger, level, "network", "connection_closed",
           "connection=%s reason=%s detail=\"%s\" suppressed=%lld", connection_id(connection),
           network_reason_text(connection->reason), why ? why : "",
           (long long)(is_ordinary ? 0 : network->log_suppressed));
    if (!is_ordinary)
        network->log_suppressed = 0;
}
