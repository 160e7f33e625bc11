/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_group.h"

#include "base/assert.h"

struct group_coordinator *fake_first;
int fake_live;
enum err fake_load_err;
const struct fake_call *fake_told;
struct group_assigned_view fake_assigned[FAKE_ASSIGNED_MAX];
size_t fake_assigned_count;

struct coordinator_task {
    uint64_t token;
    bool was_run;
};

void group_options_init(struct group_options *options)
{
    memset(options, 0, sizeof *options);
}

enum err group_coordinator_create(struct allocator *allocator, const struct group_options *options,
                                  struct logger *logger, struct group_coordinator **out)
{
    struct group_coordinator *fake = ALLOCATOR_NEW(&heap_allocator, struct group_coordinator);

    UNUSED(allocator);
    UNUSED(logger);
    fake->first_offset = fake->last_offset = fake->loaded_replayed = -1;
    fake->deadline_ms = INT64_MAX;
    fake->session_max_ms = options->group_session_timeout_max_ms;
    fake->next = fake_first;
    fake_first = fake;
    fake_live++;
    *out = fake;
    return OK;
}

void group_coordinator_release(struct group_coordinator **coordinator)
{
    struct group_coordinator **link = &fake_first;

    if (!*coordinator)
        return;
    while (*link != *coordinator)
        link = &(*link)->next;
    *link = (*coordinator)->next;
    fake_live--;
    ALLOCATOR_DELETE(&heap_allocator, *coordinator);
    *coordinator = NULL;
}

enum err group_coordinator_set_options(struct group_coordinator *coordinator,
                                       const struct group_options *options)
{
    coordinator->session_max_ms = options->group_session_timeout_max_ms;
    return OK;
}

enum err group_coordinator_replay(struct group_coordinator *coordinator,
                                  const struct coordinator_record *record, int64_t offset,
                                  int64_t producer_id, int16_t producer_epoch, struct why *why)
{
    UNUSED(record);
    coordinator->last_producer_id = producer_id;
    coordinator->last_producer_epoch = producer_epoch;
    if (fake_load_err != OK)
        return why_set(why, fake_load_err, "as the test wants");
    ASSERT(offset > coordinator->last_offset);
    if (coordinator->first_offset < 0) {
        coordinator->first_offset = offset;
        coordinator->committed_first = coordinator->committed;
    }
    coordinator->last_offset = offset;
    coordinator->replayed++;
    return OK;
}

enum err group_coordinator_replay_marker(struct group_coordinator *coordinator, int64_t producer_id,
                                         int16_t producer_epoch, bool is_commit, int64_t offset)
{
    UNUSED(producer_id);
    UNUSED(producer_epoch);
    UNUSED(is_commit);
    UNUSED(offset);
    coordinator->markers++;
    return OK;
}

enum err group_coordinator_loaded(struct group_coordinator *coordinator,
                                  const struct coordinator_moment *moment,
                                  struct coordinator_effects *effects)
{
    UNUSED(moment);
    UNUSED(effects);
    coordinator->loaded_replayed = coordinator->replayed;
    return OK;
}

void group_coordinator_committed(struct group_coordinator *coordinator, int64_t offset)
{
    ASSERT(offset >= coordinator->committed);
    coordinator->committed = offset;
}

enum err group_coordinator_write_ended(struct group_coordinator *coordinator, uint64_t write,
                                       enum err err, const struct coordinator_moment *moment,
                                       struct coordinator_effects *effects)
{
    UNUSED(write);
    UNUSED(moment);
    UNUSED(effects);
    coordinator->ended_ok += err == OK;
    coordinator->ended_bad += err != OK;
    if (err != OK)
        coordinator->last_bad = err;
    return OK;
}

static void reply(struct group_coordinator *coordinator, struct coordinator_effects *effects,
                  uint64_t token, bool after_commit)
{
    struct fake_response *response = ARENA_NEW(effects->arena, struct fake_response);
    enum err err;

    response->replayed = coordinator->replayed;
    err = coordinator_effects_reply(effects, token, response, after_commit);
    ASSERT(err == OK);
}

