/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/topic_config.c: the configs that the controller's own rules need: min.insync.replicas and
 * unclean.leader.election.enable, from the topic, this controller's dynamic values, the cluster's, the
 * file and the default, in this order.
 */
#include "controller/controller_internal.h"

#include "base/fmt.h"
#include "base/parse.h"

enum err configs_as_set(struct arena *arena, const struct metadata_configs *configs,
                        struct config_set *out)
{
    size_t count = configs ? configs->entry_count : 0;
    struct config_pair *pairs = ARENA_ARRAY(arena, struct config_pair, count);

    if (!pairs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct config_pair){configs->entries[i].key, configs->entries[i].value};
    *out = (struct config_set){pairs, count};
    return OK;
}

enum err broker_layers_of(struct call *call, struct broker_layers *out)
{
    char id[16];
    size_t length = fmt(id, sizeof id, "%d", call->controller->options.node_id);

    TRY(configs_as_set(call->arena,
                       metadata_image_configs(call->image, METADATA_RESOURCE_BROKER, SLICE_EMPTY),
                       &out->cluster));
    TRY(configs_as_set(
        call->arena,
        metadata_image_configs(call->image, METADATA_RESOURCE_BROKER, slice_of(id, length)),
        &out->node));
    out->layers = (struct config_layers){.file = call->controller->options.config_file,
                                         .cluster = &out->cluster,
                                         .node = &out->node};
    return OK;
}

enum err topic_rules_of(struct call *call, const struct metadata_topic *topic,
                        struct topic_rules *out)
{
    const struct metadata_partition *first = metadata_topic_partition(topic, 0);
    struct broker_layers layers;
    struct config_set set;
    enum config_source source;
    struct slice min_isr, unclean;
    int32_t value;

    TRY(broker_layers_of(call, &layers));
    TRY(configs_as_set(call->arena,
                       metadata_image_configs(call->image, METADATA_RESOURCE_TOPIC, topic->name),
                       &set));
    min_isr = config_topic_effective(call->arena, &layers.layers, &set, TOPIC_MIN_INSYNC_REPLICAS,
                                     &source);
    unclean = config_topic_effective(call->arena, &layers.layers, &set,
                                     TOPIC_UNCLEAN_LEADER_ELECTION_ENABLE, &source);
    if (parse_i32(min_isr, &value) != OK || value < 1)
        value = 1;
    out->min_isr = first ? MIN(value, (int32_t)first->replica_count) : value;
    out->unclean = slice_equal_text(unclean, "true");
    return OK;
}
