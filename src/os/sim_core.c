/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_core.c: the simulation itself: memory, the heap of events, virtual time, hash and trace.
 * Invariant  Time never goes back: an event that is scheduled for the past runs now.
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

#include <stdlib.h>

/* ---- memory ---- */

void *sim_allocate(size_t size_bytes)
{
    void *pointer = calloc(1, MAX(size_bytes, (size_t)1));

    ASSERT(pointer != NULL); /* a test tool: sim.h, Errors */
    return pointer;
}

void *sim_resize(void *pointer, size_t old_bytes, size_t new_bytes)
{
    uint8_t *resized = realloc(pointer, MAX(new_bytes, (size_t)1));

    ASSERT(resized != NULL);
    if (new_bytes > old_bytes)
        memset(resized + old_bytes, 0, new_bytes - old_bytes);
    return resized;
}

void sim_free(void *pointer)
{
    free(pointer);
}

char *sim_copy_text(const char *text)
{
    size_t size_bytes = strlen(text) + 1;

    return memcpy(sim_allocate(size_bytes), text, size_bytes);
}

/* ---- draws ---- */

int64_t sim_later(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

int64_t sim_draw(struct random *random, const struct sim_latency *latency)
{
    int64_t high = MAX(latency->min_ns, latency->max_ns);

    if (latency->slow_one_in > 0 && random_chance(random, 1, latency->slow_one_in))
        return random_between(random, high, MAX(high, latency->slow_ns));
    return random_between(random, latency->min_ns, high);
}

/* ---- events ---- */

void sim_event_init(struct sim_event *event, const char *kind, struct sim_machine *machine,
                    void (*run)(struct sim *sim, struct sim_event *event))
{
    *event = (struct sim_event){.kind = kind, .machine = machine, .run = run};
    event->node.position = HEAP_NOWHERE;
    list_init(&event->held);
}

bool sim_is_scheduled(const struct sim_event *event)
{
    return event->node.position != HEAP_NOWHERE;
}

void sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_ns)
{
    enum err err;

    sim_unschedule(sim, event);
    err = heap_push(&sim->events, &event->node, MAX(at_ns, sim->now_ns));
    ASSERT(err == OK);
}

void sim_unschedule(struct sim *sim, struct sim_event *event)
{
    list_remove(&event->held);
    if (sim_is_scheduled(event)) {
        heap_remove(&sim->events, &event->node);
        event->node.position = HEAP_NOWHERE;
    }
}

bool sim_step(struct sim *sim)
{
    struct heap_node *node = heap_pop(&sim->events);
    struct sim_event *event;

    ASSERT(!sim->is_stepping); /* an event cannot run another */
    if (!node)
        return false;
    event = CONTAINER_OF(node, struct sim_event, node);
    event->node.position = HEAP_NOWHERE;
    ASSERT(node->key >= sim->now_ns);
    sim->now_ns = node->key;
    sim->counts.events++;
    sim->is_stepping = true;
    event->run(sim, event);
    sim->is_stepping = false;
    return true;
}

void sim_step_abandon(struct sim *sim)
{
    sim->is_stepping = false;
}

bool sim_run_until(struct sim *sim, int64_t deadline_ns, bool (*done)(void *context), void *context)
{
    for (;;) {
        struct heap_node *next;

        if (done && done(context))
            return true;
        next = heap_peek(&sim->events);
        if (!next)
            return false;
        if (next->key > deadline_ns) {
            sim->now_ns = MAX(sim->now_ns, deadline_ns);
            return false;
        }
        sim_step(sim);
    }
}

struct sim_called {
    struct sim_event event;
    void (*call)(void *context);
    void *context;
};

static void called_run(struct sim *sim, struct sim_event *event)
{
    struct sim_called *called = CONTAINER_OF(event, struct sim_called, event);
    void (*call)(void *context) = called->call;
    void *context = called->context;

    sim_note(sim, NULL, "call", 0, "");
    sim_free(called);
    call(context);
}

void sim_call_at(struct sim *sim, int64_t at_ns, void (*call)(void *context), void *context)
{
    struct sim_called *called = SIM_NEW(struct sim_called);

    sim_event_init(&called->event, "call", NULL, called_run);
    called->call = call;
    called->context = context;
    sim_schedule(sim, &called->event, at_ns);
}

/* ---- hash and trace ---- */

static void hash_mix(struct sim *sim, uint64_t value)
{
    sim->hash = hash_u64(sim->hash ^ value) + UINT64_C(0x9e3779b97f4a7c15);
}

