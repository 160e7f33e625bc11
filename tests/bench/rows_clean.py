# SPDX-License-Identifier: Apache-2.0
"""clean: what the log cleaner uses for a partition of updates of the same keys."""
import itertools
import time

import measure
import nodes
import rows_load

TOPICS = itertools.count(1)
SETTINGS = {"log.cleaner.backoff.ms": 500, "log.initial.task.delay.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 134217728}
QUIET_SECONDS = 4


def size_of(node, topic):
    return sum(path.stat().st_size for path in node.partition_folder(topic).glob("*.log"))


def clean(bench):
    size, keys = 1024, 50000
    count = bench.choose(300000, 2000000)
    ready = {kind: bench.node(kind, "clean", {**nodes.PAGE_CACHE[kind], **SETTINGS}).start()
             for kind in bench.kinds}

    def run(kind):
        node, topic = ready[kind], f"clean-{next(TOPICS)}"
        node.topic(topic, 1, segment_bytes=32 * 2**20, min_cleanable_dirty_ratio=0.01)
        rows_load.load("produce", node, topic, partitions=1, count=count, size=size, acks="1",
                       codec="none", keys=keys)
        before = size_of(node, topic)
        span = measure.Span(node.process.pid)
        node.tool("kafka-configs", "--alter", "--entity-type", "topics", "--entity-name", topic,
                  "--add-config", "cleanup.policy=compact")
        last, changed = before, time.monotonic()
        while time.monotonic() < changed + QUIET_SECONDS:
            time.sleep(0.2)
            now = size_of(node, topic)
            if now != last:
                last, changed, used = now, time.monotonic(), measure.cpu(node.process.pid).total
            assert time.monotonic() < changed + 120, "the cleaner does not come to an end"
        bench.results.disturbances.append(span.end(0).disturbance)
        assert last < before / 2, f"{before} bytes became {last}"
        node.forget(topic)
        return {"CPU s/GB": (used - span.cpu.total) * 1e9 / before, "bytes left, MB": last / 1e6}

    bench.pairs("clean", f"1 KB, {keys:,} keys", run)
    bench.flush()
    bench.drop(*ready.values())
