/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole node on a simulated machine under bytes of clients: frames, session, dispatch, decoders, handlers, controller,
 * logs. Whatever comes: no crash, no assertion, no leak, and the node answers a proper request and stops afterwards.
 *
 * Input    steps, each: kind and connection (1 byte), length (2 bytes), bytes
 *            RAW      bytes as they are
 *            FRAME    the same behind a right length
 *            REQUEST  api (1 byte: index into the table), version (1), then a body behind a right header
 *            WAIT     so many milliseconds; then the connection is closed when the first byte is odd
 * State    One node serves INPUTS_MAX inputs. When it dies the inputs since its start are written to
 *          fuzz_node_history (to FUZZ_NODE_HISTORY_OUT), and FUZZ_NODE_HISTORY=file runs them again.
 * Seeds    FUZZ_NODE_SEEDS=directory writes one input per API and version.
 */
#include "../sim/sim_client.h"
#include "../sim/sim_node.h"

#include "base/assert.h"
#include "base/writer.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/api_versions_request.h"
#include "protocol/generated/create_topics_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 64
#define CONNECTIONS 3
#define STEPS_MAX 40
#define MS ((int64_t)1000000)

enum step_kind { STEP_RAW, STEP_FRAME, STEP_REQUEST, STEP_WAIT, STEP_KINDS };

static struct world {
    struct sim *sim;
    struct sim_node node;
    struct os *machine;
    struct sim_client *clients[CONNECTIONS];
    struct sim_client *judge;
    int inputs;
} world;
static bool world_lives;

