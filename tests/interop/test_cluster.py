# SPDX-License-Identifier: Apache-2.0
"""The tools that look at the cluster and steer it: quorum, features, APIs, ids, leaders, moves."""
import json
import re

import kafka


def table(lines):
    head, *rows = [re.split(r"\s*\t\s*|\s{2,}", line.strip()) for line in lines]
    return [dict(zip(head, row)) for row in rows]


def test_the_quorum_tells_its_leader_and_voters(node):
    lines = node.tool("kafka-metadata-quorum", "describe", "--status").lines()
    told = dict(re.split(r":\s+", line, maxsplit=1) for line in lines)
    assert told["ClusterId"] == kafka.CLUSTER_ID
    assert told["LeaderId"] == "1" and int(told["LeaderEpoch"]) >= 1 and int(told["HighWatermark"]) > 10
    assert told["MaxFollowerLag"] == "0" and told["CurrentObservers"] == "[]"
    (voter,) = json.loads(told["CurrentVoters"])
    assert voter["id"] == 1 and re.fullmatch(r"[\w-]{22}", voter["directoryId"])
    assert voter["endpoints"] == [f"CONTROLLER://127.0.0.1:{node.controller_port}"]


def test_the_quorum_tells_how_far_its_replicas_are(node):
    (row,) = table(node.tool("kafka-metadata-quorum", "describe", "--replication").lines())
    assert row["NodeId"] == "1" and row["Lag"] == "0" and row["Status"] == "Leader"
    assert int(row["LogEndOffset"]) > 10


def test_the_features_of_a_fresh_cluster_are_those_of_the_release(node):
    found = {}
    for line in node.tool("kafka-features", "describe").lines():
        words = dict(re.findall(r"(\w+): (\S+)", line))
        found[words["Feature"]] = (words["SupportedMinVersion"], words["SupportedMaxVersion"],
                                   words["FinalizedVersionLevel"])
    assert found["metadata.version"] == ("3.3-IV3", "4.4-IV2", "4.4-IV2")
    assert found["kraft.version"] == ("0", "1", "1")
    for name, last in (("eligible.leader.replicas.version", "1"), ("group.version", "1"),
                       ("share.version", "2"), ("streams.version", "1"), ("transaction.version", "2")):
        assert found[name] == ("0", last, last), name


def test_a_feature_beyond_what_is_supported_is_refused(node):
    result = node.tool("kafka-features", "upgrade", "--feature", "transaction.version=99", check=False)
    assert result.exit == 1 and "Could not upgrade transaction.version to 99." in result.text


def test_the_apis_of_a_node_are_those_that_its_clients_need(node):
    text = node.tool("kafka-broker-api-versions").output
    assert text.startswith(f"{node.address} (id: 1 rack: null isFenced: false) -> (")
    apis = {name: int(last) for name, last in re.findall(r"(\w+)\(\d+\): (?:\d+ to )?(\d+)", text)}
    assert apis.items() >= {"Produce": 13, "Fetch": 18, "ListOffsets": 11, "Metadata": 13,
                            "CreateTopics": 7, "DescribeConfigs": 4, "DescribeTopicPartitions": 0,
                            "InitProducerId": 5}.items()


def test_the_cluster_tells_its_id_and_endpoints(node):
    assert node.tool("kafka-cluster", "cluster-id").output == f"Cluster ID: {kafka.CLUSTER_ID}\n"
    assert [line.split() for line in node.tool("kafka-cluster", "list-endpoints").lines()] == [
        ["ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE"],
        ["1", "127.0.0.1", str(node.port), "null", "unfenced", "broker"]]


def test_a_broker_that_never_was_is_not_unregistered(node):
    result = node.tool("kafka-cluster", "unregister", "--id", 77, check=False)
    assert result.exit == 1 and "Broker ID 77 is not currently registered" in result.errors


def test_a_leader_that_is_the_preferred_one_stays(node, topic):
    node.create_topic(topic)
    for kind in ("preferred", "unclean"):
        result = node.tool("kafka-leader-election", "--election-type", kind, "--topic", topic,
                           "--partition", 0)
        assert result.output == f"Valid replica already elected for partitions {topic}-0\n"
    node.tool("kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions")


def test_no_leader_is_elected_for_a_topic_that_is_not_there(node, topic):
    result = node.tool("kafka-leader-election", "--election-type", "preferred", "--topic", topic,
                       "--partition", 0, check=False)
    assert result.exit == 1
    assert f"UnknownTopicOrPartitionException: No such topic as {topic}" in result.output


def test_a_move_to_where_a_partition_is_completes_at_once(node, topic, tmp_path):
    node.create_topic(topic)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "replicas": [1]}]}))
    arguments = ("kafka-reassign-partitions", "--reassignment-json-file", plan)
    assert f"Successfully started partition reassignment for {topic}-0" in node.tool(
        *arguments, "--execute").output
    assert f"Reassignment of partition {topic}-0 is completed." in node.tool(*arguments, "--verify").output
    assert "No partition reassignments found." in node.tool("kafka-reassign-partitions", "--list").output


def test_a_move_to_a_broker_that_is_not_there_is_refused(node, topic, tmp_path):
    node.create_topic(topic)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "replicas": [2]}]}))
    result = node.tool("kafka-reassign-partitions", "--reassignment-json-file", plan, "--execute",
                       check=False)
    assert result.exit == 1 and "Unknown broker id 2" in result.text


def test_a_partition_moves_to_the_other_log_directory_with_its_records(node, topic, tmp_path):
    node.create_topic(topic)
    node.tool("kafka-console-producer", "--topic", topic, stdin="one\ntwo\nthree\n")
    before = node.partition_folder(topic)
    (target,) = [folder for folder in node.log_dirs if folder != before.parent]
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": 0, "replicas": [1], "log_dirs": [str(target)]}]}))
    arguments = ("kafka-reassign-partitions", "--reassignment-json-file", plan)
    node.tool(*arguments, "--execute")
    kafka.wait_for(lambda: f"of replica {topic}-0-1 completed successfully"
                   in node.tool(*arguments, "--verify").output)
    assert (target / f"{topic}-0").is_dir()
    assert node.tool("kafka-console-consumer", "--topic", topic, "--partition", 0, "--offset", "earliest",
                     "--max-messages", 3, "--timeout-ms", 20000).output == "one\ntwo\nthree\n"
