/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/handlers.h: one function per API, each in the file of its name. What each must end with is
 * in server/request.h. handlers.c maps keys to them.
 */
#ifndef SERVER_HANDLERS_HANDLERS_H
#define SERVER_HANDLERS_HANDLERS_H

#include "server/request.h"

/* data: partitions and their logs */
void handle_produce(struct request *request);
void handle_fetch(struct request *request);
void handle_list_offsets(struct request *request);
void handle_delete_records(struct request *request);
void handle_offset_for_leader_epoch(struct request *request);
void handle_init_producer_id(struct request *request);
void handle_describe_producers(struct request *request);
void handle_describe_log_dirs(struct request *request);
void handle_alter_replica_log_dirs(struct request *request);

/* the coordinators' */
void handle_find_coordinator(struct request *request);
void handle_join_group(struct request *request);
void handle_sync_group(struct request *request);
void handle_heartbeat(struct request *request);
void handle_leave_group(struct request *request);
void handle_offset_commit(struct request *request);
void handle_txn_offset_commit(struct request *request);
void handle_offset_fetch(struct request *request);
void handle_offset_delete(struct request *request);
void handle_describe_groups(struct request *request);
void handle_list_groups(struct request *request);
void handle_delete_groups(struct request *request);
void handle_consumer_group_heartbeat(struct request *request);
void handle_consumer_group_describe(struct request *request);

/* of transactions (InitProducerId is above) */
void handle_add_partitions_to_txn(struct request *request);
void handle_add_offsets_to_txn(struct request *request);
void handle_end_txn(struct request *request);
void handle_write_txn_markers(struct request *request);
void handle_describe_transactions(struct request *request);
void handle_list_transactions(struct request *request);

/* from the image and the configuration */
void handle_api_versions(struct request *request);
void handle_metadata(struct request *request);
void handle_describe_topic_partitions(struct request *request);
void handle_describe_cluster(struct request *request);
void handle_describe_configs(struct request *request);
void handle_list_config_resources(struct request *request);
void handle_describe_client_quotas(struct request *request);
void handle_describe_user_scram_credentials(struct request *request);

/* answered as without authorizer and without secret key */
void handle_acls(struct request *request);              /* DescribeAcls, CreateAcls, DeleteAcls */
void handle_delegation_tokens(struct request *request); /* Create, Renew, Expire, Describe */

/* the controller's */
void handle_create_topics(struct request *request);
void handle_delete_topics(struct request *request);
void handle_create_partitions(struct request *request);
void handle_alter_configs(struct request *request); /* AlterConfigs and IncrementalAlterConfigs */
/* Whatever is handed to the controller as it is: ElectLeaders, reassignments, AlterClientQuotas,
 * AlterUserScramCredentials, UpdateFeatures, UnregisterBroker, UnregisterController. */
void handle_forwarded(struct request *request);

/* the quorum's; on both listeners or on the controller's alone */
void handle_describe_quorum(struct request *request);
void handle_raft(
    struct request *request); /* Vote, Begin-, EndQuorumEpoch, FetchSnapshot, voter changes */
void handle_controller_fetch(struct request *request); /* Fetch of the metadata log */
void handle_controller_api(
    struct request *request); /* registration, heartbeat, AlterPartition, … */
void handle_envelope(struct request *request);

#endif
