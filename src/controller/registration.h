/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/registration.h: what the registrations of brokers and controllers have in common.
 */
#ifndef CONTROLLER_REGISTRATION_H
#define CONTROLLER_REGISTRATION_H

#include "base/err.h"

/* Copies listeners and features of the request into the record: the fields are the same, the generated
 * types are not. The arrays are the record's, of listeners_count and features_count elements or NULL;
 * returns ERR_NO_MEMORY from the caller then. */
#define REGISTRATION_COPY(request, record, end_points_made, features_made) \
    do {                                                                   \
        (record)->end_points = (end_points_made);                          \
        (record)->features = (features_made);                              \
        if (!(record)->end_points || !(record)->features)                  \
            return ERR_NO_MEMORY;                                          \
        (record)->end_points_count = MAX((request)->listeners_count, 0);   \
        (record)->features_count = MAX((request)->features_count, 0);      \
        for (int32_t i_ = 0; i_ < (record)->end_points_count; i_++) {      \
            (record)->end_points[i_].name = (request)->listeners[i_].name; \
            (record)->end_points[i_].host = (request)->listeners[i_].host; \
            (record)->end_points[i_].port = (request)->listeners[i_].port; \
            (record)->end_points[i_].security_protocol =                   \
                (request)->listeners[i_].security_protocol;                \
        }                                                                  \
        for (int32_t i_ = 0; i_ < (record)->features_count; i_++) {        \
            (record)->features[i_].name = (request)->features[i_].name;    \
            (record)->features[i_].min_supported_version =                 \
                (request)->features[i_].min_supported_version;             \
            (record)->features[i_].max_supported_version =                 \
                (request)->features[i_].max_supported_version;             \
        }                                                                  \
    } while (0)

#endif
