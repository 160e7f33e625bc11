/* SPDX-License-Identifier: Apache-2.0 */
/* When does a broker take records? Small tools around that question:
 *
 *   probe stamp FILE COMMAND...      writes the time into FILE and becomes COMMAND
 *   probe ack ADDRESS TOPIC COUNT    tries to connect every 0.2 ms, then produces one record with
 *                                    acks=all to each of COUNT partitions, again until it is taken;
 *                                    prints "ready" before it begins, so that its own start takes no core from
 *                                    the broker's, then when the first and when the last was acknowledged
 *   probe sync FOLDER COUNT          the machine's bare fdatasync after appending 4 KiB
 *   probe wake RATE SECONDS          how late a process that sleeps until a given time wakes up, RATE times a second
 *   probe canary                     a fifth of a second each of computing and of a byte going to and fro over
 *                                    loopback: rounds per second, to see whether the machine is itself
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "payload.h"
#include "wire.h"

enum { RETRY_NS = 200000, GIVE_UP_SECONDS = 120, ANSWER_SECONDS = 5, VALUE_SIZE = 100 };
enum { CANARY_NS = 200000000, CANARY_WINDOWS = 20 };

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
}

static int stamp(const char *file, char **command)
{
    FILE *out = fopen(file, "w");

    if (out == NULL) {
        perror(file);
        return 1;
    }
    fprintf(out, "%lld\n", (long long)wire_now_ns());
    fclose(out);
    execvp(command[0], command);
    perror(command[0]);
    return 1;
}

struct probe {
    const char *address;
    const char *topic;
    int fd; /* -1: not connected */
    int64_t deadline_ns;
    int64_t connected_ns; /* the first time */
    long tries;
    uint8_t frame[4096];
};

/* A broker that starts may accept before it answers, and answer before it leads. */
static bool probe_connect(struct probe *probe)
{
    size_t size;

    probe->fd = wire_connect(probe->address);
    if (probe->fd < 0)
        return false;
    (void)setsockopt(probe->fd, SOL_SOCKET, SO_RCVTIMEO,
                     &(struct timeval){.tv_sec = ANSWER_SECONDS}, sizeof(struct timeval));
    if (probe->connected_ns == 0)
        probe->connected_ns = wire_now_ns();
    if (wire_send(probe->fd, probe->frame, wire_api_versions(probe->frame, 1)) &&
        wire_receive(probe->fd, probe->frame, sizeof(probe->frame), &size))
        return true;
    close(probe->fd);
    probe->fd = -1;
    return false;
}

static bool probe_produce(struct probe *probe, int32_t partition, const uint8_t *value)
{
    struct wire_answer answer;
    size_t size;

    if (probe->fd < 0 && !probe_connect(probe))
        return false;
    size = wire_produce(probe->frame, partition, probe->topic, partition, -1, value, VALUE_SIZE);
    probe->tries++;
    if (!wire_send(probe->fd, probe->frame, size) ||
        !wire_receive(probe->fd, probe->frame, sizeof(probe->frame), &size) ||
        !wire_produce_answer(probe->frame, size, &answer)) {
        close(probe->fd);
        probe->fd = -1;
        return false;
    }
    return answer.error == 0;
}

