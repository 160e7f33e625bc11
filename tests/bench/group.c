/* SPDX-License-Identifier: Apache-2.0 */
/* Members of one group, a connection each, in one thread.
 *
 *   group ADDRESS classic|consumer GROUP TOPIC PARTITIONS MEMBERS BEATS COMMITS
 *       All members join at once. When the group is stable (every partition has one owner, and nobody is owed
 *       anything) it prints a line of JSON with the seconds that took, and waits for a line; then BEATS heartbeats,
 *       one under way per member, a line of JSON, and it waits again; then COMMITS offset commits likewise.
 *
 * classic: JoinGroup v2, SyncGroup v1, Heartbeat v1; the leader gives each member an equal share.
 * consumer: ConsumerGroupHeartbeat v0, at the interval that the coordinator tells, and at once after a change of
 * assignment, as Apache's client does. Commits: OffsetCommit v2 and v9. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum { COORDINATOR = 10, JOIN = 11, BEAT = 12, SYNC = 14, COMMIT = 8, CONSUMER_BEAT = 68 };
enum { MEMBERS_MAX = 4096, PARTITIONS_MAX = 4096, ROOM = 1 << 20, FRAME = 1 << 18 };
enum { REBALANCE_IN_PROGRESS = 27, TIMEOUT_MS = 120000, STABLE_SECONDS_MAX = 300 };

enum phase { JOINING, SYNCING, RESTING, BEATING };

struct member {
    struct group *group;
    int fd;
    enum phase phase;
    char id[128];
    int32_t generation; /* or member epoch */
    bool is_leader, is_owed;
    uint8_t topic_id[16];
    uint32_t owned_count;
    int32_t *owned;
    int64_t due_ns; /* of the next heartbeat */
    uint8_t *in;
    size_t used;
};

struct group {
    const char *name, *topic;
    bool is_consumer;
    uint32_t partition_count, member_count;
    struct member members[MEMBERS_MAX];
    char (*others)[128]; /* ids that the leader was told */
    uint32_t other_count;
    int epoll;
    uint16_t loop_api; /* once stable: what each answer is followed by; 0: nothing */
    uint64_t loop_left, loop_answers;
    int64_t committed;
    uint8_t frame[FRAME];
};

static void die(const char *why, int64_t detail)
{
    fprintf(stderr, "group: %s (%lld)\n", why, (long long)detail);
    exit(1);
}

static void line_wait(void)
{
    char line[16];

    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        exit(1);
}

static void member_send(struct member *member, const uint8_t *end)
{
    size_t size = wire_finish(member->group->frame, end);

    if (!wire_send(member->fd, member->group->frame, size))
        die("connection lost", 0);
}

static uint8_t *begin(struct member *member, uint16_t api, uint16_t version)
{
    return wire_put_header(member->group->frame, api, version, api);
}

/* ---- requests ---- */

static void join_send(struct member *member)
{
    uint8_t *at = begin(member, JOIN, 2);

    at = wire_put_string(at, member->group->name);
    at = wire_put(at, 45000, 4);
    at = wire_put(at, TIMEOUT_MS, 4);
    at = wire_put_string(at, member->id);
    at = wire_put_string(at, "consumer");
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, "range");
    at = wire_put(at, 4, 4);
    at = wire_put_bytes(at, "meta", 4);
    member->phase = JOINING;
    member_send(member, at);
}

static void sync_send(struct member *member)
{
    struct group *group = member->group;
    uint8_t *at = begin(member, SYNC, 1);

    at = wire_put_string(at, group->name);
    at = wire_put(at, (uint32_t)member->generation, 4);
    at = wire_put_string(at, member->id);
    at = wire_put(at, member->is_leader ? group->other_count : 0, 4);
    for (uint32_t i = 0; member->is_leader && i < group->other_count; i++) {
        char share[32];
        int size = snprintf(share, sizeof(share), "%u",
                            group->partition_count / group->other_count +
                                (i < group->partition_count % group->other_count));

        at = wire_put_string(at, group->others[i]);
        at = wire_put(at, (uint64_t)size, 4);
        at = wire_put_bytes(at, share, (size_t)size);
    }
    member->phase = SYNCING;
    member_send(member, at);
}

static void classic_beat_send(struct member *member)
{
    uint8_t *at = begin(member, BEAT, 1);

    at = wire_put_string(at, member->group->name);
    at = wire_put(at, (uint32_t)member->generation, 4);
    at = wire_put_string(at, member->id);
    member->phase = BEATING;
    member_send(member, at);
}

/* Flexible header: a plain client id, then tags. full: everything is told, as at the first time and after each
 * change. */
