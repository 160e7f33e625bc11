/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_call.c: file calls. A call begins (it is counted, its fault is decided, a sync takes what
 * it will cover) and finishes (it takes effect); a submitted operation has time in between, a
 * blocking call has none. A power cut between the two does any part of it.
 */
#include "os/sim_internal.h"

static const char *const call_names[SIM_CALL_COUNT] = {
    [SIM_CALL_OPEN] = "open",
    [SIM_CALL_READ] = "read",
    [SIM_CALL_WRITE] = "write",
    [SIM_CALL_SYNC] = "sync",
    [SIM_CALL_TRUNCATE] = "truncate",
    [SIM_CALL_RESERVE] = "reserve",
    [SIM_CALL_STAT] = "stat",
    [SIM_CALL_LIST] = "list",
    [SIM_CALL_MAKE_DIRECTORY] = "make-directory",
    [SIM_CALL_SYNC_DIRECTORY] = "sync-directory",
    [SIM_CALL_RENAME] = "rename",
    [SIM_CALL_UNLINK] = "unlink",
    [SIM_CALL_REMOVE_DIRECTORY] = "remove-directory",
    [SIM_CALL_LOCK] = "lock",
};

/* ---- open files ---- */

static struct sim_file *file_new(struct sim_process *process, struct sim_inode *inode,
                                 const char *path)
{
    struct sim_file *file = SIM_NEW(struct sim_file);

    file->file.table = &sim_table;
    file->process = process;
    file->path = sim_copy_text(path);
    file->inode = sim_inode_ref(inode);
    inode->handles++;
    sim_inode_recount(inode);
    list_push_back(&process->files, &file->node);
    return file;
}

void sim_file_orphan(struct sim_file *file)
{
    struct sim_inode *inode = TAKE(file->inode);

    if (!inode)
        return;
    if (inode->locked_by == file)
        inode->locked_by = NULL;
    inode->handles--;
    sim_inode_recount(inode);
    sim_inode_unref(inode);
}

void sim_file_release(struct sim_file *file)
{
    sim_file_orphan(file);
    list_remove(&file->node);
    sim_free(file->path);
    sim_free(file);
}

/* ---- begin ---- */

enum err sim_io_begin(struct sim_process *process, struct sim_io *io)
{
    struct sim_machine *machine = process->machine;
    int64_t number = process->io_calls;

    if (!process->is_alive)
        return ERR_CRASHED;
    process->io_calls++;
    machine->sim->counts.io_calls++;
    sim_fault_decide(machine, io);
    if (io->call == SIM_CALL_SYNC)
        io->snapshot = sim_snapshot_take(io->file->inode);
    if (io->call == SIM_CALL_SYNC_DIRECTORY) {
        io->change_sequence = machine->disk->change_sequence;
        if (sim_find(machine->disk, io->path, &io->directory) != OK)
            io->directory = NULL;
        sim_inode_ref(io->directory);
    }
    if (number != process->stop_at)
        return OK;
    sim_note(machine->sim, machine, "cut-at", number, io->file ? io->file->path : io->path);
    sim_io_cut(process, io);
    sim_process_end(process, !process->stop_kills,
                    process->stop_has_options ? &process->stop_options : NULL);
    return ERR_CRASHED;
}

void sim_io_forget(struct sim_io *io)
{
    sim_snapshot_release(&io->snapshot);
    sim_inode_unref(io->directory);
    io->directory = NULL;
}

int64_t sim_io_latency(struct sim_process *process, const struct sim_io *io)
{
    struct sim_machine *machine = process->machine;
    bool is_sync = io->call == SIM_CALL_SYNC || io->call == SIM_CALL_SYNC_DIRECTORY;

    return sim_later(
        sim_draw(&machine->disk_random, is_sync ? &machine->sync_latency : &machine->disk_latency),
        io->delay_ns);
}

/* ---- effects ---- */

static void touch(struct sim_process *process, struct sim_inode *inode)
{
    inode->modified_ms = sim_machine_wall_ms(process->machine);
}