static struct kept {
    uint8_t *data;
    size_t size;
} kept[INPUTS_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
void __sanitizer_set_death_callback(void (*callback)(void));

/* ---- the node ---- */

static int64_t soon(void)
{
    return sim_now_ns(world.sim) + 30000 * MS;
}

static void topic_make(void)
{
    struct arena arena;
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic;
    void *response;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    create_topics_request_init(&body);
    topic = create_topics_request_creatable_topic_array(&arena, 1);
    topic->name = SLICE("t");
    topic->num_partitions = 2;
    topic->replication_factor = -1;
    body.topics = topic;
    body.topics_count = 1;
    ASSERT(sim_client_call(world.judge, API_CREATE_TOPICS, 7, &body, &arena, soon(), &response) ==
           OK);
    arena_release(&arena);
}

/* What a node under bad clients still owes to a good one. */
static void node_answers(void)
{
    struct arena arena;
    struct api_versions_request body;
    void *response;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    api_versions_request_init(&body);
    body.client_software_name = SLICE("judge");
    body.client_software_version = SLICE("1");
    if (!sim_client_is_connected(world.judge))
        ASSERT(sim_client_connect(world.judge, "node", 9092, soon()) == OK);
    ASSERT(sim_client_call(world.judge, API_API_VERSIONS, 3, &body, &arena, soon(), &response) ==
           OK);
    arena_release(&arena);
}

static void world_begin(void)
{
    enum err err = sim_create(1, NULL, &world.sim);

    ASSERT(err == OK);
    sim_node_init(&world.node, world.sim, "node",
                  "barnabas.shards=2\n"
                  "barnabas.disk.reserve.bytes=0\n"
                  "num.partitions=2\n"
                  "socket.request.max.bytes=1048576\n");
    ASSERT(sim_machine_create(world.sim, "client", &world.machine) == OK);
    for (int i = 0; i < CONNECTIONS; i++)
        world.clients[i] = sim_client_new(world.sim, world.machine);
    world.judge = sim_client_new(world.sim, world.machine);
    err = sim_node_start(&world.node, 60000);
    ASSERT(err == OK);
    node_answers();
    topic_make();
    world.inputs = 0;
    world_lives = true;
}

static void world_end(void)
{
    node_answers();
    for (int i = 0; i < CONNECTIONS; i++)
        sim_client_free(&world.clients[i]);
    sim_client_free(&world.judge);
    ASSERT(sim_node_stop(&world.node, 120000));
    sim_node_release(&world.node);
    sim_release(&world.sim);
    for (int i = 0; i < INPUTS_MAX; i++) {
        free(kept[i].data);
        kept[i] = (struct kept){0};
    }
    world_lives = false;
}

/* ---- inputs ---- */

static size_t api_count(void)
{
    size_t count = 0;

    while (api_at(count))
        count++;
    return count;
}

static void send(int connection, struct slice bytes)
{
    struct sim_client *client = world.clients[connection];

    if (!sim_client_is_connected(client) &&
        sim_client_connect(client, "node", connection == 2 ? 9093 : 9092, soon()) != OK)
        return;
    (void)!sim_client_send_bytes(client, bytes, sim_now_ns(world.sim) + 50 * MS);
}

static void frame_send(int connection, struct slice header, struct slice body)
{
    struct writer frame;

    writer_init(&frame, &heap_allocator, SIZE_MAX);
    writer_u32(&frame, (uint32_t)(header.size_bytes + body.size_bytes));
    if (header.size_bytes > 0)
        writer_bytes(&frame, header.data, header.size_bytes);
    if (body.size_bytes > 0)
        writer_bytes(&frame, body.data, body.size_bytes);
    send(connection, writer_slice(&frame));
    writer_release(&frame);
}

static void request_send(int connection, struct slice bytes)
{
    struct request_header header = {.correlation_id = 7, .client_id = SLICE("fuzz")};
    const struct api *api;
    struct writer written;

    if (bytes.size_bytes < 2)
        return;
    api = api_at(bytes.data[0] % api_count());
    header.api_key = api->key;
    header.api_version =
        (int16_t)(api->request->version_min +
                  bytes.data[1] % (api->request->version_max - api->request->version_min + 1));
    writer_init(&written, &heap_allocator, SIZE_MAX);
    request_header_encode(&header, &written);
    frame_send(connection, writer_slice(&written), slice_sub(bytes, 2, SIZE_MAX));
    writer_release(&written);
}

static void wait_step(int connection, struct slice bytes)
{
    int64_t ms = bytes.size_bytes > 0 ? bytes.data[0] : 1;

    sim_run_until(world.sim, sim_now_ns(world.sim) + ms * MS, NULL, NULL);
    if (ms % 2)
        sim_client_close(world.clients[connection]);
}

static void input_run(struct slice input)
{
    for (int i = 0; i < STEPS_MAX && input.size_bytes >= 3; i++) {
        enum step_kind kind = (enum step_kind)(input.data[0] / CONNECTIONS % STEP_KINDS);
        int connection = input.data[0] % CONNECTIONS;
        size_t length = (size_t)input.data[1] << 8 | input.data[2];
        struct slice bytes;

        input = slice_sub(input, 3, SIZE_MAX);
        bytes = slice_sub(input, 0, MIN(length, input.size_bytes));
        input = slice_sub(input, bytes.size_bytes, SIZE_MAX);
        switch (kind) {
        case STEP_RAW:
            send(connection, bytes);
            break;
        case STEP_FRAME:
            frame_send(connection, SLICE_EMPTY, bytes);
            break;
        case STEP_REQUEST:
            request_send(connection, bytes);
            break;
        case STEP_WAIT:
        case STEP_KINDS:
            wait_step(connection, bytes);
            break;
        }
    }
    sim_run_until(world.sim, sim_now_ns(world.sim) + 5 * MS, NULL, NULL);
    for (int i = 0; i < CONNECTIONS; i++)
        sim_client_close(world.clients[i]);
}

static void history_write(void)
{
    const char *path = getenv("FUZZ_NODE_HISTORY_OUT");
    FILE *out = world_lives ? fopen(path ? path : "fuzz_node_history", "wb") : NULL;

    for (int i = 0; out && i < INPUTS_MAX && kept[i].data; i++) {
        uint32_t size = (uint32_t)kept[i].size;

        if (fwrite(&size, sizeof size, 1, out) != 1 ||
            fwrite(kept[i].data, 1, kept[i].size, out) != kept[i].size)
            break;
    }
    if (out)
        fclose(out);
}

static void assertion_failed(const char *condition, const char *file, int line,
                             const char *function)
{
    fprintf(stderr, "%s:%d: %s: assertion %s failed\n", file, line, function, condition);
    history_write();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assert_hook_set(assertion_failed);
    if (!world_lives)
        world_begin();
    kept[world.inputs].data = malloc(size + 1);
    if (kept[world.inputs].data) {
        if (size > 0)
            memcpy(kept[world.inputs].data, data, size);
        kept[world.inputs].size = size;
    }
    input_run(slice_of(data, size));
    if (++world.inputs == INPUTS_MAX)
        world_end();
    return 0;
}

/* ---- seeds, and inputs again ---- */

static void seed_write(const char *directory, size_t index, int16_t version)
{
    const struct api *api = api_at(index);
    struct writer body;
    struct arena arena;
    void *message;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&body, &heap_allocator, SIZE_MAX);
    message = arena_allocate(&arena, message_struct_bytes(api->request));
    if (message) {
        char path[512];
        FILE *out;

        message_init(api->request, message);
        if (message_encode(api->request, version, message, &body) == OK) {
            size_t length = body.size_bytes + 2;
            uint8_t head[5] = {STEP_REQUEST * CONNECTIONS, (uint8_t)(length >> 8), (uint8_t)length,
                               (uint8_t)index, (uint8_t)(version - api->request->version_min)};

            snprintf(path, sizeof path, "%s/%02d_%02d", directory, api->key, version);
            out = fopen(path, "wb");
            if (out) {
                fwrite(head, 1, sizeof head, out);
                fwrite(writer_slice(&body).data, 1, body.size_bytes, out);
                fclose(out);
            }
        }
    }
    writer_release(&body);
    arena_release(&arena);
}

static void history_run(const char *path)
{
    FILE *in = fopen(path, "rb");
    uint32_t size;

    while (in && fread(&size, sizeof size, 1, in) == 1) {
        uint8_t *data = malloc(size + 1);

        if (!data || fread(data, 1, size, in) != size)
            break;
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    if (in)
        fclose(in);
    if (world_lives)
        world_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *seeds = getenv("FUZZ_NODE_SEEDS"), *history = getenv("FUZZ_NODE_HISTORY");

    UNUSED(argc);
    UNUSED(argv);
    __sanitizer_set_death_callback(history_write);
    if (seeds) {
        for (size_t i = 0; i < api_count(); i++)
            for (int version = api_at(i)->request->version_min;
                 version <= api_at(i)->request->version_max; version++)
                seed_write(seeds, i, (int16_t)version);
        exit(0);
    }
    if (history) {
        history_run(history);
        exit(0);
    }
    return 0;
}
