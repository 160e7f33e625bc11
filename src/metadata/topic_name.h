/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/topic_name.h: which names a topic may have.
 */
#ifndef METADATA_TOPIC_NAME_H
#define METADATA_TOPIC_NAME_H

#include "base/err.h"
#include "base/slice.h"

#define TOPIC_NAME_BYTES_MAX 249

/* 1 to 249 of [a-zA-Z0-9._-], not "." or "..": ERR_INVALID_TOPIC_EXCEPTION with Kafka's text. */
MUST_USE enum err topic_name_check(struct slice name, struct why *why);

#endif
