/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_lab.h: a node with some configuration on a simulated machine, and what can be seen of it from
 * outside as one number: answers, files on its disk, log lines, time. Everything asserts that the way to
 * the number goes well; what a key may refuse is the number itself.
 */
#ifndef TESTS_SIM_CONFIG_LAB_H
#define TESTS_SIM_CONFIG_LAB_H

#include "compress/compress.h"
#include "sim_client.h"
#include "sim_node.h"

#define MS ((int64_t)1000000)
#define LAB_CLIENTS 16

struct lab {
    struct sim *sim;
    struct sim_node node;
    struct os *client_machine;
    struct sim_client *client; /* connected to the broker's listener */
    struct sim_client *others[LAB_CLIENTS];
    struct arena arena;
    struct logger logger;
    const char *wanted_event; /* log lines of it are counted */
    const char *wanted_field; /* those that contain it; NULL: all */
    int64_t event_count;
    const char *without;          /* a property that is left out; NULL: none */
    const char *topic_configs;    /* "key=value;…" of topics made here; NULL: none */
    const char *topic_alteration; /* "key=value" that "t" gets once it is there; NULL: none */
    enum err start_err;
};

/* Formats and starts; start_err tells how that went. properties: added to a single node's. */
void lab_open(struct lab *lab, const char *properties, const char *topic_configs);
void lab_connect(struct lab *lab, uint16_t port);
void lab_pass(struct lab *lab, int64_t ms);
void lab_close(struct lab *lab);
/* kill -9, or a power cut that loses what was not synced; then another start. */
void lab_restart(struct lab *lab, bool is_power_cut);
/* An answer, decoded; fails the test when there is none. */
void *lab_call(struct lab *lab, int16_t api_key, int16_t version, const void *body);

/* ---- topics ---- */
/* The error code; -1 each: as the node is configured. */
int16_t lab_create_topic(struct lab *lab, const char *name, int32_t partitions, int16_t replicas);
/* Partitions of a topic that a Metadata request may have made; -1: it is not there. */
int64_t lab_partitions(struct lab *lab, const char *name, bool may_create);
int64_t lab_topic_number(struct lab *lab, const char *topic, const char *key);
/* SET of one config of a broker ("" for all) or topic; the error code. */
int16_t lab_alter(struct lab *lab, int8_t type, const char *resource, const char *key,
                  const char *value);
void lab_quota(struct lab *lab, const char *key, double value);

/* ---- records ---- */
struct lab_batch {
    enum compression codec;
    int32_t records, value_bytes; /* 0: one of 10 bytes */
    bool is_random;               /* incompressible */
    bool is_text;                 /* compressible, the better the harder one tries */
    bool is_transactional;
    int64_t producer_id; /* 0: none */
    int32_t sequence;
    int64_t age_ms; /* of its timestamps; negative: of the future */
    int16_t acks;   /* 0: all */
};
/* Into partition 0 of "t", which is made when it is not there. The error code; *throttle_ms_out may be
 * NULL. */
int16_t lab_produce(struct lab *lab, const struct lab_batch *batch, int32_t *throttle_ms_out);
/* Earliest (-2) or latest (-1) offset of "t"-0. */
int64_t lab_offset(struct lab *lab, int64_t timestamp);
struct lab_fetched {
    int64_t bytes;
    int32_t session_id;
    int attributes; /* of the first batch */
    int64_t first_batch_bytes;
};
struct lab_fetched lab_fetch(struct lab *lab, int32_t bytes_max);

/* ---- the disk ---- */
/* Files whose path contains `folder` and ends with `end`, and how long they are together. */
int64_t lab_files(struct lab *lab, const char *folder, const char *end, int64_t *bytes_out);
bool lab_file_has(struct lab *lab, const char *path, const char *text);

#endif
