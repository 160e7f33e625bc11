/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/broker_registration.c: BrokerRegistration and UnregisterBroker. The epoch of a new
 * incarnation is the offset at which its records begin, so it grows with every registration; the
 * RegisterBroker record comes last, behind the clean-up of the earlier incarnation: if the records are
 * cut in between by a failover, the broker registers again and the rest is done then.
 */
#include "controller/controller_internal.h"
#include "controller/registration.h"

enum err broker_epoch_check(struct call *call, int32_t id, int64_t epoch)
{
    const struct metadata_broker *broker = metadata_image_broker(call->image, id);

    if (!broker)
        return why_set(call->why, ERR_STALE_BROKER_EPOCH,
                       "No broker registration found for broker id %d", id);
    if (broker->epoch != epoch)
        return why_set(call->why, ERR_STALE_BROKER_EPOCH,
                       "Expected broker epoch %lld, but got broker epoch %lld",
                       (long long)broker->epoch, (long long)epoch);
    return OK;
}

static enum err session_check(struct call *call, const struct broker_registration_request *request,
                              const struct metadata_broker *existing)
{
    if (!existing || uuid_equal(existing->incarnation_id, request->incarnation_id) ||
        !heartbeat_session_is_live(call, existing->id, existing->epoch))
        return OK;
    /* This process holds the lock of the directories: the earlier incarnation is gone for sure. */
    if (call->request->from_this_process)
        return OK;
    return why_set(call->why, ERR_DUPLICATE_BROKER_REGISTRATION,
                   "Another broker is registered with that broker id. If the broker was recently "
                   "restarted this should self-resolve once the heartbeat manager expires the "
                   "broker's session.");
}

static const struct metadata_broker *directory_owner(const struct metadata_image *image,
                                                     struct uuid directory)
{
    const struct metadata_broker *broker;
    struct metadata_walk walk;

    metadata_walk_start(&walk, image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk))) {
        for (size_t i = 0; i < broker->directory_count; i++) {
            if (uuid_equal(broker->directories[i], directory))
                return broker;
        }
    }
    return NULL;
}

static enum err directories_check(struct call *call,
                                  const struct broker_registration_request *request)
{
    char text[UUID_TEXT_BYTES];

    if (call->metadata_version < METADATA_VERSION_DIRECTORIES)
        return OK;
    if (request->log_dirs_count <= 0)
        return why_set(call->why, ERR_INVALID_REGISTRATION, "No directories specified in request");
    if (request->log_dirs_count > BROKER_DIRECTORIES_MAX)
        return why_set(call->why, ERR_INVALID_REGISTRATION, "More than %d directories in request",
                       BROKER_DIRECTORIES_MAX);
    for (int32_t i = 0; i < request->log_dirs_count; i++) {
        if (directory_is_reserved(request->log_dirs[i]))
            return why_set(call->why, ERR_INVALID_REGISTRATION, "Reserved directory ID in request");
    }
    for (int32_t i = 0; i < request->log_dirs_count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (uuid_equal(request->log_dirs[i], request->log_dirs[j]))
                return why_set(call->why, ERR_INVALID_REGISTRATION,
                               "Duplicate directory ID in request");
        }
    }
    for (int32_t i = 0; i < request->log_dirs_count; i++) {
        const struct metadata_broker *owner = directory_owner(call->image, request->log_dirs[i]);

        if (owner && owner->id != request->broker_id) {
            uuid_to_text(request->log_dirs[i], text);
            return why_set(call->why, ERR_INVALID_REGISTRATION,
                           "Broker %d is already registered with directory %s", owner->id, text);
        }
    }
    return OK;
}

static enum err feature_check(struct call *call, struct slice name, int16_t low, int16_t high)
{
    int16_t finalized = finalized_level(call, name);

    if (finalized >= low && finalized <= high)
        return OK;
    return why_set(call->why, ERR_UNSUPPORTED_VERSION,
                   "Unable to register because the broker does not support finalized version %d of "
                   "%.*s. The broker wants a version between %d and %d, inclusive.",
                   finalized, SLICE_ARGS(name), low, high);
}

static bool feature_is_offered(const struct broker_registration_request *request, struct slice name)
{
    for (int32_t i = 0; i < request->features_count; i++) {
        if (slice_equal(request->features[i].name, name))
            return true;
    }
    return false;
}

