/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/publication.c: makes publications and brings them to the shards.
 * Invariants  1. References of images, settings and publications are counted on shard 0 only.
 *             2. A configuration is resolved anew only when a broker config of this node changed.
 * Threads     shard 0, but for publication_deliver and shard_apply, which run on each shard.
 */
#include "server/publication.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/memory_reserve.h"
#include "server/node_internal.h"

struct settings {
    struct arena arena;
    const struct config *config;
    uint64_t cluster_hash, node_hash; /* of the dynamic configs that went into it; 0: none */
    int references;
};

struct publisher {
    struct node *node;
    struct settings *settings; /* the newest */
    uint64_t number;
    size_t live; /* publications */
};

/* On its way to a shard, or home with what the shard went by before. */
struct delivery {
    struct mail mail;
    struct publication *publication;
    struct shard *shard;
    bool coming_home;
};

static void settings_release(struct settings *settings)
{
    ASSERT(settings->references > 0);
    if (--settings->references > 0)
        return;
    arena_release(&settings->arena);
    SERVER_DELETE(settings);
}

static void publication_release(struct publisher *publisher, struct publication *publication)
{
    ASSERT(publication->references > 0);
    if (--publication->references > 0)
        return;
    metadata_image_release(&publication->image);
    settings_release(publication->settings);
    SERVER_DELETE(publication);
    publisher->live--;
}

/* ---- configuration ---- */

static uint64_t configs_hash(const struct metadata_configs *configs)
{
    return configs ? configs->object.hash | 1 : 0;
}

/* A copy: the settings outlive the image. What is left out for lack of memory would be taken for unset: the arena is
 * one that has it. */
static struct config_set set_copy(struct arena *arena, const struct metadata_configs *configs)
{
    struct config_pair *pairs;

    if (!configs)
        return CONFIG_SET_EMPTY;
    pairs = ARENA_ARRAY(arena, struct config_pair, configs->entry_count);
    for (size_t i = 0; i < configs->entry_count; i++) {
        pairs[i].key = arena_copy(arena, configs->entries[i].key);
        pairs[i].value = arena_copy(arena, configs->entries[i].value);
    }
    return (struct config_set){pairs, configs->entry_count};
}

static void findings_log(struct node *node, const struct config_report *report)
{
    for (const struct config_finding *finding = report->first; finding; finding = finding->next)
        if (finding->kind == CONFIG_FINDING_IGNORED)
            LOG_ERROR(node->logger, "config", "dynamic_config_ignored", "reason=\"%s\"",
                      finding->text);
}

static struct settings *settings_make(struct node *node, const struct metadata_configs *cluster,
                                      const struct metadata_configs *own)
{
    struct settings *settings = SERVER_NEW(struct settings);
    struct config_set *sets;
    struct config_report report;
    struct config_layers layers = {.file = node->options.file};
    enum err err;

    arena_init(&settings->arena, &must_allocator, SIZE_MAX);
    sets = ARENA_ARRAY(&settings->arena, struct config_set, 2);
    sets[0] = set_copy(&settings->arena, cluster);
    sets[1] = set_copy(&settings->arena, own);
    layers.cluster = &sets[0];
    layers.node = &sets[1];
    config_report_init(&report, &settings->arena);
    err = config_resolve(&settings->arena, &layers, &report, &settings->config);
    /* Only the file's own values can fail it, and they passed when the node started. */
    ASSERT(err == OK);
    findings_log(node, &report);
    settings->cluster_hash = configs_hash(cluster);
    settings->node_hash = configs_hash(own);
    settings->references = 1;
    return settings;
}

