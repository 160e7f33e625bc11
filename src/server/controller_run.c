/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_run.c: runs the controller while this node leads.
 *
 *   INACTIVE ──leader, and everything up to its LeaderChange applied: claim──► ACTIVE
 *      ▲                                                                        │
 *      └──────────── another role or epoch: renounce, parked calls fail ◄───────┘
 *
 *   call ─► waiting ─(active)─► handled, records submitted ─► parked ─(committed, published)─► done
 *
 * Invariants  1. a call is answered OK only when everything up to its commit offset is committed,
 *                applied and published.   2. parked calls end in the order they were handled.
 *             3. a call that comes while nobody leads here waits, as Kafka's forwarding does, until
 *                its deadline or WAIT_MS.
 * Grouping    All that waits is handled in one turn and goes to the log in one write and one flush;
 *             what comes during that flush shares the next.
 */
#include "base/fault_point.h"
#include "protocol/generated/api_keys.h"
#include "server/quorum_internal.h"

#define WAIT_MS 60000
#define TICKS_PER_TURN 16

/* ---- calls ---- */

static void call_fail(struct controller_call *call, enum err err, const struct why *why)
{
    call->err = err;
    if (why)
        call->why = *why;
    if (controller_error_response(&call->request, err, why, call->arena, &call->response) != OK)
        call->response = NULL;
    controller_call_finish(call);
}

void controller_run_accept(struct quorum *quorum, struct controller_call *call)
{
    int64_t now_ms = reactor_now_ms(quorum->reactor);

    call->wait_deadline_ms = MIN(call->request.deadline_ms, now_ms + WAIT_MS);
    list_push_back(&quorum->run.waiting, &call->node);
    quorum_wake(quorum);
}

static struct controller_moment moment_now(struct quorum *quorum)
{
    struct raft_status status;

    raft_status(quorum->raft, &status);
    return (struct controller_moment){
        .now_ms = reactor_now_ms(quorum->reactor),
        .wall_ms = reactor_wall_ms(quorum->reactor),
        .next_offset = status.log_end_offset,
        .random = reactor_random(quorum->reactor),
    };
}

static void call_park(struct quorum *quorum, struct controller_call *call)
{
    call->commit_offset = MAX(call->commit_offset, controller_end_offset(quorum->run.controller));
    list_push_back(&quorum->run.parked, &call->node);
}

/* kraft.version is raft's to change; its outcome is an effect of the step or of a later one. */
static void call_upgrade(struct quorum *quorum, struct controller_call *call, int16_t level)
{
    struct raft_event event = {.kind = RAFT_EVENT_KRAFT_UPGRADE};

    call->upgrade_token = quorum_token(quorum);
    call->commit_offset = INT64_MAX; /* until the outcome is known */
    event.kraft_upgrade.token = call->upgrade_token;
    event.kraft_upgrade.epoch = quorum->run.epoch;
    event.kraft_upgrade.kraft_version = level;
    quorum_feed(quorum, event);
}

void controller_run_upgraded(struct quorum *quorum, uint64_t token, enum err err, const char *text)
{
    LIST_EACH (node, &quorum->run.parked) {
        struct controller_call *call = LIST_ITEM(node, struct controller_call, node);
        struct raft_status status;

        if (call->upgrade_token != token)
            continue;
        raft_status(quorum->raft, &status);
        call->commit_offset = status.log_end_offset;
        call->upgrade_token = 0;
        call->err = err;
        if (err != OK)
            why_set(&call->why, err, "%s", text ? text : err_text(err));
        quorum_wake(quorum);
        return;
    }
}

static void call_handle(struct quorum *quorum, struct controller_call *call)
{
    struct controller_moment moment = moment_now(quorum);
    struct controller_result result;
    int64_t began_ns = os_now_ns(reactor_os(quorum->reactor));
    enum err err =
        controller_handle(quorum->run.controller, &call->request, &moment, call->arena, &result);

    if (err == OK && result.records.count > 0)
        err = controller_submit(quorum, &result, &result.why);
    controller_watch_event(quorum, api_key_name(call->request.api_key), began_ns);
    if (err != OK) {
        call_fail(call, err, result.why.text[0] ? &result.why : NULL);
        return;
    }
    call->response = result.response;
    call->upgrade_token = 0;
    call->commit_offset = -1;
    call_park(quorum, call);
    if (result.kraft_version_upgrade >= 0)
        call_upgrade(quorum, call, result.kraft_version_upgrade);
}

/* True when some call was answered: that may have brought new ones. */
static bool parked_finish(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    bool did = false;

    while (!list_is_empty(&run->parked)) {
        struct controller_call *call =
            LIST_ITEM(list_first(&run->parked), struct controller_call, node);

        if (call->commit_offset > quorum->loader.settled_offset)
            break;
        list_remove(&call->node);
        did = true;
        if (call->err != OK)
            call_fail(call, call->err, &call->why);
        else
            controller_call_finish(call);
    }
    return did;
}

