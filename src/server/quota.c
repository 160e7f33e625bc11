/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota.c: which limit holds for a client, and what it has used.
 * Invariants  1. Without a quota of a kind in the image nothing of that kind is recorded or measured.
 *             2. All connections of one entity of the winning level share one usage.
 *             3. A limit over several shards is held against the sum of all: every shard tells the others each
 *                100 ms what it used (quota_exchange.c).
 *             4. Nobody escapes by new names: who finds no room for a usage of his own shares one with all of
 *                those, and a usage that still measures something is never given up for another.
 * Threads     the shard's. docs/design/quotas.md; KIP-13, 124, 546, 599.
 */
#include "server/quota_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"
#include "server/node.h"
#include "server/publication.h"

#define USAGE_IDLE_MS (3600 * 1000)
#define PERCENT_OF_THREAD_NS 1e7 /* one percent of a second of one thread */

static const char *const quota_keys[QUOTA_KINDS] = {
    [QUOTA_PRODUCE] = "producer_byte_rate",
    [QUOTA_FETCH] = "consumer_byte_rate",
    [QUOTA_REQUEST] = "request_percentage",
    [QUOTA_CONTROLLER] = "controller_mutation_rate",
};

/* ---- which limit ---- */

static bool quota_value(const struct metadata_image *image,
                        const struct metadata_quota_entity *entity, enum quota_kind kind,
                        double *limit_out)
{
    const struct metadata_quota *quota = metadata_image_quota(image, entity);

    for (size_t i = 0; quota && i < quota->value_count; i++)
        if (slice_equal_text(quota->values[i].key, quota_keys[kind])) {
            *limit_out = quota->values[i].value;
            return true;
        }
    return false;
}

/* The levels in Kafka's order, each with what of the client names its usage. */
struct level {
    bool has_user, default_user, has_client, default_client;
};
static const struct level levels[] = {
    {true, false, true, false},  {true, false, true, true},  {true, false, false, false},
    {true, true, true, false},   {true, true, true, true},   {true, true, false, false},
    {false, false, true, false}, {false, false, true, true},
};

static bool limit_find(const struct metadata_image *image, enum quota_kind kind, struct slice user,
                       struct slice client_id, struct quota_usage_key *key_out, double *limit_out)
{
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        struct metadata_quota_entity entity = {
            .has_user = levels[i].has_user,
            .user = levels[i].default_user ? SLICE_NULL : user,
            .has_client_id = levels[i].has_client,
            .client_id = levels[i].default_client ? SLICE_NULL : client_id,
        };

        if (!quota_value(image, &entity, kind, limit_out))
            continue;
        key_out->kind = kind;
        key_out->user = levels[i].has_user ? user : SLICE_NULL;
        key_out->client_id = levels[i].has_client ? client_id : SLICE_NULL;
        key_out->is_open = levels[i].default_user || levels[i].default_client;
        return true;
    }
    return false;
}

/* ---- usages ---- */

static uint64_t key_hash(const struct quota_usage_key *key)
{
    return hash_u64((uint64_t)key->kind) ^ hash_slice(key->user) * 3 ^
           hash_slice(key->client_id) * 7;
}

static bool key_matches(const struct hash_map_node *node, const void *key)
{
    const struct quota_usage *usage = CONTAINER_OF(node, const struct quota_usage, node);
    const struct quota_usage_key *other = key;

    return usage->key.kind == other->kind && slice_equal(usage->key.user, other->user) &&
           slice_equal(usage->key.client_id, other->client_id);
}

static void usage_free(struct quota_service *service, struct quota_usage *usage)
{
    hash_map_remove(&service->usages, &usage->node);
    list_remove(&usage->recent);
    heap_allocator.release(&heap_allocator, usage, usage->block_bytes);
}

static void idle_drop(struct quota_service *service, int64_t now_ms, int64_t idle_ms)
{
    struct list_node *oldest;

    while ((oldest = list_first(&service->recent))) {
        struct quota_usage *usage = LIST_ITEM(oldest, struct quota_usage, recent);

        if (now_ms - usage->used_ms < idle_ms)
            return;
        usage_free(service, usage);
    }
}

