# SPDX-License-Identifier: Apache-2.0
"""kafka-get-offsets, kafka-delete-records and kafka-log-dirs."""
import json

import pytest

import records


def offsets(node, topic, *options):
    return node.tool("kafka-get-offsets", "--topic", topic, *options).lines()


def delete_records(node, folder, *places):
    file = folder / "offsets.json"
    file.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": partition, "offset": offset} for topic, partition, offset in places]}))
    return node.tool("kafka-delete-records", "--offset-json-file", file)


@pytest.fixture
def filled(node, topic):
    """Two partitions; the first with ten records, at the times 1000, 2000, …, the last but one of
    which has the greatest: 99000."""
    node.create_topic(topic, "--partitions", 2, "--config", "retention.ms=-1")
    times = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 99000, 9000]
    records.send(node, [records.record(topic, b"value", timestamp=time) for time in times])
    return topic


@pytest.mark.parametrize("time, expected", [
    ("-1", ["0:10", "1:0"]), ("latest", ["0:10", "1:0"]),
    ("-2", ["0:0", "1:0"]), ("earliest", ["0:0", "1:0"]),
    ("-3", ["0:8"]), ("max-timestamp", ["0:8"]),
    ("-4", ["0:0", "1:0"]), ("earliest-local", ["0:0", "1:0"]),
    ("-5", []), ("latest-tiered", []),
    ("-6", []), ("earliest-pending-upload", []),
    ("0", ["0:0"]), ("3000", ["0:2"]), ("3001", ["0:3"]), ("8001", ["0:8"]), ("99001", []),
])
def test_offsets_are_found_by_each_time(node, filled, time, expected):
    assert offsets(node, filled, "--time", time) == [f"{filled}:{each}" for each in expected]


def test_offsets_of_chosen_partitions_are_told(node, filled):
    assert offsets(node, filled, "--partitions", "1") == [f"{filled}:1:0"]
    assert node.tool("kafka-get-offsets", "--topic-partitions", f"{filled}:0-1").lines() == [
        f"{filled}:0:10"]


def test_records_below_an_offset_are_deleted(node, filled, tmp_path):
    result = delete_records(node, tmp_path, (filled, 0, 4), (filled, 1, -1))
    assert set(result.lines()[2:]) == {f"partition: {filled}-0\tlow_watermark: 4",
                                       f"partition: {filled}-1\tlow_watermark: 0"}
    assert offsets(node, filled, "--time", "-2") == [f"{filled}:0:4", f"{filled}:1:0"]
    assert offsets(node, filled, "--time", "0") == [f"{filled}:0:4"]
    assert delete_records(node, tmp_path, (filled, 0, -1)).lines()[2:] == [
        f"partition: {filled}-0\tlow_watermark: 10"]
    assert offsets(node, filled, "--time", "-2") == [f"{filled}:0:10", f"{filled}:1:0"]


def test_records_beyond_the_end_are_not_deleted(node, filled, tmp_path):
    result = delete_records(node, tmp_path, (filled, 0, 11))
    assert "OffsetOutOfRangeException" in result.output
    assert offsets(node, filled, "--time", "-2") == [f"{filled}:0:0", f"{filled}:1:0"]


def test_a_compacted_topic_gives_up_no_records_on_request(node, topic, tmp_path):
    node.create_topic(topic, "--config", "cleanup.policy=compact")
    assert "PolicyViolationException" in delete_records(node, tmp_path, (topic, 0, 0)).output


def test_log_directories_are_described_with_their_partitions(node, filled):
    line = node.tool("kafka-log-dirs", "--describe", "--topic-list", filled).lines()[-1]
    (broker,) = json.loads(line)["brokers"]
    assert broker["broker"] == 1
    assert sorted(each["logDir"] for each in broker["logDirs"]) == sorted(map(str, node.log_dirs))
    assert all(each["error"] is None for each in broker["logDirs"])
    found = {each["partition"]: each for log_dir in broker["logDirs"] for each in log_dir["partitions"]}
    assert sorted(found) == [f"{filled}-0", f"{filled}-1"]
    assert found[f"{filled}-0"]["size"] > 0 == found[f"{filled}-1"]["size"]
    assert all(each["offsetLag"] == 0 and not each["isFuture"] for each in found.values())