static void list_fail(struct list_node *list, enum err err)
{
    struct list_node calls;

    list_init(&calls);
    list_splice_back(&calls, list);
    while (!list_is_empty(&calls))
        call_fail(LIST_ITEM(list_pop_front(&calls), struct controller_call, node), err, NULL);
}

/* Calls whose time is out before anybody led here. */
static void waiting_expire(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    int64_t now_ms = reactor_now_ms(quorum->reactor);
    int64_t next_ms = INT64_MAX;
    struct list_node expired;

    list_init(&expired);
    LIST_EACH_SAFE (node, &run->waiting) {
        struct controller_call *call = LIST_ITEM(node, struct controller_call, node);

        if (call->wait_deadline_ms > now_ms) {
            next_ms = MIN(next_ms, call->wait_deadline_ms);
            continue;
        }
        list_remove(node);
        list_push_back(&expired, node);
    }
    list_fail(&expired, ERR_REQUEST_TIMED_OUT);
    if (next_ms == INT64_MAX)
        timer_cancel(quorum->reactor, &run->wait_timer);
    else
        timer_set(quorum->reactor, &run->wait_timer, next_ms);
}

/* ---- claim and renounce ---- */

static enum err claim(struct quorum *quorum, const struct raft_status *status, struct why *why)
{
    struct controller_run *run = &quorum->run;
    struct controller_moment moment = moment_now(quorum);
    struct controller_claim claim = {.epoch = quorum->epoch};
    struct controller_result result = {0};
    struct metadata_image *image;
    int32_t *voters = ARENA_ARRAY(&run->scratch, int32_t, status->voters.count);
    enum err err;

    if (!voters)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < status->voters.count; i++)
        voters[i] = status->voters.items[i].key.id;
    TRY(metadata_state_publish(quorum->loader.state, &image));
    claim.image = image;
    claim.kraft_version = status->kraft_version;
    claim.transaction_open = metadata_state_in_transaction(quorum->loader.state);
    claim.voters = voters;
    claim.voter_count = status->voters.count;
    err = controller_claim(run->controller, &claim, &moment, &run->scratch, &result);
    metadata_image_release(&image);
    if (err != OK) {
        *why = result.why;
        return err;
    }
    run->is_active = true;
    run->epoch = quorum->epoch;
    return result.records.count > 0 ? controller_submit(quorum, &result, why) : OK;
}

static void renounce(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;

    LOG_INFO(quorum->logger, "controller", "renounced", "epoch=%d", run->epoch);
    run->is_active = false;
    controller_renounce(run->controller);
    timer_cancel(quorum->reactor, &run->tick_timer);
    list_fail(&run->parked, ERR_NOT_CONTROLLER);
}

static bool leads(const struct quorum *quorum)
{
    return quorum->role == RAFT_LEADER;
}

static void role_follow(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    struct raft_status status;
    struct why why = {0};
    enum err err;

    if (run->is_active && (!leads(quorum) || quorum->epoch != run->epoch))
        renounce(quorum);
    if (run->is_active || !leads(quorum))
        return;
    raft_status(quorum->raft, &status);
    /* Everything before this epoch, and its LeaderChange, is applied. */
    if (status.role != RAFT_LEADER || status.epoch != quorum->epoch ||
        quorum->loader.next_offset <= quorum->epoch_start_offset)
        return;
    err = claim(quorum, &status, &why);
    arena_reset(&run->scratch);
    if (err != OK && err != ERR_NOT_CONTROLLER)
        quorum_fail(quorum, err, "the controller cannot take over: %s",
                    why.text[0] ? why.text : err_text(err));
}

void controller_run_voters_changed(struct quorum *quorum, const struct raft_effect *effect)
{
    struct controller_run *run = &quorum->run;
    struct raft_voters voters = effect->voters.voters;
    int32_t *ids;

    if (!run->is_active)
        return;
    ids = ARENA_ARRAY(&run->scratch, int32_t, voters.count);
    for (size_t i = 0; ids && i < voters.count; i++)
        ids[i] = voters.items[i].key.id;
    if (!ids || controller_quorum_changed(run->controller, effect->voters.kraft_version, ids,
                                          voters.count) != OK)
        quorum_fail(quorum, ERR_NO_MEMORY, "no memory for the voters");
}

/* ---- what the controller does by itself ---- */

