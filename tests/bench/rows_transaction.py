# SPDX-License-Identifier: Apache-2.0
"""transactions: a few records, committed: by Kafka's own producer, by wire code alone, and by librdkafka."""
import functools
import itertools

import java_tools
import nodes
import rows_load
from paced import Paced, per_request

PARTITIONS, RECORDS = 6, 5
TOPICS = itertools.count(1)
PRODUCERS = (1, 10)
# Transactions per second that either broker sustains with ease, of ten producers: what one takes at equal load.
EQUAL = {"page cache": 400, "durable": 100}
SUSTAINED = 0.95
SYNCERS = (4, 8)
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
    if "retries" in found and node.kind != "floor":
        figures["asked again, each"] = found["retries"] / found["count"]
    return figures


def once(bench, mode, node, start, words):
    topic = f"transactions-{next(TOPICS)}"
    node.topic(topic, PARTITIONS)
    if mode == "durable":
        bench.settle()
    return finish(start(node.address, topic, PARTITIONS, *words), bench, node, topic)


def lowest(bench, mode, start, words, syncers=SYNCERS):
    """The floor, asked by the same client; the page cache has nobody who syncs."""
    return bench.floor_broker(PARTITIONS, lambda node: once(bench, mode, node, start, words),
                              syncers if mode == "durable" else None)


def sustained(figures, rate):
    reached = figures.pop("transactions/s")
    assert reached >= SUSTAINED * rate, f"{reached:.0f} transactions/s and not {rate}"
    return figures


def equal_load(bench, mode, ready):
    """In closed loops each broker has the load that it makes itself; here both have the same."""
    rate, seconds = EQUAL[mode], bench.choose(4 if mode == "page cache" else 6, 60)
    words = (max(PRODUCERS), 2, seconds, RECORDS, rate)

    def run(kind):
        return sustained(once(bench, mode, ready[kind], wire, words), rate)

    bench.pairs("transactions", f"{mode}, {max(PRODUCERS)} producers, wire, {rate} transactions/s", run,
                floor=lambda: sustained(lowest(bench, mode, wire, words, SYNCERS[-1:]), rate))


def transactions(bench):
    for mode, properties in (("page cache", nodes.PAGE_CACHE), ("durable", nodes.DURABLE)):
        ready = bench.shared(properties)
        clients = [(name, start, number, bench.choose(warm_up, 2 * warm_up), bench.choose(3, 20))
                   for name, start, warm_up in (("wire", wire, 2), ("Java", java, 5)) for number in PRODUCERS]
        if mode == "page cache":  # its own clocks make a transaction take 11 ms: once is enough
            clients.append(("librdkafka", librdkafka, 1, *bench.choose((100, 300), (500, 2000))))
        for name, start, producers, warm_up, count in clients:

            def run(kind, ready=ready, mode=mode, start=start, words=(producers, warm_up, count, RECORDS)):
                return once(bench, mode, ready[kind], start, words)

            # Wire code has nothing to warm up, nor has the floor.
            floor_warm_up = 1 if name == "wire" else warm_up
            floor_count = bench.choose(2, 10) if name == "wire" else count
            bench.pairs("transactions", f"{mode}, {producers} producer{'s' * (producers > 1)}, {name}", run,
                        most=bench.few(1) if name == "librdkafka" else None,
                        floor=functools.partial(lowest, bench, mode, start,
                                                (producers, floor_warm_up, floor_count, RECORDS),
                                                SYNCERS if name == "wire" else SYNCERS[:1]))  # a JVM's warm-up is dear
            if name == "wire" and producers == max(PRODUCERS):
                equal_load(bench, mode, ready)