static int ack(const char *address, const char *topic, int32_t count)
{
    struct probe probe = {.address = address, .topic = topic, .fd = -1};
    struct payload payload;
    uint8_t value[VALUE_SIZE];
    struct timespec real;
    int64_t first_ns = 0;

    payload_init(&payload); /* some milliseconds of a core */
    puts("ready");
    fflush(stdout);
    probe.deadline_ns = wire_now_ns() + (int64_t)GIVE_UP_SECONDS * 1000000000;
    for (int32_t partition = 0; partition < count; partition++) {
        payload_fill(&payload, (uint64_t)partition, value, sizeof(value));
        while (!probe_produce(&probe, partition, value)) {
            if (wire_now_ns() > probe.deadline_ns) {
                fprintf(stderr, "no acknowledgement from %s\n", address);
                return 1;
            }
            pause_a_little();
        }
        if (partition == 0) {
            first_ns = wire_now_ns();
            clock_gettime(CLOCK_REALTIME, &real);
        }
    }
    printf("{\"connected_ns\": %lld, \"first_ns\": %lld, \"last_ns\": %lld, "
           "\"first_real\": %lld.%09ld, \"tries\": %ld}\n",
           (long long)probe.connected_ns, (long long)first_ns, (long long)wire_now_ns(),
           (long long)real.tv_sec, real.tv_nsec, probe.tries);
    payload_deinit(&payload);
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static int sync_cost(const char *folder, size_t count)
{
    static uint8_t block[4096];
    int64_t *taken_ns = calloc(count, sizeof(*taken_ns));
    char path[4096];
    int fd;

    if (taken_ns == NULL || count == 0)
        return 1;
    snprintf(path, sizeof(path), "%s/sync-cost", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t start_ns;

        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            return 1;
        start_ns = wire_now_ns();
        if (fdatasync(fd) != 0)
            return 1;
        taken_ns[i] = wire_now_ns() - start_ns;
    }
    unlink(path);
    qsort(taken_ns, count, sizeof(*taken_ns), compare);
    printf("{\"p50_ns\": %lld, \"p99_ns\": %lld}\n", (long long)taken_ns[count / 2],
           (long long)taken_ns[count * 99 / 100]);
    free(taken_ns);
    return 0;
}

/* ---- waking up ---- */

static int wake_cost(int64_t rate, int64_t seconds)
{
    size_t count = (size_t)(rate * seconds);
    int64_t *late_ns = malloc(count * sizeof(*late_ns));
    int64_t start_ns = wire_now_ns();

    if (rate <= 0 || count == 0 || late_ns == NULL)
        return 1;
    wire_exact_timers();
    for (size_t i = 0; i < count; i++) {
        int64_t due_ns = start_ns + (int64_t)(i + 1) * 1000000000 / rate;
        struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
            ;
        late_ns[i] = wire_now_ns() - due_ns;
    }
    qsort(late_ns, count, sizeof(*late_ns), compare);
    printf("{\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
           (double)late_ns[count / 2] / 1e3, (double)late_ns[count * 99 / 100] / 1e3,
           (double)late_ns[count * 999 / 1000] / 1e3);
    free(late_ns);
    return 0;
}

/* ---- the canary ---- */

static double computing(void)
{
    int64_t start_ns = wire_now_ns();
    uint64_t state = 1, rounds = 0;

    while (wire_now_ns() - start_ns < CANARY_NS) {
        for (int i = 0; i < 100000; i++)
            state = state * 6364136223846793005U + (state >> 29);
        rounds++;
    }
    return (double)rounds * 1e9 / (double)(wire_now_ns() - start_ns) + (double)(state & 1U) * 1e-9;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Both on one core: where the scheduler puts them moves the figure by three, and how deep the other core sleeps by
 * half, with nothing else wrong. */
static double loopback(void)
{
    double rounds_s[CANARY_WINDOWS];
    cpu_set_t core;
    uint8_t byte = 0;
    int pair[2];

    CPU_ZERO(&core);
    CPU_SET((unsigned)sched_getcpu(), &core);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        sched_setaffinity(0, sizeof core, &core) != 0)
        return 0;
    if (fork() == 0) {
        close(pair[0]);
        while (read(pair[1], &byte, 1) == 1 && write(pair[1], &byte, 1) == 1)
            ;
        _exit(0);
    }
    close(pair[1]);
    for (int i = 0; i < CANARY_WINDOWS; i++) {
        int64_t start_ns = wire_now_ns();
        uint64_t rounds = 0;

        while (wire_now_ns() - start_ns < CANARY_NS / CANARY_WINDOWS)
            rounds += write(pair[0], &byte, 1) == 1 && read(pair[0], &byte, 1) == 1;
        rounds_s[i] = (double)rounds * 1e9 / (double)(wire_now_ns() - start_ns);
    }
    close(pair[0]);
    qsort(rounds_s, CANARY_WINDOWS, sizeof *rounds_s, compare_doubles);
    return rounds_s[CANARY_WINDOWS / 2];
}

static int canary(void)
{
    double computed = computing();

    printf("{\"computing\": %.1f, \"loopback\": %.1f}\n", computed, loopback());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "stamp") == 0)
        return stamp(argv[2], argv + 3);
    if (argc == 5 && strcmp(argv[1], "ack") == 0)
        return ack(argv[2], argv[3], (int32_t)strtol(argv[4], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "sync") == 0)
        return sync_cost(argv[2], strtoul(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "wake") == 0)
        return wake_cost(strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
    if (argc == 2 && strcmp(argv[1], "canary") == 0)
        return canary();
    fprintf(stderr, "usage: probe stamp FILE COMMAND... | ack ADDRESS TOPIC COUNT |"
                    " sync FOLDER COUNT | wake RATE SECONDS | canary\n");
    return 2;
}