static void consumer_beat_send(struct member *member, bool full)
{
    struct group *group = member->group;
    bool is_first = member->generation == 0;
    uint8_t *at = wire_put(begin(member, CONSUMER_BEAT, 0), 0, 1);

    at = wire_put_compact(at, group->name);
    at = wire_put_compact(at, member->id);
    at = wire_put(at, (uint32_t)member->generation, 4);
    at = wire_put(at, 0, 1); /* instance: null */
    at = wire_put(at, 0, 1); /* rack */
    at = wire_put(at, is_first ? TIMEOUT_MS : UINT32_MAX, 4);
    if (is_first) {
        at = wire_put_uvarint(at, 2);
        at = wire_put_compact(at, group->topic);
    } else {
        at = wire_put(at, 0, 1);
    }
    at = wire_put(at, 0, 1); /* assignor */
    if (!full) {
        at = wire_put(at, 0, 1);
    } else if (member->owned_count == 0) {
        at = wire_put_uvarint(at, 1);
    } else {
        at = wire_put_uvarint(at, 2);
        at = wire_put_bytes(at, member->topic_id, 16);
        at = wire_put_uvarint(at, member->owned_count + 1);
        for (uint32_t i = 0; i < member->owned_count; i++)
            at = wire_put(at, (uint32_t)member->owned[i], 4);
        at = wire_put(at, 0, 1);
    }
    at = wire_put(at, 0, 1);
    member->phase = BEATING;
    member_send(member, at);
}

static void consumer_commit_send(struct member *member)
{
    struct group *group = member->group;
    uint8_t *at = wire_put(begin(member, COMMIT, 9), 0, 1);

    at = wire_put_compact(at, group->name);
    at = wire_put(at, (uint32_t)member->generation, 4);
    at = wire_put_compact(at, member->id);
    at = wire_put(at, 0, 1); /* instance: null */
    at = wire_put_uvarint(at, 2);
    at = wire_put_compact(at, group->topic);
    at = wire_put_uvarint(at, 2);
    at = wire_put(at, (uint64_t)(member - group->members) % group->partition_count, 4);
    at = wire_put(at, (uint64_t)group->committed++, 8);
    at = wire_put(at, UINT32_MAX, 4); /* leader epoch: none */
    at = wire_put_compact(at, "");
    at = wire_put(at, 0, 3); /* tags of partition, topic, request */
    member_send(member, at);
}

static void commit_send(struct member *member)
{
    struct group *group = member->group;
    uint8_t *at = begin(member, COMMIT, 2);

    at = wire_put_string(at, group->name);
    at = wire_put(at, (uint32_t)member->generation, 4);
    at = wire_put_string(at, member->id);
    at = wire_put(at, UINT64_MAX, 8); /* retention: the broker's */
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, group->topic);
    at = wire_put(at, 1, 4);
    at = wire_put(at, (uint64_t)(member - group->members) % group->partition_count, 4);
    at = wire_put(at, (uint64_t)group->committed++, 8);
    at = wire_put_string(at, "");
    member_send(member, at);
}

/* ---- answers ---- */

