/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers.c: which function serves which API on which listener. schema/served says what is
 * advertised; tests/unit/server/handlers_test.c holds the two against each other.
 */
#include "server/handlers/handlers.h"
#include "base/macros.h"
#include "protocol/generated/api_keys.h"

struct row {
    request_handler broker;
    request_handler controller;
};

static const struct row rows[] = {
    [API_PRODUCE] = {handle_produce, NULL},
    [API_FETCH] = {handle_fetch, handle_controller_fetch},
    [API_LIST_OFFSETS] = {handle_list_offsets, NULL},
    [API_METADATA] = {handle_metadata, NULL},
    [API_OFFSET_COMMIT] = {handle_offset_commit, NULL},
    [API_OFFSET_FETCH] = {handle_offset_fetch, NULL},
    [API_FIND_COORDINATOR] = {handle_find_coordinator, NULL},
    [API_JOIN_GROUP] = {handle_join_group, NULL},
    [API_HEARTBEAT] = {handle_heartbeat, NULL},
    [API_LEAVE_GROUP] = {handle_leave_group, NULL},
    [API_SYNC_GROUP] = {handle_sync_group, NULL},
    [API_DESCRIBE_GROUPS] = {handle_describe_groups, NULL},
    [API_LIST_GROUPS] = {handle_list_groups, NULL},
    [API_API_VERSIONS] = {handle_api_versions, handle_api_versions},
    [API_CREATE_TOPICS] = {handle_create_topics, handle_controller_api},
    [API_DELETE_TOPICS] = {handle_delete_topics, handle_controller_api},
    [API_DELETE_RECORDS] = {handle_delete_records, NULL},
    [API_INIT_PRODUCER_ID] = {handle_init_producer_id, NULL},
    [API_ADD_PARTITIONS_TO_TXN] = {handle_add_partitions_to_txn, NULL},
    [API_ADD_OFFSETS_TO_TXN] = {handle_add_offsets_to_txn, NULL},
    [API_END_TXN] = {handle_end_txn, NULL},
    [API_WRITE_TXN_MARKERS] = {handle_write_txn_markers, NULL},
    [API_TXN_OFFSET_COMMIT] = {handle_txn_offset_commit, NULL},
    [API_DESCRIBE_TRANSACTIONS] = {handle_describe_transactions, NULL},
    [API_LIST_TRANSACTIONS] = {handle_list_transactions, NULL},
    [API_OFFSET_FOR_LEADER_EPOCH] = {handle_offset_for_leader_epoch, NULL},
    [API_DESCRIBE_ACLS] = {handle_acls, handle_acls},
    [API_CREATE_ACLS] = {handle_acls, handle_acls},
    [API_DELETE_ACLS] = {handle_acls, handle_acls},
    [API_DESCRIBE_CONFIGS] = {handle_describe_configs, handle_describe_configs},
    [API_ALTER_CONFIGS] = {handle_alter_configs, handle_controller_api},
    [API_ALTER_REPLICA_LOG_DIRS] = {handle_alter_replica_log_dirs, NULL},
    [API_DESCRIBE_LOG_DIRS] = {handle_describe_log_dirs, NULL},
    [API_CREATE_PARTITIONS] = {handle_create_partitions, handle_controller_api},
    [API_CREATE_DELEGATION_TOKEN] = {handle_delegation_tokens, handle_delegation_tokens},
    [API_RENEW_DELEGATION_TOKEN] = {handle_delegation_tokens, handle_delegation_tokens},
    [API_EXPIRE_DELEGATION_TOKEN] = {handle_delegation_tokens, handle_delegation_tokens},
    [API_DESCRIBE_DELEGATION_TOKEN] = {handle_delegation_tokens, NULL},
    [API_DELETE_GROUPS] = {handle_delete_groups, NULL},
    [API_ELECT_LEADERS] = {handle_forwarded, handle_controller_api},
    [API_INCREMENTAL_ALTER_CONFIGS] = {handle_alter_configs, handle_controller_api},
    [API_ALTER_PARTITION_REASSIGNMENTS] = {handle_forwarded, handle_controller_api},
    [API_LIST_PARTITION_REASSIGNMENTS] = {handle_forwarded, handle_controller_api},
    [API_OFFSET_DELETE] = {handle_offset_delete, NULL},
    [API_DESCRIBE_CLIENT_QUOTAS] = {handle_describe_client_quotas, NULL},
    [API_ALTER_CLIENT_QUOTAS] = {handle_forwarded, handle_controller_api},
    [API_DESCRIBE_USER_SCRAM_CREDENTIALS] = {handle_describe_user_scram_credentials, NULL},
    [API_ALTER_USER_SCRAM_CREDENTIALS] = {handle_forwarded, handle_controller_api},
    [API_VOTE] = {NULL, handle_raft},
    [API_BEGIN_QUORUM_EPOCH] = {NULL, handle_raft},
    [API_END_QUORUM_EPOCH] = {NULL, handle_raft},
    [API_DESCRIBE_QUORUM] = {handle_describe_quorum, handle_describe_quorum},
    [API_ALTER_PARTITION] = {NULL, handle_controller_api},
    [API_UPDATE_FEATURES] = {handle_forwarded, handle_controller_api},
    [API_ENVELOPE] = {NULL, handle_envelope},
    [API_FETCH_SNAPSHOT] = {NULL, handle_raft},
    [API_DESCRIBE_CLUSTER] = {handle_describe_cluster, handle_describe_cluster},
    [API_DESCRIBE_PRODUCERS] = {handle_describe_producers, NULL},
    [API_BROKER_REGISTRATION] = {NULL, handle_controller_api},
    [API_BROKER_HEARTBEAT] = {NULL, handle_controller_api},
    [API_UNREGISTER_BROKER] = {handle_forwarded, handle_controller_api},
    [API_ALLOCATE_PRODUCER_IDS] = {NULL, handle_controller_api},
    [API_CONTROLLER_REGISTRATION] = {NULL, handle_controller_api},
    [API_ASSIGN_REPLICAS_TO_DIRS] = {NULL, handle_controller_api},
    [API_CONSUMER_GROUP_HEARTBEAT] = {handle_consumer_group_heartbeat, NULL},
    [API_CONSUMER_GROUP_DESCRIBE] = {handle_consumer_group_describe, NULL},
    [API_LIST_CONFIG_RESOURCES] = {handle_list_config_resources, NULL},
    [API_DESCRIBE_TOPIC_PARTITIONS] = {handle_describe_topic_partitions, NULL},
    [API_UNREGISTER_CONTROLLER] = {handle_forwarded, handle_controller_api},
};

request_handler handler_of_broker_api(int16_t api_key)
{
    return api_key >= 0 && (size_t)api_key < ARRAY_COUNT(rows) ? rows[api_key].broker : NULL;
}

request_handler handler_of_controller_api(int16_t api_key)
{
    return api_key >= 0 && (size_t)api_key < ARRAY_COUNT(rows) ? rows[api_key].controller : NULL;
}
