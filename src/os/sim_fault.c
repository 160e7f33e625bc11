/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_fault.c: faults of file calls: which call is struck and by what. What the stroke does is
 * in sim_call.c.
 */
#include "os/sim_internal.h"

int sim_fault_add(struct os *os, const struct sim_fault *fault)
{
    struct sim_machine *machine = sim_process_of(os)->machine;
    struct sim_fault_state *state;

    SIM_GROW(machine->faults, machine->fault_count, machine->fault_capacity);
    state = &machine->faults[machine->fault_count];
    *state = (struct sim_fault_state){.fault = *fault, .is_active = true};
    if (fault->path_part)
        state->path_part = sim_copy_text(fault->path_part);
    state->fault.path_part = NULL;
    return (int)machine->fault_count++;
}

static void fault_end(struct sim_process *process, size_t number)
{
    struct sim_fault_state *state = &process->machine->faults[number];

    if (!state->is_active)
        return; /* or used up: the call that it struck takes as long as it takes */
    state->is_active = false;
    if (state->fault.effect == SIM_EFFECT_DELAY)
        sim_jobs_hasten(process, number);
}

void sim_fault_remove(struct os *os, int number)
{
    struct sim_process *process = sim_process_of(os);

    ASSERT(number >= 0 && (size_t)number < process->machine->fault_count);
    fault_end(process, (size_t)number);
}

void sim_faults_clear(struct os *os)
{
    struct sim_process *process = sim_process_of(os);

    for (size_t i = 0; i < process->machine->fault_count; i++)
        fault_end(process, i);
}

int64_t sim_fault_hits(const struct os *os, int number)
{
    const struct sim_machine *machine = sim_process_of(os)->machine;

    ASSERT(number >= 0 && (size_t)number < machine->fault_count);
    return machine->faults[number].hits;
}

static bool path_matches(const struct sim_fault_state *state, const char *path)
{
    return path && strstr(path, state->path_part) != NULL;
}

static bool fault_matches(const struct sim_fault_state *state, const struct sim_io *io)
{
    if (!state->is_active || !(state->fault.calls & (1u << io->call)))
        return false;
    if (state->fault.effect == SIM_EFFECT_FLIP && io->call != SIM_CALL_READ)
        return false;
    if ((state->fault.effect == SIM_EFFECT_LOSE || state->fault.effect == SIM_EFFECT_MISDIRECT) &&
        io->call != SIM_CALL_WRITE)
        return false;
    if (!state->path_part)
        return true;
    return path_matches(state, io->file ? io->file->path : io->path) ||
           path_matches(state, io->path_to);
}

static bool fault_strikes(struct sim_machine *machine, struct sim_fault_state *state)
{
    const struct sim_fault *fault = &state->fault;

    if (state->hits > 0 && fault->is_sticky)
        return true;
    if (state->matched++ < fault->skip_count)
        return false;
    return fault->one_in <= 1 || random_chance(&machine->fault_random, 1, fault->one_in);
}

void sim_fault_decide(struct sim_machine *machine, struct sim_io *io)
{
    for (size_t i = 0; i < machine->fault_count; i++) {
        struct sim_fault_state *state = &machine->faults[i];

        if (!fault_matches(state, io) || !fault_strikes(machine, state))
            continue;
        state->hits++;
        if (!state->fault.is_sticky)
            state->is_active = false;
        sim_note(machine->sim, machine, "fault", (int64_t)state->fault.effect,
                 io->file ? io->file->path : io->path);
        if (state->fault.effect == SIM_EFFECT_DELAY) {
            io->delay_ns += state->fault.delay_ns;
            state->job_delay_ns = sim_later(state->job_delay_ns, state->fault.delay_ns);
        } else if (!io->has_fault) {
            io->has_fault = true;
            io->effect = state->fault.effect;
            io->fault_err = state->fault.err;
        }
    }
}
