/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/controller_registration.c: ControllerRegistration and UnregisterController.
 */
#include "controller/controller_internal.h"
#include "controller/registration.h"

enum err decide_controller_registration(struct call *call, const void *body, void *answer)
{
    const struct controller_registration_request *request = body;
    size_t listeners = (size_t)MAX(request->listeners_count, 0);
    size_t features = (size_t)MAX(request->features_count, 0);
    struct register_controller_record *record;

    UNUSED(answer);
    if (call->metadata_version < METADATA_VERSION_CONTROLLER_REGISTRATION)
        return why_set(call->why, ERR_UNSUPPORTED_VERSION,
                       "The current MetadataVersion is too old to support controller "
                       "registrations.");
    TRY(record_add(call, METADATA_RECORD_REGISTER_CONTROLLER, 0, &record));
    record->controller_id = request->controller_id;
    record->incarnation_id = request->incarnation_id;
    record->zk_migration_ready = false;
    REGISTRATION_COPY(request, record,
                      register_controller_record_controller_endpoint_array(call->arena, listeners),
                      register_controller_record_controller_feature_array(call->arena, features));
    return OK;
}

enum err decide_unregister_controller(struct call *call, const void *body, void *answer)
{
    const struct unregister_controller_request *request = body;
    struct unregister_controller_record *record;

    UNUSED(answer);
    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    if (request->controller_id == call->controller->options.node_id)
        return why_set(call->why, ERR_INVALID_REQUEST,
                       "Controller cannot unregister itself while it is active.");
    if (call->metadata_version < METADATA_VERSION_UNREGISTER_CONTROLLER)
        return why_set(call->why, ERR_UNSUPPORTED_VERSION,
                       "The current MetadataVersion is too old to support controller "
                       "unregistration.");
    if (!metadata_image_controller(call->image, request->controller_id))
        return why_set(call->why, ERR_CONTROLLER_ID_NOT_REGISTERED,
                       "Controller ID %d is not currently registered.", request->controller_id);
    TRY(record_add(call, METADATA_RECORD_UNREGISTER_CONTROLLER, 0, &record));
    record->controller_id = request->controller_id;
    return OK;
}
