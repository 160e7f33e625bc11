# SPDX-License-Identifier: Apache-2.0
"""transactions: a few records, committed: by Kafka's own producer, by wire code alone, and by librdkafka."""
import itertools

import java_tools
import nodes
import rows_load
from paced import Paced, per_request

PARTITIONS, RECORDS = 6, 5
TOPICS = itertools.count(1)
PRODUCERS = (1, 10)
JVM = ("java", "-Xms256m", "-Xmx256m", "-XX:+UseSerialGC")


def java(*words):
    source = str(nodes.ROOT / "tests/bench/java/Transact.java")
    return Paced(*JVM, "-cp", java_tools.compiled(source), "Transact", *words)


def wire(*words):
    return Paced(nodes.TRANSACT_WIRE, *words)


def librdkafka(*words):
    return Paced(nodes.TRANSACT, *words)


def finish(client, bench, node, topic):
    """Measures, reads everything back, and tells what was found."""
    client.mark("measure")
    found, span = client.measured(bench, node)
    client.end()
    rows_load.load("consume", node, topic, partitions=PARTITIONS, ordered=0, count=found["records"])
    node.forget(topic)
    figures = {**per_request(span, found["count"]), "p50 µs": found["p50_us"], "p99 µs": found["p99_us"],
               "transactions/s": found["count"] / found["seconds"]}
    for word in ("p50", "p99"):
        if f"commit_{word}_us" in found:
            figures[f"commit {word} µs"] = found[f"commit_{word}_us"]
    if "retries" in found:
        figures["asked again, each"] = found["retries"] / found["count"]
    return figures


def transactions(bench):
    for mode, properties in (("page cache", nodes.PAGE_CACHE), ("durable", nodes.DURABLE)):
        ready = bench.shared(properties)
        clients = [(name, start, number, bench.choose(warm_up, 2 * warm_up), bench.choose(3, 20))
                   for name, start, warm_up in (("wire", wire, 2), ("Java", java, 5)) for number in PRODUCERS]
        if mode == "page cache":  # its own clocks make a transaction take 11 ms: once is enough
            clients.append(("librdkafka", librdkafka, 1, *bench.choose((100, 300), (500, 2000))))
        for name, start, producers, warm_up, count in clients:

            def run(kind, ready=ready, start=start, words=(producers, warm_up, count, RECORDS)):
                node, topic = ready[kind], f"transactions-{next(TOPICS)}"
                node.topic(topic, PARTITIONS)
                return finish(start(node.address, topic, PARTITIONS, *words), bench, node, topic)

            bench.pairs("transactions", f"{mode}, {producers} producer{'s' * (producers > 1)}, {name}", run,
                        most=1 if name == "librdkafka" else None)
