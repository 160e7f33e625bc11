/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/dynamic.c: which broker keys may change at run time, and at which level.
 */
#include "config/config_internal.h"

static const enum broker_key listener_only[] = {
    BROKER_SSL_KEYSTORE_TYPE,       BROKER_SSL_KEYSTORE_LOCATION,
    BROKER_SSL_KEYSTORE_PASSWORD,   BROKER_SSL_KEY_PASSWORD,
    BROKER_SSL_TRUSTSTORE_TYPE,     BROKER_SSL_TRUSTSTORE_LOCATION,
    BROKER_SSL_TRUSTSTORE_PASSWORD, BROKER_SSL_KEYSTORE_CERTIFICATE_CHAIN,
    BROKER_SSL_KEYSTORE_KEY,        BROKER_SSL_TRUSTSTORE_CERTIFICATES,
};

/* These keep their level under a listener's prefix; every other prefixed key is per broker. */
static const enum broker_key listener_cluster_wide[] = {
    BROKER_MAX_CONNECTIONS,
    BROKER_MAX_CONNECTION_CREATION_RATE,
    BROKER_NUM_NETWORK_THREADS,
};

/* Keys that a listener may have for itself: those that config_listener_long is asked for. */
static const enum broker_key listener_own[] = {
    BROKER_MAX_CONNECTIONS,
    BROKER_MAX_CONNECTION_CREATION_RATE,
    BROKER_SOCKET_LISTEN_BACKLOG_SIZE,
    BROKER_SOCKET_RECEIVE_BUFFER_BYTES,
    BROKER_SOCKET_SEND_BUFFER_BYTES,
};

static bool contains(const enum broker_key *keys, size_t count, const struct config_key *key)
{
    for (size_t i = 0; i < count; i++)
        if (&config_broker_keys[keys[i]] == key)
            return true;
    return false;
}

bool config_key_of_listener(const struct config_key *key)
{
    return contains(listener_own, ARRAY_COUNT(listener_own), key);
}

bool config_key_needs_listener(const struct config_key *key)
{
    return contains(listener_only, ARRAY_COUNT(listener_only), key);
}

bool config_key_cluster_wide(const struct config_key *key, bool prefixed)
{
    if (prefixed)
        return contains(listener_cluster_wide, ARRAY_COUNT(listener_cluster_wide), key);
    return key->dynamic != CONFIG_PER_BROKER;
}