static uint64_t read_uvarint(const uint8_t **at)
{
    uint64_t value = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

static const uint8_t *text_read(const uint8_t *at, char *out, size_t room)
{
    size_t size = wire_get(at, 2);

    if (size >= room)
        die("a text that is too long", (int64_t)size);
    memcpy(out, at + 2, size);
    out[size] = 0;
    return at + 2 + size;
}

static void joined(struct member *member, const uint8_t *at)
{
    struct group *group = member->group;
    char leader[128], protocol[128];

    if (wire_get(at + 4, 2) != 0) /* the coordinator is loading, or not here yet: again */
        die("JoinGroup", (int64_t)wire_get(at + 4, 2));
    member->generation = (int32_t)wire_get(at + 6, 4);
    at = text_read(at + 10, protocol, sizeof(protocol));
    at = text_read(at, leader, sizeof(leader));
    at = text_read(at, member->id, sizeof(member->id));
    member->is_leader = strcmp(leader, member->id) == 0;
    if (member->is_leader) {
        group->other_count = (uint32_t)wire_get(at, 4);
        at += 4;
        if (group->other_count > MEMBERS_MAX)
            die("members", group->other_count);
        for (uint32_t i = 0; i < group->other_count; i++) {
            at = text_read(at, group->others[i], sizeof(group->others[i]));
            at += 4 + wire_get(at, 4);
        }
    }
    sync_send(member);
}

static void synced(struct member *member, const uint8_t *at)
{
    uint64_t error = wire_get(at + 4, 2);
    char share[32] = "";

    if (error == REBALANCE_IN_PROGRESS) {
        join_send(member);
        return;
    }
    if (error != 0)
        die("SyncGroup", (int64_t)error);
    if (wire_get(at + 6, 4) >= sizeof(share))
        die("an assignment that is too long", (int64_t)wire_get(at + 6, 4));
    memcpy(share, at + 10, wire_get(at + 6, 4));
    member->owned_count = (uint32_t)strtoul(share, NULL, 10);
    member->phase = RESTING;
    member->due_ns = wire_now_ns() + 3000000000;
}

static void assignment_read(struct member *member, const uint8_t *at)
{
    uint64_t topics = read_uvarint(&at);

    member->owned_count = 0;
    for (uint64_t i = 1; i < topics; i++) {
        uint64_t count;

        memcpy(member->topic_id, at, 16);
        at += 16;
        count = read_uvarint(&at) - 1;
        if (count > PARTITIONS_MAX)
            die("partitions", (int64_t)count);
        for (uint64_t j = 0; j < count; j++, at += 4)
            member->owned[member->owned_count++] = (int32_t)wire_get(at, 4);
        at++; /* tags */
    }
}

static void consumer_beaten(struct member *member, const uint8_t *at)
{
    uint64_t error = wire_get(at + 1 + 4, 2); /* tags of the header, throttle */
    uint64_t size;
    int32_t epoch;
    int64_t interval_ms;

    if (error != 0)
        die("ConsumerGroupHeartbeat", (int64_t)error);
    at += 7;
    size = read_uvarint(&at); /* message */
    at += size > 0 ? size - 1 : 0;
    size = read_uvarint(&at); /* member id */
    at += size > 0 ? size - 1 : 0;
    epoch = (int32_t)wire_get(at, 4);
    interval_ms = (int64_t)wire_get(at + 4, 4);
    at += 8;
    member->is_owed = false;
    member->phase = RESTING;
    member->due_ns = wire_now_ns() + interval_ms * 1000000;
    member->generation = epoch;
    if (*at++ == 1) { /* an assignment */
        assignment_read(member, at);
        member->is_owed = true;
        member->due_ns = 0;
    }
}

/* The answer of one loop request: counts it, sends the next. */
static void loop_next(struct member *member)
{
    struct group *group = member->group;

    if (group->loop_left == 0)
        return;
    group->loop_left--;
    if (group->loop_api == COMMIT && group->is_consumer)
        consumer_commit_send(member);
    else if (group->loop_api == COMMIT)
        commit_send(member);
    else if (group->is_consumer)
        consumer_beat_send(member, false);
    else
        classic_beat_send(member);
}

/* The error behind the topic's name and the partition, in either form. */
static void committed(const struct group *group, const uint8_t *at)
{
    size_t before = group->is_consumer ? 1 + 4 + 1 + 1 + strlen(group->topic) + 1 + 4
                                       : 4 + 2 + strlen(group->topic) + 4 + 4;
    uint64_t error = wire_get(at + before, 2);

    if (error != 0)
        die("OffsetCommit", (int64_t)error);
}

static void answered(struct member *member, const uint8_t *body)
{
    struct group *group = member->group;
    uint32_t api = (uint32_t)wire_get(body, 4); /* the correlation id tells the request */
    const uint8_t *at = body + 4;

    if (api == JOIN)
        joined(member, at);
    else if (api == SYNC)
        synced(member, at);
    else if (api == CONSUMER_BEAT)
        consumer_beaten(member, at);
    else if (api == BEAT && wire_get(at + 4, 2) == REBALANCE_IN_PROGRESS && group->loop_api == 0)
        join_send(member);
    else if (api == BEAT && wire_get(at + 4, 2) != 0)
        die("Heartbeat", (int64_t)wire_get(at + 4, 2));
    else if (api == BEAT)
        member->phase = RESTING, member->due_ns = wire_now_ns() + 3000000000;
    else if (api == COMMIT)
        committed(group, at);
    if (group->loop_api != 0) {
        group->loop_answers++;
        loop_next(member);
    }
}

static void member_read(struct member *member)
{
    ssize_t got = recv(member->fd, member->in + member->used, ROOM - member->used, 0);

    if (got <= 0)
        die("connection lost", errno);
    member->used += (size_t)got;
    while (member->used >= 4) {
        size_t size = wire_get(member->in, 4);

        if (size > ROOM - 4)
            die("an answer that is too long", (int64_t)size);
        if (member->used < 4 + size)
            return;
        answered(member, member->in + 4);
        member->used -= 4 + size;
        memmove(member->in, member->in + 4 + size, member->used);
    }
}

/* ---- phases ---- */

static void wait_some(struct group *group, int milliseconds)
{
    struct epoll_event events[256];
    int ready = epoll_wait(group->epoll, events, 256, milliseconds);

    for (int i = 0; i < ready; i++)
        member_read(events[i].data.ptr);
}

static bool is_stable(const struct group *group)
{
    uint64_t owned = 0;
    int32_t generation = group->members[0].generation;

    for (uint32_t i = 0; i < group->member_count; i++) {
        const struct member *member = &group->members[i];

        if (member->phase != RESTING || member->is_owed || member->generation != generation)
            return false;
        owned += member->owned_count;
    }
    return owned == group->partition_count;
}

static void stabilize(struct group *group)
{
    int64_t start_ns = wire_now_ns();

    for (uint32_t i = 0; i < group->member_count; i++) {
        if (group->is_consumer)
            consumer_beat_send(&group->members[i], true);
        else
            join_send(&group->members[i]);
    }
    while (!is_stable(group)) {
        int64_t now_ns = wire_now_ns();

        if (now_ns - start_ns > (int64_t)STABLE_SECONDS_MAX * 1000000000)
            die("the group does not become stable", STABLE_SECONDS_MAX);
        for (uint32_t i = 0; i < group->member_count; i++) {
            struct member *member = &group->members[i];

            if (member->phase != RESTING || member->due_ns > now_ns)
                continue;
            if (group->is_consumer)
                consumer_beat_send(member, member->is_owed);
            else
                classic_beat_send(member);
        }
        wait_some(group, 1);
    }
    printf("{\"stable_seconds\": %.6f}\n", (double)(wire_now_ns() - start_ns) / 1e9);
    line_wait();
}

static void loop(struct group *group, uint16_t api, uint64_t count)
{
    int64_t start_ns = wire_now_ns();
    double cpu = wire_cpu_seconds();

    group->loop_api = api;
    group->loop_left = count;
    group->loop_answers = 0;
    for (uint32_t i = 0; i < group->member_count; i++)
        loop_next(&group->members[i]);
    while (group->loop_answers < count)
        wait_some(group, 1000);
    group->loop_api = 0;
    printf("{\"count\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f}\n",
           (unsigned long long)count, (double)(wire_now_ns() - start_ns) / 1e9,
           wire_cpu_seconds() - cpu);
    line_wait();
}

/* Until the coordinator of the group answers: its topic may have to be made. */
static void coordinator_wait(const struct group *group, const char *address)
{
    uint8_t frame[512], answer[1024];
    size_t size;
    int fd = wire_connect(address);

    for (int i = 0; fd >= 0 && i < 600; i++) {
        uint8_t *at = wire_put_header(frame, COORDINATOR, 0, i);
        struct timespec pause = {0, 100000000};

        at = wire_put_string(at, group->name);
        if (!wire_send(fd, frame, wire_finish(frame, at)) ||
            !wire_receive(fd, answer, sizeof(answer), &size))
            die("connection lost", 0);
        if (wire_get(answer + 4, 2) == 0) {
            /* It was found; it may load for a moment. */
            pause.tv_sec = 1;
            nanosleep(&pause, NULL);
            close(fd);
            return;
        }
        nanosleep(&pause, NULL);
    }
    die("no coordinator", 0);
}

int main(int argc, char **argv)
{
    struct group *group = calloc(1, sizeof(*group));

    if (argc != 9 || !group) {
        fprintf(
            stderr,
            "usage: group ADDRESS classic|consumer GROUP TOPIC PARTITIONS MEMBERS BEATS COMMITS\n");
        return 2;
    }
    group->is_consumer = strcmp(argv[2], "consumer") == 0;
    group->name = argv[3];
    group->topic = argv[4];
    group->partition_count = (uint32_t)strtoul(argv[5], NULL, 10);
    group->member_count = (uint32_t)strtoul(argv[6], NULL, 10);
    group->others = calloc(MEMBERS_MAX, sizeof(*group->others));
    group->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (group->member_count - 1 >= MEMBERS_MAX || group->partition_count - 1 >= PARTITIONS_MAX)
        die("arguments out of range", 0);
    coordinator_wait(group, argv[1]);
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct member *member = &group->members[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};

        member->group = group;
        member->fd = wire_connect(argv[1]);
        member->in = malloc(ROOM);
        member->owned = calloc(PARTITIONS_MAX, sizeof(int32_t));
        if (group->is_consumer)
            snprintf(member->id, sizeof(member->id), "member-%06u-of-a-consumer-group", i);
        if (member->fd < 0 || !member->in || !member->owned ||
            epoll_ctl(group->epoll, EPOLL_CTL_ADD, member->fd, &event) != 0)
            die("cannot connect", i);
    }
    puts("connected");
    line_wait();
    stabilize(group);
    loop(group, group->is_consumer ? CONSUMER_BEAT : BEAT, strtoull(argv[7], NULL, 10));
    loop(group, COMMIT, strtoull(argv[8], NULL, 10));
    return 0;
}
