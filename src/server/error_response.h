/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response.h: answers to requests that failed as a whole.
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

#endif
