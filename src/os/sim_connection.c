/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_connection.c: what two kernels do for one connection: segments on the way, retransmission
 * while the way is blocked, end of stream, reset.
 * Invariants  1. The bytes of one direction arrive in order, each once.
 *             2. A segment that cannot arrive waits at the head of its flow, all others behind it.
 *             3. A kernel that lost power knows nothing: once up again it answers with a reset.
 * Acknowledgements take no time of their own; they only need the way back to be open.
 */
#include "os/sim_internal.h"

/* ---- queues ---- */

void sim_queue_put(struct sim_queue *queue, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return;
    if (queue->from > 0 && queue->from + queue->size + size > queue->capacity) {
        memmove(queue->bytes, queue->bytes + queue->from, queue->size);
        queue->from = 0;
    }
    if (queue->size + size > queue->capacity) {
        size_t wanted = MAX(2 * queue->capacity, queue->size + size);

        queue->bytes = sim_resize(queue->bytes, queue->capacity, wanted);
        queue->capacity = wanted;
    }
    memcpy(queue->bytes + queue->from + queue->size, bytes, size);
    queue->size += size;
}

size_t sim_queue_take(struct sim_queue *queue, uint8_t *out, size_t size_max)
{
    size_t size = MIN(size_max, queue->size);

    if (out && size > 0)
        memcpy(out, queue->bytes + queue->from, size);
    queue->from += size;
    queue->size -= size;
    if (queue->size == 0)
        queue->from = 0;
    return size;
}

void sim_queue_clear(struct sim_queue *queue)
{
    sim_free(queue->bytes);
    *queue = (struct sim_queue){0};
}

/* ---- life ---- */

static void flow_event(struct sim *sim, struct sim_event *event);
static void acknowledge_event(struct sim *sim, struct sim_event *event);

struct sim_connection *sim_connection_new(struct sim *sim, struct sim_machine *from,
                                          struct sim_machine *to)
{
    struct sim_connection *connection = SIM_NEW(struct sim_connection);

    connection->sim = sim;
    connection->ends[0].machine = from;
    connection->ends[1].machine = to;
    for (int i = 0; i < 2; i++) {
        struct sim_flow *flow = &connection->flows[i];
        struct sim_machine *machine = connection->ends[i].machine;

        connection->ends[i].send_bytes = (size_t)sim->options.socket_send_bytes;
        connection->ends[i].receive_bytes = (size_t)sim->options.socket_receive_bytes;
        flow->connection = connection;
        flow->from = i;
        list_init(&flow->segments);
        flow->stalled_since_ns = -1;
        flow->cut_bytes = -1;
        sim_event_init(&flow->event, "segment", machine, flow_event);
        sim_event_init(&flow->acknowledge, "acknowledge", machine, acknowledge_event);
    }
    list_push_back(&sim->connections, &connection->node);
    return connection;
}

static void segments_drop(struct sim_connection *connection, int from)
{
    struct sim_flow *flow = &connection->flows[from];

    while (!list_is_empty(&flow->segments))
        sim_free(LIST_ITEM(list_pop_front(&flow->segments), struct sim_segment, node));
    sim_unschedule(connection->sim, &flow->event);
    sim_unschedule(connection->sim, &flow->acknowledge);
    flow->in_flight = 0;
    flow->unacknowledged = 0;
    flow->stalled_since_ns = -1;
    sim_queue_clear(&flow->bytes);
}

void sim_connection_release(struct sim_connection *connection)
{
    for (int i = 0; i < 2; i++) {
        segments_drop(connection, i);
        sim_queue_clear(&connection->flows[i].received);
        if (connection->ends[i].socket)
            connection->ends[i].socket->connection = NULL;
    }
    list_remove(&connection->node);
    sim_free(connection);
}

static bool flow_is_idle(const struct sim_connection *connection, int from)
{
    const struct sim_flow *flow = &connection->flows[from];

    return list_is_empty(&flow->segments) && flow->bytes.size == 0 &&
           (!flow->fin_wanted || flow->fin_sent) && flow->unacknowledged == 0;
}

