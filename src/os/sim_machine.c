/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_machine.c: machines and their processes: power, death, pause, signals, clocks.
 *
 *   up ──crash──▶ off (kernel and page cache are gone) ──restart──▶ up
 *   up ──kill───▶ down (the kernel lives)              ──restart──▶ up
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

/* ---- clocks ---- */

static int64_t machine_time_ns(const struct sim_machine *machine)
{
    __int128 passed = machine->sim->now_ns - machine->clock_at_ns;

    return machine->clock_base_ns + (int64_t)(passed * (1000000 + machine->ppm) / 1000000);
}

int64_t sim_process_now_ns(const struct sim_process *process)
{
    return machine_time_ns(process->machine) + process->clock_offset_ns;
}

int64_t sim_process_when(const struct sim_process *process, int64_t at_ns)
{
    const struct sim_machine *machine = process->machine;
    __int128 left = (__int128)at_ns - process->clock_offset_ns - machine->clock_base_ns;
    __int128 when;

    if (left <= 0)
        return machine->sim->now_ns;
    when = (left * 1000000 + (1000000 + machine->ppm) - 1) / (1000000 + machine->ppm);
    when += machine->clock_at_ns;
    return when > INT64_MAX ? INT64_MAX : (int64_t)when;
}

int64_t sim_machine_wall_ms(const struct sim_machine *machine)
{
    if (machine->wall_is_stalled)
        return machine->wall_stalled_ns / 1000000;
    return (machine_time_ns(machine) + machine->wall_offset_ns) / 1000000;
}

void sim_wall_jump(struct os *os, int64_t delta_ms)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    machine->wall_offset_ns += delta_ms * 1000000;
    machine->wall_stalled_ns += delta_ms * 1000000;
    sim_note(machine->sim, machine, "wall-jump", delta_ms, "");
}

void sim_wall_stall(struct os *os, bool is_stalled)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    if (is_stalled == machine->wall_is_stalled)
        return;
    if (is_stalled)
        machine->wall_stalled_ns = machine_time_ns(machine) + machine->wall_offset_ns;
    else
        machine->wall_offset_ns = machine->wall_stalled_ns - machine_time_ns(machine);
    machine->wall_is_stalled = is_stalled;
    sim_note(machine->sim, machine, "wall-stall", is_stalled, "");
}

void sim_clock_drift(struct os *os, int32_t ppm)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    ASSERT(ppm > -500000 && ppm < 500000);
    machine->clock_base_ns = machine_time_ns(machine);
    machine->clock_at_ns = machine->sim->now_ns;
    machine->ppm = ppm;
    sim_note(machine->sim, machine, "drift", ppm, "");
    if (!machine->process)
        return;
    LIST_EACH (node, &machine->process->ports)
        sim_port_clock_changed(LIST_ITEM(node, struct sim_port, node));
}

/* ---- life ---- */

struct sim_process *sim_process_start(struct sim_machine *machine)
{
    struct sim_process *process = SIM_NEW(struct sim_process);

    ASSERT(!machine->process);
    process->os.table = &sim_table;
    process->machine = machine;
    process->is_alive = true;
    process->stop_at = -1;
    list_init(&process->ports);
    list_init(&process->files);
    list_init(&process->sockets);
    list_init(&process->held);
    list_push_back(&machine->processes, &process->node);
    if (!machine->is_powered) /* the monotone clock starts anywhere at each boot */
        process->clock_offset_ns =
            random_between(&machine->turn_random, 1, INT64_C(1000000000000)) -
            machine_time_ns(machine);
    else if (machine->processes.previous != machine->processes.next)
        process->clock_offset_ns =
            LIST_ITEM(process->node.previous, struct sim_process, node)->clock_offset_ns;
    machine->is_powered = true;
    machine->process = process;
    return process;
}

static void stream_init(struct sim_machine *machine, struct random *random, const char *kind)
{
    char name[256];

    fmt(name, sizeof(name), "%s/%s", kind, machine->name);
    random_init_named(random, machine->sim->seed, name);
}

static bool name_is_taken(const struct sim *sim, const char *name)
{
    for (size_t i = 0; i < sim->machine_count; i++) {
        if (strcmp(sim->machines[i]->name, name) == 0)
            return true;
    }
    return false;
}

enum err sim_machine_create(struct sim *sim, const char *name, struct os **out)
{
    struct sim_machine *machine;

