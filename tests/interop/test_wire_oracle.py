# SPDX-License-Identifier: Apache-2.0
"""The same requests to Apache Kafka and to our node: the answers are equal field by field. The requests are in
wire_cases.py; what is compared how, in wire_sides.py."""
import json
import re
import struct
import time

import pytest

import kafka
import wire
import wire_cases
import wire_cases_groups
import wire_cases_transactions
import wire_sides
from batches import batch
from wire_sides import Side, differences

class OracleSide(Side):
    def set_up(self):
        topics = (("plain", "--partitions", 2), ("small", "--config", "max.message.bytes=300"),
                  ("compact", "--config", "cleanup.policy=compact"),
                  ("stamped", "--config", "message.timestamp.type=LogAppendTime"),
                  ("strict", "--config", "min.insync.replicas=2"))
        for topic, *options in topics:  # the records are older than what is kept by default
            self.node.create_topic(topic, "--config", "retention.ms=-1", *options)
        told = self.ask("Metadata", 12, wire_cases.metadata(*(topic for topic, *_ in topics)))
        self.topic_ids = {each["name"]: each["topicId"] for each in told["topics"]}
        for number, count in enumerate((2, 1, 3)):
            values = [b"value %d" % index for index in range(count)]
            records = batch(values, time=1_700_000_000_000 + number)
            (answer,) = self.ask("Produce", 9, wire_cases.produce(records, partition=0))["responses"]
            assert answer["partitionResponses"][0]["errorCode"] == 0
        return self


@pytest.fixture(scope="module")
def sides(tools, tmp_path_factory):
    made = []
    try:
        wire_sides.start(made, OracleSide, tools, tmp_path_factory)
        yield made
    finally:
        wire_sides.close(made)


@pytest.fixture
def node(sides):
    yield from wire_sides.alive(sides)


@pytest.mark.parametrize("api, version, body", [case[1:] for case in wire_cases.CASES],
                         ids=[f"{case[0]}".replace(" ", "-") for case in wire_cases.CASES])
def test_the_answers_are_equal(sides, node, api, version, body):
    expected, found = [side.compared(api, side.ask(api, version, body)) for side in sides]
    assert not list(differences(expected, found)), "\n".join(differences(expected, found))


@pytest.mark.parametrize("api, version, body", [case[1:] for case in wire_cases.REFUSED],
                         ids=[case[0].replace(" ", "-") for case in wire_cases.REFUSED])
def test_both_refuse(sides, node, api, version, body):
    for side in sides:
        codes = re.findall(r'"errorCode": (-?\d+)', json.dumps(side.ask(api, version, body)))
        assert codes and any(code != "0" for code in codes)


def test_the_names_of_the_cases_are_each_used_once():
    names = [case[0] for case in wire_cases.CASES]
    assert len(set(names)) == len(names) > 60


def test_every_version_that_is_advertised_is_swept(sides, node):
    ranges = wire_sides.advertised(sides[1])
    swept = {api: (first, last) for api, first, last in wire_cases.SWEPT}
    elsewhere = {"ApiVersions", "Produce", "ListPartitionReassignments", "DescribeUserScramCredentials",
                 "AlterUserScramCredentials"}
    elsewhere |= set(wire_cases_groups.RANGES)  # test_wire_groups.py
    elsewhere |= set(wire_cases_transactions.RANGES)  # test_wire_transactions.py
    assert {api: span for api, span in ranges.items() if swept.get(api) != span}.keys() <= elsewhere


# ---- connections and versions ----

def versions(side, version):
    with wire.Connection(side.node) as connection:
        return connection.ask(side.codec, "ApiVersions", version, {
            "clientSoftwareName": "wire", "clientSoftwareVersion": "1"})


