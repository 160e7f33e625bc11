# SPDX-License-Identifier: Apache-2.0
"""Compacted topics: what is left of a history of keys is the same on our node and on Apache Kafka, and each
opens, reads and goes on cleaning what the other has cleaned."""
import re
import time

import pytest

import conftest
import kafka
import log_files
import records

OURS = conftest.KIND
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START = 1_700_000_000_000
PROPERTIES = {
    "log.cleaner.backoff.ms": 200,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.cleaner.io.buffer.size": 1 << 20,
    "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500,
}
CONFIG = ("cleanup.policy=compact", "min.cleanable.dirty.ratio=0.0", "segment.ms=5000")
WAIT_SECONDS = 60


def create(node, topic, *more):
    node.create_topic(topic, *(word for each in CONFIG + more for word in ("--config", each)))


class Keys:
    """What was written to a topic, in order. A round lies a minute behind the one before: it begins a segment."""

    def __init__(self, topic):
        self.topic = topic
        self.rounds = []
        self.time = START

    def write(self, node, pairs, *properties):
        self.time += 60_000
        sent = [records.record(self.topic, value, key, 0, self.time + number)
                for number, (key, value) in enumerate(pairs)]
        places = records.send(node, sent, "enable.idempotence=false", "acks=all", *properties)
        self.rounds.append([(offset, each["key"], each["value"], each["timestamp"])
                            for (_, offset), each in zip(places, sent)])

    def left(self):
        """The newest of each key in sealed segments, tombstones too, and all of the active one."""
        newest = {each[1]: each for each in sum(self.rounds[:-1], [])}
        return sorted(newest.values()) + self.rounds[-1]


def found(node, topic):
    return [(each["offset"], each["key"], each["value"], each["timestamp"])
            for each in records.read(node, topic)]


def wait_for(node, keys):
    deadline = time.monotonic() + WAIT_SECONDS
    while found(node, keys.topic) != keys.left():
        assert time.monotonic() < deadline, (
            f"left {found(node, keys.topic)}\nwanted {keys.left()}\n{node.log_tail()}")
        time.sleep(0.5)


def check_cleaned(node):
    """What kafka-dump-log finds wrong in a stopped node's files: gaps between offsets are right here."""
    logs = log_files.files_of(node, ".log", "keys")
    output = log_files.dump(node, logs, "--deep-iteration", "--skip-record-metadata").text
    assert "isvalid: false" not in output and "CRC" not in output, output
    for suffix in (".index", ".timeindex"):
        files = log_files.files_of(node, suffix, "keys")
        output = log_files.dump(node, files, "--index-sanity-check").text
        assert len(re.findall(r"passed sanity check|is empty", output)) >= len(files), output


def history(node, keys, *properties):
    keys.write(node, [(b"k%d" % (n % 40), b"first %d" % n) for n in range(200)], *properties)
    keys.write(node, [(b"k%d" % (n % 10), None if n % 3 == 0 else b"second %d" % n) for n in range(60)],
               *properties)
    keys.write(node, [(b"new", b""), (b"k39", b"third"), (b"", b"of the empty key")], *properties)
    keys.write(node, [(b"end", b"1"), (b"k1", b"in the active segment")], *properties)


@pytest.fixture
def nodes(tools, tmp_path):
    for kind in ("apache", OURS):
        if not kafka.KINDS[kind].available():
            pytest.skip(f"there is no {kind} node")
    ports = kafka.free_ports(2)
    made = {kind: kafka.KINDS[kind](tmp_path / "node", tools, ports, properties=PROPERTIES)
            for kind in {"apache", OURS}}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def node(nodes):
    """For the report of a failure: the logs of both."""
    return list(nodes.values())


@pytest.mark.parametrize("codec", CODECS)
def test_the_newest_record_of_each_key_is_left(nodes, node, codec):
    ours = nodes[OURS]
    ours.format()
    ours.start()
    create(ours, "keys")
    keys = Keys("keys")
    history(ours, keys, f"compression.type={codec}", "linger.ms=20")
    wait_for(ours, keys)
    ours.restart()
    wait_for(ours, keys)


def test_a_key_is_required(nodes, node):
    ours = nodes[OURS]
    ours.format()
    ours.start()
    create(ours, "keys")
    with pytest.raises(AssertionError):
        records.send(ours, [records.record("keys", b"value")])
    assert found(ours, "keys") == []


# effect: delete.retention.ms, log.cleaner.delete.retention.ms
@pytest.mark.parametrize("of", ["topic", "brokers"])
def test_tombstones_go_after_their_time(nodes, node, of):
    ours = nodes[OURS]
    ours.format()
    ours.start()
    if of == "brokers":
        ours.tool("kafka-configs", "--entity-type", "brokers", "--entity-default", "--alter",
                  "--add-config", "log.cleaner.delete.retention.ms=500")
    create(ours, "keys", *(["delete.retention.ms=500"] if of == "topic" else []))
    keys = Keys("keys")
    keys.write(ours, [(b"a", b"1"), (b"b", b"1")])
    keys.write(ours, [(b"a", None)])
    keys.write(ours, [(b"c", b"1")])
    deadline = time.monotonic() + WAIT_SECONDS
    number = 0
    while any(each[2] is None or each[1] == records.packed(b"a") for each in found(ours, "keys")):
        assert time.monotonic() < deadline, found(ours, "keys")
        time.sleep(1)
        number += 1
        keys.write(ours, [(b"c", b"%d" % number)])  # something dirty brings the next pass
    assert any(each[1] == records.packed(b"b") for each in found(ours, "keys"))


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("first", ["apache", OURS])
def test_what_one_has_cleaned_the_other_reads_and_cleans_on(nodes, node, first, end):
    second = OURS if first == "apache" else "apache"
    here = nodes[first]
    here.format()
    here.start()
    create(here, "keys")
    keys = Keys("keys")
    history(here, keys, "compression.type=lz4")
    for kind in (second, first, second):
        wait_for(here, keys)
        if end == "stop":
            here.stop()
            check_cleaned(here)
        else:
            here.kill()
        here = nodes[kind]
        here.start()
        assert found(here, "keys") == keys.left()
        keys.write(here, [(b"k%d" % n, b"by the other") for n in range(5, 15)], "compression.type=zstd")
        keys.write(here, [(b"end", b"again")])
    wait_for(here, keys)


def test_the_first_dirty_offset_is_kept_where_kafka_keeps_it(nodes, node):
    here = nodes[OURS]
    here.format()
    here.start()
    create(here, "keys")
    keys = Keys("keys")
    history(here, keys)
    wait_for(here, keys)
    here.stop()
    text = (here.log_dirs[0] / "cleaner-offset-checkpoint").read_text(encoding="utf-8")
    assert text == f"0\n1\nkeys 0 {keys.rounds[-1][0][0]}\n"