enum err group_coordinator_handle(struct group_coordinator *coordinator,
                                  const struct coordinator_request *request,
                                  const struct coordinator_moment *moment,
                                  struct coordinator_effects *effects)
{
    const struct fake_call *call = fake_told ? fake_told : request->body;
    enum err err = OK;

    ASSERT(moment->image && moment->random);
    if (call->fails)
        return ERR_NO_MEMORY;
    for (int i = 0; i < call->records; i++) {
        uint8_t *value = arena_zeroed(effects->arena, 1, call->value_bytes + 1);

        err = coordinator_effects_record(effects, SLICE("key"), slice_of(value, call->value_bytes));
        ASSERT(err == OK);
    }
    if (call->records > 0)
        effects->write = ++coordinator->next_write;
    effects->divisible = call->divisible;
    if (call->producer_id != 0) {
        effects->producer_id = call->producer_id;
        effects->producer_epoch = call->producer_epoch;
    }
    for (size_t i = 0; call->wakes && i < coordinator->parked_count; i++)
        reply(coordinator, effects, coordinator->parked[i], true);
    if (call->wakes)
        coordinator->parked_count = 0;
    if (call->with_task) {
        struct coordinator_task *task = ALLOCATOR_NEW(&heap_allocator, struct coordinator_task);

        task->token = request->token;
        err = coordinator_effects_task(effects, task);
        ASSERT(err == OK);
    } else if (call->parks) {
        ASSERT(coordinator->parked_count < FAKE_PARKED_MAX);
        coordinator->parked[coordinator->parked_count++] = request->token;
    } else {
        reply(coordinator, effects, request->token,
              call->stable || (call->records > 0 && !call->early));
    }
    return OK;
}

void group_coordinator_forget(struct group_coordinator *coordinator, uint64_t token)
{
    for (size_t i = 0; i < coordinator->parked_count; i++)
        if (coordinator->parked[i] == token)
            coordinator->parked[i] = coordinator->parked[--coordinator->parked_count];
    coordinator->forgotten++;
}

int64_t group_coordinator_deadline_ms(const struct group_coordinator *coordinator)
{
    return coordinator->deadline_ms;
}

enum err group_coordinator_tick(struct group_coordinator *coordinator,
                                const struct coordinator_moment *moment,
                                struct coordinator_effects *effects)
{
    coordinator->ticks++;
    coordinator->deadline_ms = INT64_MAX;
    UNUSED(moment);
    for (size_t i = 0; i < coordinator->parked_count; i++)
        reply(coordinator, effects, coordinator->parked[i], false);
    coordinator->parked_count = 0;
    return OK;
}

enum err group_coordinator_image_changed(struct group_coordinator *coordinator,
                                         const struct metadata_image *before,
                                         const struct coordinator_moment *moment,
                                         struct coordinator_effects *effects)
{
    ASSERT(before && moment->image && before != moment->image);
    UNUSED(effects);
    coordinator->images++;
    return OK;
}

void coordinator_task_run(struct coordinator_task *task)
{
    task->was_run = true;
}

enum err group_coordinator_task_done(struct group_coordinator *coordinator,
                                     struct coordinator_task **task,
                                     const struct coordinator_moment *moment,
                                     struct coordinator_effects *effects)
{
    UNUSED(moment);
    ASSERT((*task)->was_run);
    reply(coordinator, effects, (*task)->token, false);
    ALLOCATOR_DELETE(&heap_allocator, *task);
    *task = NULL;
    return OK;
}

void group_coordinator_each_assigned(
    const struct group_coordinator *coordinator, const struct metadata_image *image,
    bool (*each)(void *context, const struct group_assigned_view *assigned), void *context)
{
    UNUSED(image);
    for (size_t i = 0; coordinator == fake_first && i < fake_assigned_count; i++)
        if (!each(context, &fake_assigned[i]))
            return;
}

void group_coordinator_each(const struct group_coordinator *coordinator,
                            void (*each)(void *context, const struct group_view *group),
                            void *context)
{
    UNUSED(coordinator);
    UNUSED(each);
    UNUSED(context);
}

void group_coordinator_each_offset(const struct group_coordinator *coordinator,
                                   void (*each)(void *context,
                                                const struct group_offset_view *offset),
                                   void *context)
{
    UNUSED(coordinator);
    UNUSED(each);
    UNUSED(context);
}
