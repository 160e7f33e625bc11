# SPDX-License-Identifier: Apache-2.0
"""kafka-dump-log and kafka-metadata-shell on what a node has written: one node, filled and stopped."""
import json
import re

import pytest

import conftest
import kafka
import log_files
import records
import tools


@pytest.fixture(scope="module")
def stopped(request, tmp_path_factory):
    kind = kafka.KINDS[conftest.KIND]
    if not kind.available():
        pytest.skip(f"there is no {conftest.KIND} node")
    node = kind(tmp_path_factory.mktemp("files"), request.getfixturevalue("tools"), directories=2,
                properties={"metadata.log.max.record.bytes.between.snapshots": 1500})
    node.format()
    node.start()
    try:
        node.create_topic("plain", "--config", "segment.bytes=1048576", "--config", "retention.ms=-1")
        sent = [records.record("plain", bytes([number % 256]) * 4000, key=b"k%d" % number,
                               timestamp=1000 * number) for number in range(600)]
        records.send(node, sent, "batch.size=20000")
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            node.create_topic(codec)
            records.send(node, [records.record(codec, b"value %d" % number) for number in range(50)],
                         f"compression.type={codec}", "linger.ms=50")
        node.tool("kafka-configs", "--entity-type", "users", "--entity-name", "alice", "--alter",
                  "--add-config", "consumer_byte_rate=2000000")
        kafka.wait_for(lambda: len(list(node.log_dirs[0].glob("__cluster_metadata-0/*.checkpoint"))) > 1)
        node.stop()
        yield node
    finally:
        node.close()


def test_all_files_are_whole(stopped):
    log_files.check_directories(stopped)


def test_a_log_rolls_into_segments_whose_names_are_their_first_offsets(stopped):
    logs = sorted(stopped.partition_folder("plain").glob("*.log"))
    assert len(logs) >= 3
    for path in logs:
        assert path.stat().st_size <= 1048576
        first = re.search(r"baseOffset: (\d+)", log_files.dump(stopped, [path]).output)
        assert int(first[1]) == int(path.stem)


def test_the_indexes_point_into_the_log(stopped):
    folder = stopped.partition_folder("plain")
    index = log_files.dump(stopped, [folder / f"{0:020}.index"]).output
    places = [tuple(map(int, pair)) for pair in re.findall(r"offset: (\d+) position: (\d+)", index)]
    batches = dict((int(position), int(last)) for last, position in re.findall(
        r"lastOffset: (\d+) .*? position: (\d+) ",
        log_files.dump(stopped, [folder / f"{0:020}.log"]).output))
    assert len(places) > 10 and all(batches[position] == offset for offset, position in places)
    times = log_files.dump(stopped, [folder / f"{0:020}.timeindex"]).output
    entries = [tuple(map(int, pair)) for pair in re.findall(r"timestamp: (\d+) offset: (\d+)", times)]
    assert len(entries) > 10 and all(time == 1000 * offset for time, offset in entries)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_batches_keep_the_compression_of_the_producer(stopped, codec):
    text = log_files.dump(stopped, stopped.partition_folder(codec).glob("*.log"), "--deep-iteration",
                          "--print-data-log").output
    assert set(re.findall(r"compresscodec: (\w+)", text)) == {codec}
    assert re.findall(r"payload: (.*)", text) == [f"value {number}" for number in range(50)]


def test_the_snapshot_of_producers_tells_the_last_sequence(stopped):
    folder = stopped.partition_folder("plain")
    newest = max(folder.glob("*.snapshot"))
    assert int(newest.stem) == 600
    told = log_files.dump(stopped, [newest]).output
    assert re.search(r"producerId: \d+ producerEpoch: 0 .*lastSequence: 599 lastOffset: 599 ", told)


def test_the_metadata_log_decodes_to_records(stopped):
    text = log_files.dump(stopped, stopped.log_dirs[0].glob("__cluster_metadata-0/*.log"),
                          "--cluster-metadata-decoder").output
    payloads = [json.loads(line) for line in re.findall(r"payload: (.*)", text)]
    kinds = {each["type"] for each in payloads}
    assert kinds >= {"FEATURE_LEVEL_RECORD", "REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD",
                     "CONFIG_RECORD", "CLIENT_QUOTA_RECORD", "PRODUCER_IDS_RECORD"}
    assert [each["data"]["name"] for each in payloads if each["type"] == "TOPIC_RECORD"] == [
        "plain", "gzip", "snappy", "lz4", "zstd"]
    assert "LeaderChange" in text and "KRaftVoters" in text


def test_a_metadata_snapshot_decodes_to_records(stopped):
    newest = max(stopped.log_dirs[0].glob("__cluster_metadata-0/*.checkpoint"))
    text = log_files.checked(stopped, [newest], "--cluster-metadata-decoder")
    assert "SnapshotHeader" in text and "SnapshotFooter" in text
    assert '"type":"REGISTER_BROKER_RECORD"' in text


def shell(node, file, *command, words):
    """The shell looks before all of a file is loaded, or waits for an offset that it has missed: it
    is asked again until it shows what must be there."""
    text = ""
    for _ in range(10):
        try:
            text = node.tools.run("kafka-metadata-shell", "--snapshot", file, *command, seconds=5).output
        except tools.Hung:
            continue
        if all(word in text for word in words):
            return
    raise AssertionError(f"the metadata shell shows no {words} in {file}\n{text}")


def test_the_metadata_shell_reads_the_newest_snapshot(stopped):
    newest = max(stopped.log_dirs[0].glob("__cluster_metadata-0/*.checkpoint"))
    shell(stopped, newest, "ls", "/image", words=("cluster", "topics", "configs", "features"))
    shell(stopped, newest, "ls", "/image/topics/byName", words=["plain"])
    shell(stopped, newest, "tree", "/image/cluster/brokers", words=["id=1"])


def test_the_metadata_shell_reads_the_log(stopped):
    (log,) = stopped.log_dirs[0].glob("__cluster_metadata-0/*.log")
    shell(stopped, log, "ls", "/image/topics/byName", words=("plain", "gzip", "snappy", "lz4", "zstd"))
    shell(stopped, log, "tree", "/image/features", words=["4.4-IV2"])
    shell(stopped, log, "tree", "/image/clientQuotas", words=["2000000.0"])