void sim_connection_settle(struct sim_connection *connection)
{
    if (connection->ends[0].socket || connection->ends[1].socket)
        return;
    if (flow_is_idle(connection, 0) && flow_is_idle(connection, 1))
        sim_connection_release(connection);
}

/* ---- sending ---- */

size_t sim_end_space(const struct sim_connection *connection, int end)
{
    const struct sim_flow *flow = &connection->flows[end];
    size_t used = flow->bytes.size + flow->unacknowledged;
    size_t capacity = connection->ends[end].send_bytes;

    return used >= capacity ? 0 : capacity - used;
}

void sim_segment_send(struct sim_connection *connection, int from, enum sim_segment_kind kind,
                      size_t size)
{
    struct sim_flow *flow = &connection->flows[from];
    struct sim_segment *segment = SIM_NEW(struct sim_segment);
    bool is_first = list_is_empty(&flow->segments);

    segment->kind = kind;
    segment->size = size;
    segment->at_ns =
        sim_link_arrival(connection->ends[from].machine, connection->ends[!from].machine, size);
    segment->at_ns = MAX(segment->at_ns, flow->last_at_ns); /* in order */
    flow->last_at_ns = segment->at_ns;
    list_push_back(&flow->segments, &segment->node);
    if (is_first)
        sim_schedule(connection->sim, &flow->event, segment->at_ns);
}

static size_t window(const struct sim_connection *connection, int from)
{
    const struct sim_flow *flow = &connection->flows[from];
    size_t used = flow->received.size + flow->in_flight;
    size_t capacity = connection->ends[!from].receive_bytes;

    return used >= capacity ? 0 : capacity - used;
}

void sim_flow_pump(struct sim_connection *connection, int from)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];
    struct sim_end *end = &connection->ends[from];
    int segment_max =
        sim_link_between(end->machine, connection->ends[!from].machine)->link.segment_bytes_max;

    if (end->err != OK || end->is_gone)
        return;
    while (flow->bytes.size > flow->in_flight) {
        size_t size = MIN(flow->bytes.size - flow->in_flight, window(connection, from));

        if (size == 0)
            return; /* the receiver must read first */
        if (segment_max > 0) {
            size_t piece = 1 + (size_t)random_below(&sim->network, (uint64_t)segment_max);

            size = MIN(size, piece);
        }
        sim_segment_send(connection, from, SIM_SEGMENT_DATA, size);
        flow->in_flight += size;
    }
    if (flow->fin_wanted && !flow->fin_sent) {
        flow->fin_sent = true;
        sim_segment_send(connection, from, SIM_SEGMENT_FIN, 0);
    }
}

/* ---- the end of an end ---- */

void sim_end_fail(struct sim_connection *connection, int end, enum err err)
{
    struct sim_end *self = &connection->ends[end];

    segments_drop(connection, end);
    connection->flows[end].fin_wanted = false;
    if (self->err == OK)
        self->err = err;
    self->is_gone = true;
    if (self->socket)
        sim_socket_settle(self->socket);
}

void sim_connection_reset(struct sim_connection *connection)
{
    sim_note(connection->sim, connection->ends[0].machine, "reset",
             (int64_t)connection->ends[1].machine->index, "");
    sim_end_fail(connection, 0, ERR_CONNECTION);
    sim_end_fail(connection, 1, ERR_CONNECTION);
    sim_connection_settle(connection);
}

void sim_end_forget(struct sim_connection *connection, int end)
{
    struct sim_end *self = &connection->ends[end];

    segments_drop(connection, end);
    connection->flows[end].fin_wanted = false;
    sim_queue_clear(&connection->flows[!end].received);
    self->is_gone = true;
    if (self->socket)
        self->socket->connection = NULL;
    self->socket = NULL;
    sim_flow_pump(connection, !end); /* probes of a window that was shut find out */
}