static enum err features_check(struct call *call, const struct broker_registration_request *request)
{
    const struct metadata_feature *feature;
    struct metadata_walk walk;

    for (int32_t i = 0; i < request->features_count; i++)
        TRY(feature_check(call, request->features[i].name,
                          request->features[i].min_supported_version,
                          request->features[i].max_supported_version));
    if (!feature_is_offered(request, SLICE(FEATURE_METADATA_VERSION)))
        return why_set(call->why, ERR_INVALID_REGISTRATION,
                       "Request features do not contain '" FEATURE_METADATA_VERSION "'");
    metadata_walk_start(&walk, call->image, METADATA_FEATURES);
    while ((feature = metadata_walk_next(&walk))) {
        if (!feature_is_offered(request, feature->name))
            TRY(feature_check(call, feature->name, 0, 0));
    }
    if (!feature_is_offered(request, SLICE(FEATURE_KRAFT_VERSION)))
        return feature_check(call, SLICE(FEATURE_KRAFT_VERSION), 0, 0);
    return OK;
}

static enum err registration_record_add(struct call *call,
                                        const struct broker_registration_request *request,
                                        const struct metadata_broker *same, int64_t *epoch_out)
{
    int16_t version = register_broker_record_version(call->metadata_version);
    size_t listeners = (size_t)MAX(request->listeners_count, 0);
    size_t features = (size_t)MAX(request->features_count, 0);
    struct register_broker_record *record;

    TRY(record_add(call, METADATA_RECORD_REGISTER_BROKER, version, &record));
    record->broker_id = request->broker_id;
    record->incarnation_id = request->incarnation_id;
    record->rack = request->rack;
    record->broker_epoch = same ? same->epoch : call->moment->next_offset;
    record->fenced = same ? same->fenced : true;
    record->in_controlled_shutdown = same ? same->in_controlled_shutdown : false;
    REGISTRATION_COPY(request, record,
                      register_broker_record_broker_endpoint_array(call->arena, listeners),
                      register_broker_record_broker_feature_array(call->arena, features));
    if (call->metadata_version >= METADATA_VERSION_DIRECTORIES) {
        record->log_dirs = request->log_dirs;
        record->log_dirs_count = request->log_dirs_count;
    }
    *epoch_out = record->broker_epoch;
    return OK;
}

enum err decide_broker_registration(struct call *call, const void *body, void *answer)
{
    const struct broker_registration_request *request = body;
    struct broker_registration_response *response = answer;
    const struct metadata_broker *existing = metadata_image_broker(call->image, request->broker_id);
    bool same = existing && uuid_equal(existing->incarnation_id, request->incarnation_id);

    if (!slice_equal(request->cluster_id, call->controller->options.cluster_id))
        return why_set(call->why, ERR_INCONSISTENT_CLUSTER_ID,
                       "Expected cluster ID %.*s, but got cluster ID %.*s",
                       SLICE_ARGS(call->controller->options.cluster_id),
                       SLICE_ARGS(request->cluster_id));
    TRY(session_check(call, request, existing));
    if (request->is_migrating_zk_broker)
        return why_set(call->why, ERR_BROKER_ID_NOT_REGISTERED,
                       "Controller does not support registering ZK brokers.");
    TRY(directories_check(call, request));
    TRY(features_check(call, request));
    if (!same) {
        /* Only requests from version 3 on can tell that the last stop was clean. */
        bool clean = call->request->api_version >= 3 &&
                     request->previous_broker_epoch == (existing ? existing->epoch : -2);

        TRY(broker_shutdown_records(call, request->broker_id, clean));
    }
    TRY(registration_record_add(call, request, same ? existing : NULL, &response->broker_epoch));
    LOG_INFO(call->controller->logger, "controller", "broker_registers",
             "broker=%d epoch=%lld incarnation=%s records=%zu", request->broker_id,
             (long long)response->broker_epoch, same ? "same" : "new", call->records->count);
    return OK;
}

enum err decide_unregister_broker(struct call *call, const void *body, void *answer)
{
    const struct unregister_broker_request *request = body;
    const struct metadata_broker *broker = metadata_image_broker(call->image, request->broker_id);

    UNUSED(answer);
    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    if (!broker)
        return why_set(call->why, ERR_BROKER_ID_NOT_REGISTERED,
                       "Broker ID %d is not currently registered", request->broker_id);
    TRY(broker_unregister_records(call, broker));
    return call_records_check(call);
}
