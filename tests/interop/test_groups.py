# SPDX-License-Identifier: Apache-2.0
"""Consumer groups: Kafka's Java consumers under each assignor and protocol, its tools, librdkafka and kafkajs;
members that are killed at random; groups that go from Apache Kafka to our node and back."""
import os
import pathlib
import queue
import random
import re
import subprocess
import sys
import threading
import time

import pytest

import conftest
import java_tools
import javascript_tools
import kafka
import records

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = re.findall(r"^    static void (\w+)\(Check check\)",
                    (java_tools.JAVA / "clients/GroupChecks.java").read_text("utf-8"), re.M)
CHURN_SECONDS = int(os.environ.get("BARNABAS_CHURN_SECONDS", "60"))
RANGE = "org.apache.kafka.clients.consumer.RangeAssignor"


@pytest.mark.parametrize("method", CHECKS)
def test_the_java_consumer_finds(node, topic, method):
    node.tools.run("Check", "GroupChecks", method, node.address, topic[-100:], seconds=120)


# ---- the tools ----

def send(node, topic, count, partitions=1, start=0):
    records.send(node, [records.record(topic, b"v%d" % number, b"k", number % partitions)
                        for number in range(start, start + count)])


def groups(node, *options, **more):
    return node.tool("kafka-consumer-groups", *options, **more)


def consume(node, topic, count, *options):
    return node.tool("kafka-console-consumer", "--topic", topic, "--group", topic, "--max-messages", count,
                     "--timeout-ms", 30000, "--command-property",
                     "auto.offset.reset=earliest", *options, seconds=90).lines()


