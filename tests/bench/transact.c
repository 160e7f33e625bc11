/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions by librdkafka, one producer a thread.
 *
 *   transact ADDRESS TOPIC PARTITIONS PRODUCERS WARM_UP TRANSACTIONS RECORDS
 *       every producer commits WARM_UP and then TRANSACTIONS of RECORDS records each, one after another.
 * Prints "measure" and waits for a line when all are warm; then one line of JSON. Sequence numbers of values
 * are unique, so that a reader can count them. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "payload.h"
#include "wire.h"

enum { PRODUCERS_MAX = 64, VALUE_SIZE = 100, TIMEOUT_MS = 60000 };

struct work {
    const char *address, *topic;
    uint64_t partitions, producers, warm_up, count, records;
    struct payload payload;
    pthread_barrier_t warm, go;
};

struct producer {
    struct work *work;
    uint64_t index;
    int64_t *taken_ns;
    pthread_t thread;
};

static void must(rd_kafka_error_t *error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "transact: %s: %s\n", what, rd_kafka_error_string(error));
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "transact: %s\n", why);
        exit(1);
    }
}

static rd_kafka_t *client_new(const struct producer *producer)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *client;
    char id[64], why[256];

    snprintf(id, sizeof(id), "bench-%llu-%lld", (unsigned long long)producer->index,
             (long long)wire_now_ns());
    set(conf, "bootstrap.servers", producer->work->address);
    set(conf, "transactional.id", id);
    set(conf, "linger.ms", "0");
    client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!client) {
        fprintf(stderr, "transact: %s\n", why);
        exit(1);
    }
    must(rd_kafka_init_transactions(client, TIMEOUT_MS), "init");
    return client;
}

static void transaction(struct producer *producer, rd_kafka_t *client, rd_kafka_topic_t *topic,
                        uint64_t number)
{
    struct work *work = producer->work;
    uint8_t value[VALUE_SIZE];
    uint64_t all = work->warm_up + work->count;

    must(rd_kafka_begin_transaction(client), "begin");
    for (uint64_t i = 0; i < work->records; i++) {
        uint64_t sequence = (producer->index * all + number) * work->records + i;

        payload_fill(&work->payload, sequence, value, sizeof(value));
        if (rd_kafka_produce(topic, (int32_t)(sequence % work->partitions), RD_KAFKA_MSG_F_COPY,
                             value, sizeof(value), NULL, 0, NULL) != 0) {
            fprintf(stderr, "transact: a record was refused\n");
            exit(1);
        }
    }
    must(rd_kafka_commit_transaction(client, TIMEOUT_MS), "commit");
}

static void *producer_run(void *context)
{
    struct producer *producer = context;
    struct work *work = producer->work;
    rd_kafka_t *client = client_new(producer);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, work->topic, NULL);

    for (uint64_t i = 0; i < work->warm_up; i++)
        transaction(producer, client, topic, i);
    pthread_barrier_wait(&work->warm);
    pthread_barrier_wait(&work->go);
    for (uint64_t i = 0; i < work->count; i++) {
        int64_t start_ns = wire_now_ns();

        transaction(producer, client, topic, work->warm_up + i);
        producer->taken_ns[i] = wire_now_ns() - start_ns;
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct producer producers[PRODUCERS_MAX];
    struct work work;
    int64_t *taken_ns, start_ns;
    uint64_t all;
    char line[16];
    double cpu;

    if (argc != 8) {
        fprintf(stderr, "usage: transact ADDRESS TOPIC PARTITIONS PRODUCERS WARM_UP TRANSACTIONS"
                        " RECORDS\n");
        return 2;
    }
    work = (struct work){.address = argv[1],
                         .topic = argv[2],
                         .partitions = strtoull(argv[3], NULL, 10),
                         .producers = strtoull(argv[4], NULL, 10),
                         .warm_up = strtoull(argv[5], NULL, 10),
                         .count = strtoull(argv[6], NULL, 10),
                         .records = strtoull(argv[7], NULL, 10)};
    all = work.producers * work.count;
    taken_ns = calloc(all, sizeof(*taken_ns));
    if (work.producers - 1 >= PRODUCERS_MAX || work.partitions == 0 || !taken_ns)
        return 2;
    payload_init(&work.payload);
    pthread_barrier_init(&work.warm, NULL, (unsigned)work.producers + 1);
    pthread_barrier_init(&work.go, NULL, (unsigned)work.producers + 1);
    for (uint64_t i = 0; i < work.producers; i++) {
        producers[i] =
            (struct producer){.work = &work, .index = i, .taken_ns = taken_ns + i * work.count};
        if (pthread_create(&producers[i].thread, NULL, producer_run, &producers[i]) != 0)
            return 1;
    }
    pthread_barrier_wait(&work.warm);
    puts("measure");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    cpu = wire_cpu_seconds();
    start_ns = wire_now_ns();
    pthread_barrier_wait(&work.go);
    for (uint64_t i = 0; i < work.producers; i++)
        pthread_join(producers[i].thread, NULL);
    start_ns = wire_now_ns() - start_ns;
    cpu = wire_cpu_seconds() - cpu;
    wire_sort_ns(taken_ns, all);
    printf("{\"count\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"records\": %llu}\n",
           (unsigned long long)all, (double)start_ns / 1e9, cpu,
           wire_percentile_us(taken_ns, all, 0.5), wire_percentile_us(taken_ns, all, 0.99),
           (unsigned long long)((work.warm_up + work.count) * work.producers * work.records));
    return 0;
}
