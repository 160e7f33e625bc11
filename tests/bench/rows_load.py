# SPDX-License-Identifier: Apache-2.0
"""produce, fetch: megabytes through librdkafka, and every byte looked at afterwards."""
import itertools
import json
import subprocess

import measure
import nodes

PARTITIONS = 6
SIZES = {"1 KB": 1024, "100 B": 100}
WARM_UP = ((1024, 1e9, "none"), (100, 3e8, "none"), (1024, 3e8, "lz4"), (100, 2e8, "zstd"))
TOPICS = itertools.count(1)


def load(command, node, topic, **words):
    result = subprocess.run([nodes.LOAD, command, f"address={node.address}", f"topic={topic}",
                             *(f"{name}={value}" for name, value in words.items())],
                            capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, f"{command} of {topic}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout)


def spent(bench, node, run):
    """Runs a client: what it found, and the broker's span meanwhile."""
    span = measure.Span(node.process.pid)
    found = run()
    bench.results.disturbances.append(span.end(found["client_cpu"]).disturbance)
    return found, span


def per_gb(span, found, size_bytes):
    return {"CPU s/GB": span.total * 1e9 / size_bytes, "user s/GB": span.user * 1e9 / size_bytes,
            "system s/GB": span.system * 1e9 / size_bytes,
            "MB/s": size_bytes / 1e6 / found["seconds"]}


def produce_once(bench, node, topic, count, size, acks, codec):
    found, span = spent(bench, node, lambda: load(
        "produce", node, topic, partitions=PARTITIONS, count=count, size=size, acks=acks, codec=codec))
    return per_gb(span, found, count * size)


def verify(node, topic, count, **words):
    return load("consume", node, topic, partitions=PARTITIONS, count=count, **words)


def warm_nodes(bench, name):
    """Both nodes running, and warmed by the same gigabyte or more."""
    ready = {kind: bench.node(kind, name, nodes.PAGE_CACHE[kind]).start() for kind in bench.kinds}
    for node in ready.values():
        node.topic("warm", PARTITIONS)
        for size, volume, codec in WARM_UP:
            produce_once(bench, node, "warm", int(volume * bench.choose(0.5, 2)) // size, size, "1",
                         codec)
        node.forget("warm")
    return ready


def produce(bench):
    ready = warm_nodes(bench, "produce")
    codecs = bench.choose(("none 1", "none all", "lz4 1", "zstd 1"),
                          [f"{codec} {acks}" for codec in ("none", "lz4", "zstd")
                           for acks in ("1", "all")])
    for (name, size), (codec, acks) in itertools.product(SIZES.items(), map(str.split, codecs)):
        volume = bench.choose(256e6, 1e9) if size >= 1024 else bench.choose(64e6, 256e6)
        count = int(volume) // size

        def run(kind):
            topic = f"produce-{next(TOPICS)}"
            ready[kind].topic(topic, PARTITIONS)
            figures = produce_once(bench, ready[kind], topic, count, size, acks, codec)
            verify(ready[kind], topic, count)
            ready[kind].forget(topic)
            return figures

        bench.pairs("produce", f"{name}, {codec}, acks={acks}", bench.choose(3, 5), run)
    bench.drop(*ready.values())


def fetch(bench):
    ready = {kind: bench.node(kind, "fetch", nodes.PAGE_CACHE[kind]).start() for kind in bench.kinds}
    for name, size in SIZES.items():
        volume = 256e6 if size >= 1024 else 64e6
        count = int(volume) // size
        topic = f"fetch-{size}"
        for node in ready.values():
            node.topic(topic, PARTITIONS)
            produce_once(bench, node, topic, count, size, "1", "none")
            verify(node, topic, count, rounds=bench.choose(2, 10))
        for readers in (1, 8):
            rounds = bench.choose(4, 16) if readers == 1 else bench.choose(1, 2)

            def run(kind):
                found, span = spent(bench, ready[kind], lambda: verify(
                    ready[kind], topic, count, readers=readers, rounds=rounds))
                return per_gb(span, found, found["bytes"])

            bench.pairs("fetch", f"{name}, {readers} reader{'s' * (readers > 1)}",
                        bench.choose(3, 5), run)
    bench.drop(*ready.values())