/* Another sector of the file, or the one behind it when there is no other. */
static int64_t misdirected(struct sim_process *process, const struct sim_io *io)
{
    int64_t sector = io->position_bytes / (int64_t)SIM_SECTOR_BYTES;
    int64_t count = io->file->inode->size_bytes / (int64_t)SIM_SECTOR_BYTES;
    int64_t other = sector + 1;

    if (count > 1) {
        other = random_between(&process->machine->fault_random, 0, count - 2);
        other += other >= sector;
    }
    return other * (int64_t)SIM_SECTOR_BYTES + io->position_bytes % (int64_t)SIM_SECTOR_BYTES;
}

static enum err write_prefix(struct sim_process *process, struct sim_io *io, int64_t position_bytes,
                             size_t limit_bytes)
{
    int64_t at = position_bytes;
    struct sim_inode *inode = io->file->inode;

    for (size_t i = 0; i < io->slice_count && limit_bytes > 0; i++) {
        size_t part = MIN(io->slices[i].size_bytes, limit_bytes);

        TRY(sim_inode_write(inode, io->slices[i].data, part, at));
        at += (int64_t)part;
        limit_bytes -= part;
    }
    touch(process, inode);
    return OK;
}

static size_t write_size(const struct sim_io *io)
{
    size_t size = 0;

    for (size_t i = 0; i < io->slice_count; i++)
        size += io->slices[i].size_bytes;
    return size;
}

static enum err do_write(struct sim_process *process, struct sim_io *io)
{
    size_t size = write_size(io);
    int64_t position_bytes = io->position_bytes;
    enum err err;

    io->result = (int64_t)size;
    if (io->has_fault && io->effect == SIM_EFFECT_LOSE)
        return OK;
    if (io->has_fault && io->effect == SIM_EFFECT_MISDIRECT)
        position_bytes = misdirected(process, io);
    err = write_prefix(process, io, position_bytes, size);
    sim_disk_writeback(process->machine->disk);
    return err;
}

static enum err do_read(struct sim_process *process, struct sim_io *io)
{
    size_t size =
        sim_inode_read(io->file->inode, io->buffer, (size_t)io->size_bytes, io->position_bytes);

    io->result = (int64_t)size;
    if (io->has_fault && io->effect == SIM_EFFECT_FLIP && size > 0) {
        uint64_t bit = random_below(&process->machine->fault_random, (uint64_t)size * 8);

        ((uint8_t *)io->buffer)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    return OK;
}

static enum err do_open(struct sim_process *process, struct sim_io *io)
{
    struct sim_inode *inode;

    TRY(sim_name_open(process->machine->disk, io->path, io->flags, &inode));
    if ((io->flags & OS_OPEN_TRUNCATE) && inode->size_bytes > 0)
        TRY(sim_inode_truncate(inode, 0));
    if (io->flags & (OS_OPEN_TRUNCATE | OS_OPEN_CREATE) && inode->modified_ms == 0)
        touch(process, inode);
    io->opened = &file_new(process, inode, io->path)->file;
    return OK;
}

static enum err do_lock(struct sim_io *io)
{
    struct sim_inode *inode = io->file->inode;

    if (inode->locked_by && inode->locked_by != io->file)
        return ERR_LOCKED;
    inode->locked_by = io->file;
    return OK;
}

static enum err do_stat(struct sim_process *process, struct sim_io *io)
{
    struct sim_inode *inode;
    enum err err = sim_find(process->machine->disk, io->path, &inode);

    io->stat = (struct os_stat){0};
    if (err == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    io->stat.exists = true;
    io->stat.is_directory = inode->is_directory;
    io->stat.size_bytes = inode->size_bytes;
    io->stat.held_bytes = (int64_t)(inode->live_pages * SIM_PAGE_BYTES);
    io->stat.modified_ms = inode->modified_ms;
    return OK;
}

static enum err do_sync_directory(struct sim_io *io)
{
    if (!io->directory)
        return ERR_NOT_FOUND;
    if (!io->directory->is_directory)
        return ERR_IO;
    sim_names_sync(io->directory, io->change_sequence);
    return OK;
}

static enum err effect(struct sim_process *process, struct sim_io *io)
{
    struct sim_disk *disk = process->machine->disk;