@pytest.mark.parametrize("version", range(5))
def test_what_is_advertised_is_advertised_by_apache_too(sides, node, version):
    expected, found = [versions(side, version) for side in sides]
    assert set(found) == set(expected) and found["errorCode"] == 0
    ranges = [{each["apiKey"]: (each["minVersion"], each["maxVersion"]) for each in answer["apiKeys"]}
              for answer in (expected, found)]
    assert set(ranges[1]) <= set(ranges[0])
    for key, (first, last) in ranges[1].items():
        assert ranges[0][key][0] <= first <= last <= ranges[0][key][1], key
    if version >= 3:
        for name in ("supportedFeatures", "finalizedFeatures"):
            assert sorted(map(json.dumps, found[name])) == sorted(map(json.dumps, expected[name]))


def exchange(side, *payloads):
    """What comes for each payload on one connection: hexadecimal, "closed" for the end."""
    with wire.Connection(side.node) as connection:
        answers = []
        for payload in payloads:
            try:
                connection.send(payload)
                frame = connection.receive()
            except ConnectionError:
                frame = None
            answers.append("closed" if frame is None else frame.hex())
        return answers


def raw(side, api, version, body, correlation=1):
    key, flexible, _ = wire.schema()[api]
    return wire.request_header(key, version, correlation, version >= flexible) \
        + side.codec.encode(api, version, body)


@pytest.mark.parametrize("version", [6, 127, 32767])
def test_a_version_of_api_versions_to_come_is_answered_in_version_0(sides, node, version):
    for side in sides:
        with wire.Connection(side.node) as connection:
            connection.send(wire.request_header(18, version, 7, True) + b"\x05wire\x021\x00")
            told = connection.answer(side.codec, "ApiVersions", 0)
            assert told["errorCode"] == 35
            (own,) = [each for each in told["apiKeys"] if each["apiKey"] == 18]
            assert own["minVersion"] == 0 and own["maxVersion"] >= 4
            # the connection goes on
            assert connection.ask(side.codec, "ApiVersions", 0, {})["errorCode"] == 0


@pytest.mark.parametrize("name", ["", "two words", "-x", "x" * 3000])
def test_api_versions_judges_the_names_of_client_software_alike(sides, node, name):
    answers = []
    for side in sides:
        with wire.Connection(side.node) as connection:
            told = connection.ask(side.codec, "ApiVersions", 3, {
                "clientSoftwareName": name, "clientSoftwareVersion": "1"})
            answers.append(told and told["errorCode"])
    assert answers[1] == answers[0]


@pytest.mark.parametrize("payload", [
    wire.request_header(1, 3, 1, False), wire.request_header(1, 99, 1, True),
    wire.request_header(1, 0, 1, False), wire.request_header(2, 0, 1, False),
    wire.request_header(0, 2, 1, False), wire.request_header(19, 1, 1, False),
    wire.request_header(20, 0, 1, False),
    wire.request_header(4, 0, 1, False), wire.request_header(999, 0, 1, False),
    wire.request_header(-1, 0, 1, False), wire.request_header(52, 0, 1, True), b"", b"\0", b"\0\x12\0\0",
    wire.request_header(3, 12, 1, True) + b"\xff\xff\xff\xff\x0f",
    wire.request_header(3, 4, 1, False) + struct.pack(">i", 1 << 30),
    wire.request_header(3, 12, 1, True),
], ids=["fetch-3", "fetch-99", "fetch-0", "list-offsets-0", "produce-2", "create-topics-1",
        "delete-topics-0", "removed-key", "unknown-key", "negative-key", "vote-on-a-broker", "empty",
        "one-byte", "cut-header", "count-beyond-the-end", "array-beyond-the-end", "no-body"])
def test_what_cannot_be_read_ends_the_connection_alike(sides, node, payload):
    expected, found = [exchange(side, payload) for side in sides]
    assert found == expected


def test_a_client_that_speaks_another_protocol_is_cut_off(sides, node):
    for first in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), b"GET / HTTP/1.1\r\n\r\n"):
        for side in sides:
            with wire.Connection(side.node) as connection:
                connection.socket.sendall(first)
                assert connection.receive() is None


