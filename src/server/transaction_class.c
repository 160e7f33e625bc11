/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/transaction_class.c: what a client of a version knows of verification. transactions.md §6 of
 * the reference.
 */
#include "server/transaction_check.h"

#include "config/config.h"

enum transaction_class transaction_class_of_produce(int16_t api_version)
{
    return api_version >= 12   ? TRANSACTION_CLASS_ADD
           : api_version == 11 ? TRANSACTION_CLASS_GENERIC
                               : TRANSACTION_CLASS_DEFAULT;
}

enum transaction_class transaction_class_of_offset_commit(int16_t api_version)
{
    return api_version >= 5   ? TRANSACTION_CLASS_ADD
           : api_version == 4 ? TRANSACTION_CLASS_GENERIC
                              : TRANSACTION_CLASS_DEFAULT;
}

bool transaction_class_asks(enum transaction_class of, const struct config *config)
{
    return of == TRANSACTION_CLASS_ADD ||
           config_boolean(config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE);
}