    switch (io->call) {
    case SIM_CALL_OPEN:
        return do_open(process, io);
    case SIM_CALL_READ:
        return do_read(process, io);
    case SIM_CALL_WRITE:
        return do_write(process, io);
    case SIM_CALL_SYNC:
        sim_snapshot_apply(io->snapshot);
        return OK;
    case SIM_CALL_TRUNCATE:
        touch(process, io->file->inode);
        return sim_inode_truncate(io->file->inode, io->size_bytes);
    case SIM_CALL_RESERVE:
        return sim_inode_reserve(io->file->inode, io->position_bytes, io->size_bytes);
    case SIM_CALL_STAT:
        return do_stat(process, io);
    case SIM_CALL_LIST:
        return sim_name_list(disk, io->path, io->arena, &io->names);
    case SIM_CALL_MAKE_DIRECTORY:
        return sim_name_make_directory(disk, io->path);
    case SIM_CALL_SYNC_DIRECTORY:
        return do_sync_directory(io);
    case SIM_CALL_RENAME:
        return sim_name_rename(disk, io->path, io->path_to);
    case SIM_CALL_UNLINK:
        return sim_name_unlink(disk, io->path);
    case SIM_CALL_REMOVE_DIRECTORY:
        return sim_name_remove_directory(disk, io->path);
    case SIM_CALL_LOCK:
        return do_lock(io);
    case SIM_CALL_COUNT:
        break;
    }
    ASSERT(io->call < SIM_CALL_COUNT);
    return ERR_IO;
}

/* The call fails: what it may have done all the same. */
static void effect_of_error(struct sim_process *process, struct sim_io *io)
{
    if (io->call == SIM_CALL_WRITE) {
        size_t size = (size_t)random_below(&process->machine->fault_random, write_size(io) + 1);
        enum err ignored = write_prefix(process, io, io->position_bytes, size);

        UNUSED(ignored);
    }
    if (io->call == SIM_CALL_SYNC)
        sim_snapshot_lose(io->snapshot);
}

enum err sim_io_finish(struct sim_process *process, struct sim_io *io)
{
    struct sim_machine *machine = process->machine;
    enum err err;

    ASSERT(process->is_alive);
    if (io->has_fault && io->effect == SIM_EFFECT_ERROR) {
        effect_of_error(process, io);
        err = io->fault_err;
    } else {
        err = effect(process, io);
    }
    sim_note(machine->sim, machine, call_names[io->call], err != OK ? (int64_t)err : io->result,
             io->file ? io->file->path : io->path);
    sim_io_forget(io);
    return err;
}

void sim_io_cut(struct sim_process *process, struct sim_io *io)
{
    struct random *random = &process->machine->crash_random;
    enum err ignored = OK;

    switch (io->call) {
    case SIM_CALL_WRITE:
        /* Any prefix; the whole and nothing are likely too. */
        if (random_chance(random, 2, 3)) {
            size_t size = write_size(io);

            if (random_chance(random, 1, 2))
                size = (size_t)random_below(random, size + 1);
            ignored = write_prefix(process, io, io->position_bytes, size);
        }
        break;
    case SIM_CALL_SYNC:
    case SIM_CALL_SYNC_DIRECTORY:
    case SIM_CALL_TRUNCATE:
    case SIM_CALL_RESERVE:
    case SIM_CALL_MAKE_DIRECTORY:
    case SIM_CALL_RENAME:
    case SIM_CALL_UNLINK:
    case SIM_CALL_REMOVE_DIRECTORY:
        if (random_chance(random, 1, 2))
            ignored = effect(process, io);
        break;
    case SIM_CALL_OPEN:
        if ((io->flags & OS_OPEN_CREATE) && random_chance(random, 1, 2)) {
            struct sim_inode *inode;

            ignored = sim_name_open(process->machine->disk, io->path, io->flags, &inode);
        }
        break;
    case SIM_CALL_READ:
    case SIM_CALL_STAT:
    case SIM_CALL_LIST:
    case SIM_CALL_LOCK:
    case SIM_CALL_COUNT:
        break;
    }
    UNUSED(ignored);
    sim_io_forget(io);
}

enum err sim_io_blocking(struct sim_process *process, struct sim_io *io)
{
    struct sim *sim = sim_of(process);

    TRY(sim_io_begin(process, io));
    if (sim->in_turn == process)
        sim->counts.blocking_in_turn++;
    process->blocking_ns = sim_later(process->blocking_ns, sim_io_latency(process, io));
    if (io->call == SIM_CALL_SYNC || io->call == SIM_CALL_SYNC_DIRECTORY)
        process->blocking_syncs++;
    else
        process->blocking_calls++;
    return sim_io_finish(process, io);
}
