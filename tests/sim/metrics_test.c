/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/metrics_test.c: /metrics of a whole node beside what its clients have sent and been answered, number by number: records, bytes
 * and requests of many clients at once, errors of every kind, groups, transactions. The test is the HTTP thread: while it waits for
 * the shards' copies the simulation runs.
 */
#include "config_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

#include "base/assert.h"
#include "http/http.h"
#include "metrics_load.h"
#include "server/node_http.h"

/* ---- the page ---- */

static struct {
    struct http_handler *handler;
    struct sim *sim;
    bool is_waiting, is_running;
} http;

size_t __real_os_port_poll(struct os_port *port, int64_t deadline_ns);
size_t __wrap_os_port_poll(struct os_port *port, int64_t deadline_ns);
enum err __wrap_http_server_start(const struct http_options *options, struct logger *logger,
                                  struct http_handler *handler, struct http_server **out,
                                  struct why *why);
uint16_t __wrap_http_server_port(const struct http_server *server);
void __wrap_http_server_stop(struct http_server **server);

size_t __wrap_os_port_poll(struct os_port *port, int64_t deadline_ns)
{
    if (!http.is_waiting || http.is_running)
        return __real_os_port_poll(port, deadline_ns);
    http.is_running = true;
    (void)sim_run_until(http.sim, sim_now_ns(http.sim) + MS, NULL, NULL);
    http.is_running = false;
    return 0;
}

enum err __wrap_http_server_start(const struct http_options *options, struct logger *logger,
                                  struct http_handler *handler, struct http_server **out,
                                  struct why *why)
{
    UNUSED(options);
    UNUSED(logger);
    UNUSED(why);
    http.handler = handler;
    *out = NULL;
    return OK;
}

uint16_t __wrap_http_server_port(const struct http_server *server)
{
    UNUSED(server);
    return 0;
}

void __wrap_http_server_stop(struct http_server **server)
{
    *server = NULL;
}

/* In the lab's arena. */
static const char *page_take(struct load *load)
{
    struct http_request request = {.method = "GET", .path = "/metrics"};
    struct http_answer answer = {.status = 200};
    const char *page;

    writer_init(&answer.body, &heap_allocator, SIZE_MAX);
    http.is_waiting = true;
    http.handler->answer(http.handler, &request, &answer);
    http.is_waiting = false;
    assert_int_equal(answer.status, 200);
    assert_int_equal(writer_error(&answer.body), OK);
    page = (const char *)arena_copy(&load->lab.arena, writer_slice(&answer.body)).data;
    writer_release(&answer.body);
    if (getenv("SIM_LOG"))
        fputs(page, stderr);
    return page;
}

/* Of the line that begins so, up to its last space; 0: there is none. */
static int64_t value(const char *page, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = page; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoll(line + length, NULL, 10);
    return 0;
}

/* Over all lines of the metric, whatever their labels. */
static int64_t sum(const char *page, const char *metric)
{
    size_t length = strlen(metric);
    int64_t all = 0;

    for (const char *line = page; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, metric, length) == 0 && line[length] == '{')
            all += strtoll(strstr(line, "} ") + 2, NULL, 10);
    return all;
}

#define TOPICS "kafka_server_brokertopicmetrics_"
#define SOCKETS "kafka_server_socket_server_metrics_"
#define SESSIONS "kafka_server_fetchsessioncache_"
#define PURGATORY "kafka_server_delayedoperationpurgatory_purgatorysize_"

static const char *before;

static void check_grown(const char *page, const char *name, int64_t expected)
{
    int64_t grown = value(page, name) - value(before, name);

    if (grown != expected)
        fail_msg("%s grew by %lld instead of %lld", name, (long long)grown, (long long)expected);
}

/* What was sent with an answer, API by API, and that each has its place among the latencies. */
static void check_requests(const struct load *load, const char *page)
{
    for (int16_t key = 0; key < LOAD_APIS; key++) {
        char name[160];

        if (load->sent[key] == 0)
            continue;
        snprintf(name, sizeof name, "kafka_network_requestmetrics_requests_total{request=\"%s\"}",
                 api_key_name(key));
        check_grown(page, name, load->sent[key]);
        snprintf(name, sizeof name, "barnabas_request_seconds_count{request=\"%s\"}",
                 api_key_name(key));
        check_grown(page, name, load->sent[key]);
        snprintf(name, sizeof name, "barnabas_request_seconds_bucket{request=\"%s\",le=\"+Inf\"}",
                 api_key_name(key));
        check_grown(page, name, load->sent[key]);
    }
}

/* Each record and byte that any log took, whoever wrote it, was counted once. */
static void check_logs(const char *page)
{
    assert_int_equal(value(page, TOPICS "messagesin_total"),
                     sum(page, "kafka_log_log_logendoffset"));
    assert_int_equal(value(page, TOPICS "bytesin_total"), sum(page, "kafka_log_log_size"));
    assert_int_equal(sum(page, "kafka_cluster_partition_highwatermark"),
                     sum(page, "kafka_log_log_logendoffset"));
}

