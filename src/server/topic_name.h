/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/topic_name.h: which topics are Kafka's own.
 */
#ifndef SERVER_TOPIC_NAME_H
#define SERVER_TOPIC_NAME_H

#include "metadata/topic_name.h"

/* __consumer_offsets, __transaction_state, __share_group_state. partition_settings.c. */
bool topic_name_is_internal(struct slice name);

#endif
