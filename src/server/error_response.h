/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response.h: what error_response*.c share.
 */
#ifndef SERVER_ERROR_RESPONSE_H
#define SERVER_ERROR_RESPONSE_H

#include "base/arena.h"
#include "base/err.h"
#include "protocol/message.h"

/* The response, in `arena`; NULL: the API has no place for an error, or no memory. `message` may be
 * NULL. */
void *error_response_build(const struct api *api, int16_t version, const void *body,
                           struct arena *arena, enum err err, const char *message);

struct failure {
    struct arena *arena;
    int16_t version;
    enum err err;
    int16_t code;
    struct slice text; /* null: none */
};
typedef enum err (*failure_maker)(const struct failure *failure, const void *body, void *answer);

enum err fail_init_producer_id(const struct failure *failure, const void *body, void *answer);
enum err fail_create_acls(const struct failure *failure, const void *body, void *answer);
enum err fail_delete_acls(const struct failure *failure, const void *body, void *answer);
enum err fail_describe_configs(const struct failure *failure, const void *body, void *answer);
enum err fail_create_delegation_token(const struct failure *failure, const void *body,
                                      void *answer);
enum err fail_describe_client_quotas(const struct failure *failure, const void *body, void *answer);
enum err fail_describe_scram(const struct failure *failure, const void *body, void *answer);
enum err fail_describe_topic_partitions(const struct failure *failure, const void *body,
                                        void *answer);
/* error_response_group.c */
enum err fail_find_coordinator(const struct failure *failure, const void *body, void *answer);
enum err fail_offset_commit(const struct failure *failure, const void *body, void *answer);
enum err fail_offset_fetch(const struct failure *failure, const void *body, void *answer);
enum err fail_describe_groups(const struct failure *failure, const void *body, void *answer);
enum err fail_consumer_group_describe(const struct failure *failure, const void *body,
                                      void *answer);
enum err fail_delete_groups(const struct failure *failure, const void *body, void *answer);
/* A mark: the code at the top with its own text, whatever was said. */
enum err fail_with_own_text(const struct failure *failure, const void *body, void *answer);

#endif