static void check_ends(const struct load *load, const char *page)
{
    for (int32_t i = 0; i < LOAD_PARTITIONS; i++) {
        char name[96];

        snprintf(name, sizeof name, "kafka_log_log_logendoffset{topic=\"t\",partition=\"%d\"}", i);
        assert_int_equal(value(page, name), load->ends[i]);
    }
}

static struct node_http *pages;

static void begin(struct load *load)
{
    struct why why = {""};

    load_open(load, "barnabas.shards=2\nbarnabas.http.listener=localhost:9101\n"
                    "offsets.topic.num.partitions=2\ntransaction.state.log.num.partitions=2\n"
                    "group.initial.rebalance.delay.ms=0\nlog.initial.task.delay.ms=3600000\n");
    http.sim = load->lab.sim;
    assert_int_equal(node_http_start(load->lab.node.node, &pages, &why), OK);
    lab_pass(&load->lab, 1000);
    before = page_take(load);
}

static void end(struct load *load)
{
    node_http_stop(&pages);
    load_close(load);
}

/* ---- tests ---- */

static void records_bytes_and_requests_of_many_clients_are_counted_once_each(void **state)
{
    static struct load load;
    const char *page;

    UNUSED(state);
    begin(&load);
    load_storm(&load);
    lab_pass(&load.lab, 1000);
    page = page_take(&load);
    assert_true(load.messages > 4000 && load.bytes_out > load.bytes);
    check_grown(page, TOPICS "messagesin_total", load.messages);
    check_grown(page, TOPICS "bytesin_total", load.bytes);
    check_grown(page, TOPICS "bytesout_total", load.bytes_out);
    check_grown(page, TOPICS "bytesrejected_total", 0);
    check_grown(page, TOPICS "failedproducerequests_total", 0);
    check_grown(page, TOPICS "failedfetchrequests_total", 0);
    check_grown(page, SOCKETS "connection_creation_total", load.connects);
    check_grown(page, SOCKETS "connection_count", load.connects);
    check_grown(page, SOCKETS "connection_close_total", 0);
    check_grown(page, "barnabas_requests_refused_total", 0);
    check_requests(&load, page);
    check_ends(&load, page);
    check_logs(page);
    assert_int_equal(value(page, PURGATORY "produce"), 0);
    assert_int_equal(value(page, PURGATORY "fetch"), 0);
    assert_int_equal(value(page, "barnabas_network_frame_bytes"), 0);
    end(&load);
}

/* What Kafka counts as a failure is what its broker did not expect: neither a partition that is elsewhere nor what a client
 * did wrong in a way that has a counter or an answer of its own (ReplicaManager.appendToLocalLog, readFromLog). */
