/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/topic_name.h: which names a topic may have, and which of them are Kafka's own.
 */
#ifndef SERVER_TOPIC_NAME_H
#define SERVER_TOPIC_NAME_H

#include "base/err.h"
#include "base/slice.h"

/* 1 to 249 of [a-zA-Z0-9._-], not "." or "..": ERR_INVALID_TOPIC_EXCEPTION with Kafka's text. */
MUST_USE enum err topic_name_check(struct slice name, struct why *why);
/* __consumer_offsets, __transaction_state, __share_group_state. partition_settings.c. */
bool topic_name_is_internal(struct slice name);

#endif
