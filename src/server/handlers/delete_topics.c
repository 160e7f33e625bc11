/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/delete_topics.c: DeleteTopics (requests.md §3.6 of the reference). The results
 * leave in an order of chance, as Kafka's do: who may not see a topic must not learn from its place
 * whether it exists.
 */
#include "base/random.h"
#include "protocol/generated/delete_topics_response.h"
#include "server/forward.h"
#include "server/handlers/handlers.h"

static void shuffle_and_answer(struct forward *forward, void *answer, enum err err)
{
    struct delete_topics_response *response = answer;
    struct random *random = reactor_random(forward->request->shard->reactor);

    if (!response) {
        request_answer_failed(forward->request, err, NULL);
        return;
    }
    for (int32_t left = response->responses_count; left > 1; left--) {
        int32_t other = (int32_t)random_below(random, (uint64_t)left);
        struct delete_topics_response_deletable_topic_result swap = response->responses[left - 1];

        response->responses[left - 1] = response->responses[other];
        response->responses[other] = swap;
    }
    request_answer(forward->request, response);
}

void handle_delete_topics(struct request *request)
{
    struct forward *forward = forward_create(request);

    if (!forward)
        return;
    forward->finish = shuffle_and_answer;
    forward_send(forward);
}
