# SPDX-License-Identifier: Apache-2.0
"""Kafka Streams with exactly_once_v2: a sum per key, whose program is killed again and again, and the node
too. Whoever reads committed records sees each running sum once, in order."""
import random
import signal
import struct
import subprocess
import time

import pytest

import conftest
import java_tools

confluent_kafka = pytest.importorskip("confluent_kafka")

POMS = ("streams/pom.xml", "pom.xml")
PARTITIONS = 3
KEYS = [b"key-%d" % number for number in range(9)]
WAIT = 90
# A killed broker's session must end before the next one may register.
SESSION = {"broker.session.timeout.ms": 500, "broker.heartbeat.interval.ms": 100}


class Program:
    """RunningSums, started again whenever it was killed."""

    def __init__(self, node, application, source, target, folder, properties=()):
        path = java_tools.compiled("streams/RunningSums.java", POMS)
        self.command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", path, "RunningSums",
                        node.address, application, source, target, str(folder / "state"), *properties]
        self.log = open(folder / "streams.log", "w+b")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)

    def kill(self, how=signal.SIGKILL):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def close(self):
        self.kill()
        self.log.close()


class Input:
    """Small numbers to keys; knows each key's running sums."""

    def __init__(self, node, topic):
        self.topic = topic
        self.sums = {key: [] for key in KEYS}
        self.random = random.Random(1)
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": node.address, "enable.idempotence": True, "linger.ms": 5,
            "message.timeout.ms": 120000, "reconnect.backoff.max.ms": 100})

    def write(self, count):
        for _ in range(count):
            key, value = self.random.choice(KEYS), self.random.randint(1, 1000)
            before = self.sums[key][-1] if self.sums[key] else 0
            self.sums[key].append(before + value)
            self.producer.produce(self.topic, struct.pack(">q", value), key,
                                  KEYS.index(key) % PARTITIONS, on_delivery=self.delivered)
        assert self.producer.flush(WAIT) == 0

    @staticmethod
    def delivered(error, message):
        assert error is None, error


class Output:
    def __init__(self, node, topic):
        self.found = {key: [] for key in KEYS}
        self.reader = confluent_kafka.Consumer({
            "bootstrap.servers": node.address, "group.id": "output", "isolation.level": "read_committed",
            "enable.auto.commit": False, "reconnect.backoff.max.ms": 100})
        self.reader.assign([confluent_kafka.TopicPartition(topic, each, 0) for each in range(PARTITIONS)])

    def read(self, until=None, seconds=0.0):
        """Until everything is there, or for a while."""
        deadline = time.monotonic() + (WAIT if until else seconds)
        while self.found != until:
            if time.monotonic() >= deadline:
                return
            message = self.reader.poll(0.2)
            if message is not None and not message.error():
                self.found[message.key()].append(struct.unpack(">q", message.value())[0])

    def check_prefix(self, sums):
        for key in KEYS:
            assert self.found[key] == sums[key][:len(self.found[key])], key


def run(node, topic, folder, rounds, disturb, properties=()):
    target = f"{topic}-sums"
    for each in (topic, target):
        node.create_topic(each, "--partitions", PARTITIONS)
    program = Program(node, f"app-{topic}", topic, target, folder, properties)
    source, output = Input(node, topic), Output(node, target)
    try:
        program.start()
        for number in range(rounds):
            source.write(400)
            output.read(seconds=3)
            output.check_prefix(source.sums)
            disturb(number, program)
        output.read(until=source.sums)
        assert output.found == source.sums, program.log.name
        output.read(seconds=1)
        assert output.found == source.sums
    finally:
        program.close()
        output.reader.close()


def test_running_sums_are_exact_though_the_program_is_killed(node, topic, tmp_path):
    def disturb(number, program):
        program.kill(signal.SIGKILL if number % 2 == 0 else signal.SIGTERM)
        program.start()

    run(node, topic, tmp_path, 4, disturb)


@pytest.fixture
def fragile(tools, tmp_path):
    with conftest.node_of_its_own(tools, tmp_path, directories=1, properties=SESSION) as own:
        yield own


def test_running_sums_are_exact_though_the_node_is_killed(fragile, topic, tmp_path):
    def disturb(number, program):
        fragile.kill()
        if number == 1:
            program.kill()
            program.start()
        fragile.start()

    run(fragile, topic, tmp_path, 4, disturb)