    *out = NULL;
    if (name_is_taken(sim, name))
        return ERR_EXISTS;
    machine = SIM_NEW(struct sim_machine);
    machine->sim = sim;
    machine->index = sim->machine_count;
    machine->name = sim_copy_text(name);
    fmt(machine->address, sizeof(machine->address), "10.0.%u.%u",
        (unsigned)(machine->index + 1) / 250, 1 + (unsigned)machine->index % 250);
    machine->disk = sim_disk_new(sim, sim->options.disk_bytes);
    machine->disk_latency = sim->options.disk_latency;
    machine->sync_latency = sim->options.sync_latency;
    list_init(&machine->processes);
    list_init(&machine->listeners);
    stream_init(machine, &machine->disk_random, "disk");
    stream_init(machine, &machine->crash_random, "crash");
    stream_init(machine, &machine->entropy_random, "entropy");
    stream_init(machine, &machine->fault_random, "fault");
    stream_init(machine, &machine->turn_random, "turn");
    machine->clock_at_ns = sim->now_ns;
    machine->wall_offset_ns = sim->options.start_wall_ms * 1000000 + sim->now_ns;
    machine->next_port = 32768;
    SIM_GROW(sim->machines, sim->machine_count, sim->machine_capacity);
    sim->machines[sim->machine_count++] = machine;
    *out = &sim_process_start(machine)->os;
    sim_note(sim, machine, "create", 0, name);
    return OK;
}

void sim_machine_add_address(struct os *os, const char *address)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    SIM_GROW(machine->aliases, machine->alias_count, machine->alias_capacity);
    machine->aliases[machine->alias_count++] = sim_copy_text(address);
}

bool sim_machine_is_up(const struct os *os)
{
    return sim_process_of(os)->is_alive;
}

const char *sim_machine_name(const struct os *os)
{
    return sim_process_of(os)->machine->name;
}

/* All-zero weights: a mood for this crash. */
static struct sim_weights weights_draw(struct random *random,
                                       const struct sim_crash_options *options)
{
    if (options && (options->keep_weight | options->drop_weight | options->tear_weight) != 0)
        return (struct sim_weights){options->keep_weight, options->drop_weight,
                                    options->tear_weight};
    switch (random_below(random, 5)) {
    case 0:
        return (struct sim_weights){1, 0, 0};
    case 1:
        return (struct sim_weights){0, 1, 0};
    case 2:
        return (struct sim_weights){10, 1, 1}; /* nearly all, with a hole */
    default:
        return (struct sim_weights){1 + (uint32_t)random_below(random, 8),
                                    1 + (uint32_t)random_below(random, 8),
                                    (uint32_t)random_below(random, 4)};
    }
}

static void held_drop(struct sim_process *process);

/* The process is no more; its kernel may live on. */
static void process_die(struct sim_process *process, bool is_crash)
{
    struct sim_machine *machine = process->machine;
    struct sim *sim = machine->sim;

    ASSERT(process->is_alive && machine->process == process);
    process->is_alive = false;
    machine->process = NULL;
    process->stop_at = -1;
    held_drop(process);
    LIST_EACH (node, &process->ports)
        sim_port_end(LIST_ITEM(node, struct sim_port, node));
    LIST_EACH (node, &process->sockets)
        sim_socket_end(LIST_ITEM(node, struct sim_socket, node), is_crash);
    LIST_EACH (node, &process->files)
        sim_file_orphan(LIST_ITEM(node, struct sim_file, node));
    if (sim->in_turn == process)
        sim->in_turn = NULL;
}

/* Kernel and page cache are gone. */
static void power_off(struct sim_machine *machine, const struct sim_crash_options *options)
{
    struct sim *sim = machine->sim;
    struct sim_weights weights = weights_draw(&machine->crash_random, options);

    machine->is_powered = false;
    LIST_EACH_SAFE (node, &sim->connections) {
        struct sim_connection *connection = LIST_ITEM(node, struct sim_connection, node);

        for (int end = 0; end < 2; end++) {
            if (connection->ends[end].machine == machine)
                sim_end_forget(connection, end);
        }
        sim_connection_settle(connection);
    }
    sim_disk_crash(machine->disk, &weights, &machine->crash_random);
}

void sim_process_end(struct sim_process *process, bool is_crash,
                     const struct sim_crash_options *options)
{
    struct sim_machine *machine = process->machine;

    sim_note(machine->sim, machine, is_crash ? "crash" : "kill", process->io_calls, "");
    /* What is under way may still reach the page cache. */
    LIST_EACH (node, &process->ports)
        sim_port_cut(LIST_ITEM(node, struct sim_port, node));
    process_die(process, is_crash);
    if (is_crash)
        power_off(machine, options);
}

void sim_machine_crash(struct os *os, const struct sim_crash_options *options)
{
    struct sim_process *process = sim_process_of(os);
    struct sim_machine *machine = process->machine;

    if (process->is_alive) {
        sim_process_end(process, true, options);
    } else if (!machine->process && machine->is_powered) {
        /* It was killed before; now the power goes too. */
        sim_note(machine->sim, machine, "crash", process->io_calls, "");
        power_off(machine, options);
    }
}

void sim_machine_kill(struct os *os)
{
    if (sim_process_of(os)->is_alive)
        sim_process_end(sim_process_of(os), false, NULL);
}

enum err sim_machine_restart(struct os *os, struct os **out)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    if (machine->process)
        return ERR_STATE;
    *out = &sim_process_start(machine)->os;
    sim_note(machine->sim, machine, "restart", 0, "");
    return OK;
}