/* Drops what was not sent; what is on the way may still arrive, the reset behind it. */
static void end_abort(struct sim_connection *connection, int end)
{
    struct sim_flow *flow = &connection->flows[end];

    ASSERT(flow->in_flight <= flow->bytes.size);
    flow->bytes.size = flow->in_flight;
    flow->fin_wanted = false;
    connection->ends[end].is_gone = true;
    sim_segment_send(connection, end, SIM_SEGMENT_RESET, 0);
}

void sim_end_close(struct sim_connection *connection, int end, bool abort)
{
    struct sim_end *self = &connection->ends[end];
    struct sim_queue *unread = &connection->flows[!end].received;

    self->socket = NULL;
    if (self->err == OK && !self->is_gone) {
        if (abort || unread->size > 0) {
            end_abort(connection, end);
        } else {
            connection->flows[end].fin_wanted = true;
            sim_flow_pump(connection, end);
        }
    }
    sim_queue_clear(unread);
    sim_connection_settle(connection);
}

/* ---- arriving ---- */

/* Packets vanish: the kernel tries again later, in the end it gives up. True: it did. */
static bool flow_stalls(struct sim_connection *connection, int from)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];

    if (flow->stalled_since_ns < 0) {
        flow->stalled_since_ns = sim->now_ns;
        flow->retry_ns = MIN(SIM_RETRANSMIT_NS, sim->options.retransmit_ns_max);
    } else {
        flow->retry_ns = MIN(2 * flow->retry_ns, sim->options.retransmit_ns_max);
    }
    if (sim->now_ns - flow->stalled_since_ns < sim->options.connection_timeout_ns)
        return false;
    sim_note(sim, connection->ends[from].machine, "timeout", 0, "");
    sim_end_fail(connection, from, ERR_TIMEOUT);
    return true;
}

static void flow_retry(struct sim_connection *connection, int from)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];
    struct sim_segment *first = LIST_ITEM(list_first(&flow->segments), struct sim_segment, node);

    if (connection->ends[from].is_gone) {
        /* Nobody is left who would send it again. */
        segments_drop(connection, from);
        return;
    }
    if (flow_stalls(connection, from))
        return;
    first->at_ns = sim_later(sim->now_ns, flow->retry_ns);
    LIST_EACH (node, &flow->segments) {
        struct sim_segment *segment = LIST_ITEM(node, struct sim_segment, node);

        segment->at_ns = MAX(segment->at_ns, first->at_ns);
        flow->last_at_ns = MAX(flow->last_at_ns, segment->at_ns);
    }
    sim_schedule(sim, &flow->event, first->at_ns);
}

/* `size` bytes of the head of the flow get there. */
static void bytes_arrive(struct sim_connection *connection, int from, size_t size)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];
    struct sim_end *to = &connection->ends[!from];

    ASSERT(size <= flow->in_flight && size <= flow->bytes.size);
    sim_queue_put(&flow->received, flow->bytes.bytes + flow->bytes.from, size);
    sim_queue_take(&flow->bytes, NULL, size);
    flow->in_flight -= size;
    if (flow->cut_bytes >= 0)
        flow->cut_bytes -= (int64_t)size;
    sim_note(sim, to->machine, "arrive", (int64_t)size, "");
    if (sim_is_blocked(to->machine, connection->ends[from].machine)) {
        flow->unacknowledged += size;
        if (!sim_is_scheduled(&flow->acknowledge) && !flow_stalls(connection, from))
            sim_schedule(sim, &flow->acknowledge, sim_later(sim->now_ns, flow->retry_ns));
    } else {
        flow->unacknowledged = 0;
        flow->stalled_since_ns = -1;
        sim_unschedule(sim, &flow->acknowledge);
    }
}

