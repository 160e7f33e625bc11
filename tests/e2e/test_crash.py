# SPDX-License-Identifier: Apache-2.0
"""A node that is killed at random moments loses nothing that it acknowledged, and takes nothing back."""
import os
import random
import threading
import time

import pytest

import wire
from node import SLOW

KILLS = int(os.environ.get("CRASH_KILLS", "50"))
PARTITIONS = 3


class Producer(threading.Thread):
    """acks=all and idempotent: repeats a batch until it is answered. Values count up in each partition."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.stopping, self.failure = node, False, None
        self.next = [0] * PARTITIONS
        self.acked = [0] * PARTITIONS
        self.identity = None

    def run(self):
        client = None
        pending = None
        stream = random.Random(1)
        while not (self.stopping and pending is None):
            try:
                if client is None:
                    client = wire.Client(self.node.port, timeout=10 * SLOW)
                if self.identity is None:
                    self.identity = client.init_producer_id()
                if pending is None:
                    pending = stream.randrange(PARTITIONS), stream.randrange(1, 20)
                partition, count = pending
                first = self.next[partition]
                values = [b"%d" % number for number in range(first, first + count)]
                offset = client.produce("t", partition, wire.batch(values, *self.identity, first,
                                                                         int(time.time() * 1000)))
                if offset != first:
                    raise AssertionError(f"value {first} of partition {partition} is at offset {offset}")
                self.next[partition] = self.acked[partition] = first + count
                pending = None
            except wire.Closed:
                client = None
                time.sleep(0.002)
            except wire.Refused as refused:
                if refused.code not in (3, 5, 6, 7, 14, 15, 19, 20):  # what clients retry
                    self.failure = refused
                    return
            except AssertionError as error:
                self.failure = error
                return


class Consumer(threading.Thread):
    """Remembers all that it was shown."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.stopping, self.failure = node, False, None
        self.seen = [0] * PARTITIONS

    def run(self):
        client = None
        while not self.stopping:
            try:
                if client is None:
                    client = wire.Client(self.node.port, timeout=10 * SLOW)
                for partition in range(PARTITIONS):
                    _, records = client.fetch("t", partition, self.seen[partition], wait_ms=5)
                    for offset, value in records:
                        assert int(value) == offset == self.seen[partition], (partition, offset, value)
                        self.seen[partition] += 1
            except wire.Closed:
                client = None
                time.sleep(0.002)
            except wire.Refused as refused:
                if refused.code not in (3, 5, 6):
                    self.failure = refused  # 1 would mean: what was seen is gone
                    return
            except AssertionError as error:
                self.failure = error
                return


@pytest.mark.parametrize("shards", [1, 3])
def test_nothing_acknowledged_or_seen_is_lost_by_kills(make_node, shards):
    seed = int(os.environ.get("CRASH_SEED", random.randrange(1 << 32)))
    stream = random.Random(seed)
    node = make_node("log.segment.bytes=1048576\n", shards=shards).start()
    assert node.client().create_topic("t", partitions=PARTITIONS) == 0
    producer, consumer = Producer(node), Consumer(node)
    producer.start()
    consumer.start()
    for _ in range(KILLS // 2):
        time.sleep(stream.uniform(0, 0.25))
        node.kill()
        if stream.random() < 0.3:  # and once more while it starts
            node.spawn(node.file)
            time.sleep(stream.uniform(0, 0.05))
            node.kill()
        node.start()
    producer.stopping = True
    producer.join(timeout=60 * SLOW)
    consumer.stopping = True
    consumer.join(timeout=60 * SLOW)
    assert producer.failure is None, f"seed {seed}: {producer.failure}"
    assert consumer.failure is None, f"seed {seed}: {consumer.failure}"
    assert sum(producer.acked) > KILLS, "too little was produced to show anything"
    client = node.client()
    for partition in range(PARTITIONS):
        values = []
        while len(values) < producer.acked[partition]:
            _, records = client.fetch("t", partition, len(values))
            assert records, f"seed {seed}: partition {partition} ends at {len(values)}"
            values += [(offset, int(value)) for offset, value in records]
        assert values == [(at, at) for at in range(len(values))], f"seed {seed}"
        assert len(values) == producer.acked[partition] >= consumer.seen[partition]
