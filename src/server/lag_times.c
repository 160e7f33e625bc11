/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/lag_times.c: see the header.
 *
 * A time is remembered by partition and committed offset: of a group that stands still it is looked up once.
 * Groups that move miss each time; of those a page looks up LAG_LOOKUPS_MAX, each page from where the
 * last one ended, and leaves the others out. A look-up is the index and 61 bytes of the log.
 */
#include "server/lag_times.h"

#include "base/assert.h"
#include "base/hash_map.h"
#include "records/batch.h"
#include "server/coordinator_internal.h"

#include <stdatomic.h>

#define READS_AT_ONCE 8

/* ---- what is asked of one shard ---- */

struct lag_part;
struct lag_lookup {
    struct uuid topic_id;
    int32_t index;
    int64_t offset;
    int64_t time_ms; /* out; -1: not known */
    /* the shard's */
    struct lag_lookup *next;
    struct lag_part *part;
    struct partition *partition;
    struct log_read read;
    uint8_t header[BATCH_HEADER_BYTES];
};

struct lag_request;
struct lag_part {
    struct mail mail;
    struct lag_request *request;
    struct shard *shard;
    struct lag_lookup *next; /* not begun */
    size_t active;
    bool is_stepping;
};

struct lag_request {
    atomic_int references; /* parts under way, and the asker */
    atomic_int left;
    struct os_port *port;
    struct lag_lookup *lookups;
    size_t lookup_count, lookup_room;
    size_t part_count;
    struct lag_part parts[];
};

static void request_unref(struct lag_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) > 1)
        return;
    server_free(request->lookups, request->lookup_room * sizeof(struct lag_lookup));
    server_free(request, sizeof *request + request->part_count * sizeof request->parts[0]);
}

/* ---- on the shard ---- */

static void part_step(struct lag_part *part);

static void lookup_end(struct lag_lookup *lookup, int64_t time_ms)
{
    struct lag_part *part = lookup->part;

    lookup->time_ms = time_ms;
    part->active--;
    if (!part->is_stepping)
        part_step(part);
}

static void lookup_release(struct lag_lookup *lookup)
{
    log_read_release(&lookup->read);
    partition_unuse(lookup->partition);
}

static void header_read(struct log_read *read)
{
    struct lag_lookup *lookup = CONTAINER_OF(read, struct lag_lookup, read);
    struct batch_header header;
    int64_t time_ms = -1;

    if (read->err == OK && read->read_bytes == sizeof lookup->header &&
        batch_header_read_prefix(slice_of(lookup->header, sizeof lookup->header), &header) == OK)
        time_ms = header.base_timestamp >= 0 && header.base_offset >= lookup->offset
                      ? header.base_timestamp
                      : header.max_timestamp; /* inside of a batch: no older than this is known */
    lookup_release(lookup);
    lookup_end(lookup, time_ms);
}

static void planned(struct log_read *read)
{
    struct lag_lookup *lookup = CONTAINER_OF(read, struct lag_lookup, read);

    if (read->err != OK || read->size_bytes < sizeof lookup->header) {
        lookup_release(lookup);
        lookup_end(lookup, -1);
        return;
    }
    read->size_bytes = sizeof lookup->header;
    read->done = header_read;
    log_read_bytes(read, lookup->header);
}

static void lookup_start(struct lag_lookup *lookup)
{
    struct partition *partition =
        partition_find(lookup->part->shard->partitions, lookup->topic_id, lookup->index);

    lookup->part->active++;
    if (!partition || partition->stage != PARTITION_OPEN ||
        partition->replica.role != REPLICA_LEADER ||
        lookup->offset >= partition->replica.high_watermark) {
        lookup_end(lookup, -1);
        return;
    }
    lookup->partition = partition;
    partition_use(partition);
    lookup->read = (struct log_read){
        .offset = MAX(lookup->offset, log_start_offset(partition->log)),
        .bound_offset = partition->replica.high_watermark,
        .bytes_max = sizeof lookup->header,
        .at_least_one = true,
        .done = planned,
    };
    if (log_read_plan(partition->log, &lookup->read))
        planned(&lookup->read);
}

