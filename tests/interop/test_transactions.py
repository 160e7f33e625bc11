# SPDX-License-Identifier: Apache-2.0
"""Transactions of Kafka's Java clients and of librdkafka, and Kafka's tools for them."""
import re
import time

import pytest

import java_tools

WAIT = 30
CHECKS = re.findall(r"^    static void (\w+)\(Check check\)",
                    (java_tools.JAVA / "clients/TransactionChecks.java").read_text("utf-8"), re.M)


@pytest.mark.parametrize("method", CHECKS)
def test_the_java_client_finds(node, topic, method):
    node.tools.run("Check", "TransactionChecks", method, node.address, topic[-100:], seconds=120)


# ---- librdkafka ----

confluent_kafka = pytest.importorskip("confluent_kafka")


def producer(node, name):
    made = confluent_kafka.Producer({"bootstrap.servers": node.address, "transactional.id": name})
    made.init_transactions(WAIT)
    return made


def read(node, topic, partitions, level, count):
    """`count` values, and what else comes before the end of every partition."""
    reader = confluent_kafka.Consumer({"bootstrap.servers": node.address, "group.id": topic,
                                       "isolation.level": level, "enable.auto.commit": False,
                                       "enable.partition.eof": True})
    places = [confluent_kafka.TopicPartition(topic, each, 0) for each in range(partitions)]
    reader.assign(places)
    found, ended = [], set()
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline and (len(found) < count or len(ended) < partitions):
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            ended.add(message.partition())
        else:
            ended.discard(message.partition())
            found.append(message.value())
    reader.close()
    return sorted(found)


@pytest.fixture
def made(node, topic):
    node.create_topic(topic, "--partitions", 2)
    return topic


def test_librdkafka_commits_and_aborts(node, made):
    own = producer(node, made)
    expected = []
    for number in range(10):
        own.begin_transaction()
        values = [b"%d.%d" % (number, partition) for partition in range(2)]
        for partition, value in enumerate(values):
            own.produce(made, value, partition=partition)
        own.flush(WAIT)
        if number % 2 == 0:
            own.commit_transaction(WAIT)
            expected += values
        else:
            own.abort_transaction(WAIT)
    assert read(node, made, 2, "read_committed", len(expected)) == sorted(expected)
    assert len(read(node, made, 2, "read_uncommitted", 20)) == 20


def test_librdkafka_sends_offsets(node, made):
    own = producer(node, made)
    group = confluent_kafka.Consumer({"bootstrap.servers": node.address, "group.id": made})
    place = confluent_kafka.TopicPartition(made, 1)
    for number in range(1, 5):
        own.begin_transaction()
        own.send_offsets_to_transaction([confluent_kafka.TopicPartition(made, 1, number)],
                                        group.consumer_group_metadata(), WAIT)
        if number < 4:
            own.commit_transaction(WAIT)
        else:
            own.abort_transaction(WAIT)
    (told,) = group.committed([place], WAIT)
    assert told.offset == 3
    group.close()


def test_librdkafka_is_fenced(node, made):
    old = producer(node, made)
    fresh = producer(node, made)
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        old.begin_transaction()
        old.produce(made, b"late", partition=0)
        old.commit_transaction(WAIT)
    assert caught.value.args[0].fatal()
    fresh.begin_transaction()
    fresh.produce(made, b"new", partition=0)
    fresh.commit_transaction(WAIT)
    assert read(node, made, 2, "read_committed", 1) == [b"new"]


# ---- the tools ----

def transactions(node, *options, **more):
    return node.tool("kafka-transactions", *options, **more)


def test_the_tool_lists_describes_and_aborts(node, made):
    own = producer(node, made)
    own.begin_transaction()
    own.produce(made, b"v", partition=1)
    own.flush(WAIT)
    listed = [line.split() for line in transactions(node, "list").lines() if made in line]
    assert len(listed) == 1 and listed[0][0] == made and listed[0][3] == "Ongoing"
    told = transactions(node, "describe", "--transactional-id", made).output
    assert f"{made}-1" in told and "Ongoing" in told
    producers = transactions(node, "describe-producers", "--topic", made, "--partition", 1).lines()
    assert listed[0][2] in [line.split()[0] for line in producers[1:]]
    hanging = transactions(node, "find-hanging", "--topic", made, "--max-transaction-timeout", 0)
    assert made not in hanging.output  # the coordinator knows it
    transactions(node, "abort", "--topic", made, "--partition", 1, "--start-offset", 0)
    assert "None" in transactions(node, "describe-producers", "--topic", made,
                                  "--partition", 1).lines()[1].split()[-1]
    assert read(node, made, 2, "read_committed", 0) == []


def test_dump_log_decodes_the_coordinators_log(node, made):
    own = producer(node, made)
    for commit in (True, False):
        own.begin_transaction()
        own.produce(made, b"v", partition=1)
        own.flush(WAIT)
        own.commit_transaction(WAIT) if commit else own.abort_transaction(WAIT)
    assert read(node, made, 2, "read_committed", 1) == [b"v"]
    folder = node.partition_folder("__transaction_state")
    dump = node.tools.run("kafka-dump-log", "--transaction-log-decoder", "--files",
                          folder / "00000000000000000000.log").output
    states = re.findall(rf'"transactionalId":"{made}".*"transactionStatus":"?(\w+)', dump)
    # The tool of 4.4 prints names, those before it numbers.
    names = dict(zip("012345", ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit",
                                "CompleteAbort")))
    states = [names.get(each, each) for each in states]
    assert states[:6] == ["Empty", "Ongoing", "PrepareCommit", "CompleteCommit", "Ongoing", "PrepareAbort"]
    assert f'"transactionPartitions":[{{"topic":"{made}","partitionIds":[1]}}]' in dump
