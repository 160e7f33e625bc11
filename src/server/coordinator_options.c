/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_options.c: what the node's configuration says of groups. groups.md §9 of the
 * reference.
 */
#include "server/coordinator.h"

#include "config/config.h"

#define MINUTE_MS INT64_C(60000)

static bool equal_in_any_case(struct slice a, const char *b)
{
    if (a.size_bytes != strlen(b))
        return false;
    for (size_t i = 0; i < a.size_bytes; i++)
        if ((a.data[i] | 0x20) != (uint8_t)(b[i] | 0x20))
            return false;
    return true;
}

static bool has_protocol(const struct config *config, const char *name)
{
    struct config_list list = config_list(config, BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS);

    for (size_t i = 0; i < list.count; i++)
        if (equal_in_any_case(list.items[i], name))
            return true;
    return false;
}

static enum group_migration migration(const struct config *config)
{
    static const char *const names[] = {
        [GROUP_MIGRATION_DISABLED] = "DISABLED",
        [GROUP_MIGRATION_UPGRADE] = "UPGRADE",
        [GROUP_MIGRATION_DOWNGRADE] = "DOWNGRADE",
        [GROUP_MIGRATION_BIDIRECTIONAL] = "BIDIRECTIONAL",
    };
    struct slice text = config_string(config, BROKER_GROUP_CONSUMER_MIGRATION_POLICY);

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (equal_in_any_case(text, names[i]))
            return (enum group_migration)i;
    return GROUP_MIGRATION_BIDIRECTIONAL; /* the table's check lets nothing else in */
}

static void assignors(const struct config *config, struct arena *arena, struct group_options *out)
{
    struct config_list list = config_list(config, BROKER_GROUP_CONSUMER_ASSIGNORS);
    struct slice *names = ARENA_ARRAY(arena, struct slice, list.count);

    for (size_t i = 0; i < list.count; i++)
        names[i] = arena_copy(arena, list.items[i]);
    out->consumer_assignors = names;
    out->consumer_assignor_count = list.count;
}

void coordinator_options(const struct config *config, struct arena *arena,
                         struct group_options *out)
{
    group_options_init(out);
    out->group_session_timeout_min_ms = config_int(config, BROKER_GROUP_MIN_SESSION_TIMEOUT_MS);
    out->group_session_timeout_max_ms = config_int(config, BROKER_GROUP_MAX_SESSION_TIMEOUT_MS);
    out->group_initial_rebalance_delay_ms =
        config_int(config, BROKER_GROUP_INITIAL_REBALANCE_DELAY_MS);
    out->group_max_size = config_int(config, BROKER_GROUP_MAX_SIZE);
    out->offset_metadata_bytes_max = config_int(config, BROKER_OFFSET_METADATA_MAX_BYTES);
    out->offsets_retention_ms = config_int(config, BROKER_OFFSETS_RETENTION_MINUTES) * MINUTE_MS;
    out->offsets_retention_check_interval_ms =
        config_long(config, BROKER_OFFSETS_RETENTION_CHECK_INTERVAL_MS);
    out->classic_on = has_protocol(config, "classic");
    out->consumer_on = has_protocol(config, "consumer");
    out->streams_on = has_protocol(config, "streams");
    out->consumer_session_timeout_ms = config_int(config, BROKER_GROUP_CONSUMER_SESSION_TIMEOUT_MS);
    out->consumer_session_timeout_min_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS);
    out->consumer_session_timeout_max_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS);
    out->consumer_heartbeat_interval_ms =
        config_int(config, BROKER_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS);
    out->consumer_heartbeat_interval_min_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS);
    out->consumer_heartbeat_interval_max_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS);
    out->consumer_max_size = config_int(config, BROKER_GROUP_CONSUMER_MAX_SIZE);
    assignors(config, arena, out);
    out->consumer_migration = migration(config);
    out->consumer_regex_refresh_interval_ms =
        config_int(config, BROKER_GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS);
    out->consumer_assignment_interval_ms =
        config_int(config, BROKER_GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS);
    out->consumer_assignment_interval_min_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS);
    out->consumer_assignment_interval_max_ms =
        config_int(config, BROKER_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS);
}
