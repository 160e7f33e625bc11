# SPDX-License-Identifier: Apache-2.0
"""ping: one record a request, acknowledged by all; from the page cache, and durable."""
import itertools
import json
import subprocess

import measure
import nodes
import rows_load

SHAPES = {"1 connection": (1, 1), "10 connections": (10, 1), "1 connection, 5 in flight": (1, 5)}
TOPICS = itertools.count(1)


def ping_once(bench, node, connections, in_flight, warm_up, count):
    topic = f"ping-{next(TOPICS)}"
    node.topic(topic, 1)
    words = [nodes.PING, "run", node.address, topic, -1, connections, in_flight, warm_up, count, 0]
    client = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "measure\n", client.communicate()[1]
    span = measure.Span(node.process.pid)
    client.stdin.write("go\n")
    client.stdin.flush()
    line = client.stdout.readline()
    assert line, client.communicate()[1]
    found = json.loads(line)
    bench.results.disturbances.append(span.end(found["client_cpu"]).disturbance)
    client.communicate()
    assert found["offsets"] == warm_up + count, "an offset was given twice or not at all"
    rows_load.load("consume", node, topic, partitions=1, count=warm_up + count,
                   ordered=int(connections == 1))
    node.forget(topic)
    return {"CPU µs": span.total * 1e6 / count, "user µs": span.user * 1e6 / count,
            "system µs": span.system * 1e6 / count, "p50 µs": found["p50_us"],
            "p99 µs": found["p99_us"], "requests/s": count / found["seconds"]}


def ping(bench):
    modes = {"page cache": (nodes.PAGE_CACHE, bench.choose((30000, 30000), (200000, 200000))),
             "durable": (nodes.DURABLE, bench.choose((500, 2000), (5000, 20000)))}
    for mode, (properties, (warm_up, count)) in modes.items():
        ready = {kind: bench.node(kind, "ping", properties[kind]).start() for kind in bench.kinds}
        for shape, (connections, in_flight) in SHAPES.items():
            bench.pairs("ping", f"{mode}, {shape}", bench.choose(3, 5),
                        lambda kind: ping_once(bench, ready[kind], connections, in_flight, warm_up,
                                               count))
        bench.drop(*ready.values())