def test_a_header_may_lack_the_client_and_bring_unknown_tags(sides, node):
    for side in sides:
        key, _, _ = wire.schema()["Metadata"]
        body = side.codec.encode("Metadata", 12, wire_cases.metadata("plain"))
        for header in (struct.pack(">hhih", key, 12, 5, -1) + b"\0",
                       struct.pack(">hhih", key, 12, 5, 0) + b"\x01\x63\x02ab"):
            with wire.Connection(side.node) as connection:
                connection.send(header + body)
                (topic,) = connection.answer(side.codec, "Metadata", 12, 5)["topics"]
                assert topic["errorCode"] == 0


@pytest.mark.parametrize("place", [("other-cluster", 1), (kafka.CLUSTER_ID, 7), (kafka.CLUSTER_ID, 1),
                                   (None, -1), ("other-cluster", -1), (None, 7)])
def test_a_client_that_knows_another_node_is_told_to_start_anew(sides, node, place):
    codes = []
    for side in sides:
        with wire.Connection(side.node) as connection:
            told = connection.ask(side.codec, "ApiVersions", 5, {
                "clientSoftwareName": "wire", "clientSoftwareVersion": "1", "clusterId": place[0],
                "nodeId": place[1]})
            codes.append(told["errorCode"])
    assert codes[1] == codes[0]


def seconds_of(side, version, body):
    start = time.monotonic()
    side.ask("Fetch", version, body)
    return time.monotonic() - start


def test_an_error_of_one_partition_ends_the_wait_but_an_unknown_partition_does_not(sides, node):
    end = {"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1 << 20, "currentLeaderEpoch": -1,
           "lastFetchedEpoch": -1}
    beyond = {**end, "fetchOffset": 99}
    for side in sides:
        for topics, waits in (
                ([{"topic": "compact", "partitions": [end]}, {"topic": "stamped", "partitions": [beyond]}], False),
                ([{"topic": "compact", "partitions": [end]}, {"topic": "unknown", "partitions": [end]}], True),
                ([{"topic": "compact", "partitions": [end, {**end, "partition": 9}]}], True)):
            took = seconds_of(side, 12, {"maxWaitMs": 900, "minBytes": 1, "maxBytes": 1 << 20, "topics": topics})
            assert (took > 0.85) == waits, (side.node.kind, topics, took)


def test_what_comes_after_a_waiting_fetch_waits_too(sides, node):
    for side in sides:
        with wire.Connection(side.node) as connection:
            start = time.monotonic()
            connection.send(raw(side, "Fetch", 12, wire_cases.fetch(
                "compact", by_id=False, maxWaitMs=700, minBytes=1), correlation=1))
            connection.send(raw(side, "ApiVersions", 0, {}, correlation=2))
            assert [struct.unpack(">i", connection.receive()[:4])[0] for _ in range(2)] == [1, 2]
            assert time.monotonic() - start > 0.65


def test_a_client_over_its_quota_is_throttled_and_its_fetches_are_empty(sides, node):
    answers = []
    for side in sides:
        side.ask("AlterClientQuotas", 1, {"validateOnly": False, "entries": [{
            "entity": [{"entityType": "client-id", "entityName": "slow"}],
            "ops": [{"key": key, "value": 10.0, "remove": False}
                    for key in ("producer_byte_rate", "consumer_byte_rate")]}]})
        time.sleep(1)  # until the broker knows of it
        told = []
        for api, version, body in (
                ("Produce", 9, wire_cases.produce(batch([b"x" * 900]), "stamped", 0)),
                ("Fetch", 12, wire_cases.fetch("stamped", by_id=False)),
                ("Fetch", 12, wire_cases.fetch("stamped", by_id=False))):
            with wire.Connection(side.node) as connection:
                key, flexible, _ = wire.schema()[api]
                connection.send(wire.request_header(key, version, 7, version >= flexible, b"slow")
                                + side.codec.encode(api, version, body))
                answer = connection.answer(side.codec, api, version)
                told.append((answer["throttleTimeMs"] > 0, [
                    (bool(each.get("partitions")) and bool(each["partitions"][0]["records"]))
                    if api == "Fetch" else each["partitionResponses"][0]["errorCode"]
                    for each in answer["responses"]]))
        answers.append(told)
    assert answers[1] == answers[0]
    assert answers[0][0] == (True, [0])


