# SPDX-License-Identifier: Apache-2.0
"""Clients old and new on a cluster whose transaction.version goes from 0 to 2 and back to 1: the Java clients of
the release and of 3.9, librdkafka, kafkajs. One node, whose tests run in order."""
import re
import subprocess

import pytest

import conftest
import java_tools
import javascript_tools
import kafka
import test_kafkajs

# The level that each step leaves, and what is told to the tool for it.
STEPS = [(0, None), (1, "upgrade"), (2, "upgrade"), (1, "downgrade")]
COUNT = 40


@pytest.fixture(scope="module")
def cluster(tools, tmp_path_factory):
    if not kafka.KINDS[conftest.KIND].available():
        pytest.skip(f"there is no {conftest.KIND} node")
    made = kafka.KINDS[conftest.KIND](tmp_path_factory.mktemp("versions"), tools,
                                      properties={"group.initial.rebalance.delay.ms": 0})
    made.format("--standalone", "--feature", "transaction.version=0")
    yield made.start()
    made.close()


@pytest.fixture(scope="module", params=STEPS, ids=[f"{word or 'formatted'}-{level}" for level, word in STEPS])
def level(cluster, request):
    to, word = request.param
    if word:
        cluster.tool("kafka-features", word, "--feature", f"transaction.version={to}")
    kafka.wait_for(lambda: finalized(cluster) == to)
    return to


@pytest.fixture
def node(cluster, level):
    yield cluster
    assert cluster.is_alive(), "the node ended during this test"


def finalized(cluster):
    told = cluster.tool("kafka-features", "describe").output
    found = re.search(r"transaction\.version\s.*FinalizedVersionLevel: (\d+)", told)
    return int(found[1]) if found else None


def test_the_java_client_moves_records(node, topic):
    node.create_topic(topic, "--partitions", 2)
    node.tools.run("TransactionLoop", node.address, topic, COUNT, seconds=120)


def test_the_java_client_before_the_second_protocol_moves_records(node, topic):
    node.create_topic(topic, "--partitions", 2)
    path = java_tools.compiled("clients/TransactionLoop.java", ("before/pom.xml",))
    run = subprocess.run(["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path,
                          "TransactionLoop", node.address, topic, str(COUNT)],
                         capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def test_librdkafka_moves_records(node, topic):
    confluent_kafka = pytest.importorskip("confluent_kafka")
    import test_transactions as others
    node.create_topic(topic, "--partitions", 2)
    group = confluent_kafka.Consumer({"bootstrap.servers": node.address, "group.id": topic})
    place = confluent_kafka.TopicPartition(topic, 0)
    expected = []
    for round_ in range(3):
        own = others.producer(node, topic)
        for number in range(4):
            own.begin_transaction()
            values = [b"%d.%d.%d" % (round_, number, partition) for partition in range(2)]
            for partition, value in enumerate(values):
                own.produce(topic, value, partition=partition)
            own.send_offsets_to_transaction([confluent_kafka.TopicPartition(topic, 0, round_ * 10 + number)],
                                            group.consumer_group_metadata(), others.WAIT)
            if number < 2:
                own.commit_transaction(others.WAIT)
                expected += values
            elif number == 2:
                own.abort_transaction(others.WAIT)
            else:
                own.flush(others.WAIT)  # gone without an end
    others.producer(node, topic)  # ends the last one
    assert group.committed([place], others.WAIT)[0].offset == 21
    group.close()
    assert others.read(node, topic, 2, "read_committed", len(expected)) == sorted(expected)


@pytest.mark.skipif(not javascript_tools.available(), reason="needs node and npm")
@pytest.mark.parametrize("check", [each for each in test_kafkajs.CHECKS if each.startswith("transactional")])
def test_kafkajs_finds(node, topic, check):
    result = javascript_tools.run(test_kafkajs.SOURCE, check, node.address, topic)
    assert result.returncode == 0, result.stdout + result.stderr
