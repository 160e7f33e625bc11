/* SPDX-License-Identifier: Apache-2.0 */
/* Load from librdkafka, a client that favours neither broker. Words are name=value.
 *
 *   rdkafka_load create  address= topic= partitions= [NAME=VALUE... of the topic]
 *   rdkafka_load grow    address= topic= partitions=
 *   rdkafka_load delete  address= topic=
 *   rdkafka_load produce address= topic= partitions= count= size= acks= codec= [keys=] [batch=]
 *       batches are as full as they get (128 KiB), so that both brokers are sent the same ones
 *   rdkafka_load consume address= topic= partitions= count= readers= first= rounds= ordered= skip=
 *       each reader reads every partition from its beginning, in a thread and with a client of its
 *       own, and checks count, order in each partition (unless ordered=0: several connections
 *       wrote), and every byte of every value; values of `skip` bytes are not looked at
 *
 * Prints one line of JSON; ends with 1 if anything was lost or changed. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "payload.h"

enum { READERS_MAX = 64, PARTITIONS_MAX = 1024, STALL_SECONDS = 60, ADMIN_MS = 120000 };

struct options {
    int argc;
    char **argv;
};

static const char *option(const struct options *options, const char *name, const char *otherwise)
{
    size_t size = strlen(name);

    for (int i = 2; i < options->argc; i++)
        if (strncmp(options->argv[i], name, size) == 0 && options->argv[i][size] == '=')
            return options->argv[i] + size + 1;
    if (otherwise == NULL) {
        fprintf(stderr, "rdkafka_load: %s= is missing\n", name);
        exit(2);
    }
    return otherwise;
}

static uint64_t option_number(const struct options *options, const char *name,
                              const char *otherwise)
{
    return strtoull(option(options, name, otherwise), NULL, 10);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double client_cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "rdkafka_load: %s\n", why);
        exit(2);
    }
}

static rd_kafka_conf_t *conf_new(const struct options *options)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "bootstrap.servers", option(options, "address", NULL));
    set(conf, "client.id", "bench");
    return conf;
}

static rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof(why));

    if (client == NULL) {
        fprintf(stderr, "rdkafka_load: %s\n", why);
        exit(1);
    }
    return client;
}

/* ---- topics ---- */

static int admin_wait(rd_kafka_queue_t *queue, bool creating)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    const rd_kafka_topic_result_t **results = NULL;
    size_t count = 0;

    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "rdkafka_load: %s\n",
                event == NULL ? "no answer" : rd_kafka_event_error_string(event));
        return 1;
    }
    results =
        creating
            ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
            : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
                                                  &count);
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "rdkafka_load: %s: %s\n", rd_kafka_topic_result_name(results[i]),
                    rd_kafka_err2str(rd_kafka_topic_result_error(results[i])));
            return 1;
        }
    rd_kafka_event_destroy(event);
    return 0;
}

static bool is_own_word(const char *word)
{
    return strncmp(word, "address=", 8) == 0 || strncmp(word, "topic=", 6) == 0 ||
           strncmp(word, "partitions=", 11) == 0;
}

/* What is sent before a partition has its leader is sent again, and may overtake itself. */
static void leaders_wait(rd_kafka_t *client, const char *topic, int partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    double until = now() + STALL_SECONDS;
    bool is_ready = false;

    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i);
    while (!is_ready && now() < until) {
        for (int i = 0; i < partitions; i++)
            list->elems[i].offset = RD_KAFKA_OFFSET_END;
        is_ready = rd_kafka_offsets_for_times(client, list, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR;
        for (int i = 0; i < partitions; i++)
            is_ready = is_ready && list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!is_ready)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static int topic_create(const struct options *options)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, conf_new(options));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *admin = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_ANY);
    rd_kafka_NewTopic_t *topic;
    char why[256];

    topic =
        rd_kafka_NewTopic_new(option(options, "topic", NULL),
                              (int)option_number(options, "partitions", NULL), 1, why, sizeof(why));
    if (topic == NULL) {
        fprintf(stderr, "rdkafka_load: %s\n", why);
        return 1;
    }
    for (int i = 2; i < options->argc; i++) {
        char name[256];
        const char *equals = strchr(options->argv[i], '=');

        if (is_own_word(options->argv[i]) || equals == NULL)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(equals - options->argv[i]), options->argv[i]);
        rd_kafka_NewTopic_set_config(topic, name, equals + 1);
    }
    rd_kafka_AdminOptions_set_request_timeout(admin, ADMIN_MS, why, sizeof(why));
    rd_kafka_AdminOptions_set_operation_timeout(admin, ADMIN_MS, why, sizeof(why));
    rd_kafka_CreateTopics(client, &topic, 1, admin, queue);
    if (admin_wait(queue, true) != 0)
        return 1;
    leaders_wait(client, option(options, "topic", NULL),
                 (int)option_number(options, "partitions", NULL));
    return 0;
}