/* After so long without a record no window holds anything, and a bucket is full again. */
static int64_t windows_ms(const struct quota_service *service)
{
    const struct quota_windows *rates = &service->windows;
    const struct quota_windows *buckets = &service->controller_windows;

    return MAX((rates->count + 1) * rates->size_ms, (buckets->count + 1) * buckets->size_ms);
}

static bool usage_fits(struct quota_service *service, const struct quota_usage_key *key,
                       int64_t now_ms)
{
    idle_drop(service, now_ms, USAGE_IDLE_MS);
    if (key->is_open && service->usages.count >= QUOTA_USAGES_MAX)
        idle_drop(service, now_ms, windows_ms(service));
    return !key->is_open || service->usages.count < QUOTA_USAGES_MAX;
}

static struct slice text_put(uint8_t **at, struct slice from)
{
    struct slice copy = slice_of(*at, from.size_bytes);

    if (slice_is_null(from))
        return SLICE_NULL;
    memcpy(*at, from.data, from.size_bytes);
    *at += from.size_bytes;
    return copy;
}

/* NULL: no room. A peer's name is no reason to break into the reserve. */
static struct quota_usage *usage_make(struct quota_service *service,
                                      const struct quota_usage_key *key, uint64_t hash,
                                      int64_t now_ms)
{
    size_t block_bytes =
        sizeof(struct quota_usage) + key->user.size_bytes + key->client_id.size_bytes;
    struct quota_usage *usage = NULL;
    uint8_t *at;

    if (usage_fits(service, key, now_ms) && memory_reserve_is_whole())
        usage = allocator_zeroed(&heap_allocator, block_bytes);
    if (!usage)
        return NULL;
    usage->block_bytes = block_bytes;
    at = (uint8_t *)(usage + 1);
    usage->key.kind = key->kind;
    usage->key.is_open = key->is_open;
    usage->key.user = text_put(&at, key->user);
    usage->key.client_id = text_put(&at, key->client_id);
    list_init(&usage->recent);
    if (hash_map_insert(&service->usages, hash, &usage->node) != OK) {
        heap_allocator.release(&heap_allocator, usage, block_bytes);
        return NULL;
    }
    return usage;
}

struct quota_usage *quota_usage_get(struct quota_service *service,
                                    const struct quota_usage_key *key, int64_t now_ms)
{
    uint64_t hash = key_hash(key);
    struct hash_map_node *node = hash_map_find(&service->usages, hash, key);
    struct quota_usage *usage = node ? CONTAINER_OF(node, struct quota_usage, node)
                                     : usage_make(service, key, hash, now_ms);

    if (!usage)
        return &service->shared[key->kind];
    list_remove(&usage->recent);
    list_push_back(&service->recent, &usage->recent);
    usage->used_ms = now_ms;
    return usage;
}

/* ---- recording ---- */

static struct quota_usage *usage_of(struct quota_service *service, enum quota_kind kind,
                                    struct slice user, struct slice client_id, double *limit_out)
{
    const struct publication *publication = service->shard->publication;
    struct quota_usage_key key;

    if (!publication || !service->has_kind[kind] ||
        !limit_find(publication->image, kind, user, client_id, &key, limit_out))
        return NULL;
    return quota_usage_get(service, &key, reactor_now_ms(service->shard->reactor));
}

static int64_t cap_ms(enum quota_kind kind, const struct quota_windows *windows)
{
    return kind == QUOTA_REQUEST ? windows->size_ms : INT32_MAX;
}

int32_t quota_record(struct quota_service *service, enum quota_kind kind, struct slice user,
                     struct slice client_id, double amount)
{
    double limit, sum;
    int64_t now_ms, span_ms, throttle_ms;
    struct quota_usage *usage = usage_of(service, kind, user, client_id, &limit);

    if (!usage)
        return 0;
    now_ms = reactor_now_ms(service->shard->reactor);
    if (kind == QUOTA_REQUEST)
        amount /= PERCENT_OF_THREAD_NS;
    quota_rate_record(&usage->rate, &service->windows, now_ms, amount);
    usage->recorded += amount;
    quota_exchange_wake(service);
    quota_rate_measure(&usage->rate, &service->windows, now_ms, &sum, &span_ms);
    throttle_ms = quota_rate_throttle_ms(sum, span_ms, limit);
    return (int32_t)MIN(throttle_ms, cap_ms(kind, &service->windows));
}

