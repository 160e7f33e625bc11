/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/sim_client.h: a Kafka client on a simulated machine, as blocking calls: each runs the simulation
 * until its answer is there, the connection broke, or its virtual time is out.
 */
#ifndef TESTS_SIM_SIM_CLIENT_H
#define TESTS_SIM_SIM_CLIENT_H

#include "base/arena.h"
#include "os/sim.h"
#include "protocol/message.h"

struct sim_client;
struct sim_client *sim_client_new(struct sim *sim, struct os *machine);
void sim_client_free(struct sim_client **client);

/* Retries until the deadline (virtual). ERR_REQUEST_TIMED_OUT. */
MUST_USE enum err sim_client_connect(struct sim_client *client, const char *host, uint16_t port,
                                     int64_t deadline_ns);
bool sim_client_is_connected(const struct sim_client *client);
void sim_client_close(struct sim_client *client);
/* Sends one request and waits for its answer, decoded into `arena`. ERR_IO: the connection broke;
 * ERR_REQUEST_TIMED_OUT (the connection is closed then); or the answer cannot be decoded. */
MUST_USE enum err sim_client_call(struct sim_client *client, int16_t api_key, int16_t version,
                                  const void *body, struct arena *arena, int64_t deadline_ns,
                                  void **response_out);
/* Without waiting: for pipelining and acks=0. Answers are read by sim_client_read in order. */
MUST_USE enum err sim_client_send(struct sim_client *client, int16_t api_key, int16_t version,
                                  const void *body, int64_t deadline_ns);
MUST_USE enum err sim_client_read(struct sim_client *client, int16_t api_key, int16_t version,
                                  struct arena *arena, int64_t deadline_ns, void **response_out);
/* Raw bytes, and whether the peer has closed. */
MUST_USE enum err sim_client_send_bytes(struct sim_client *client, struct slice bytes,
                                        int64_t deadline_ns);
bool sim_client_wait_closed(struct sim_client *client, int64_t deadline_ns);

#endif