static int topic_grow(const struct options *options)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, conf_new(options));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    int partitions = (int)option_number(options, "partitions", NULL);
    const char *topic = option(options, "topic", NULL);
    const rd_kafka_topic_result_t **results;
    rd_kafka_NewPartitions_t *grown;
    rd_kafka_event_t *event;
    char why[256];
    size_t count = 0;

    grown = rd_kafka_NewPartitions_new(topic, (size_t)partitions, why, sizeof(why));
    if (grown == NULL) {
        fprintf(stderr, "rdkafka_load: %s\n", why);
        return 1;
    }
    rd_kafka_CreatePartitions(client, &grown, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, ADMIN_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "rdkafka_load: %s\n",
                event == NULL ? "no answer" : rd_kafka_event_error_string(event));
        return 1;
    }
    results = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event),
                                                      &count);
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "rdkafka_load: %s: %s\n", rd_kafka_topic_result_name(results[i]),
                    rd_kafka_err2str(rd_kafka_topic_result_error(results[i])));
            return 1;
        }
    leaders_wait(client, topic, partitions);
    return 0;
}

static int topic_delete(const struct options *options)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, conf_new(options));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(option(options, "topic", NULL));

    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    return admin_wait(queue, false);
}

/* ---- produce ---- */

struct deliveries {
    uint64_t taken;
    uint64_t refused;
};

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct deliveries *deliveries = opaque;

    (void)client;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        deliveries->taken++;
    else if (deliveries->refused++ == 0)
        fprintf(stderr, "rdkafka_load: %s\n", rd_kafka_err2str(message->err));
}

/* keys 0: records have none; else record i has the key i % keys. */
static void produce_all(rd_kafka_t *client, rd_kafka_topic_t *topic, uint64_t count, size_t size,
                        uint64_t partitions, uint64_t keys)
{
    struct payload payload;
    uint8_t *value = malloc(PAYLOAD_SIZE_MAX);

    payload_init(&payload);
    for (uint64_t i = 0; value != NULL && i < count; i++) {
        uint64_t key = keys > 0 ? i % keys : 0;

        payload_fill(&payload, i, value, size);
        while (rd_kafka_produce(topic, (int32_t)(i % partitions), RD_KAFKA_MSG_F_COPY, value, size,
                                keys > 0 ? &key : NULL, keys > 0 ? sizeof(key) : 0, NULL) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                fprintf(stderr, "rdkafka_load: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
                exit(1);
            }
            rd_kafka_poll(client, 10);
        }
        if (i % 512 == 0)
            rd_kafka_poll(client, 0);
    }
    rd_kafka_flush(client, STALL_SECONDS * 1000);
    free(value);
    payload_deinit(&payload);
}

static int produce(const struct options *options)
{
    uint64_t count = option_number(options, "count", NULL);
    uint64_t partitions = option_number(options, "partitions", NULL);
    size_t size = option_number(options, "size", NULL);
    struct deliveries deliveries = {0};
    rd_kafka_conf_t *conf = conf_new(options);
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    double start;

    if (size < PAYLOAD_SIZE_MIN || size > PAYLOAD_SIZE_MAX || partitions == 0)
        return 2;
    set(conf, "acks", option(options, "acks", NULL));
    set(conf, "compression.codec", option(options, "codec", NULL));
    set(conf, "batch.size", option(options, "batch", "131072"));
    set(conf, "linger.ms", "1000");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "65536");
    rd_kafka_conf_set_opaque(conf, &deliveries);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    client = client_new(RD_KAFKA_PRODUCER, conf);
    topic = rd_kafka_topic_new(client, option(options, "topic", NULL), NULL);
    start = now();
    produce_all(client, topic, count, size, partitions, option_number(options, "keys", "0"));
    printf("{\"records\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f}\n",
           (unsigned long long)deliveries.taken, now() - start, client_cpu());
    return deliveries.taken == count && deliveries.refused == 0 ? 0 : 1;
}

/* ---- consume ---- */

struct reader {
    const struct options *options;
    const struct payload *payload;
    uint64_t count; /* records of one round, over all partitions */
    uint64_t first; /* sequence number of the first record */
    int32_t partitions;
    bool in_order;
    size_t skip;
    uint64_t read, bytes, changed;
    int64_t last[PARTITIONS_MAX]; /* sequence number seen last, -1: none */
};

