# SPDX-License-Identifier: Apache-2.0
"""One directory, opened in turn by Apache Kafka and by our node: every record that either has
acknowledged is there for the other, equal in all its parts, after clean stops and after kills."""
import random

import pytest

import conftest
import kafka
import log_files
import records

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
OURS = conftest.KIND


class Story:
    """A directory, who opens it, and what must be in it."""

    def __init__(self, folder, tools):
        ports = kafka.free_ports(2)
        kinds = [kafka.ApacheNode, kafka.KINDS[OURS]]
        self.nodes = {kind.kind: kind(folder, tools, ports, directories=2, properties={
            "metadata.log.max.record.bytes.between.snapshots": 4000,
            # a killed broker's session ends soon: until then the next one cannot register
            "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}) for kind in kinds}
        self.node = None
        self.expected = {}  # topic: its records as they were read first
        self.deleted = {}  # topic: records that a kill may bring back
        self.random = random.Random(44)
        self.meta = None

    def open(self, kind):
        self.node = self.nodes[kind]
        if not any(path.exists() for path in self.node.log_dirs):
            self.node.format()
            self.meta = log_files.meta_properties(self.node)
        self.node.start()
        return self.node

    def hand_over(self, end, kind):
        """The node ends, by stop or kill, and the next one opens what it leaves. A kill may undo the
        deletion of records, since where logs start is written down from time to time only."""
        getattr(self.node, end)()
        assert log_files.meta_properties(self.node) == self.meta
        if end == "stop":
            log_files.check_directories(self.node)
        self.open(kind)
        self.check(revived=end == "kill")

    def close(self):
        for node in self.nodes.values():
            node.close()

    def create(self, topic, *options):
        self.node.create_topic(topic, "--config", "retention.ms=-1", *options)
        self.expected[topic] = []

    def write(self, topic, count, size=200, partitions=1, properties=()):
        sent = []
        for number in range(count):
            value = self.random.choice((None, b"", self.random.randbytes(size), b"abc" * (size // 3)))
            key = self.random.choice((None, b"", b"key %d" % number))
            headers = [(f"h{i}", self.random.choice((None, b"", b"x" * i)))
                       for i in range(self.random.randrange(3))]
            sent.append(records.record(topic, value, key, number % partitions,
                                       1_700_000_000_000 + number * 1000, headers))
        places = records.send(self.node, sent, "enable.idempotence=true", "acks=all", *properties)
        found = {(each["partition"], each["offset"]): each for each in records.read(self.node, topic)}
        for place, each in zip(places, sent):
            got = found[place]
            assert all(got[field] == each[field] for field in ("key", "value", "headers")), place
            assert got["timestamp"] == each["timestamp"] or topic == "append-time"
        old = {(each["partition"], each["offset"]): each for each in self.expected[topic]}
        assert {place: found[place] for place in old} == old
        assert sorted(found) == sorted([*old, *places])
        self.expected[topic] = list(found.values())

    def delete_records(self, topic, offset):
        file = self.node.folder / "offsets.json"
        file.write_text('{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": %d}]}'
                        % (topic, offset))
        assert f"low_watermark: {offset}" in self.node.tool(
            "kafka-delete-records", "--offset-json-file", file).output
        self.deleted[topic] = self.deleted.get(topic, []) + [
            each for each in self.expected[topic] if each["offset"] < offset]
        self.expected[topic] = [each for each in self.expected[topic] if each["offset"] >= offset]

    def delete(self, topic):
        self.node.tool("kafka-topics", "--delete", "--topic", topic)
        del self.expected[topic]
        self.deleted.pop(topic, None)

    def check(self, revived):
        assert set(self.node.tool("kafka-topics", "--list").output.split()) == set(self.expected)
        for topic, expected in self.expected.items():
            found = records.read(self.node, topic)
            if revived:
                first = found[0]["offset"] if found else 0
                self.expected[topic] = expected = [
                    each for each in self.deleted.get(topic, []) if each["offset"] >= first] + expected
            assert found == expected, topic
            self.deleted.pop(topic, None)
            config = self.node.tool("kafka-configs", "--entity-type", "topics", "--entity-name", topic,
                                    "--describe").output
            assert "retention.ms=-1 " in config
        assert f"Cluster ID: {kafka.CLUSTER_ID}" in self.node.tool("kafka-cluster", "cluster-id").output

    def write_everywhere(self):
        for codec in CODECS:
            self.write(codec, 120, partitions=2, properties=(f"compression.type={codec}", "linger.ms=20"))
        self.write("append-time", 20)
        self.write("segments", 500, size=6000, properties=("batch.size=60000",))


@pytest.fixture
def story(tools, tmp_path):
    for kind in ("apache", OURS):
        if not kafka.KINDS[kind].available():
            pytest.skip(f"there is no {kind} node")
    made = Story(tmp_path / "node", tools)
    yield made
    made.close()


@pytest.fixture
def node(story):
    """For the report of a failure: the logs of both."""
    return list(story.nodes.values())


def begin(story, kind):
    story.open(kind)
    for codec in CODECS:
        story.create(codec, "--partitions", 2)
    story.create("append-time", "--config", "message.timestamp.type=LogAppendTime")
    story.create("segments", "--config", "segment.bytes=1048576")
    story.write_everywhere()
    assert len(log_files.files_of(story.node, ".log", "segments")) > 1
    story.delete_records("segments", 150)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_apache_leaves_we_continue_and_apache_reads_on(story, node, end):
    begin(story, "apache")
    story.hand_over(end, OURS)
    story.write_everywhere()
    story.create("ours", "--partitions", 3)
    story.write("ours", 90, partitions=3)
    story.delete("gzip")
    story.hand_over(end, "apache")
    story.delete_records("segments", 700)
    story.write("segments", 30)
    story.write("ours", 30, partitions=3)
    story.hand_over(end, "apache")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_we_leave_apache_truncates_and_recreates_and_we_read_on(story, node, end):
    begin(story, OURS)
    story.hand_over(end, "apache")
    story.delete_records("segments", 400)
    story.delete("zstd")
    story.create("zstd", "--partitions", 2)
    story.write("zstd", 40, partitions=2, properties=("compression.type=zstd",))
    story.write("none", 40, partitions=2)
    story.hand_over(end, OURS)
    story.write("zstd", 40, partitions=2, properties=("compression.type=zstd",))
    story.delete_records("segments", 450)
    story.delete("lz4")
    story.hand_over(end, OURS)
    story.hand_over(end, "apache")


def test_settings_quotas_and_credentials_go_from_one_to_the_other(story, node):
    story.open("apache")
    settings = [("users", "alice", "consumer_byte_rate=2000000"),
                ("ips", "127.0.0.8", "connection_creation_rate=9"),
                ("users", "alice", "SCRAM-SHA-256=[iterations=4096,password=secret]"),
                ("brokers", "1", "log.retention.ms=777777777"),
                ("client-metrics", "m", "interval.ms=5000")]
    for kind, name, change in settings:
        story.node.tool("kafka-configs", "--entity-type", kind, "--entity-name", name, "--alter",
                        "--add-config", change)

    def told():
        return [sorted(story.node.tool("kafka-configs", "--entity-type", kind, "--entity-name", name,
                                       "--describe").lines()) for kind, name, _ in settings]

    before = told()
    for kind in (OURS, "apache"):
        story.hand_over("stop", kind)
        assert told() == before