/* True: the connection is no more. */
static bool segment_arrives(struct sim_connection *connection, int from,
                            struct sim_segment *segment)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];
    struct sim_end *to = &connection->ends[!from];
    const struct sim_link *link =
        &sim_link_between(connection->ends[from].machine, to->machine)->link;
    size_t size = segment->size;
    bool cuts = false;

    switch (segment->kind) {
    case SIM_SEGMENT_RESET:
        sim_end_fail(connection, !from, ERR_CONNECTION);
        return false;
    case SIM_SEGMENT_FIN:
        flow->fin_received = true;
        flow->stalled_since_ns = -1;
        sim_note(sim, to->machine, "end-of-stream", 0, "");
        break;
    case SIM_SEGMENT_DATA:
        if (link->cut_one_in > 0 && random_chance(&sim->network, 1, link->cut_one_in)) {
            size = (size_t)random_below(&sim->network, size + 1);
            cuts = true;
        }
        if (flow->cut_bytes >= 0 && (int64_t)size >= flow->cut_bytes) {
            size = (size_t)flow->cut_bytes;
            cuts = true;
        }
        bytes_arrive(connection, from, size);
        break;
    }
    if (cuts) {
        sim_connection_reset(connection);
        return true;
    }
    if (to->socket)
        sim_socket_settle(to->socket);
    return false;
}

/* The receiver's kernel knows no such connection. */
static void answer_with_reset(struct sim_connection *connection, int from)
{
    segments_drop(connection, from);
    connection->flows[from].fin_wanted = false;
    connection->ends[!from].is_gone = true;
    segments_drop(connection, !from);
    connection->flows[!from].fin_wanted = false;
    sim_segment_send(connection, !from, SIM_SEGMENT_RESET, 0);
}

static void flow_run(struct sim_connection *connection, int from)
{
    struct sim *sim = connection->sim;
    struct sim_flow *flow = &connection->flows[from];
    struct sim_end *self = &connection->ends[from];
    struct sim_end *to = &connection->ends[!from];
    struct sim_segment *segment = LIST_ITEM(list_first(&flow->segments), struct sim_segment, node);
    enum sim_segment_kind kind = segment->kind;
    bool is_known = to->socket != NULL && !to->is_gone;

    if (!to->machine->is_powered || sim_is_blocked(self->machine, to->machine) ||
        (!is_known && kind == SIM_SEGMENT_DATA && sim_is_blocked(to->machine, self->machine))) {
        flow_retry(connection, from);
        sim_connection_settle(connection);
        return;
    }
    if (kind == SIM_SEGMENT_DATA && !is_known) {
        answer_with_reset(connection, from);
        return;
    }
    list_remove(&segment->node);
    if (segment_arrives(connection, from, segment)) {
        sim_free(segment);
        return;
    }
    sim_free(segment);
    if (!list_is_empty(&flow->segments))
        sim_schedule(sim, &flow->event,
                     LIST_ITEM(list_first(&flow->segments), struct sim_segment, node)->at_ns);
    if (self->socket)
        sim_socket_settle(self->socket); /* the send buffer has room */
    sim_flow_pump(connection, from);
    sim_connection_settle(connection);
}

static void flow_event(struct sim *sim, struct sim_event *event)
{
    struct sim_flow *flow = CONTAINER_OF(event, struct sim_flow, event);

    UNUSED(sim);
    flow_run(flow->connection, flow->from);
}

static void acknowledge_event(struct sim *sim, struct sim_event *event)
{
    struct sim_flow *flow = CONTAINER_OF(event, struct sim_flow, acknowledge);
    struct sim_connection *connection = flow->connection;
    struct sim_end *self = &connection->ends[flow->from];
    struct sim_machine *to = connection->ends[!flow->from].machine;

    if (to->is_powered && !sim_is_blocked(to, self->machine) &&
        !sim_is_blocked(self->machine, to)) {
        flow->unacknowledged = 0;
        flow->stalled_since_ns = -1;
        if (self->socket)
            sim_socket_settle(self->socket);
    } else if (!flow_stalls(connection, flow->from)) {
        sim_schedule(sim, event, sim_later(sim->now_ns, flow->retry_ns));
    }
    sim_connection_settle(connection);
}
