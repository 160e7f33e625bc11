/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/snapshot_stream.h: the files of metadata snapshots: their names, and their bytes: a control
 * batch (SnapshotHeader; KRaftVersion and Voters of a dynamic quorum), batches of metadata records, a
 * control batch (SnapshotFooter). KIP-630, KIP-853. Nothing here touches a file: a writer's output may
 * be taken and written piece by piece, a reader is given the bytes.
 *
 * Offsets count from 0 through the file and mean nothing; every batch carries the snapshot's epoch.
 */
#ifndef RECORDS_SNAPSHOT_STREAM_H
#define RECORDS_SNAPSHOT_STREAM_H

#include "base/arena.h"
#include "base/writer.h"
#include "compress/compress.h"
#include "records/batch_builder.h"

struct voters_record;

/* ---- names ---- */

struct snapshot_id {
    int64_t end_offset; /* the first offset that is not in it */
    int32_t epoch;
};
enum snapshot_file {
    SNAPSHOT_FILE_NONE,  /* not the name of a snapshot */
    SNAPSHOT_FILE_WHOLE, /* <20 digits>-<10 digits>.checkpoint */
    SNAPSHOT_FILE_PART,  /* …-<number>.checkpoint.part: being written, worthless after a crash */
    SNAPSHOT_FILE_DELETED, /* ….checkpoint.deleted: to be removed */
};
#define SNAPSHOT_NAME_BYTES 72 /* with NUL */
void snapshot_name(struct snapshot_id id, char out[SNAPSHOT_NAME_BYTES]);
void snapshot_name_part(struct snapshot_id id, uint64_t number, char out[SNAPSHOT_NAME_BYTES]);
void snapshot_name_deleted(struct snapshot_id id, char out[SNAPSHOT_NAME_BYTES]);
enum snapshot_file snapshot_name_parse(struct slice name, struct snapshot_id *id_out);

/* ---- writing ---- */

/* A data batch is closed before it would pass this. */
#define SNAPSHOT_BATCH_BYTES_MAX (8 * MIB)

struct snapshot_writer {
    struct writer *out;
    struct arena *scratch;
    int32_t epoch;
    int64_t next_offset;
    bool open; /* a data batch is */
    struct batch_builder builder;
    enum err err; /* sticky */
};

/* Both stay with the writer until the footer. Between snapshot_writer_flush and the next record `out`
 * holds whole batches alone and may be emptied. */
void snapshot_writer_begin(struct snapshot_writer *writer, int32_t epoch, struct writer *out,
                           struct arena *scratch);
/* First. contained_ms: timestamp of the last record that the snapshot covers. kraft_version 0 writes
 * neither version nor voters; voters NULL: none are known. Errors are sticky and told by finish. */
enum err snapshot_writer_header(struct snapshot_writer *writer, int64_t now_ms,
                                int64_t contained_ms, int16_t kraft_version,
                                const struct voters_record *voters);
/* One metadata record: `value` with its frame. now_ms becomes the timestamp of a batch begun here. */
enum err snapshot_writer_record(struct snapshot_writer *writer, int64_t now_ms, struct slice value);
/* Ends the open batch, if any. */
enum err snapshot_writer_flush(struct snapshot_writer *writer);
/* Last: ends the open batch and writes the footer. */
MUST_USE enum err snapshot_writer_finish(struct snapshot_writer *writer, int64_t now_ms);

/* ---- reading ---- */

enum snapshot_item_kind {
    SNAPSHOT_ITEM_END, /* after the footer */
    SNAPSHOT_ITEM_HEADER,
    SNAPSHOT_ITEM_KRAFT_VERSION,
    SNAPSHOT_ITEM_VOTERS,
    SNAPSHOT_ITEM_RECORD,
    SNAPSHOT_ITEM_FOOTER,
};
struct snapshot_item {
    enum snapshot_item_kind kind;
    int64_t contained_ms;               /* HEADER */
    int16_t kraft_version;              /* KRAFT_VERSION */
    const struct voters_record *voters; /* VOTERS; the arena's */
    struct slice value;                 /* RECORD: valid until the next batch */
};

struct snapshot_reader {
    struct slice rest;
    struct compress_context *context;
    struct writer inflated;
    struct arena *arena;
    struct record_walk walk;
    bool walking; /* inside a batch */
    bool control; /* …which is a control batch */
    bool header_seen, footer_seen;
};

/* `bytes` is the whole file. `context` may be NULL: compressed batches are refused then. The arena
 * holds the voters. */
void snapshot_reader_begin(struct snapshot_reader *reader, struct slice bytes,
                           struct compress_context *context, struct allocator *allocator,
                           struct arena *arena);
/* ERR_CORRUPT with a reason: a batch that is torn or fails its check, no header first, no footer last,
 * something behind the footer, a control record that is unknown. */
MUST_USE enum err snapshot_reader_next(struct snapshot_reader *reader, struct snapshot_item *out,
                                       struct why *why);
void snapshot_reader_release(struct snapshot_reader *reader);

#endif
