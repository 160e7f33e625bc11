# SPDX-License-Identifier: Apache-2.0
"""ping, wide, small: many small requests; from the page cache, and durable."""
import functools
import itertools

import nodes
import report
import rows_load
from paced import Paced, per_request

# connections, in flight on each, partitions; in the order of importance
SHAPES = {
    "page cache": {"1 connection": (1, 1, 1), "10 connections": (10, 1, 1),
                   "100 connections": (100, 1, 1), "1,000 connections": (1000, 1, 1),
                   "1 connection, 5 in flight": (1, 5, 1)},
    "durable": {"1 connection": (1, 1, 1), "64 connections": (64, 1, 1),
                "64 connections, 64 partitions": (64, 1, 64), "10 connections": (10, 1, 1),
                "1 connection, 5 in flight": (1, 5, 1)},
}
FEWER = ("100 connections", "10 connections")  # no row of the goals': fewer pairs do
FRAME = 216  # bytes of a request with a record of 100
BATCH = 170  # bytes of its batch
TOPICS = itertools.count(1)


def ping_once(bench, node, shape, warm_up, count, durable=False):
    connections, in_flight, partitions = shape
    topic = f"ping-{next(TOPICS)}"
    node.topic(topic, partitions)
    if durable:
        bench.settle()
    client = Paced(nodes.PING, "run", node.address, topic, -1, connections, in_flight, warm_up,
                   count, 0, partitions)
    client.mark("measure")
    found, span = client.measured(bench, node)
    client.end()
    assert found["offsets"] == warm_up + count, "an offset was given twice or not at all"
    rows_load.load("consume", node, topic, partitions=partitions, count=warm_up + count,
                   ordered=int(connections == 1))
    node.forget(topic)
    return {**per_request(span, count), "p50 µs": found["p50_us"], "p99 µs": found["p99_us"],
            "requests/s": count / found["seconds"]}


# Threads that sync in the floor, by partitions: more do no good.
SYNCERS = {1: (0, 4), 64: (8, 16)}


def floor(bench, shape, warm_up, count, durable):
    connections, in_flight, partitions = shape
    if durable:
        return bench.floor_broker(
            partitions, lambda node: ping_once(bench, node, shape, warm_up, count, True), SYNCERS[partitions])
    found = bench.floor(connections, in_flight, FRAME, partitions, 1, count, 1)
    return {"CPU µs": found["cpu_us"]}


def ping(bench):
    modes = {"page cache": (nodes.PAGE_CACHE, bench.choose((20000, 30000), (200000, 200000))),
             "durable": (nodes.DURABLE, bench.choose((500, 2000), (5000, 20000)))}
    for mode, (properties, (warm_up, count)) in modes.items():
        ready = bench.shared(properties)
        for name, shape in SHAPES[mode].items():

            def run(kind, ready=ready, shape=shape, warm_up=warm_up, count=count, mode=mode):
                return ping_once(bench, ready[kind], shape, warm_up, count, mode == "durable")

            few = name in FEWER and not (mode == "page cache" and name == "10 connections")
            bench.pairs("ping", f"{mode}, {name}", run,
                        floor=functools.partial(floor, bench, shape, warm_up, count, mode == "durable"),
                        most=bench.few(2) if few else None)


def wide_once(bench, node, partitions, warm_up, count, share=None):
    topic = f"wide-{next(TOPICS)}"
    node.topic(topic, partitions)
    client = Paced(nodes.CALLS, "wide", node.address, topic, 1, partitions, warm_up, count,
                   *([share] if share else []))
    client.mark("measure")
    found, span = client.measured(bench, node)
    client.end()
    return topic, found, span


def wide_figures(span, found, partitions):
    records = found["count"] * partitions
    figures = {f"{name} a record": value for name, value in per_request(span, records).items()}
    return {**figures, "records/s": records / found["seconds"]}


def wide_floor(bench, partitions, rounds):
    def run(node):
        _, found, span = wide_once(bench, node, partitions, rounds, rounds)
        return wide_figures(span, found, partitions)

    return bench.floor_broker(partitions, run)


def wide(bench):
    """One record for each of many partitions in every request."""
    for partitions in (1000,) if bench.form == "quick" else (1000, 10000):
        case = f"{partitions:,} partitions"
        if not bench.wants(case):
            continue
        ready = {kind: bench.node(kind, f"wide-{partitions}", nodes.PAGE_CACHE[kind]).start()
                 for kind in bench.kinds}
        rounds = bench.choose(20 if partitions == 1000 else 5, 100)
        for kind in bench.kinds:  # the JVM's warm-up
            topic, _, _ = wide_once(bench, ready[kind], 1000, 20, bench.choose(30, 200))
            ready[kind].forget_wide(topic)

        def run(kind, ready=ready, rounds=rounds, partitions=partitions):
            node = ready[kind]
            topic, found, span = wide_once(bench, node, partitions, rounds, rounds)
            figures = wide_figures(span, found, partitions)
            figures["resident, MB"] = nodes.memory(node)
            if partitions <= 1000:  # the reader's limit
                rows_load.load("consume", node, topic, partitions=partitions,
                               count=2 * rounds * partitions)
            node.forget_wide(topic)
            return figures

        bench.pairs("wide", case, run, most=bench.few(1) if partitions > 1000 else None,
                    floor=functools.partial(wide_floor, bench, partitions, rounds))
        bench.flush(0.5 if partitions == 1000 else 1)
        bench.drop(*ready.values())


def fetch_floor(bench, count):
    """Of batches with one record, with a look at every byte and without."""
    figures = {}
    for word, ending in (("check", ""), ("unseen", report.UNSEEN)):
        found = bench.floor(word, 1, 1, BATCH, BATCH * count, count, tool=nodes.FLOOR_FETCH)
        figures["CPU µs" + ending] = found["cpu_us"]
    return figures


def small(bench):
    """Fetch of one record after another."""
    ready = bench.shared(nodes.PAGE_CACHE)
    count = bench.choose(30000, 200000)
    topic = f"small-{next(TOPICS)}"
    for node in ready.values():
        node.topic(topic, 1)
        ping_fill(bench, node, topic, count)

    def run(kind):
        client = Paced(nodes.CALLS, "fetch", ready[kind].address, topic, 0, count)
        client.mark("measure")
        found, span = client.measured(bench, ready[kind])
        client.end()
        assert found["records"] == count, "not every record came"
        return {**per_request(span, count), "requests/s": count / found["seconds"]}

    for kind in bench.kinds:
        run(kind)  # the JVM's warm-up
    bench.pairs("small", "fetch of 1 record a request", run,
                floor=functools.partial(fetch_floor, bench, count))
    bench.flush()
    for node in ready.values():
        node.forget(topic)


def ping_fill(bench, node, topic, count):
    client = Paced(nodes.PING, "run", node.address, topic, 1, 1, 16, 1, count, 0)
    client.mark("measure")
    client.measured(bench, node)
    client.end()
