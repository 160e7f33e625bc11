/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_job.c: jobs in the simulator. A job is one event that does all its blocking calls at once; what they would
 * have taken passes before it is done. So the draws for those that would still come are of the disk as it was: when
 * the disk changes meanwhile, what is left of the job changes with it, or a job that began while it was slow would be
 * slow for ever.
 */
#include "os/sim_internal.h"

#define MS ((int64_t)1000000)

/* By how much each fault has delayed the job, if one did. */
static void delays_take(struct sim_machine *machine, struct sim_work *work)
{
    for (size_t i = 0; i < machine->fault_count; i++) {
        if (machine->faults[i].job_delay_ns == 0)
            continue;
        if (!work->job_delays_ns) {
            work->job_delay_count = machine->fault_count;
            work->job_delays_ns = sim_allocate(machine->fault_count * sizeof *work->job_delays_ns);
        }
        work->job_delays_ns[i] = machine->faults[i].job_delay_ns;
    }
}

void sim_job_run(struct sim *sim, struct sim_work *work)
{
    struct sim_process *process = work->port->process;
    struct sim_machine *machine = process->machine;
    struct os_op *op = work->op;

    if (work->is_run) {
        sim_work_complete(work, op->err, op->result);
        return;
    }
    sim_note(sim, machine, "job", 0, "");
    work->is_run = true;
    process->blocking_ns = process->blocking_calls = process->blocking_syncs = 0;
    for (size_t i = 0; i < machine->fault_count; i++)
        machine->faults[i].job_delay_ns = 0;
    op->run(op);
    work->run_ns = sim->now_ns;
    work->due_ns = sim_later(sim->now_ns, process->blocking_ns);
    work->job_calls = process->blocking_calls;
    work->job_syncs = process->blocking_syncs;
    delays_take(machine, work);
    if (process->is_alive)
        sim_schedule(sim, &work->event, work->due_ns);
}

/* Cuts off what has passed of the job. False: nothing is left, or it is no job that runs. */
static bool job_cut(struct sim_machine *machine, struct sim_work *work)
{
    int64_t now_ns = machine->sim->now_ns;
    int64_t total_ms = (work->due_ns - work->run_ns) / MS;
    int64_t left_ms = (work->due_ns - now_ns) / MS;

    if (work->op->kind != OS_OP_JOB || !work->is_run || !sim_is_scheduled(&work->event) ||
        total_ms <= 0 || left_ms <= 0)
        return false;
    work->job_calls = work->job_calls * left_ms / total_ms;
    work->job_syncs = work->job_syncs * left_ms / total_ms;
    for (size_t i = 0; i < work->job_delay_count; i++)
        work->job_delays_ns[i] = work->job_delays_ns[i] / MS * left_ms / total_ms * MS;
    work->run_ns = now_ns;
    return true;
}

static int64_t draw_sum(struct sim_machine *machine, const struct sim_latency *latency,
                        int64_t count)
{
    int64_t sum_ns = 0;

    for (int64_t i = 0; i < count; i++)
        sum_ns = sim_later(sum_ns, sim_draw(&machine->disk_random, latency));
    return sum_ns;
}

static void job_redraw(struct sim_machine *machine, struct sim_work *work)
{
    if (!job_cut(machine, work))
        return;
    work->due_ns = sim_later(work->run_ns,
                             sim_later(draw_sum(machine, &machine->disk_latency, work->job_calls),
                                       draw_sum(machine, &machine->sync_latency, work->job_syncs)));
    for (size_t i = 0; i < work->job_delay_count; i++)
        work->due_ns = sim_later(work->due_ns, work->job_delays_ns[i]);
    sim_schedule(machine->sim, &work->event, work->due_ns);
}

static void job_hasten(struct sim_machine *machine, struct sim_work *work, size_t fault)
{
    if (fault >= work->job_delay_count || work->job_delays_ns[fault] == 0 ||
        !job_cut(machine, work))
        return;
    work->due_ns = MAX(work->run_ns, work->due_ns - work->job_delays_ns[fault]);
    work->job_delays_ns[fault] = 0;
    sim_schedule(machine->sim, &work->event, work->due_ns);
}

void sim_jobs_redraw(struct sim_process *process)
{
    LIST_EACH (node, &process->ports) {
        struct sim_port *port = LIST_ITEM(node, struct sim_port, node);

        LIST_EACH (each, &port->under_way)
            job_redraw(process->machine, LIST_ITEM(each, struct sim_work, node));
    }
}

void sim_jobs_hasten(struct sim_process *process, size_t fault)
{
    LIST_EACH (node, &process->ports) {
        struct sim_port *port = LIST_ITEM(node, struct sim_port, node);

        LIST_EACH (each, &port->under_way)
            job_hasten(process->machine, LIST_ITEM(each, struct sim_work, node), fault);
    }
}