static void read_one(struct reader *reader, const rd_kafka_message_t *message)
{
    uint64_t sequence = 0;

    if (reader->skip != 0 && message->len == reader->skip)
        return;
    reader->read++;
    reader->bytes += message->len;
    if (message->offset == 0)
        reader->last[message->partition] = -1;
    if (!payload_check(reader->payload, message->payload, message->len, &sequence) ||
        sequence - reader->first >= reader->count ||
        (reader->in_order && (int64_t)sequence <= reader->last[message->partition]))
        reader->changed++;
    reader->last[message->partition] = (int64_t)sequence;
}

/* With its order kept, or every offset seen once, a count that is right says that none was lost. */
static void read_round(struct reader *reader, rd_kafka_t *client)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->partitions);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    double stalled = now() + STALL_SECONDS;
    uint64_t end = reader->read + reader->count;

    for (int32_t i = 0; i < reader->partitions; i++) {
        rd_kafka_topic_partition_list_add(list, option(reader->options, "topic", NULL), i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
        reader->last[i] = -1;
    }
    rd_kafka_assign(client, list);
    while (reader->read < end && now() < stalled) {
        rd_kafka_message_t *messages[1000];
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, 1000);

        for (ssize_t i = 0; i < got; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
                read_one(reader, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
        if (got > 0)
            stalled = now() + STALL_SECONDS;
    }
    rd_kafka_assign(client, NULL);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
}

static void *read_all(void *argument)
{
    struct reader *reader = argument;
    uint64_t rounds = option_number(reader->options, "rounds", "1");
    rd_kafka_conf_t *conf = conf_new(reader->options);
    rd_kafka_t *client;

    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    set(conf, "check.crcs", "true");
    set(conf, "fetch.wait.max.ms", "10"); /* a round that follows waits for the last one's fetch */
    /* No pause because of what is queued here: the reader and not the client sets the pace. */
    set(conf, "queued.min.messages", "10000000");
    set(conf, "queued.max.messages.kbytes", "2097151");
    client = client_new(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    for (uint64_t i = 0; i < rounds; i++)
        read_round(reader, client);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

static int consume(const struct options *options)
{
    uint64_t readers = option_number(options, "readers", "1");
    uint64_t rounds = option_number(options, "rounds", "1");
    struct reader *all = calloc(READERS_MAX, sizeof(*all));
    pthread_t threads[READERS_MAX];
    struct payload payload;
    uint64_t read = 0;
    uint64_t bytes = 0;
    uint64_t changed = 0;
    double start = now();

    if (all == NULL || readers == 0 || readers > READERS_MAX)
        return 2;
    payload_init(&payload);
    for (uint64_t i = 0; i < readers; i++) {
        all[i] = (struct reader){.options = options, .payload = &payload};
        all[i].count = option_number(options, "count", NULL);
        all[i].first = option_number(options, "first", "0");
        all[i].partitions = (int32_t)option_number(options, "partitions", NULL);
        all[i].skip = option_number(options, "skip", "0");
        all[i].in_order = option_number(options, "ordered", "1") != 0;
        if (all[i].partitions <= 0 || all[i].partitions > PARTITIONS_MAX)
            return 2;
        if (pthread_create(&threads[i], NULL, read_all, &all[i]) != 0)
            return 1;
    }
    for (uint64_t i = 0; i < readers; i++) {
        pthread_join(threads[i], NULL);
        read += all[i].read;
        bytes += all[i].bytes;
        changed += all[i].changed;
    }
    printf("{\"records\": %llu, \"bytes\": %llu, \"changed\": %llu, \"seconds\": %.6f, "
           "\"client_cpu\": %.6f}\n",
           (unsigned long long)read, (unsigned long long)bytes, (unsigned long long)changed,
           now() - start, client_cpu());
    return changed == 0 && read == readers * rounds * all[0].count ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {.argc = argc, .argv = argv};

    if (argc >= 2 && strcmp(argv[1], "create") == 0)
        return topic_create(&options);
    if (argc >= 2 && strcmp(argv[1], "grow") == 0)
        return topic_grow(&options);
    if (argc >= 2 && strcmp(argv[1], "delete") == 0)
        return topic_delete(&options);
    if (argc >= 2 && strcmp(argv[1], "produce") == 0)
        return produce(&options);
    if (argc >= 2 && strcmp(argv[1], "consume") == 0)
        return consume(&options);
    fprintf(stderr, "usage: rdkafka_load create|grow|delete|produce|consume NAME=VALUE...\n");
    return 2;
}