def test_a_frame_of_negative_or_excessive_size_ends_the_connection(sides, node):
    for size in (-1, 104857601, 0x7FFFFFFF):
        for side in sides:
            with wire.Connection(side.node) as connection:
                connection.socket.sendall(struct.pack(">i", size))
                assert connection.receive() is None


def test_requests_in_a_row_are_answered_in_order(sides, node):
    for side in sides:
        with wire.Connection(side.node) as connection:
            for number in range(40):
                api, version, body = (("Fetch", 12, wire_cases.fetch(by_id=False)), ("ApiVersions", 0, {}),
                                      ("ListOffsets", 7, wire_cases.list_offsets(-1)))[number % 3]
                connection.send(raw(side, api, version, body, correlation=number))
            for number in range(40):
                assert struct.unpack(">i", connection.receive()[:4])[0] == number


def test_a_produce_with_acks_0_gets_no_answer_and_is_kept(sides, node):
    for side in sides:
        with wire.Connection(side.node) as connection:
            connection.send(raw(side, "Produce", 9, wire_cases.produce(
                batch([b"silent"]), "small", 0, acks=0)))

            def end():
                told = connection.ask(side.codec, "ListOffsets", 7, wire_cases.list_offsets(-1, "small"))
                return told["topics"][0]["partitions"][0]["offset"]

            kafka.wait_for(lambda: end() == 1)  # it may take until the records are on the disk


def test_a_produce_with_acks_0_that_fails_ends_the_connection(sides, node):
    for side in sides:
        assert exchange(side, raw(side, "Produce", 9, wire_cases.produce(
            batch([b"x"], wrong_crc=True), acks=0))) == ["closed"]


def test_a_fetch_session_tells_only_what_is_new(sides, node):
    answers = []
    for side in sides:
        with wire.Connection(side.node) as connection:
            body = wire_cases.fetch(offset=6, by_id=False, sessionEpoch=0)
            first = connection.ask(side.codec, "Fetch", 12, body)
            session = first["sessionId"]
            assert session > 0
            told = [first]
            for epoch in (1, 2):
                if epoch == 2:
                    with wire.Connection(side.node) as other:
                        other.ask(side.codec, "Produce", 9, wire_cases.produce(batch([b"new"]), partition=0))
                told.append(connection.ask(side.codec, "Fetch", 12, {
                    "sessionId": session, "sessionEpoch": epoch, "maxWaitMs": 200, "minBytes": 1,
                    "maxBytes": 1 << 20}))
            told.append(connection.ask(side.codec, "Fetch", 12, {
                "sessionId": session, "sessionEpoch": 9, "maxWaitMs": 1}))
            answers.append([side.compared("Fetch", {**each, "sessionId": each["sessionId"] == session})
                            for each in told])
    assert answers[1] == answers[0]
    assert answers[0][1]["responses"] == [] and len(answers[0][2]["responses"]) == 1
    assert answers[0][3]["errorCode"] == 71


def test_a_fetch_waits_for_records_no_longer_than_told(sides, node):
    for side in sides:
        start = time.monotonic()
        body = wire_cases.fetch("compact", by_id=False, maxWaitMs=700, minBytes=1)
        assert side.ask("Fetch", 12, body)["errorCode"] == 0
        assert 0.65 < time.monotonic() - start < 3