static void ticks(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    int64_t now_ms = reactor_now_ms(quorum->reactor);
    int64_t deadline_ms = controller_deadline_ms(run->controller);

    for (int i = 0; i < TICKS_PER_TURN && deadline_ms <= now_ms; i++) {
        struct controller_moment moment = moment_now(quorum);
        struct controller_result result;
        int64_t began_ns = os_now_ns(reactor_os(quorum->reactor));
        enum err err = controller_tick(run->controller, &moment, &run->scratch, &result);

        if (err == OK && result.records.count > 0)
            err = controller_submit(quorum, &result, &result.why);
        controller_watch_event(quorum, "tick", began_ns);
        arena_reset(&run->scratch);
        if (err != OK && err != ERR_NOT_CONTROLLER)
            LOG_WARN(quorum->logger, "controller", "task_failed", "error=%s reason=\"%s\"",
                     err_name(err), result.why.text);
        deadline_ms = controller_deadline_ms(run->controller);
        if (err != OK || FAULT_POINT(controller_one_tick))
            break;
    }
    if (deadline_ms == INT64_MAX)
        timer_cancel(quorum->reactor, &run->tick_timer);
    else
        timer_set(quorum->reactor, &run->tick_timer, MAX(deadline_ms, now_ms + 1));
}

static void surroundings(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    const struct config *config = quorum_config(quorum);
    int64_t remote_ms = quorum->remote_fetch_ms;

    if (config != run->config) {
        run->config = config;
        controller_config_changed(run->controller, config);
    }
    /* Fetches wait half a second at most: who was silent for ten is gone. */
    controller_fetchers_changed(
        run->controller, remote_ms >= 0 && reactor_now_ms(quorum->reactor) - remote_ms < 10000);
}

void controller_run_work(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;
    bool did, is_enough = false;

    if (run->controller) {
        surroundings(quorum);
        role_follow(quorum);
        controller_announce_work(quorum); /* right after the claim: the same flush */
    }
    do {
        did = parked_finish(quorum);
        while (run->is_active && quorum_is_running(quorum) && !list_is_empty(&run->waiting)) {
            did = true;
            call_handle(quorum,
                        LIST_ITEM(list_pop_front(&run->waiting), struct controller_call, node));
            is_enough = FAULT_POINT(controller_one_call);
            if (is_enough)
                break;
        }
    } while (did && !is_enough && quorum_is_running(quorum));
    if (is_enough)
        quorum_wake(quorum);
    if (run->is_active && quorum_is_running(quorum))
        ticks(quorum);
    waiting_expire(quorum);
}

/* ---- making and ending ---- */

static void tick_fire(struct timer *timer)
{
    quorum_wake(CONTAINER_OF(timer, struct quorum, run.tick_timer));
}

static void wait_fire(struct timer *timer)
{
    quorum_wake(CONTAINER_OF(timer, struct quorum, run.wait_timer));
}

void controller_run_init(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;

    list_init(&run->waiting);
    list_init(&run->parked);
    timer_init(&run->tick_timer, tick_fire);
    timer_init(&run->wait_timer, wait_fire);
    arena_init(&run->scratch, &heap_allocator, SIZE_MAX);
    controller_watch_init(quorum, quorum->node->boot_config);
}

enum err controller_run_create(struct quorum *quorum, const struct metadata_record_list *bootstrap)
{
    const struct node *node = quorum->node;
    const struct config *config = node->boot_config;
    struct controller_options options = controller_options_default();

    if (!node->config.controller)
        return OK;
    options.node_id = node->config.node_id;
    options.cluster_id = node->cluster_id;
    options.session_timeout_ms = config_long(config, BROKER_BROKER_SESSION_TIMEOUT_MS);
    options.heartbeat_interval_ms = config_long(config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
    options.idle_interval_ms_max = config_long(config, BROKER_METADATA_MAX_IDLE_INTERVAL_MS);
    options.idle_alone = true; /* quorums of one voter; remote fetchers are told as they come */
    options.leader_rebalance = config_boolean(config, BROKER_AUTO_LEADER_REBALANCE_ENABLE);
    options.leader_rebalance_interval_ms =
        1000 * config_long(config, BROKER_LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS);
    options.unclean_election_interval_ms =
        config_long(config, BROKER_UNCLEAN_LEADER_ELECTION_INTERVAL_MS);
    options.partitions_default = config_int(config, BROKER_NUM_PARTITIONS);
    options.replication_factor_default =
        (int16_t)config_int(config, BROKER_DEFAULT_REPLICATION_FACTOR);
    options.topic_deletion = config_boolean(config, BROKER_DELETE_TOPIC_ENABLE);
    options.config = quorum->run.config = config;
    options.config_file = node->options.file;
    options.bootstrap = *bootstrap;
    return controller_create(&heap_allocator, &options, quorum->logger, &quorum->run.controller);
}

void controller_run_stop(struct quorum *quorum)
{
    struct controller_run *run = &quorum->run;

    if (run->is_active)
        renounce(quorum);
    timer_cancel(quorum->reactor, &run->tick_timer);
    timer_cancel(quorum->reactor, &run->wait_timer);
    controller_watch_stop(quorum);
    list_fail(&run->waiting, ERR_NOT_CONTROLLER);
}

void controller_run_release(struct quorum *quorum)
{
    controller_release(&quorum->run.controller);
    arena_release(&quorum->run.scratch);
}
