# SPDX-License-Identifier: Apache-2.0
"""transactions: begin, a few records, commit, by librdkafka."""
import itertools

import nodes
import rows_load
from paced import Paced, per_request

PARTITIONS, RECORDS = 6, 5
TOPICS = itertools.count(1)


def transactions(bench):
    modes = {"page cache": nodes.PAGE_CACHE, "durable": nodes.DURABLE}
    for mode, properties in modes.items():
        ready = bench.shared(properties)
        warm_up, count = bench.choose((100, 300), (500, 2000))
        for producers in (1, 10):

            def run(kind, ready=ready, producers=producers):
                node, topic = ready[kind], f"transactions-{next(TOPICS)}"
                node.topic(topic, PARTITIONS)
                client = Paced(nodes.TRANSACT, node.address, topic, PARTITIONS, producers, warm_up,
                               count, RECORDS)
                client.mark("measure")
                found, span = client.measured(bench, node)
                client.end()
                rows_load.load("consume", node, topic, partitions=PARTITIONS, ordered=0,
                               count=(warm_up + count) * producers * RECORDS)
                node.forget(topic)
                return {**per_request(span, found["count"]), "p50 µs": found["p50_us"],
                        "p99 µs": found["p99_us"],
                        "transactions/s": found["count"] / found["seconds"]}

            bench.pairs("transactions", f"{mode}, {producers} producer{'s' * (producers > 1)}", run)