static void stop_arm(struct sim_process *process, int64_t n, bool kills)
{
    ASSERT(process->is_alive);
    process->stop_at = n < 0 ? -1 : process->io_calls + n;
    process->stop_kills = kills;
    process->stop_has_options = false;
}

void sim_machine_crash_at(struct os *os, int64_t n, const struct sim_crash_options *options)
{
    struct sim_process *process = sim_process_of(os);

    stop_arm(process, n, false);
    process->stop_has_options = options != NULL;
    if (options)
        process->stop_options = *options;
}

void sim_machine_kill_at(struct os *os, int64_t n)
{
    stop_arm(sim_process_of(os), n, true);
}

int64_t sim_machine_io_calls(const struct os *os)
{
    return sim_process_of(os)->io_calls;
}

/* ---- pause and signals ---- */

bool sim_hold(struct sim_process *process, struct sim_event *event)
{
    if (!process->is_paused)
        return false;
    list_remove(&event->held);
    list_push_back(&process->held, &event->held);
    return true;
}

void sim_machine_pause(struct os *os)
{
    struct sim_process *process = sim_process_of(os);

    process->is_paused = process->is_alive;
    sim_note(sim_of(process), process->machine, "pause", 0, "");
}

void sim_machine_resume(struct os *os)
{
    struct sim_process *process = sim_process_of(os);
    struct sim *sim = sim_of(process);

    process->is_paused = false;
    sim_note(sim, process->machine, "resume", 0, "");
    while (!list_is_empty(&process->held)) {
        struct sim_event *event = LIST_ITEM(list_pop_front(&process->held), struct sim_event, held);

        sim_schedule(sim, event,
                     sim->now_ns +
                         sim_draw(&process->machine->turn_random, &sim->options.turn_latency));
    }
}

struct sim_signal {
    struct sim_event event;
    struct sim_process *process;
    int signal;
};

static void signal_run(struct sim *sim, struct sim_event *event)
{
    struct sim_signal *call = CONTAINER_OF(event, struct sim_signal, event);
    struct sim_process *process = call->process;
    int signal = call->signal;

    if (process->is_alive && sim_hold(process, event))
        return;
    sim_free(call);
    sim_note(sim, process->machine, "signal", signal, "");
    if (process->is_alive && process->notify)
        process->notify(process->notify_context, signal);
}

static void held_drop(struct sim_process *process)
{
    while (!list_is_empty(&process->held)) {
        struct sim_event *event = LIST_ITEM(list_pop_front(&process->held), struct sim_event, held);

        if (event->run == signal_run) /* the others belong to ports */
            sim_free(CONTAINER_OF(event, struct sim_signal, event));
    }
}

void sim_machine_signal(struct os *os, int signal)
{
    struct sim_process *process = sim_process_of(os);
    struct sim_signal *call = SIM_NEW(struct sim_signal);
    struct sim *sim = sim_of(process);

    sim_event_init(&call->event, "signal", process->machine, signal_run);
    call->process = process;
    call->signal = signal;
    sim_schedule(sim, &call->event,
                 sim->now_ns +
                     sim_draw(&process->machine->turn_random, &sim->options.turn_latency));
}

/* ---- end ---- */

/* Everything that the process left open. */
static void process_empty(struct sim_process *process)
{
    while (!list_is_empty(&process->sockets))
        sim_socket_release(LIST_ITEM(list_first(&process->sockets), struct sim_socket, node));
    while (!list_is_empty(&process->files))
        sim_file_release(LIST_ITEM(list_first(&process->files), struct sim_file, node));
    while (!list_is_empty(&process->ports))
        sim_port_release(&LIST_ITEM(list_first(&process->ports), struct sim_port, node)->port);
}

void sim_process_release(struct os *os)
{
    struct sim_process *process = sim_process_of(os);

    if (process->is_alive) { /* it exits; operations under way belong to nobody any more */
        sim_note(sim_of(process), process->machine, "exit", process->io_calls, "");
        process_die(process, false);
    }
    process_empty(process);
    process->is_released = true; /* the rest is freed with the simulation */
}

void sim_machine_release(struct sim_machine *machine)
{
    while (!list_is_empty(&machine->processes)) {
        struct sim_process *process =
            LIST_ITEM(list_pop_front(&machine->processes), struct sim_process, node);

        if (process->is_alive)
            process_die(process, false);
        process_empty(process);
        sim_free(process);
    }
    sim_disk_release(machine->disk);
    for (size_t i = 0; i < machine->fault_count; i++)
        sim_free(machine->faults[i].path_part);
    for (size_t i = 0; i < machine->alias_count; i++)
        sim_free(machine->aliases[i]);
    sim_free(machine->faults);
    sim_free(machine->aliases);
    sim_free(machine->links);
    sim_free(machine->name);
    sim_free(machine);
}
