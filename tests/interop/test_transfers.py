# SPDX-License-Identifier: Apache-2.0
"""Money transfers in transactions, while tellers and the node are killed (SIGKILL) at random: whoever
reads committed records sees all of a transfer or nothing, nothing that was aborted, everything that was
committed, each once; so the sum of all accounts stays 0."""
import collections
import os
import random
import subprocess
import sys
import time

import pytest

import conftest
from test_crash_loop import Killer

confluent_kafka = pytest.importorskip("confluent_kafka")

PARTITIONS = 4
TELLERS = 4
# The long form: BARNABAS_TRANSFER_SECONDS=600.
SECONDS = int(os.environ.get("BARNABAS_TRANSFER_SECONDS", 30))
HERE = os.path.dirname(os.path.abspath(__file__))
SESSION = {"broker.session.timeout.ms": 500, "broker.heartbeat.interval.ms": 100,
           "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
           "metadata.log.max.record.bytes.between.snapshots": 4000}
BETWEEN_KILLS = (0.3, 4.0) if conftest.KIND == "barnabas" else (8.0, 15.0)


@pytest.fixture
def fragile(tools, tmp_path):
    with conftest.node_of_its_own(tools, tmp_path, directories=2, properties=SESSION) as own:
        yield own


class Tellers:
    def __init__(self, node, topic, folder):
        self.node, self.topic, self.folder = node, topic, folder
        self.random = random.Random(3)
        self.running = {}
        self.kills = 0

    def start(self, name):
        self.running[name] = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "transfers.py"), self.node.address, self.topic,
             str(PARTITIONS), name, str(self.folder / f"{name}.journal")])

    def start_all(self):
        for number in range(TELLERS):
            self.start(f"teller{number}")

    def kill_one(self):
        name = self.random.choice(list(self.running))
        process = self.running[name]
        process.kill()
        process.wait()
        self.kills += 1
        # Sometimes its successor is there at once, sometimes only after the transaction's timeout.
        self.start(name)

    def end(self):
        for process in self.running.values():
            process.kill()
            process.wait()

    def journal(self):
        """What was asked for, and answered, by transfer."""
        told = collections.defaultdict(set)
        for number in range(TELLERS):
            for line in (self.folder / f"teller{number}.journal").read_text("utf-8").splitlines():
                what, transfer = line.split()
                if what != "error":
                    told[transfer].add(what)
        return told


def settle(node, topic):
    """The next producer of each id aborts what its killed predecessor had open."""
    for number in range(TELLERS):
        producer = confluent_kafka.Producer({"bootstrap.servers": node.address,
                                             "transactional.id": f"{topic}-teller{number}"})
        producer.init_transactions(60)


class Reader:
    def __init__(self, node, topic):
        self.seen = collections.defaultdict(list)
        self.records = 0
        self.ends = set()
        self.reader = confluent_kafka.Consumer({
            "bootstrap.servers": node.address, "group.id": "reader", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "error", "check.crcs": True,
            "enable.partition.eof": True, "reconnect.backoff.max.ms": 100, "log_level": 0})
        self.reader.assign([confluent_kafka.TopicPartition(topic, each, 0) for each in range(PARTITIONS)])

    def read(self, seconds, to_the_end=False):
        deadline = time.monotonic() + seconds
        self.ends.clear()
        while time.monotonic() < deadline and not (to_the_end and len(self.ends) == PARTITIONS):
            message = self.reader.poll(0.1)
            if message is None:
                continue
            if message.error():
                if message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    self.ends.add(message.partition())
                continue
            self.ends.discard(message.partition())
            self.seen[message.key().decode()].append((int(message.value()), message.partition()))
            self.records += 1
        return len(self.ends) == PARTITIONS


def check(seen, told):
    for transfer, records in seen.items():
        assert "aborted" not in told[transfer], f"{transfer} was aborted and is seen: {records}"
        assert told[transfer] & {"commit"}, f"{transfer} is seen though its commit was not asked for"
        assert len(records) == 2 and sum(value for value, _ in records) == 0, (transfer, records)
    for transfer, words in told.items():
        assert "committed" not in words or transfer in seen, f"{transfer} was committed and is lost"


def test_the_sum_of_all_accounts_stays(fragile, topic, tmp_path):
    fragile.create_topic(topic, "--partitions", PARTITIONS, "--config", "segment.bytes=1048576")
    tellers, killer = Tellers(fragile, topic, tmp_path), Killer(fragile, 5, BETWEEN_KILLS)
    live = Reader(fragile, topic)
    chance = random.Random(4)
    tellers.start_all()
    killer.start()
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and killer.is_alive():
            live.read(chance.uniform(0.2, 2.0))
            tellers.kill_one()
    finally:
        killer.end()
        tellers.end()
    settle(fragile, topic)
    told = tellers.journal()
    late = Reader(fragile, topic)
    assert late.read(60, to_the_end=True)
    check(late.seen, told)
    # An end that the live reader was told before everything was settled says nothing.
    deadline = time.monotonic() + 60
    while live.records < late.records and time.monotonic() < deadline:
        live.read(0.5)
    check(live.seen, told)
    assert {name: sorted(records) for name, records in live.seen.items()} == \
        {name: sorted(records) for name, records in late.seen.items()}
    committed = sum("committed" in words for words in told.values())
    aborted = sum("aborted" in words for words in told.values())
    print(f"{killer.kills} kills of the node, {tellers.kills} of tellers, {committed} transfers "
          f"committed, {aborted} aborted, {len(late.seen)} seen")
    assert committed > SECONDS and aborted > 0 and killer.kills > 0 and tellers.kills > 3
