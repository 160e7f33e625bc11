/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/broker_registration.c: BrokerRegistration of this node: who it is, where clients reach it,
 * which features and directories it has.
 */
#include "base/memory_reserve.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/broker_registration_request.h"
#include "protocol/generated/broker_registration_response.h"
#include "server/quorum_internal.h"

static void listeners_make(struct quorum *quorum, struct broker_registration_request *request,
                           struct arena *arena)
{
    const struct node_config *config = &quorum->node->config;

    MEMORY_MUST(request->listeners,
                broker_registration_request_listener_array(arena, config->advertised_count));
    request->listeners_count = (int32_t)config->advertised_count;
    for (size_t i = 0; i < config->advertised_count; i++) {
        struct broker_registration_request_listener *to = &request->listeners[i];

        to->name = config->advertised[i].name;
        quorum_advertised(quorum, &config->advertised[i], &to->host, &to->port);
        to->security_protocol = 0; /* PLAINTEXT: config refuses the others */
    }
}

static void features_make(struct broker_registration_request *request, struct arena *arena)
{
    size_t count = 0;

    while (feature_at(count))
        count++;
    MEMORY_MUST(request->features, broker_registration_request_feature_array(arena, count));
    request->features_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request->features[i].name = slice_from_text(feature_at(i)->name);
        request->features[i].min_supported_version = feature_at(i)->level_min;
        request->features[i].max_supported_version = feature_at(i)->level_max;
    }
}

/* Order of Kafka's uuids: by the two halves as signed numbers. */
static int uuid_order(const struct uuid *a, const struct uuid *b)
{
    for (size_t half = 0; half < 16; half += 8) {
        uint8_t first_a = a->bytes[half] ^ 0x80, first_b = b->bytes[half] ^ 0x80;
        int order = first_a != first_b ? (first_a > first_b) - (first_a < first_b)
                                       : memcmp(a->bytes + half + 1, b->bytes + half + 1, 7);

        if (order != 0)
            return order;
    }
    return 0;
}

static void directories_make(struct quorum *quorum, struct broker_registration_request *request,
                             struct arena *arena)
{
    const struct log_directories *directories = quorum->node->directories;
    const struct node_config *config = &quorum->node->config;
    size_t count = 0;

    MEMORY_MUST(request->log_dirs,
                ARENA_ARRAY(arena, struct uuid, log_directories_count(directories)));
    for (size_t i = 0; i < log_directories_count(directories); i++) {
        const struct log_directory *directory = log_directories_at(directories, i);
        struct slice path = slice_from_text(log_directory_path(directory));
        struct uuid id = log_directory_id(directory);
        bool is_data = false;
        size_t at = count;

        /* A metadata.log.dir of its own holds no partitions. */
        for (size_t k = 0; k < config->log_dirs.count; k++)
            is_data = is_data || slice_equal(config->log_dirs.items[k], path);
        if (!is_data || log_directory_is_offline(directory))
            continue;
        for (; at > 0 && uuid_order(&request->log_dirs[at - 1], &id) > 0; at--)
            request->log_dirs[at] = request->log_dirs[at - 1];
        request->log_dirs[at] = id;
        count++;
    }
    request->log_dirs_count = (int32_t)count;
}

void broker_registration_make(struct quorum *quorum)
{
    const struct node *node = quorum->node;
    struct broker_life *life = &quorum->broker;
    struct broker_registration_request *request;

    MEMORY_MUST(request, ARENA_NEW(&life->arena, struct broker_registration_request));
    broker_registration_request_init(request);
    request->broker_id = node->config.node_id;
    request->cluster_id = node->cluster_id;
    request->incarnation_id = node->incarnation_id;
    request->rack = config_string(node->boot_config, BROKER_BROKER_RACK);
    request->previous_broker_epoch = life->previous_epoch;
    listeners_make(quorum, request, &life->arena);
    features_make(request, &life->arena);
    directories_make(quorum, request, &life->arena);
    life->call.request.api_key = API_BROKER_REGISTRATION;
    life->call.request.api_version = broker_registration_request_type.version_max;
    life->call.request.body = request;
    life->call.request.deadline_ms = life->registration_deadline_ms;
}

void broker_registration_take(struct quorum *quorum)
{
    struct broker_life *life = &quorum->broker;
    const struct broker_registration_response *response = life->call.response;
    enum err err = life->call.err != OK ? life->call.err : err_from_wire(response->error_code);

    if (err == OK) {
        life->is_registered = true;
        life->epoch = response->broker_epoch;
        LOG_INFO(quorum->logger, "server", "broker_registered",
                 "text=\"Successfully registered broker %d with broker epoch %lld\"",
                 quorum->node->config.node_id, (long long)life->epoch);
        broker_life_speak(quorum);
        return;
    }
    LOG_WARN(quorum->logger, "server", "broker_registration_failed", "error=%s reason=\"%s\"",
             err_name(err), life->call.why.text);
    if (reactor_now_ms(quorum->reactor) >= life->registration_deadline_ms) {
        quorum_fail(quorum, err,
                    "the broker could not register with the controller in "
                    "initial.broker.registration.timeout.ms: %s",
                    err_text(err));
        return;
    }
    broker_life_schedule(quorum, true);
}
