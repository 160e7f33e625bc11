/* SPDX-License-Identifier: Apache-2.0 */
#include "floor_transaction.h"

#include <stdlib.h>

#include "wire.h"

enum { PRODUCERS_MAX = 4096 };

static struct {
    struct floor_transaction *all[PRODUCERS_MAX];
    uint32_t count;
} producers;

struct floor_transaction *floor_transaction_new(void)
{
    struct floor_transaction *transaction = wire_reserve(1, sizeof(*transaction));

    if (producers.count == PRODUCERS_MAX)
        wire_die("too many producers");
    producers.all[producers.count++] = transaction;
    transaction->producer_id = producers.count;
    return transaction;
}

struct floor_transaction *floor_transaction_of(uint64_t producer_id)
{
    if (producer_id - 1 >= producers.count)
        wire_die("a producer that it does not know");
    return producers.all[producer_id - 1];
}

bool floor_transaction_add(struct floor_transaction *transaction, uint32_t partition)
{
    for (uint32_t i = 0; i < transaction->count; i++)
        if (transaction->partitions[i] == partition)
            return false;
    if (transaction->count == transaction->room) {
        transaction->room = transaction->room > 0 ? 2 * transaction->room : 16;
        transaction->partitions =
            realloc(transaction->partitions, transaction->room * sizeof(*transaction->partitions));
        if (transaction->partitions == NULL)
            wire_die("no memory");
    }
    transaction->partitions[transaction->count++] = partition;
    return true;
}
