# SPDX-License-Identifier: Apache-2.0
"""A node of its own, killed (SIGKILL) again and again while idempotent producers write with acks=all and
consumers read: what was acknowledged is there, once, in order, at the offset that was told."""
import random
import threading
import time

import pytest

import conftest
import kafka
import wire
import wire_cases

PARTITIONS = 3
KILLS = 55 if conftest.KIND == "barnabas" else 4  # a JVM takes its time to start
SECONDS = 75  # until then the kills have to be done
# A killed broker's session must end before the next one may register.
SESSION = {"broker.session.timeout.ms": 500, "broker.heartbeat.interval.ms": 100,
           "metadata.log.max.record.bytes.between.snapshots": 4000}


@pytest.fixture
def node(tools, tmp_path):
    with conftest.node_of_its_own(tools, tmp_path, directories=2, properties=SESSION) as own:
        yield own


class Killer(threading.Thread):
    """Kills the node and starts it again, at random moments, until it is told to end."""

    def __init__(self, node, seed, between):
        super().__init__()
        self.node, self.random, self.between = node, random.Random(seed), between
        self.kills = 0
        self.ended = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.ended.wait(self.random.uniform(*self.between)):
                self.node.kill()
                self.node.start()
                self.kills += 1
        except BaseException as failure:  # told by the test's own thread
            self.failure = failure

    def end(self):
        self.ended.set()
        self.join()
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("seed", [1, 2])
def test_the_java_clients_lose_and_double_nothing(node, topic, seed):
    node.create_topic(topic, "--partitions", PARTITIONS, "--config", "retention.ms=-1")
    killer = Killer(node, seed, (1.0, 3.0))
    killer.start()
    try:
        sent = int(node.tools.run("KillLoop", node.address, topic, PARTITIONS, 12, seconds=150).output)
    finally:
        killer.end()
    assert killer.kills >= (3 if conftest.KIND == "barnabas" else 1) and sent > 1000, (killer.kills, sent)


class Writer:
    """Numbers its records, partition after partition, and notes what it is told."""

    def __init__(self, node, topic):
        self.confluent_kafka = pytest.importorskip("confluent_kafka")
        self.topic = topic
        self.sent = 0
        self.told = {}  # number: offset
        self.failures = []
        self.producer = self.confluent_kafka.Producer({
            "bootstrap.servers": node.address, "enable.idempotence": True, "acks": "all", "linger.ms": 1,
            "batch.num.messages": 50, "message.timeout.ms": 120000, "socket.timeout.ms": 5000,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20,
            "error_cb": self.noted})

    def noted(self, error):
        if error.fatal():
            self.failures.append(error)

    def delivered(self, error, message):
        if error:
            self.failures.append(error)
        else:
            self.told[int(message.key())] = message.offset()

    def write(self, count):
        for _ in range(count):
            number = b"%d" % self.sent
            try:
                self.producer.produce(self.topic, b"value " + number, number, self.sent % PARTITIONS,
                                      on_delivery=self.delivered)
                self.sent += 1
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def consumed(self, node):
        """(offset, number) of all records of each partition."""
        reader = self.confluent_kafka.Consumer({
            "bootstrap.servers": node.address, "group.id": "assigned", "enable.auto.commit": False,
            "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True})
        reader.assign([self.confluent_kafka.TopicPartition(self.topic, index, 0)
                       for index in range(PARTITIONS)])
        found, ends = [[] for _ in range(PARTITIONS)], set()
        while len(ends) < PARTITIONS:
            message = reader.poll(20)
            assert message is not None, "the end of a partition does not come"
            if message.error():
                assert message.error().code() == self.confluent_kafka.KafkaError._PARTITION_EOF
                ends.add(message.partition())
                continue
            assert message.value() == b"value " + message.key()
            found[message.partition()].append((message.offset(), int(message.key())))
        reader.close()
        return found


def test_fifty_kills_and_more_lose_and_double_nothing(node, topic):
    node.create_topic(topic, "--partitions", PARTITIONS, "--config", "retention.ms=-1",
                      "--config", "segment.bytes=1048576")
    writer = Writer(node, topic)
    killer = Killer(node, 7, (0.05, 0.5))
    deadline = time.monotonic() + SECONDS
    killer.start()
    try:
        while killer.kills < KILLS and killer.is_alive() and not writer.failures:
            assert time.monotonic() < deadline, f"{killer.kills} kills only"
            writer.write(40)
            time.sleep(0.01)
    finally:
        killer.end()
    assert writer.producer.flush(60) == 0 and not writer.failures, writer.failures
    assert len(writer.told) == writer.sent > 1000
    for index, found in enumerate(writer.consumed(node)):
        assert found == [(offset, offset * PARTITIONS + index) for offset in range(len(found))]
        assert len(found) == len(range(index, writer.sent, PARTITIONS))
        assert all(writer.told[number] == offset for offset, number in found)
    node.restart()  # and a clean stop leaves the same
    assert sum(map(len, writer.consumed(node))) == writer.sent


def note_producer_id(connection, codec, ids):
    """False while the broker has no block of ids yet."""
    told = connection.ask(codec, "InitProducerId", 4, {"transactionalId": None, "transactionTimeoutMs": 0})
    if told["errorCode"] == 0:
        ids.append(told["producerId"])
    return told["errorCode"] == 0


def test_what_the_controller_acknowledged_survives_a_kill_and_producer_ids_are_given_once(node, tools):
    codec, ids = wire.Codec(tools), []
    for number in range(12):
        with wire.Connection(node) as connection:
            made = connection.ask(codec, "CreateTopics", 7, wire_cases.create(
                f"kept-{number}", 2, 1, configs=[("retention.ms", str(1000 + number))], only=False))
            assert made["topics"][0]["errorCode"] == 0, made
            kafka.wait_for(lambda: note_producer_id(connection, codec, ids))
            if number % 3 == 2:
                gone = connection.ask(codec, "DeleteTopics", 6, {
                    "topics": [{"name": f"kept-{number - 1}"}], "timeoutMs": 5000})
                assert gone["responses"][0]["errorCode"] == 0, gone
        node.kill()
        node.start()
    with wire.Connection(node) as connection:
        told = connection.ask(codec, "Metadata", 12, {"topics": None})["topics"]
        kept = {f"kept-{number}" for number in range(12) if number % 3 != 1}
        assert {topic["name"] for topic in told if topic["name"].startswith("kept-")} == kept
        assert all(len(topic["partitions"]) == 2 for topic in told if topic["name"] in kept)
        for name in sorted(kept):
            (result,) = connection.ask(codec, "DescribeConfigs", 4, wire_cases.describe(
                2, name, ["retention.ms"]))["results"]
            assert result["configs"][0]["value"] == str(1000 + int(name.split("-")[1]))
    assert len(set(ids)) == len(ids) == 12, ids