static void part_end(struct lag_part *part)
{
    struct lag_request *request = part->request;
    struct coordinator_service *service = part->shard->coordinators;
    struct os_port *port = request->port;

    atomic_fetch_sub(&request->left, 1);
    os_port_wake(port);
    request_unref(request);
    service_visit_end(service);
}

static void part_step(struct lag_part *part)
{
    part->is_stepping = true;
    while (part->next && part->active < READS_AT_ONCE) {
        struct lag_lookup *lookup = part->next;

        part->next = lookup->next;
        lookup_start(lookup);
    }
    part->is_stepping = false;
    if (!part->next && part->active == 0)
        part_end(part);
}

static void part_deliver(struct mail *mail, struct reactor *to)
{
    struct lag_part *part = CONTAINER_OF(mail, struct lag_part, mail);
    struct coordinator_service *service = part->shard->coordinators;

    UNUSED(to);
    service_visit_begin(service);
    if (service->is_stopped) /* logs are about to be closed */
        part->next = NULL;
    part_step(part);
}

static void part_drop(struct mail *mail)
{
    request_unref(CONTAINER_OF(mail, struct lag_part, mail)->request);
}

/* ---- on the HTTP thread ---- */

struct lag_time {
    struct hash_map_node node;
    struct uuid topic_id;
    int32_t index;
    int64_t offset, time_ms;
    uint64_t page; /* that used it last */
};

struct lag_times {
    struct node *node;
    struct os_port *port;
    struct hash_map map; /* struct lag_time */
    uint64_t page;
    size_t skip; /* misses that the next page lets the others go before */
};

static uint64_t time_hash(const struct lag_time *time)
{
    return hash_u64(hash_slice(slice_of(time->topic_id.bytes, sizeof time->topic_id.bytes)) +
                    (uint64_t)time->offset * 31 + (uint64_t)(uint32_t)time->index);
}

static bool time_matches(const struct hash_map_node *node, const void *key)
{
    const struct lag_time *own = CONTAINER_OF(node, const struct lag_time, node);
    const struct lag_time *wanted = key;

    return own->offset == wanted->offset && own->index == wanted->index &&
           uuid_equal(own->topic_id, wanted->topic_id);
}

struct lag_times *lag_times_create(struct node *node, struct os_port *port)
{
    struct lag_times *times = SERVER_NEW(struct lag_times);

    times->node = node;
    times->port = port;
    hash_map_init(&times->map, &heap_allocator, time_matches);
    return times;
}

static void forget(struct lag_times *times, bool all)
{
    HASH_MAP_EACH_SAFE (node, &times->map) {
        struct lag_time *time = HASH_MAP_ITEM(node, struct lag_time, node);

        if (!all && time->page == times->page && time->time_ms >= 0)
            continue;
        hash_map_remove(&times->map, &time->node);
        SERVER_DELETE(time);
    }
}

void lag_times_release(struct lag_times **times)
{
    if (!*times)
        return;
    forget(*times, true);
    hash_map_release(&(*times)->map);
    SERVER_DELETE(*times);
    *times = NULL;
}

static struct lag_time *find(struct lag_times *times, const struct partition_sample *partition,
                             int64_t offset)
{
    struct lag_time key = {
        .topic_id = partition->topic_id, .index = partition->partition, .offset = offset};
    struct hash_map_node *found = hash_map_find(&times->map, time_hash(&key), &key);
    struct lag_time *time = found ? CONTAINER_OF(found, struct lag_time, node) : NULL;

    if (time)
        time->page = times->page;
    return time;
}

/* An entry without a time: groups that stand at the same place ask once. */
static void expect(struct lag_times *times, const struct partition_sample *partition,
                   int64_t offset)
{
    struct lag_time *time = SERVER_NEW(struct lag_time);

    *time = (struct lag_time){
        .topic_id = partition->topic_id,
        .index = partition->partition,
        .offset = offset,
        .time_ms = -1,
        .page = times->page,
    };
    if (hash_map_insert(&times->map, time_hash(time), &time->node) != OK)
        SERVER_DELETE(time);
}

