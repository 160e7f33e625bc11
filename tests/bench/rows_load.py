# SPDX-License-Identifier: Apache-2.0
"""produce, default, fetch: megabytes through librdkafka, and every byte looked at afterwards."""
import functools
import itertools
import json
import subprocess

import measure
import nodes
import report

PARTITIONS = 6
SIZES = {"1 KB": 1024, "100 B": 100, "10 KB": 10240}
WARM_UP = ((1024, 1e9, "none"), (100, 3e8, "none"), (1024, 3e8, "lz4"), (100, 2e8, "zstd"))
BATCH = 131072  # bytes that the client fills before it sends
TOPICS = itertools.count(1)


def load(command, node, topic, **words):
    if command == "consume" and node.kind == "floor":
        return None  # nothing of it can be read
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


def produce_once(bench, node, topic, count, size, acks, codec, **words):
    found, span = spent(bench, node, lambda: load(
        "produce", node, topic, partitions=PARTITIONS, count=count, size=size, acks=acks, codec=codec,
        **words))
    return per_gb(span, found, count * size)


def verify(node, topic, count, **words):
    return load("consume", node, topic, partitions=PARTITIONS, count=count, **words)


def verify_one(node, topic, count):
    """A topic of one partition that several connections wrote."""
    return load("consume", node, topic, partitions=1, count=count, ordered=0)


def warm(bench, node):
    """The same gigabyte or more for each."""
    node.topic("warm", PARTITIONS)
    for size, volume, codec in WARM_UP:
        produce_once(bench, node, "warm", int(volume * bench.choose(0.5, 2)) // size, size, "1", codec)
    node.forget("warm")


def produced(bench, node, count, size, acks, codec, settled=False, **words):
    """A topic of its own, written, read back, and gone."""
    topic = f"produce-{next(TOPICS)}"
    node.topic(topic, PARTITIONS)
    if settled:
        bench.settle()
    figures = produce_once(bench, node, topic, count, size, acks, codec, **words)
    verify(node, topic, count)
    node.forget(topic)
    return figures


def floor(bench, size, codec):
    """Full batches to as many files, as many under way as librdkafka has, inflated where they are compressed; of
    bytes of values, as ours and Apache's figures are."""
    found = bench.floor(1, 5, BATCH, PARTITIONS, 1, int(bench.choose(256e6, 1e9)) // BATCH, 1, codec, size)
    return {"CPU s/GB": found["cpu_seconds"] * 1e9 / found["bytes"]}


def produce(bench):
    ready = bench.shared(nodes.PAGE_CACHE)
    codecs = bench.choose(("none 1", "none all", "lz4 1", "zstd 1"),
                          [f"{codec} {acks}" for codec in ("none", "lz4", "zstd")
                           for acks in ("1", "all")])
    for (name, size), (codec, acks) in itertools.product(SIZES.items(), map(str.split, codecs)):
        if size > 1024 and codec != "none":
            continue
        volume = bench.choose(256e6, 1e9) if size >= 1024 else bench.choose(64e6, 256e6)
        count = int(volume) // size

        def run(kind, count=count, size=size, acks=acks, codec=codec):
            return produced(bench, ready[kind], count, size, acks, codec)

        bench.pairs("produce", f"{name}, {codec}, acks={acks}", run,
                    floor=functools.partial(floor, bench, size, codec))
    for batch in (1024, 4096, 16384):  # what a batch costs: full ones are above
        count = int(bench.choose(24e6, 128e6)) // 100

        def run_small(kind, count=count, batch=batch):
            return produced(bench, ready[kind], count, 100, "1", "none", batch=batch)

        bench.pairs("produce", f"100 B, batches of {batch:,} bytes", run_small, most=bench.few(1))
    # Last in the queue: after each round of all of the above.
    bench.pairs("produce", "after all of it", lambda kind: {"resident, MB": nodes.memory(ready[kind])})
    bench.flush()


def default(bench):
    ready = bench.shared(nodes.DEFAULT)
    size, count = 1024, int(bench.choose(256e6, 1e9)) // 1024

    def written(node):
        return produced(bench, node, count, size, "all", "none", settled=True)

    bench.pairs("default", "1 KB, none, acks=all; durable : page cache", lambda kind: written(ready[kind]),
                floor=functools.partial(bench.floor_broker, PARTITIONS, written, (4, 8)))


RANGE = 1 << 20  # bytes that a fetch gets of a partition
RECORD = 9  # bytes of a record beside its value


def fetch_floor(bench, size, readers, volume, count):
    """`count` answers for each reader, with a look at every byte and without: of bytes of values."""
    figures = {}
    for word, ending in (("check", ""), ("unseen", report.UNSEEN)):
        found = bench.floor(word, readers, PARTITIONS, RANGE, volume, count, tool=nodes.FLOOR_FETCH)
        figures["CPU s/GB" + ending] = found["cpu_seconds"] * 1e9 / (found["bytes"] * size / (size + RECORD))
    return figures


def fetch(bench):
    ready = bench.shared(nodes.PAGE_CACHE)
    topics = []
    for name, size in SIZES.items():
        if size > 1024:
            continue
        volume = 256e6 if size >= 1024 else 64e6
        count = int(volume) // size
        topic = f"fetch-{size}"
        topics.append(topic)
        for node in ready.values():
            node.topic(topic, PARTITIONS)
            produce_once(bench, node, topic, count, size, "1", "none")
            verify(node, topic, count, rounds=bench.choose(2, 10))
        for readers in (1, 8, 32):
            rounds = bench.choose(4, 16) if readers == 1 else bench.choose(1, 2)

            def run(kind, topic=topic, count=count, readers=readers, rounds=rounds):
                found, span = spent(bench, ready[kind], lambda: verify(
                    ready[kind], topic, count, readers=readers, rounds=rounds))
                return per_gb(span, found, found["bytes"])

            lowest = functools.partial(fetch_floor, bench, size, readers, int(volume),
                                       rounds * int(volume) // (RANGE * PARTITIONS))
            bench.pairs("fetch", f"{name}, {readers} reader{'s' * (readers > 1)}", run, floor=lowest,
                        most=bench.few(2) if readers == 32 else None)
    bench.flush()
    for topic in topics:
        for node in ready.values():
            node.forget(topic)
