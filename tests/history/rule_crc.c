/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_crc.c: D10: bytes with a bad CRC, a broken frame or records that are no records are not served.
 */
#include "history_internal.h"

void rule_crc(struct model *model, struct partition *partition)
{
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        const struct history_event *ended;

        if (ask->ended == NO_EVENT)
            continue;
        ended = event_of(model, ask->ended);
        for (size_t k = 0; k < ended->batch_count; k++)
            if (!ended->batches[k].is_valid)
                violation(model, "D10", ask->ended,
                          "%s-%d: a broken batch at offset %lld was served",
                          topic_of(model, partition), partition->number,
                          (long long)ended->batches[k].base_offset);
    }
}