void sim_note(struct sim *sim, const struct sim_machine *machine, const char *kind, int64_t outcome,
              const char *detail)
{
    hash_mix(sim, (uint64_t)sim->now_ns);
    hash_mix(sim, hash_bytes(kind, strlen(kind)));
    hash_mix(sim, machine ? machine->index + 1 : 0);
    hash_mix(sim, (uint64_t)outcome);
    if (sim->options.trace_count > 0) {
        struct sim_note *note = &sim->notes[sim->note_count % sim->options.trace_count];

        note->at_ns = sim->now_ns;
        note->machine = machine ? machine->name : "-";
        note->kind = kind;
        note->outcome = outcome;
        fmt(note->detail, sizeof(note->detail), "%s", detail);
    }
    sim->note_count++;
}

void sim_trace(const struct sim *sim, void (*line)(void *context, const char *text), void *context)
{
    uint64_t kept = MIN(sim->note_count, (uint64_t)sim->options.trace_count);

    for (uint64_t i = sim->note_count - kept; i < sim->note_count; i++) {
        const struct sim_note *note = &sim->notes[i % sim->options.trace_count];
        char text[256];

        fmt(text, sizeof(text), "%lld.%09lld %s %s %lld %s", (long long)(note->at_ns / 1000000000),
            (long long)(note->at_ns % 1000000000), note->machine, note->kind,
            (long long)note->outcome, note->detail);
        line(context, text);
    }
}

int64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

uint64_t sim_hash(const struct sim *sim)
{
    return sim->hash;
}

uint64_t sim_seed(const struct sim *sim)
{
    return sim->seed;
}

void sim_random_init(const struct sim *sim, struct random *random, const char *name)
{
    char text[256];

    fmt(text, sizeof(text), "user/%s", name); /* never one of the simulator's own */
    random_init_named(random, sim->seed, text);
}

void sim_counts(const struct sim *sim, struct sim_counts *out)
{
    *out = sim->counts;
}

/* ---- life ---- */

void sim_options_default(struct sim_options *options)
{
    *options = (struct sim_options){
        .start_wall_ms = INT64_C(1767225600000), /* 2026-01-01 */
        .disk_latency = {20000, 200000, 20000000, 500},
        .sync_latency = {200000, 3000000, 100000000, 200},
        .job_latency = {10000, 200000, 5000000, 200},
        .turn_latency = {1000, 20000, 2000000, 1000},
        .link = {.latency = {100000, 1000000, 50000000, 500}, .segment_bytes_max = 16384},
        .loopback = {.latency = {5000, 50000, 1000000, 1000}, .segment_bytes_max = 65536},
        .disk_bytes = INT64_C(64) << 30,
        .writeback_bytes = INT64_C(64) << 20,
        .retransmit_ns_max = INT64_C(10000000000),
        .connect_timeout_ns = INT64_C(20000000000),
        .connection_timeout_ns = INT64_C(60000000000),
        .socket_send_bytes = 128 * 1024,
        .socket_receive_bytes = 128 * 1024,
        .core_count = 4,
        .descriptors_max = 65536,
        .trace_count = 4096,
    };
}

enum err sim_create(uint64_t seed, const struct sim_options *options, struct sim **out)
{
    struct sim *sim = SIM_NEW(struct sim);

    sim->seed = seed;
    if (options)
        sim->options = *options;
    else
        sim_options_default(&sim->options);
    ASSERT(sim->options.turn_latency.min_ns >= 1);
    ASSERT(sim->options.socket_send_bytes > 0 && sim->options.socket_receive_bytes > 0);
    heap_init(&sim->events, &heap_allocator);
    list_init(&sim->connections);
    random_init_named(&sim->network, seed, "network");
    random_init_named(&sim->schedule, seed, "schedule");
    sim->notes = sim_allocate(sim->options.trace_count * sizeof(struct sim_note));
    hash_mix(sim, seed);
    *out = sim;
    return OK;
}

void sim_release(struct sim **sim_in)
{
    struct sim *sim = TAKE(*sim_in);

    if (!sim)
        return;
    ASSERT(!sim->is_stepping);
    while (!list_is_empty(&sim->connections))
        sim_connection_release(
            LIST_ITEM(list_first(&sim->connections), struct sim_connection, node));
    for (size_t i = 0; i < sim->machine_count; i++)
        sim_machine_release(sim->machines[i]);
    /* Only calls of their own memory are left; works died with their machines. */
    for (struct heap_node *node = heap_pop(&sim->events); node; node = heap_pop(&sim->events))
        sim_free(CONTAINER_OF(node, struct sim_event, node));
    heap_release(&sim->events);
    sim_free(sim->machines);
    sim_free(sim->notes);
    sim_free(sim);
}