PROTOCOLS = ["classic", "consumer"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_console_consumer_goes_on_where_its_group_was(node, topic, protocol):
    node.create_topic(topic, "--partitions", 1)
    send(node, topic, 30)
    option = ("--command-property", f"group.protocol={protocol}")
    assert consume(node, topic, 10, *option) == [f"v{number}" for number in range(10)]
    assert consume(node, topic, 20, *option) == [f"v{number}" for number in range(10, 30)]


def rows(result):
    """[{column: word}] of a table that kafka-consumer-groups prints."""
    lines = [line.split() for line in result.lines() if line.strip()]
    head = next(index for index, line in enumerate(lines) if line[0] == "GROUP")
    return [dict(zip(lines[head], line)) for line in lines[head + 1:]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_tools_show_reset_and_delete_groups(node, topic, protocol):
    node.create_topic(topic, "--partitions", 2)
    send(node, topic, 20, 2)
    consume(node, topic, 20, "--command-property", f"group.protocol={protocol}")
    (first, second) = sorted(rows(groups(node, "--describe", "--group", topic)),
                             key=lambda row: row["PARTITION"])
    assert (first["CURRENT-OFFSET"], first["LOG-END-OFFSET"], first["LAG"]) == ("10", "10", "0")
    assert (second["TOPIC"], second["PARTITION"], second["LAG"]) == (topic, "1", "0")
    (state,) = rows(groups(node, "--describe", "--group", topic, "--state"))
    assert state["STATE"] == "Empty" or state.get("#MEMBERS") == "0"
    assert topic in groups(node, "--list").lines()
    assert any(line.split()[:2] == [topic, protocol.capitalize()] for line in
               node.tool("kafka-groups", "--list").lines())
    reset = groups(node, "--group", topic, "--topic", f"{topic}:0", "--reset-offsets", "--to-offset", 4,
                   "--execute")
    assert rows(reset)[0]["NEW-OFFSET"] == "4"
    send(node, topic, 5, 1, start=100)
    lags = {row["PARTITION"]: row["LAG"] for row in rows(groups(node, "--describe", "--group", topic))}
    assert lags == {"0": "11", "1": "0"}
    groups(node, "--group", topic, "--topic", f"{topic}:1", "--delete-offsets")
    assert len(rows(groups(node, "--describe", "--group", topic))) == 1
    assert "was successful" in groups(node, "--delete", "--group", topic).text
    assert topic not in groups(node, "--list").lines()


def test_the_performance_consumer_reads_all_in_a_group(node, topic):
    node.create_topic(topic, "--partitions", 3)
    node.tool("kafka-producer-perf-test", "--topic", topic, "--num-records", 20000, "--record-size", 50,
              "--throughput", -1)
    result = node.tool("kafka-consumer-perf-test", "--topic", topic, "--num-records", 20000, "--group", topic,
                       "--timeout", 30000, seconds=90)
    assert re.search(r", 20\d{3}, ", result.output), result.text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dump_log_decodes_the_offsets_topic(node, topic, protocol):
    node.create_topic(topic, "--partitions", 1)
    send(node, topic, 3)
    consume(node, topic, 3, "--command-property", f"group.protocol={protocol}")
    folder = node.partition_folder("__consumer_offsets")
    dump = node.tools.run("kafka-dump-log", "--offsets-decoder", "--files",
                          folder / "00000000000000000000.log").output
    assert f'"group":"{topic}","topic":"{topic}","partition":0' in dump
    wanted = "GROUP_METADATA" if protocol == "classic" else "CONSUMER_GROUP_METADATA"
    assert re.search(rf'"type":"{2 if protocol == "classic" else 3}"|{wanted}', dump, re.I), dump[-3000:]


# ---- other clients ----

def test_kafkajs_shares_a_group(node, topic):
    if not javascript_tools.available():
        pytest.skip("needs node and npm")
    node.create_topic(topic, "--partitions", 3)
    send(node, topic, 60, 3)
    result = javascript_tools.run("kafkajs_group.js", node.address, topic, "60", seconds=90)
    assert result.returncode == 0, result.stdout + result.stderr
    offsets = {row["PARTITION"]: row["CURRENT-OFFSET"] for row in
               rows(groups(node, "--describe", "--group", topic))}
    assert offsets == {"0": "20", "1": "20", "2": "20"}


# ---- members that die ----

class Member:
    def __init__(self, kind, command, events, environment=None):
        self.kind = kind
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env={**os.environ, **(environment or {})})
        threading.Thread(target=self.follow, args=(events,), daemon=True).start()

    def follow(self, events):
        for line in self.process.stdout:
            what, partition, offset = line.split()
            events.put((time.monotonic(), self, what, int(partition), int(offset)))

    def kill(self):
        self.process.kill()
        self.process.wait()


def java_member(node, topic, *settings):
    return ["java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp",
            java_tools.compiled("clients/GroupMember.java", java_tools.NODE), "GroupMember", node.address, topic,
            topic, *settings]


def python_member(node, topic, *settings):
    pytest.importorskip("confluent_kafka")
    return [sys.executable, HERE / "group_member.py", node.address, topic, topic, *settings]


CLASSIC = ("session.timeout.ms=6000", "heartbeat.interval.ms=500")
MIXES = {
    "classic": [(java_member, (*CLASSIC, f"partition.assignment.strategy={RANGE}")),
                (python_member, (*CLASSIC, "partition.assignment.strategy=range"))],
    "consumer": [(java_member, ("group.protocol=consumer",))],
    "mixed": [(java_member, ("group.protocol=consumer",)),
              (java_member, (*CLASSIC, f"partition.assignment.strategy={RANGE}"))],
}


@pytest.mark.parametrize("mix", sorted(MIXES))
def test_members_are_killed_at_random_and_every_record_is_processed(node, topic, mix):
    partitions, chance = 4, random.Random(topic)
    node.create_topic(topic, "--partitions", partitions)
    node.tool("kafka-configs", "--entity-type", "groups", "--entity-name", topic, "--alter", "--add-config",
              "consumer.session.timeout.ms=45000")
    events, members, sent = queue.Queue(), [], 0
    end = time.monotonic() + CHURN_SECONDS
    try:
        while time.monotonic() < end:
            if len(members) < 3:
                make, settings = chance.choice(MIXES[mix])
                members.append(Member(make.__name__, make(node, topic, *settings), events))
            elif chance.random() < 0.25:
                members.pop(chance.randrange(len(members))).kill()
            send(node, topic, 40, partitions, start=sent)
            sent += 40
            time.sleep(chance.uniform(0.2, 2))
        settle_until = time.monotonic() + 120  # sessions of the killed may have to end first
        history, done = [], set()
        while len(done) < sent and time.monotonic() < settle_until:
            try:
                history.append(events.get(timeout=1))
            except queue.Empty:
                continue
            if history[-1][2] == "record":
                done.add(history[-1][3:])
    finally:
        for member in members:
            member.kill()
    missing = {(number % partitions, number // partitions) for number in range(sent)} - done
    assert not missing, f"{len(missing)} of {sent} records were never processed: {sorted(missing)[:5]}"
    check_owners(sorted(history, key=lambda event: event[0]))


SLACK_SECONDS = 1.5  # between what a member does and the time its word is read here


def check_owners(history):
    """Nobody processes a record of a partition that somebody else was given in the meantime."""
    owner, since = {}, {}
    for at, member, what, partition, offset in history:
        if what == "assigned":
            owner[partition], since[partition] = member, at
        elif what == "revoked" and owner.get(partition) is member:
            del owner[partition]
        elif what == "record" and owner.get(partition) not in (member, None):
            assert at < since[partition] + SLACK_SECONDS, (
                f"{member.kind} processed {partition}@{offset} {at - since[partition]:.1f} s after "
                f"{owner[partition].kind} got the partition")


# ---- one directory, two kinds of node ----

def described(node, group):
    return sorted((row["TOPIC"], row["PARTITION"], row["CURRENT-OFFSET"])
                  for row in rows(groups(node, "--describe", "--group", group)))


@pytest.mark.parametrize("order", [("apache", conftest.KIND, "apache"), (conftest.KIND, "apache", conftest.KIND)],
                         ids=["apache-first", "ours-first"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_groups_go_from_one_kind_of_node_to_the_other(tools, tmp_path, order, end):
    ports = kafka.free_ports(2)
    nodes = {kind: kafka.KINDS[kind](tmp_path / "node", tools, ports, properties={
        "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0}) for kind in set(order)}
    if not all(kafka.KINDS[kind].available() for kind in order):
        pytest.skip("needs both kinds of node")
    node = None
    expected = {protocol: 0 for protocol in PROTOCOLS}
    try:
        for step, kind in enumerate(order):
            if node:
                getattr(node, end)()
            node = nodes[kind]
            if step == 0:
                node.format()
            node.start()
            for protocol in PROTOCOLS:
                if step == 0:
                    node.create_topic(protocol, "--partitions", 1)
                else:
                    kafka.wait_for(lambda: groups(node, "--list", check=False).exit == 0)
                    assert described(node, protocol) == [(protocol, "0", str(expected[protocol]))]
                send(node, protocol, 10, start=expected[protocol])
                got = consume(node, protocol, 10, "--command-property", f"group.protocol={protocol}")
                assert got == [f"v{number}" for number in range(expected[protocol], expected[protocol] + 10)]
                expected[protocol] += 10
    finally:
        for each in nodes.values():
            each.close()