static void remember(struct lag_times *times, const struct lag_lookup *lookup)
{
    struct lag_time key = {
        .topic_id = lookup->topic_id, .index = lookup->index, .offset = lookup->offset};
    struct hash_map_node *found = hash_map_find(&times->map, time_hash(&key), &key);

    if (found)
        CONTAINER_OF(found, struct lag_time, node)->time_ms = lookup->time_ms;
}

static void lookup_add(struct lag_request *request, const struct partition_sample *partition,
                       int32_t shard, int64_t offset)
{
    struct lag_lookup *lookup = &request->lookups[request->lookup_count++];
    struct lag_part *part = &request->parts[shard];

    *lookup = (struct lag_lookup){
        .topic_id = partition->topic_id,
        .index = partition->partition,
        .offset = offset,
        .time_ms = -1,
        .next = part->next,
        .part = part,
    };
    part->next = lookup;
}

/* Fills in what is remembered; the number of what is not. Of that, what stands behind the first `skip` goes
 * into the request as far as it has room (NULL: nothing does). */
static size_t offsets_walk(struct lag_times *times, struct shard_sample *shards, size_t shard_count,
                           struct lag_request *request)
{
    size_t misses = 0;

    for (size_t i = 0; i < shard_count; i++) {
        for (size_t k = 0; k < shards[i].group_offset_count; k++) {
            struct group_offset_sample *offset = &shards[i].group_offsets[k];
            const struct partition_sample *partition = offset->log;
            const struct lag_time *time;

            if (!partition || !partition->is_leader || offset->offset < 0 ||
                offset->offset >= partition->high_watermark)
                continue;
            time = find(times, partition, offset->offset);
            offset->oldest_ms = time ? time->time_ms : -1;
            if (time || misses++ < times->skip || !request ||
                request->lookup_count == request->lookup_room)
                continue;
            lookup_add(request, partition, offset->log_shard, offset->offset);
            expect(times, partition, offset->offset);
        }
    }
    return misses;
}

static struct lag_request *request_create(struct lag_times *times, size_t shard_count, size_t room)
{
    struct lag_request *request =
        server_allocate(sizeof *request + shard_count * sizeof request->parts[0]);

    request->port = times->port;
    request->lookups = server_allocate(room * sizeof(struct lag_lookup));
    request->lookup_room = room;
    request->part_count = shard_count;
    for (size_t i = 0; i < shard_count; i++) {
        request->parts[i].request = request;
        request->parts[i].shard = &times->node->shards[i];
    }
    atomic_init(&request->references, 1);
    atomic_init(&request->left, 0);
    return request;
}

static void request_send(struct lag_request *request)
{
    for (size_t i = 0; i < request->part_count; i++) {
        struct lag_part *part = &request->parts[i];

        if (!part->next)
            continue;
        part->mail.deliver = part_deliver;
        part->mail.drop = part_drop;
        atomic_fetch_add(&request->references, 1);
        atomic_fetch_add(&request->left, 1);
        reactor_send(NULL, part->shard->reactor, &part->mail);
    }
}

void lag_times_fill(struct lag_times *times, struct shard_sample *shards, size_t shard_count,
                    int64_t deadline_ns)
{
    struct lag_request *request;
    size_t misses;

    times->page++;
    misses = offsets_walk(times, shards, shard_count, NULL);
    if (misses > 0) {
        if (times->skip >= misses)
            times->skip = 0;
        request = request_create(times, shard_count, MIN(misses, (size_t)LAG_LOOKUPS_MAX));
        (void)offsets_walk(times, shards, shard_count, request);
        times->skip += request->lookup_count;
        request_send(request);
        while (atomic_load(&request->left) > 0 && os_now_ns(times->node->os) < deadline_ns)
            os_port_poll(times->port, deadline_ns);
        if (atomic_load(&request->left) == 0)
            for (size_t i = 0; i < request->lookup_count; i++)
                remember(times, &request->lookups[i]);
        request_unref(request);
        (void)offsets_walk(times, shards, shard_count, NULL);
    }
    forget(times, false);
}
