/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/config.c: Kafka's defaults of what a log needs to know.
 * Threads     any; no state.
 */
#include "storage/storage_internal.h"

void log_config_init(struct log_config *config)
{
    *config = (struct log_config){
        .segment_bytes = 1073741824,
        .segment_ms = 604800000,
        .segment_jitter_ms = 0,
        .segment_index_bytes = 10485760,
        .index_interval_bytes = 4096,
        .max_message_bytes = 1048588,
        .retention_bytes = -1,
        .retention_ms = 604800000,
        .file_delete_delay_ms = 60000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .max_compaction_lag_ms = INT64_MAX,
        .delete_retention_ms = 86400000,
        .min_cleanable_dirty_ratio = 0.5,
        .cleanup_delete = true,
        .flush_mode = FLUSH_MODE_COMMIT,
    };
}

void storage_options_init(struct storage_options *options)
{
    *options = (struct storage_options){
        .checkpoint_offset_interval_ms = 60000,
        .checkpoint_start_interval_ms = 60000,
        .checkpoint_high_watermark_interval_ms = 5000,
        .initial_delay_ms = 30000,
        .retention_check_interval_ms = 300000,
        .flush_scheduler_interval_ms = INT64_MAX,
        .producer_expiration_ms = 86400000,
        .producer_expiration_check_ms = 600000,
        .file_delete_delay_ms = 60000,
        .recovery_bytes_max = 64 * (int64_t)MIB,
        .low_space_bytes = 64 * (int64_t)MIB,
        .reserve_bytes = 16 * (int64_t)MIB,
        .open_files_max = 512,
        .append_bytes_max = 4 * MIB,
        .index_bytes_max = 64 * MIB,
        .cleaner = {.enabled = true,
                    .threads = 1,
                    .dedupe_bytes = 128 * (int64_t)MIB,
                    .load_factor = 0.9,
                    .io_buffer_bytes = 512 * (int64_t)KIB,
                    .bytes_per_second = 1.7976931348623157e308,
                    .backoff_ms = 15000},
    };
}
