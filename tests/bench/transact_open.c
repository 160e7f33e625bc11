/* SPDX-License-Identifier: Apache-2.0 */
#include "transact_open.h"

#include <stdio.h>
#include <time.h>

#include "wire.h"

enum {
    ROOM = 1024,
    TRIES = 1000,
    TRANSACTION_TIMEOUT_MS = 60000,

    API_FIND_COORDINATOR = 10,
    API_INIT_PRODUCER_ID = 22,
    KEY_OF_TRANSACTION = 1,

    COORDINATOR_LOAD_IN_PROGRESS = 14,
    COORDINATOR_NOT_AVAILABLE = 15,
    NOT_COORDINATOR = 16,
    NOT_ENOUGH_REPLICAS = 19,
    CONCURRENT_TRANSACTIONS = 51,
};

struct opening {
    int fd;
    struct transact_identity *identity;
    uint8_t bytes[ROOM];
};

bool transact_is_passing(uint64_t error)
{
    return error == CONCURRENT_TRANSACTIONS || error == NOT_ENOUGH_REPLICAS ||
           error == COORDINATOR_LOAD_IN_PROGRESS || error == COORDINATOR_NOT_AVAILABLE ||
           error == NOT_COORDINATOR;
}

uint8_t *transact_put_header(uint8_t *frame, uint16_t api, uint16_t version, int32_t correlation)
{
    return wire_put_uvarint(wire_put_header(frame, api, version, correlation), 0);
}

/* One request and its answer, behind the correlation. */
static struct wire_reader ask(struct opening *opening, uint8_t *frame, const uint8_t *end)
{
    size_t size;

    if (!wire_send(opening->fd, frame, wire_finish(frame, end)) ||
        !wire_receive(opening->fd, opening->bytes, ROOM, &size) || size < 4)
        wire_die("connection lost");
    return (struct wire_reader){opening->bytes + 4, opening->bytes + size, false};
}

static void whole(const struct wire_reader *reader)
{
    if (reader->is_short)
        wire_die("an answer that is too short");
}

static uint64_t coordinator_ask(struct opening *opening)
{
    uint8_t frame[256];
    uint8_t *at = wire_put_header(frame, API_FIND_COORDINATOR, 1, 0);
    struct wire_reader reader;
    uint64_t error;

    at = wire_put_string(at, opening->identity->id);
    reader = ask(opening, frame, wire_put(at, KEY_OF_TRANSACTION, 1));
    wire_pass(&reader, 4);
    error = wire_take(&reader, 2);
    whole(&reader);
    return error;
}

static uint64_t init_ask(struct opening *opening)
{
    uint8_t frame[256];
    uint8_t *at = transact_put_header(frame, API_INIT_PRODUCER_ID, 5, 0);
    struct wire_reader reader;
    uint64_t error;

    at = wire_put_compact(at, opening->identity->id);
    at = wire_put(at, TRANSACTION_TIMEOUT_MS, 4);
    at = wire_put(at, UINT64_MAX, 8);
    at = wire_put(at, UINT16_MAX, 2);
    reader = ask(opening, frame, wire_put_uvarint(at, 0));
    wire_pass_tags(&reader);
    wire_pass(&reader, 4);
    error = wire_take(&reader, 2);
    opening->identity->producer_id = (int64_t)wire_take(&reader, 8);
    opening->identity->epoch = (int16_t)wire_take(&reader, 2);
    whole(&reader);
    return error;
}

/* Until it is well. */
static void insist(uint64_t (*ask_fn)(struct opening *), struct opening *opening)
{
    const struct timespec pause = {.tv_nsec = TRANSACT_AGAIN_NS};

    for (int i = 0; i < TRIES; i++) {
        uint64_t error = ask_fn(opening);

        if (error == 0)
            return;
        if (!transact_is_passing(error))
            break;
        nanosleep(&pause, NULL);
    }
    wire_die("the coordinator does not come");
}

int transact_open(struct transact_identity *identity, const char *address, uint64_t index)
{
    struct opening opening = {.fd = wire_connect(address), .identity = identity};

    if (opening.fd < 0)
        wire_die("cannot connect");
    snprintf(identity->id, sizeof(identity->id), "wire-%llu-%lld", (unsigned long long)index,
             (long long)wire_now_ns());
    insist(coordinator_ask, &opening);
    insist(init_ask, &opening);
    return opening.fd;
}