static void each_error_is_counted_where_kafka_counts_it(void **state)
{
    static struct load load;
    const char *page;
    int64_t too_large;

    UNUSED(state);
    begin(&load);
    load_connect(&load);
    load_topic(&load, "compact", 1, "cleanup.policy=compact");
    load_topic(&load, "small", 1, "max.message.bytes=1000");
    load_produce(&load, &(struct load_batch){.records = 5}, OK);
    load_produce(&load, &(struct load_batch){.records = 5, .partition = 77},
                 ERR_UNKNOWN_TOPIC_OR_PARTITION);
    load_produce(&load, &(struct load_batch){.records = 5, .acks = 5}, ERR_INVALID_REQUIRED_ACKS);
    load_produce(&load, &(struct load_batch){.records = 5, .is_corrupt = true},
                 ERR_CORRUPT_MESSAGE);
    too_large = load_produce(
        &load, &(struct load_batch){.topic = "small", .records = 5, .value_bytes = 500},
        ERR_MESSAGE_TOO_LARGE);
    page = page_take(&load);
    check_grown(page, TOPICS "failedproducerequests_total", 0);
    check_grown(page, TOPICS "bytesrejected_total", too_large);
    check_grown(page, TOPICS "invalidmessagecrcrecords_total", 1);

    load_produce(&load, &(struct load_batch){.topic = "compact", .records = 3, .keyless = 3},
                 ERR_INVALID_RECORD);
    load_produce(&load, &(struct load_batch){.topic = "compact", .records = 7, .keyless = 2},
                 ERR_INVALID_RECORD);
    load_produce(&load, &(struct load_batch){.topic = "compact", .records = 2, .age_ms = -86400000},
                 ERR_INVALID_TIMESTAMP);
    load_produce(&load, &(struct load_batch){.records = 5, .producer_id = 7, .sequence = -1},
                 ERR_INVALID_RECORD);
    load_produce(&load, &(struct load_batch){.records = 5, .count_delta = 1}, ERR_INVALID_RECORD);
    load_produce(&load, &(struct load_batch){.records = 1, .producer_id = 8}, OK);
    load_produce(&load, &(struct load_batch){.records = 1, .producer_id = 8, .sequence = 5},
                 ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    load_produce_again(&load); /* the one of sequence 0: it is there, and is not appended again */
    page = page_take(&load);
    check_grown(page, TOPICS "nokeycompactedtopicrecords_total", 5);
    check_grown(page, TOPICS "invalidoffsetorsequencerecords_total", 2);
    check_grown(page, TOPICS "failedproducerequests_total", 6);
    check_grown(page, TOPICS "bytesrejected_total", too_large);
    check_grown(page, TOPICS "invalidmessagecrcrecords_total", 1);
    check_grown(page, TOPICS "messagesin_total", 6);
    check_grown(page, TOPICS "bytesin_total", load.bytes);

    load_fetch(&load, &(struct load_read){.offset = 1000000}, ERR_OFFSET_OUT_OF_RANGE);
    load_fetch(&load, &(struct load_read){.is_unknown = true}, ERR_UNKNOWN_TOPIC_ID);
    load_fetch(&load, &(struct load_read){.leader_epoch = 99}, ERR_UNKNOWN_LEADER_EPOCH);
    load_fetch(&load, &(struct load_read){.offset = 6, .min_bytes = 1}, OK); /* its time runs out */
    load_produce(&load, &(struct load_batch){.records = 2, .is_out_of_time = true},
                 ERR_REQUEST_TIMED_OUT);
    page = page_take(&load);
    check_grown(page, TOPICS "failedfetchrequests_total", 0);
    check_grown(page, TOPICS "failedproducerequests_total", 6);
    check_grown(page, "barnabas_fetch_expired_total", 1);
    check_grown(page, "barnabas_produce_expired_total", 1);
    check_grown(page, TOPICS "messagesin_total", 8);
    check_requests(&load, page);

    load_fetch_parked(&load);
    assert_int_equal(value(page_take(&load), PURGATORY "fetch"), 1);
    load_parked_leave(&load);
    page = page_take(&load);
    assert_int_equal(value(page, PURGATORY "fetch"), 0);
    check_grown(page, "barnabas_fetch_expired_total", 1);
    check_grown(page, "barnabas_connections_closed_total{reason=\"peer\"}", 1);
    load_unknown_version(&load);
    load_produce_unanswered_failure(&load);
    load_session(&load);
    page = page_take(&load);
    check_grown(page, "barnabas_requests_refused_total", 1);
    check_grown(page, "barnabas_connections_closed_total{reason=\"request\"}", 2);
    check_grown(page, SOCKETS "connection_creation_total", load.connects);
    check_grown(page, SESSIONS "numincrementalfetchsessions", 1);
    check_grown(page, SESSIONS "numincrementalfetchpartitionscached", LOAD_PARTITIONS);
    check_requests(&load, page);
    check_logs(page);
    end(&load);
}

static void groups_and_transactions_are_told_as_they_are(void **state)
{
    static struct load load;
    const char *page;

    UNUSED(state);
    begin(&load);
    load_connect(&load);
    load_produce(&load, &(struct load_batch){.records = 9}, OK);
    load_group_join(&load);
    load_group_commit(&load, 4);
    page = page_take(&load);
    assert_int_equal(value(page, "barnabas_groups{type=\"classic\",state=\"Stable\"}"), 1);
    assert_int_equal(value(page, "barnabas_group_members{type=\"classic\",state=\"Stable\"}"), 1);
    assert_int_equal(
        value(page, "barnabas_group_lag_records{group=\"g\",topic=\"t\",partition=\"0\"}"), 5);
    check_logs(page);

    load_transaction_begin(&load, 3);
    page = page_take(&load);
    assert_int_equal(value(page, "barnabas_transactions{state=\"Ongoing\"}"), 1);
    assert_non_null(strstr(page, "barnabas_transaction_holds_back_seconds{topic=\"t\","
                                 "partition=\"0\","));
    load_transaction_end(&load);
    load_group_leave(&load);
    lab_pass(&load.lab, 1000);
    page = page_take(&load);
    assert_int_equal(value(page, "barnabas_transactions{state=\"Ongoing\"}"), 0);
    assert_int_equal(value(page, "barnabas_transactions{state=\"CompleteCommit\"}"), 1);
    assert_null(strstr(page, "barnabas_transaction_holds_back_seconds{"));
    assert_int_equal(value(page, "barnabas_groups{type=\"classic\",state=\"Stable\"}"), 0);
    assert_int_equal(value(page, "barnabas_groups{type=\"classic\",state=\"Empty\"}"), 1);
    load.ends[0]++; /* the marker */
    check_ends(&load, page);
    check_requests(&load, page);
    check_logs(page);
    end(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_bytes_and_requests_of_many_clients_are_counted_once_each),
        cmocka_unit_test(each_error_is_counted_where_kafka_counts_it),
        cmocka_unit_test(groups_and_transactions_are_told_as_they_are),
    };

    return cmocka_run_group_tests_name("sim/metrics", tests, NULL, NULL);
}
