/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/periodic.c: what the controller does by itself: fences brokers whose session has ended (one
 * at a time, so that each sees the effect of the one before), gives partitions back to their preferred
 * leaders, elects unclean leaders where the topic allows it, and writes NoOp records so that offsets
 * move.
 */
#include "controller/controller_internal.h"

#define ELECTIONS_MAX 1000
#define AGAIN_MS 10

static int64_t fence_deadline(const struct controller *controller)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < controller->heartbeat_count; i++) {
        if (controller->heartbeats[i].contact_ms >= 0)
            first = MIN(first, controller->heartbeats[i].contact_ms);
    }
    if (first == INT64_MAX)
        return INT64_MAX;
    return MAX(first + controller->options.session_timeout_ms,
               controller->task_deadline_ms[TASK_FENCE]);
}

/* With nobody else to tell, a NoOp is only worth writing behind something else. */
static int64_t no_op_deadline(const struct controller *controller)
{
    if (controller->options.idle_alone && !controller->remote_fetchers &&
        !controller->written_since_no_op)
        return INT64_MAX;
    return controller->task_deadline_ms[TASK_NO_OP];
}

int64_t controller_deadline_ms(const struct controller *controller)
{
    int64_t deadline;

    if (!controller->state)
        return INT64_MAX;
    deadline = MIN(fence_deadline(controller), no_op_deadline(controller));
    deadline = MIN(deadline, controller->task_deadline_ms[TASK_PREFERRED]);
    return MIN(deadline, controller->task_deadline_ms[TASK_UNCLEAN]);
}

static struct heartbeat *session_oldest(struct controller *controller)
{
    struct heartbeat *oldest = NULL;

    for (size_t i = 0; i < controller->heartbeat_count; i++) {
        struct heartbeat *heartbeat = &controller->heartbeats[i];

        if (heartbeat->contact_ms >= 0 && (!oldest || heartbeat->contact_ms < oldest->contact_ms))
            oldest = heartbeat;
    }
    return oldest;
}

/* Told and counted once, however often its records are refused. */
static void session_ended(struct controller *controller, struct heartbeat *heartbeat)
{
    if (heartbeat->has_ended)
        return;
    heartbeat->has_ended = true;
    controller->sessions_expired++;
    LOG_WARN(controller->logger, "controller", "session_ended", "broker=%d epoch=%lld",
             heartbeat->id, (long long)heartbeat->epoch);
}

/* A session is forgotten when its broker's fencing is in the image: the records may not come into the log. */
static enum err fence_one(struct call *call)
{
    struct controller *controller = call->controller;
    struct heartbeat *stale;

    controller->task_deadline_ms[TASK_FENCE] = call->moment->now_ms + AGAIN_MS;
    while ((stale = session_oldest(controller)) != NULL &&
           call->moment->now_ms - stale->contact_ms >= controller->options.session_timeout_ms) {
        const struct metadata_broker *broker = metadata_image_broker(call->image, stale->id);

        session_ended(controller, stale);
        if (broker && broker->epoch == stale->epoch && !broker->fenced)
            return broker_fence_records(call, broker);
        stale->contact_ms = -1;
    }
    return OK;
}

static enum err no_op_write(struct call *call)
{
    struct controller *controller = call->controller;
    struct no_op_record *record;

    controller->task_deadline_ms[TASK_NO_OP] =
        call->moment->now_ms + controller->options.idle_interval_ms_max;
    controller->written_since_no_op = false;
    return record_add(call, METADATA_RECORD_NO_OP, 0, &record);
}

static enum err preferred_elect(struct call *call, const struct metadata_topic *topic)
{
    struct topic_rules rules;
    bool known = false;

    for (int32_t i = 0; i < topic->partition_count && call->records->count < ELECTIONS_MAX; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);
        struct partition_change_record *record;
        struct partition_change change;

        if (!partition || partition->replica_count == 0 ||
            partition->leader == partition->replicas[0])
            continue;
        if (!known)
            TRY(topic_rules_of(call, topic, &rules));
        known = true;
        TRY(partition_change_init(&change, call, topic, partition, &rules));
        change.election = ELECTION_PREFERRED;
        TRY(partition_change_build(&change, call, &record));
    }
    return OK;
}

static enum err unclean_elect(struct call *call, const struct metadata_topic *topic)
{
    struct topic_rules rules;
    bool known = false;

    for (int32_t i = 0; i < topic->partition_count && call->records->count < ELECTIONS_MAX; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);
        struct why why = {0};
        enum err err;

        if (!partition || partition->leader != NO_BROKER)
            continue;
        if (!known)
            TRY(topic_rules_of(call, topic, &rules));
        known = true;
        if (!rules.unclean)
            return OK;
        err = election_run(call, topic, i, true, &why);
        if (err == ERR_NO_MEMORY)
            return err;
    }
    return OK;
}

/* At most ELECTIONS_MAX in one run; the rest follows soon. */
static enum err elect_all(struct call *call, enum controller_task task, int64_t interval_ms)
{
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    metadata_walk_start(&walk, call->image, METADATA_TOPIC_IDS);
    while (call->records->count < ELECTIONS_MAX && (topic = metadata_walk_next(&walk)))
        TRY(task == TASK_PREFERRED ? preferred_elect(call, topic) : unclean_elect(call, topic));
    call->controller->task_deadline_ms[task] =
        call->moment->now_ms + (call->records->count >= ELECTIONS_MAX ? AGAIN_MS : interval_ms);
    return OK;
}

enum err tick_run(struct call *call)
{
    struct controller *controller = call->controller;
    const struct controller_options *options = &controller->options;
    int64_t now_ms = call->moment->now_ms;

    if (call->metadata_version == 0)
        return OK; /* the bootstrap records are not written yet */
    if (fence_deadline(controller) <= now_ms)
        return fence_one(call);
    if (controller->task_deadline_ms[TASK_PREFERRED] <= now_ms)
        return elect_all(call, TASK_PREFERRED, options->leader_rebalance_interval_ms);
    if (controller->task_deadline_ms[TASK_UNCLEAN] <= now_ms)
        return elect_all(call, TASK_UNCLEAN, options->unclean_election_interval_ms);
    if (no_op_deadline(controller) <= now_ms)
        return no_op_write(call);
    return OK;
}

void controller_stats(const struct controller *controller, struct controller_stats *out)
{
    const struct metadata_image *image = controller_view(controller);
    const struct metadata_broker *broker;
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    *out = (struct controller_stats){.sessions_expired = controller->sessions_expired,
                                     .elections_unclean = controller->elections_unclean};
    if (!image)
        return;
    out->topics = (int64_t)metadata_image_topic_count(image);
    out->partitions = (int64_t)metadata_image_partition_count(image);
    metadata_walk_start(&walk, image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        out->brokers_fenced += broker->fenced;
        out->brokers_active += !broker->fenced && !broker->in_controlled_shutdown;
        out->brokers_in_controlled_shutdown += !broker->fenced && broker->in_controlled_shutdown;
    }
    metadata_walk_start(&walk, image, METADATA_TOPIC_IDS);
    while ((topic = metadata_walk_next(&walk))) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct metadata_partition *partition = metadata_topic_partition(topic, i);

            if (!partition)
                continue;
            out->partitions_offline += partition->leader == NO_BROKER;
            out->preferred_imbalance +=
                partition->replica_count > 0 && partition->leader != partition->replicas[0];
        }
    }
}