void quota_unrecord(struct quota_service *service, enum quota_kind kind, struct slice user,
                    struct slice client_id, double amount)
{
    double limit;
    struct quota_usage *usage = usage_of(service, kind, user, client_id, &limit);

    if (!usage)
        return;
    quota_rate_record(&usage->rate, &service->windows, reactor_now_ms(service->shard->reactor),
                      -amount);
    usage->recorded -= amount;
}

int64_t quota_fetch_bytes_max(struct quota_service *service, struct slice user,
                              struct slice client_id)
{
    double limit, bytes;

    if (!usage_of(service, QUOTA_FETCH, user, client_id, &limit))
        return INT64_MAX;
    bytes =
        limit * (double)(service->windows.count - 1) * (double)service->windows.size_ms / 1000.0;
    return bytes < (double)INT32_MAX ? (int64_t)bytes : INT64_MAX;
}

int32_t quota_controller_check(struct quota_service *service, struct slice user,
                               struct slice client_id, double permits, bool strict)
{
    double limit;
    struct quota_usage *usage;
    int64_t throttle_ms;

    ASSERT(service->shard->index == 0);
    usage = usage_of(service, QUOTA_CONTROLLER, user, client_id, &limit);
    if (!usage)
        return 0;
    throttle_ms = quota_bucket_throttle_ms(&usage->bucket, &service->controller_windows,
                                           reactor_now_ms(service->shard->reactor), limit);
    if (throttle_ms == 0 || !strict)
        quota_bucket_take(&usage->bucket, permits);
    return (int32_t)MIN(throttle_ms, (int64_t)INT32_MAX);
}

/* ---- the service ---- */

static void kinds_note(struct quota_service *service, const struct metadata_image *image)
{
    struct metadata_walk walk;
    const struct metadata_quota *quota;

    memset(service->has_kind, 0, sizeof service->has_kind);
    for (metadata_walk_start(&walk, image, METADATA_QUOTAS); (quota = metadata_walk_next(&walk));)
        for (size_t i = 0; i < quota->value_count; i++)
            for (int kind = 0; kind < QUOTA_KINDS; kind++)
                service->has_kind[kind] |= slice_equal_text(quota->values[i].key, quota_keys[kind]);
}

static struct quota_windows windows_of(const struct config *config, enum broker_key count,
                                       enum broker_key size)
{
    return (struct quota_windows){
        .count = MIN(config_int(config, count), QUOTA_SAMPLES_MAX),
        .size_ms = (int64_t)config_int(config, size) * 1000,
    };
}

void quota_service_apply(struct quota_service *service, const struct publication *before,
                         const struct publication *after)
{
    UNUSED(before);
    service->windows =
        windows_of(after->config, BROKER_QUOTA_WINDOW_NUM, BROKER_QUOTA_WINDOW_SIZE_SECONDS);
    service->controller_windows = windows_of(after->config, BROKER_CONTROLLER_QUOTA_WINDOW_NUM,
                                             BROKER_CONTROLLER_QUOTA_WINDOW_SIZE_SECONDS);
    kinds_note(service, after->image);
}

enum err quota_service_create(struct shard *shard, struct quota_service **out)
{
    struct quota_service *service = SERVER_NEW(struct quota_service);

    service->shard = shard;
    hash_map_init(&service->usages, &heap_allocator, key_matches);
    list_init(&service->recent);
    for (int kind = 0; kind < QUOTA_KINDS; kind++)
        service->shared[kind].key.kind = (enum quota_kind)kind;
    quota_exchange_init(service);
    *out = service;
    return OK;
}

void quota_service_release(struct quota_service **service)
{
    struct list_node *first;

    if (!*service)
        return;
    quota_exchange_stop(*service);
    while ((first = list_first(&(*service)->recent)))
        usage_free(*service, LIST_ITEM(first, struct quota_usage, recent));
    hash_map_release(&(*service)->usages);
    SERVER_DELETE(*service);
    *service = NULL;
}
