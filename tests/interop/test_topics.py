# SPDX-License-Identifier: Apache-2.0
"""kafka-topics: what it makes, shows and refuses, in Kafka's words."""
import re

import pytest


def create(node, topic, *options, **more):
    return node.tool("kafka-topics", "--create", "--topic", topic, *options, **more)


def describe(node, topic):
    return node.tool("kafka-topics", "--describe", "--topic", topic).lines()


def listed(node):
    return node.tool("kafka-topics", "--list").lines()


def refused(result, text):
    assert result.exit == 1, result.text
    assert text in result.output, result.text


def test_a_topic_is_created_with_partitions_and_configs_and_described(node, topic):
    made = create(node, topic, "--partitions", 3, "--replication-factor", 1,
                  "--config", "segment.bytes=1048576", "--config", "cleanup.policy=compact,delete")
    assert made.output == f"Created topic {topic}.\n"
    first, *rows = describe(node, topic)
    words = dict(word.split(": ", 1) for word in first.split("\t"))
    assert words["Topic"] == topic and re.fullmatch(r"[\w-]{22}", words["TopicId"])
    assert words["PartitionCount"] == "3" and words["ReplicationFactor"] == "1"
    assert set(re.split(r",(?=[a-z.]+=)", words["Configs"])) >= {
        "segment.bytes=1048576", "cleanup.policy=compact,delete"}
    assert rows == [f"\tTopic: {topic}\tPartition: {index}\tLeader: 1\tReplicas: 1\tIsr: 1"
                    "\tElr: \tLastKnownElr: " for index in range(3)]


def test_partitions_and_replication_come_from_the_broker_when_not_given(node, topic):
    create(node, topic)
    first = describe(node, topic)[0]
    assert "PartitionCount: 1\tReplicationFactor: 1" in first


def test_replicas_may_be_assigned_by_hand(node, topic):
    create(node, topic, "--replica-assignment", "1,1")
    assert "PartitionCount: 2\tReplicationFactor: 1" in describe(node, topic)[0]


def test_topics_are_listed_and_deleted(node, topic):
    create(node, topic)
    assert topic in listed(node)
    node.tool("kafka-topics", "--delete", "--topic", topic)
    assert topic not in listed(node)


def test_a_topic_made_again_has_another_id(node, topic):
    create(node, topic)
    before = describe(node, topic)[0]
    node.tool("kafka-topics", "--delete", "--topic", topic)
    create(node, topic)
    assert describe(node, topic)[0].split("\t")[1] != before.split("\t")[1]


def test_a_topic_takes_more_partitions_but_never_fewer(node, topic):
    create(node, topic, "--partitions", 2)
    node.tool("kafka-topics", "--alter", "--topic", topic, "--partitions", 5)
    assert len(describe(node, topic)) == 1 + 5
    for count in (5, 2):
        result = node.tool("kafka-topics", "--alter", "--topic", topic, "--partitions", count, check=False)
        refused(result, "Topic already has 5 partition(s)." if count == 5 else
                f"The topic {topic} currently has 5 partition(s); 2 would not be an increase.")


def test_a_topic_that_exists_is_not_created_again_unless_that_is_allowed(node, topic):
    create(node, topic)
    refused(create(node, topic, check=False), f"Topic '{topic}' already exists.")
    create(node, topic, "--if-not-exists")


@pytest.mark.parametrize("name, text", [
    ("two words", "Topic name is invalid: 'two words' contains one or more characters other than ASCII "
                  "alphanumerics, '.', '_' and '-'"),
    ("..", "Topic name is invalid: '..' is not allowed"),
    ("x" * 250, "Topic name is invalid: the length of '" + "x" * 250 + "' is longer than the max "
                "allowed length 249"),
], ids=["characters", "dots", "length"])
def test_an_invalid_name_is_refused(node, name, text):
    refused(create(node, name, check=False), text)


def test_names_that_differ_in_dot_and_underscore_alone_collide(node, topic):
    create(node, f"{topic}.x")
    refused(create(node, f"{topic}_x", check=False),
            f"Topic '{topic}_x' collides with existing topic: {topic}.x")


def test_more_replicas_than_brokers_are_refused(node, topic):
    refused(create(node, topic, "--replication-factor", 2, check=False),
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be "
            "reached because only 1 broker(s) are registered")


def test_a_config_of_no_topic_is_refused(node, topic):
    refused(create(node, topic, "--config", "retention.ms=soon", check=False),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG")


def test_a_topic_that_is_not_there_is_neither_described_nor_deleted(node, topic):
    for action in ("--describe", "--delete"):
        refused(node.tool("kafka-topics", action, "--topic", topic, check=False),
                f"Topic '{topic}' does not exist as expected")
