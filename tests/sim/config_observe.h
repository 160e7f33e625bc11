/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_observe.h: what a row of config_test.c looks at: a number that a key changes. `argument` says
 * which file, topic or key, where there is a choice.
 */
#ifndef TESTS_SIM_CONFIG_OBSERVE_H
#define TESTS_SIM_CONFIG_OBSERVE_H

#include "config_lab.h"

typedef int64_t observer(struct lab *lab, const char *argument);

/* config_disk.c */
observer kept_after_power_cut; /* records of "t", 1 s after they were acknowledged */
observer files_with_end;       /* of "t"-0 after three batches of 600 KB; argument: ".log" */
observer files_after_pause;    /* the same, small batches around a pause of `argument` ms */
observer bytes_with_end;       /* of "t"-0 after twenty batches and an orderly stop */
observer disk_bytes_used;      /* by one record */
observer earliest_after;       /* ten batches, then `argument` ms */
observer earliest_late;        /* ten batches 40 s after the start, then `argument` ms */
observer deleted_files_after;  /* still there `argument` ms after a topic was deleted */
observer recovery_point_after; /* is it in its file `argument` ms after an append? */
observer start_offset_after;
observer high_watermark_after;
observer producers_after; /* known `argument` ms after they were heard */
observer directory_exists;
observer reserve_bytes;
observer move_takes_ms;        /* of 4 MB from one directory to the other */
observer metadata_files;       /* whose name ends with `argument`, after many changes */
observer metadata_files_large; /* the same after 9 MB of changes */
observer metadata_files_slow;  /* changes spread over an hour */
observer metadata_log_bytes;   /* after a topic of 200 partitions */
observer directory_failure;    /* does the node stop when one of two directories fails? */

/* config_compaction.c */
observer is_cleaned_after; /* a compacted "t", `argument` ms behind its second segment */

/* config_traffic.c */
observer start_error;
observer connection_lives; /* after 5 s of silence */
observer answered;         /* of ten clients on port `argument`, in 300 ms */
observer connected;        /* of ten clients that nobody accepts */
observer large_request_is_answered;
observer upload_takes_us; /* 900 KB */
observer download_takes_us;
observer frames_read; /* of two clients that send two requests while the first waits */
observer muted_for_memory;
observer fetched_bytes;
observer fetch_session;
observer described_partitions;
observer produce_throttle_ms;
observer mutation_throttle_ms;
observer broker_port;
observer broker_id;
observer broker_rack_bytes;
observer fenced_after_ms; /* is the broker fenced some time in `argument` ms? */
observer shards;
observer quorum_is_static;
observer controller_apis; /* does port `argument` serve Vote? */
observer no_op_records;   /* while somebody fetches the metadata log for `argument` ms */
observer
    inter_broker_listener_evicts; /* of three clients, when three others fill max.connections */
observer events_logged;           /* of the row's event, in a second of topic creations */
observer events_logged_after_stop;
observer cordoned_directories;

#endif