static void settings_update(struct publisher *publisher, const struct metadata_image *image)
{
    char id[16];
    size_t id_bytes = fmt(id, sizeof id, "%d", publisher->node->config.node_id);
    const struct metadata_configs *cluster =
        metadata_image_configs(image, METADATA_RESOURCE_BROKER, SLICE_EMPTY);
    const struct metadata_configs *own =
        metadata_image_configs(image, METADATA_RESOURCE_BROKER, slice_of(id, id_bytes));
    struct settings *old = publisher->settings;

    if (old && old->cluster_hash == configs_hash(cluster) && old->node_hash == configs_hash(own))
        return;
    publisher->settings = settings_make(publisher->node, cluster, own);
    if (old)
        settings_release(old);
}

struct config_set publication_topic_configs(const struct publication *publication,
                                            struct slice topic, struct arena *arena)
{
    return set_copy(arena,
                    metadata_image_configs(publication->image, METADATA_RESOURCE_TOPIC, topic));
}

/* ---- delivery ---- */

static void publication_take(struct shard *shard, struct publication *publication,
                             struct publication **before_out)
{
    struct publication *before = shard->publication;

    ASSERT(!before || before->number < publication->number);
    shard->publication = publication;
    shard_apply(shard, before, publication);
    *before_out = before;
}

static void publication_deliver(struct mail *mail, struct reactor *to)
{
    struct delivery *delivery = CONTAINER_OF(mail, struct delivery, mail);
    struct shard *shard = delivery->shard;

    UNUSED(to);
    if (delivery->coming_home) {
        if (delivery->publication)
            publication_release(shard->node->publisher, delivery->publication);
        SERVER_DELETE(delivery);
        return;
    }
    publication_take(shard, delivery->publication, &delivery->publication);
    delivery->coming_home = true;
    reactor_send(shard->reactor, shard->node->shards[0].reactor, &delivery->mail);
}

static void delivery_drop(struct mail *mail)
{
    struct delivery *delivery = CONTAINER_OF(mail, struct delivery, mail);

    SERVER_DELETE(delivery); /* the node is going: publisher_release frees what is left */
}

static int16_t kraft_version_now(const struct node *node)
{
    struct raft_status status;

    quorum_status(node->quorum, &status);
    return status.kraft_version;
}

void publisher_publish(struct node *node, struct metadata_image *image)
{
    struct publisher *publisher = node->publisher;
    struct publication *publication = SERVER_NEW(struct publication);
    struct publication *before;

    settings_update(publisher, image);
    publication->number = ++publisher->number;
    publication->image = image;
    publication->settings = publisher->settings;
    publication->settings->references++;
    publication->config = publication->settings->config;
    publication->kraft_version = kraft_version_now(node);
    publication->metadata_version = metadata_image_version(image);
    publication->elr = metadata_image_level(image, FEATURE_ELR_VERSION) >= 1;
    publication->references = (int)node->shard_count;
    publisher->live++;
    for (size_t i = 1; i < node->shard_count; i++) {
        struct delivery *delivery = SERVER_NEW(struct delivery);

        delivery->publication = publication;
        delivery->shard = &node->shards[i];
        delivery->mail.deliver = publication_deliver;
        delivery->mail.drop = delivery_drop;
        delivery->mail.control = true;
        reactor_send(node->shards[0].reactor, node->shards[i].reactor, &delivery->mail);
    }
    publication_take(&node->shards[0], publication, &before);
    if (before)
        publication_release(publisher, before);
}

/* ---- the publisher ---- */

enum err publisher_create(struct node *node, struct publisher **out)
{
    struct publisher *publisher = SERVER_NEW(struct publisher);

    publisher->node = node;
    *out = publisher;
    return OK;
}

void publisher_release(struct publisher **publisher)
{
    if (!*publisher)
        return;
    for (size_t i = 0; i < (*publisher)->node->shard_count; i++) {
        struct shard *shard = &(*publisher)->node->shards[i];

        if (shard->publication)
            publication_release(*publisher, shard->publication);
        shard->publication = NULL;
    }
    if ((*publisher)->settings)
        settings_release((*publisher)->settings);
    SERVER_DELETE(*publisher);
    *publisher = NULL;
}
