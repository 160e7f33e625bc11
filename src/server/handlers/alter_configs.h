/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/alter_configs.h: AlterConfigs and IncrementalAlterConfigs in one form: what the
 * broker looks at itself (alter_configs_check.c) and what goes to the controller (alter_configs.c).
 */
#ifndef SERVER_HANDLERS_ALTER_CONFIGS_H
#define SERVER_HANDLERS_ALTER_CONFIGS_H

#include "config/config.h"
#include "server/publication.h"
#include "server/request.h"

struct alteration {
    int8_t type;
    struct slice name;
    struct config_operation *operations; /* of AlterConfigs: SET */
    size_t count;
    /* out */
    bool is_settled; /* here; else the controller's to say */
    enum err err;
    struct slice text; /* null: none */
};

struct alterations {
    struct request *request;
    const struct publication *publication;
    struct alteration *items; /* in order of the request */
    size_t count;
    bool is_incremental;
    bool validate_only;
};

MUST_USE enum err alterations_read(struct request *request, struct alterations *out);
/* Settles what the broker refuses and what is this node's own. Fails with ERR_NO_MEMORY. */
MUST_USE enum err alterations_check(struct alterations *alterations);
/* On a controller listener: log levels alone. */
MUST_USE enum err alterations_check_loggers(struct alterations *alterations);

#endif
