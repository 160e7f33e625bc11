/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/node.c: keys against each other, in the order in which Kafka checks them at start, and the
 * typed view that a start works with. Unlike Kafka, every problem is reported, not only the first.
 */
#include "config/config_internal.h"

#include "base/parse.h"

static void node_add(struct node_builder *builder, enum broker_key key, bool requirement,
                     const char *format, va_list arguments)
{
    struct slice name = slice_from_text(config_broker_keys[key].name);
    const char *where = config_file_where(builder->arena, builder->config->file, name);
    char text[WHY_BYTES];

    fmt_list(text, sizeof text, format, arguments);
    config_report_add(builder->report, CONFIG_FINDING_ERROR, name, where, "%s", text);
    if (builder->report->last)
        builder->report->last->requirement = requirement;
}

void node_error(struct node_builder *builder, enum broker_key key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    node_add(builder, key, false, format, arguments);
    va_end(arguments);
}

void node_require(struct node_builder *builder, bool holds, enum broker_key key, const char *format,
                  ...)
{
    va_list arguments;

    if (holds)
        return;
    va_start(arguments, format);
    node_add(builder, key, true, format, arguments);
    va_end(arguments);
}

/* ---- Numbers ----------------------------------------------------------------------------------- */

static void logs_check(struct node_builder *builder)
{
    const struct config *config = builder->config;
    int64_t retention_ms = config_log_retention_ms(config);
    int64_t threads = config_long(config, BROKER_LOG_CLEANER_THREADS);
    int64_t lag_min = config_long(config, BROKER_LOG_CLEANER_MIN_COMPACTION_LAG_MS);
    int64_t lag_max = config_long(config, BROKER_LOG_CLEANER_MAX_COMPACTION_LAG_MS);

    node_require(builder, config_log_roll_ms(config) >= 1, BROKER_LOG_ROLL_MS,
                 "log.roll.ms must be greater than or equal to 1");
    node_require(builder, config_log_roll_jitter_ms(config) >= 0, BROKER_LOG_ROLL_JITTER_MS,
                 "log.roll.jitter.ms must be greater than or equal to 0");
    node_require(builder, retention_ms >= 1 || retention_ms == -1, BROKER_LOG_RETENTION_MS,
                 "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    node_require(builder,
                 config_long(config, BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE) / MAX(threads, 1) >
                     1 << 20,
                 BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE,
                 "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
    if (lag_min > lag_max)
        node_error(builder, BROKER_LOG_CLEANER_MIN_COMPACTION_LAG_MS,
                   "conflict topic config setting min.compaction.lag.ms (%lld) > "
                   "max.compaction.lag.ms (%lld)",
                   (long long)lag_min, (long long)lag_max);
}

static void replication_check(struct node_builder *builder)
{
    const struct config *config = builder->config;
    int64_t wait_ms = config_long(config, BROKER_REPLICA_FETCH_WAIT_MAX_MS);
    int64_t heartbeat_ms = config_long(config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS);
    int64_t session_ms = config_long(config, BROKER_BROKER_SESSION_TIMEOUT_MS);

    node_require(builder, wait_ms <= config_long(config, BROKER_REPLICA_SOCKET_TIMEOUT_MS),
                 BROKER_REPLICA_FETCH_WAIT_MAX_MS,
                 "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to "
                 "prevent unnecessary socket timeouts");
    node_require(builder, wait_ms <= config_long(config, BROKER_REPLICA_LAG_TIME_MAX_MS),
                 BROKER_REPLICA_FETCH_WAIT_MAX_MS,
                 "replica.fetch.wait.max.ms should always be less than or equal to "
                 "replica.lag.time.max.ms to prevent frequent changes in ISR");
    if (heartbeat_ms * 2 > session_ms)
        config_report_add(builder->report, CONFIG_FINDING_WARNING,
                          SLICE("broker.heartbeat.interval.ms"), "",
                          "broker.heartbeat.interval.ms (%lld ms) must be less than or equal to "
                          "half of the broker.session.timeout.ms (%lld ms)",
                          (long long)heartbeat_ms, (long long)session_ms);
}

/* low ≤ high (strict: <), with Kafka's sentence. */
struct order {
    enum broker_key low;
    enum broker_key high;
    const char *relation; /* "<=" and "<": low first; ">=": high first */
};
#define BOUNDS(kind, what)                                                      \
    {BROKER_GROUP_##kind##_MIN_##what, BROKER_GROUP_##kind##_MAX_##what, ">="}, \
        {BROKER_GROUP_##kind##_MIN_##what, BROKER_GROUP_##kind##_##what, ">="}, \
    {                                                                           \
        BROKER_GROUP_##kind##_##what, BROKER_GROUP_##kind##_MAX_##what, "<="    \
    }
#define GROUP_ORDERS(kind)                                                                      \
    BOUNDS(kind, HEARTBEAT_INTERVAL_MS), BOUNDS(kind, SESSION_TIMEOUT_MS),                      \
        {BROKER_GROUP_##kind##_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_##kind##_SESSION_TIMEOUT_MS, \
         "<"},                                                                                  \
        BOUNDS(kind, ASSIGNMENT_INTERVAL_MS)
#define SHARE_ORDERS(what)                                             \
    {BROKER_GROUP_SHARE_##what, BROKER_GROUP_SHARE_MAX_##what, ">="},  \
    {                                                                  \
        BROKER_GROUP_SHARE_MIN_##what, BROKER_GROUP_SHARE_##what, ">=" \
    }
static const struct order orders[] = {
    GROUP_ORDERS(CONSUMER),
    GROUP_ORDERS(SHARE),
    GROUP_ORDERS(STREAMS),
    {BROKER_GROUP_STREAMS_NUM_STANDBY_REPLICAS, BROKER_GROUP_STREAMS_MAX_STANDBY_REPLICAS, "<="},
    {BROKER_GROUP_STREAMS_MIN_TASK_OFFSET_INTERVAL_MS, BROKER_GROUP_STREAMS_TASK_OFFSET_INTERVAL_MS,
     ">="},
    {BROKER_GROUP_STREAMS_NUM_WARMUP_REPLICAS, BROKER_GROUP_STREAMS_MAX_WARMUP_REPLICAS, "<="},
    SHARE_ORDERS(DELIVERY_COUNT_LIMIT),
    SHARE_ORDERS(PARTITION_MAX_RECORD_LOCKS),
    SHARE_ORDERS(RECORD_LOCK_DURATION_MS),
    {BROKER_GROUP_SHARE_MAX_SIZE, BROKER_GROUP_SHARE_MAX_SHARE_SESSIONS, ">="},
};

static void orders_check(struct node_builder *builder)
{
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        const struct order *order = &orders[i];
        int64_t low = config_long(builder->config, order->low);
        int64_t high = config_long(builder->config, order->high);
        const char *low_name = config_broker_keys[order->low].name;
        const char *high_name = config_broker_keys[order->high].name;

        if (strcmp(order->relation, "<") == 0) {
            if (low >= high)
                node_error(builder, order->low, "%s must be less than %s", low_name, high_name);
        } else if (low > high && strcmp(order->relation, "<=") == 0) {
            node_error(builder, order->low, "%s must be less than or equal to %s", low_name,
                       high_name);
        } else if (low > high) {
            node_error(builder, order->high, "%s must be greater than or equal to %s", high_name,
                       low_name);
        }
    }
}

static void groups_check(struct node_builder *builder)
{
    struct config_list protocols =
        config_list(builder->config, BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS);
    struct config_list share = config_list(builder->config, BROKER_GROUP_SHARE_ASSIGNORS);
    int64_t codec = config_long(builder->config, BROKER_OFFSETS_TOPIC_COMPRESSION_CODEC);

    orders_check(builder);
    if (!config_list_has(protocols, SLICE("classic")))
        node_error(builder, BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS,
                   "Disabling the 'CLASSIC' protocol is not supported.");
    if (share.count != 1)
        node_error(builder, BROKER_GROUP_SHARE_ASSIGNORS,
                   "group.share.assignors must contain exactly one assignor, but found %zu",
                   share.count);
    if (codec < 0 || codec > 4)
        node_error(builder, BROKER_OFFSETS_TOPIC_COMPRESSION_CODEC,
                   "Unknown compression type id: %lld", (long long)codec);
    codec = config_long(builder->config, BROKER_SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC);
    if (codec < 0 || codec > 4)
        node_error(builder, BROKER_SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC,
                   "Unknown compression type id: %lld", (long long)codec);
}

static bool is_numeric(struct slice host)
{
    for (size_t i = 0; i < host.size_bytes; i++) {
        if (host.data[i] == ':')
            return true;
        if (host.data[i] != '.' && (host.data[i] < '0' || host.data[i] > '9'))
            return false;
    }
    return true;
}

static enum err sockets_check(struct node_builder *builder)
{
    const struct config *config = builder->config;
    int64_t queued = config_long(config, BROKER_QUEUED_MAX_REQUEST_BYTES);
    int64_t idle_ms = config_long(config, BROKER_CONNECTIONS_MAX_IDLE_MS);
    int64_t delay_ms = config_long(config, BROKER_CONNECTION_FAILED_AUTHENTICATION_DELAY_MS);
    struct config_list items;
    struct ip_limit_config *limits;

    node_require(builder,
                 queued <= 0 || queued >= config_long(config, BROKER_SOCKET_REQUEST_MAX_BYTES),
                 BROKER_QUEUED_MAX_REQUEST_BYTES,
                 "queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
    TRY(config_split(builder->arena, config_string(config, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES),
                     &items));
    limits = ARENA_ARRAY(builder->arena, struct ip_limit_config, items.count + 1);
    if (!limits)
        return ERR_NO_MEMORY;
    builder->node->ip_limits = limits;
    for (size_t i = 0; i < items.count; i++) {
        struct slice item = items.items[i];
        struct ip_limit_config *limit = &limits[builder->node->ip_limit_count];
        size_t colon = item.size_bytes;

        while (colon > 0 && item.data[colon - 1] != ':')
            colon--;
        limit->host = config_trim(slice_sub(item, 0, colon > 0 ? colon - 1 : 0));
        if (colon < 2 ||
            parse_i32(config_trim(slice_sub(item, colon, SIZE_MAX)), &limit->connections_max) != OK)
            node_error(builder, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES,
                       "Error parsing configuration property 'max.connections.per.ip.overrides': "
                       "%.*s is not of the form host:count",
                       SLICE_ARGS(item));
        else if (!config_host_valid(limit->host))
            node_error(builder, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES,
                       "max.connections.per.ip.overrides contains invalid addresses : %.*s",
                       SLICE_ARGS(limit->host));
        else if (!is_numeric(limit->host)) /* a limit that never met anybody would be none */
            node_error(builder, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES,
                       "max.connections.per.ip.overrides: %.*s is a name: give its address, names "
                       "are not looked up for this",
                       SLICE_ARGS(limit->host));
        else
            builder->node->ip_limit_count++;
    }
    node_require(
        builder,
        config_long(config, BROKER_MAX_CONNECTIONS_PER_IP) != 0 ||
            builder->node->ip_limit_count > 0,
        BROKER_MAX_CONNECTIONS_PER_IP,
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
        "property is set.");
    if (idle_ms >= 0 && delay_ms >= idle_ms)
        node_require(builder, false, BROKER_CONNECTION_FAILED_AUTHENTICATION_DELAY_MS,
                     "connection.failed.authentication.delay.ms=%lld should always be less than "
                     "connections.max.idle.ms=%lld to prevent failed authentication responses from "
                     "timing out",
                     (long long)delay_ms, (long long)idle_ms);
    return OK;
}

/* ---- Identity and quorum ----------------------------------------------------------------------- */

static void identity(struct node_builder *builder)
{
    const struct config *config = builder->config;
    struct node_config *node = builder->node;
    struct config_list roles = config_list(config, BROKER_PROCESS_ROLES);

    node->node_id = config_int(config, BROKER_NODE_ID);
    node->broker = config_list_has(roles, SLICE("broker"));
    node->controller = config_list_has(roles, SLICE("controller"));
    if (node->node_id != config_int(config, BROKER_BROKER_ID))
        node_error(
            builder, BROKER_NODE_ID,
            "`node.id` and `broker.id` must be set to the same value. `broker.id` is deprecated, "
            "please use `node.id` instead.");
}

static enum err quorum(struct node_builder *builder)
{
    struct node_config *node = builder->node;
    struct config_list voters = config_list(builder->config, BROKER_CONTROLLER_QUORUM_VOTERS);
    struct config_list servers =
        config_list(builder->config, BROKER_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS);
    struct voter_config *voter = ARENA_ARRAY(builder->arena, struct voter_config, voters.count + 1);
    struct endpoint_config *server =
        ARENA_ARRAY(builder->arena, struct endpoint_config, servers.count + 1);

    if (!voter || !server)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < voters.count; i++) {
        TRY(config_voter_parse(voters.items[i], &voter[i], NULL)); /* has passed its check */
        if (slice_equal(voter[i].host, SLICE("0.0.0.0")))
            node_error(builder, BROKER_CONTROLLER_QUORUM_VOTERS,
                       "Host string (0.0.0.0) is not routeable");
    }
    for (size_t i = 0; i < servers.count; i++)
        TRY(config_bootstrap_parse(servers.items[i], &server[i], NULL));
    node->voters = voter;
    node->voter_count = voters.count;
    node->bootstrap = server;
    node->bootstrap_count = servers.count;
    return OK;
}

static bool is_voter(const struct node_config *node)
{
    for (size_t i = 0; i < node->voter_count; i++)
        if (node->voters[i].id == node->node_id)
            return true;
    return false;
}

static void broker_only_check(struct node_builder *builder)
{
    const struct node_config *node = builder->node;
    struct config_list names = node->controller_listener_names;

    if (is_voter(node))
        node_require(builder, false, BROKER_CONTROLLER_QUORUM_VOTERS,
                     "If process.roles contains just the 'broker' role, the node id %d must not be "
                     "included in the set of voters controller.quorum.voters",
                     (int)node->node_id);
    for (size_t i = 0; i < node->listener_count; i++)
        node_require(
            builder, !node->listeners[i].controller, BROKER_CONTROLLER_LISTENER_NAMES,
            "controller.listener.names must not contain a value appearing in the 'listeners' "
            "configuration when running KRaft with just the broker role");
    for (size_t i = 0; i < names.count; i++) {
        if (!node_protocol_known(builder, names.items[i]))
            node_error(builder, BROKER_CONTROLLER_LISTENER_NAMES,
                       "Controller listener with name %.*s defined in controller.listener.names "
                       "not found in listener.security.protocol.map  (an explicit security mapping "
                       "for each controller listener is required if listener.security.protocol.map "
                       "is non-empty, or if there are security protocols other than PLAINTEXT in "
                       "use)",
                       SLICE_ARGS(names.items[i]));
        else
            node_protocol_check(builder, BROKER_CONTROLLER_LISTENER_NAMES, names.items[i]);
    }
}

static void controller_check(struct node_builder *builder)
{
    const struct node_config *node = builder->node;
    struct config_list names = node->controller_listener_names;

    if (node->voter_count > 0 && !is_voter(node))
        node_require(builder, false, BROKER_CONTROLLER_QUORUM_VOTERS,
                     "If process.roles contains the 'controller' role, the node id %d must be "
                     "included in the set of voters controller.quorum.voters",
                     (int)node->node_id);
    node_require(builder, node->advertised_controller_count > 0, BROKER_CONTROLLER_LISTENER_NAMES,
                 "controller.listener.names must contain at least one value appearing in the "
                 "'listeners' configuration when running the KRaft controller role");
    for (size_t i = 0; i < names.count; i++)
        if (!node_listener_find(node->listeners, node->listener_count, names.items[i])) {
            node_require(builder, false, BROKER_CONTROLLER_LISTENER_NAMES,
                         "controller.listener.names must only contain values appearing in the "
                         "'listeners' configuration when running the KRaft controller role");
            break;
        }
    if (!node->broker)
        node_require(builder, node->advertised_controller_count == node->listener_count,
                     BROKER_LISTENERS,
                     "The listeners config must only contain KRaft controller listeners from "
                     "controller.listener.names when process.roles=controller");
}

static void roles_check(struct node_builder *builder)
{
    const struct node_config *node = builder->node;

    if (node->voter_count == 0 && node->bootstrap_count == 0)
        node_error(
            builder, BROKER_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS,
            "If using process.roles, either controller.quorum.bootstrap.servers must contain the "
            "set of bootstrap controllers or controller.quorum.voters must contain a parseable set "
            "of controllers.");
    if (node->controller)
        controller_check(builder);
    else
        broker_only_check(builder);
}

static void cordoned(struct node_builder *builder)
{
    struct config_list list = config_list(builder->config, BROKER_CORDONED_LOG_DIRS);

    if (config_list_has(list, SLICE("*"))) {
        node_require(builder, list.count == 1, BROKER_CORDONED_LOG_DIRS,
                     "When cordoned.log.dirs is set to *, it must not contain other values");
        return;
    }
    for (size_t i = 0; i < list.count; i++)
        if (!config_list_has(builder->node->log_dirs, list.items[i]))
            node_require(builder, false, BROKER_CORDONED_LOG_DIRS,
                         "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. "
                         "Missing entries : %.*s",
                         SLICE_ARGS(list.items[i]));
}

static void own_keys(struct node_builder *builder)
{
    const struct config *config = builder->config;
    struct node_config *node = builder->node;
    struct slice http = config_string(config, BARNABAS_HTTP_LISTENER);

    node->shards = config_int(config, BARNABAS_SHARDS);
    node->flush_mode = slice_equal(config_string(config, BARNABAS_FLUSH_MODE), SLICE("os"))
                           ? CONFIG_FLUSH_OS
                           : CONFIG_FLUSH_COMMIT;
    node->flush_os_topics = config_list(config, BARNABAS_FLUSH_OS_TOPICS);
    node->http_on =
        http.size_bytes > 0 && config_host_port(http, &node->http.host, &node->http.port);
}

enum err config_node(const struct config *config, struct config_report *report,
                     struct node_config *out)
{
    struct node_builder builder = {report->arena, config, report, out, NULL, 0};
    struct slice metadata_dir = config_string(config, BROKER_METADATA_LOG_DIR);
    struct listener_config *listeners = NULL;

    *out = (struct node_config){0};
    identity(&builder);
    out->controller_listener_names = config_list(config, BROKER_CONTROLLER_LISTENER_NAMES);
    out->log_dirs = config_log_dirs(config);
    if (out->log_dirs.count > 0)
        out->metadata_log_dir = slice_is_null(metadata_dir) ? out->log_dirs.items[0] : metadata_dir;
    TRY(node_protocols(&builder));
    TRY(node_listeners(&builder, BROKER_LISTENERS, true, &listeners, &out->listener_count));
    out->listeners = listeners;
    TRY(quorum(&builder));
    TRY(node_advertise(&builder));
    logs_check(&builder);
    replication_check(&builder);
    roles_check(&builder);
    TRY(node_inter_broker(&builder));
    if (out->broker)
        cordoned(&builder);
    TRY(sockets_check(&builder));
    groups_check(&builder);
    own_keys(&builder);
    if (report->no_memory)
        return ERR_NO_MEMORY;
    return report->count[CONFIG_FINDING_ERROR] > 0 ? ERR_CONFIG : OK;
}
