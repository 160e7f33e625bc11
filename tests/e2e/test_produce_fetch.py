# SPDX-License-Identifier: Apache-2.0
"""Produce, fetch and administer over the wire, and with kcat."""
import shutil
import struct
import subprocess
import time
import uuid

import pytest

import wire
from node import SLOW

kcat = pytest.mark.skipif(not shutil.which("kcat"), reason="needs kcat")


@pytest.fixture
def client(node):
    connection = node.client()
    yield connection
    connection.close()


@pytest.fixture
def topic(client):
    name = f"topic-{uuid.uuid4()}"
    assert client.create_topic(name, partitions=3) == 0
    return name


def run_kcat(node, *arguments, data=b""):
    return subprocess.run(["kcat", "-b", f"127.0.0.1:{node.port}", *map(str, arguments)], input=data,
                          check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60 * SLOW).stdout


def test_what_was_acknowledged_is_read_back_in_order(client, topic):
    for number in range(20):
        for partition in range(3):
            offset = client.produce(topic, partition, wire.batch([b"%d-%d" % (partition, number)] * 2))
            assert offset == 2 * number
    for partition in range(3):
        mark, records = client.fetch(topic, partition, 0)
        assert mark == 40
        assert records == [(at, b"%d-%d" % (partition, at // 2)) for at in range(40)]


def test_a_topic_can_be_used_as_soon_as_its_creation_is_answered(client):
    for _ in range(20):
        name = f"now-{uuid.uuid4()}"
        assert client.create_topic(name, partitions=5) == 0
        for partition in range(5):
            assert client.produce(name, partition, wire.batch([b"x"])) == 0


@pytest.mark.parametrize("acks", [1, -1])
def test_every_kind_of_acknowledgement_is_answered(client, topic, acks):
    assert client.produce(topic, 0, wire.batch([b"x"]), acks=acks) == 0


def test_acks_0_is_not_answered_and_the_next_request_is(client, topic):
    client.send(wire.PRODUCE, 3, client.produce_body(topic, 0, wire.batch([b"silent"]), acks=0))
    deadline = time.monotonic() + 10 * SLOW
    while client.fetch(topic, 0, 0)[1] != [(0, b"silent")]:
        assert time.monotonic() < deadline


def test_requests_sent_ahead_are_answered_in_order(client, topic):
    for number in range(100):
        client.send(wire.PRODUCE, 3, client.produce_body(topic, 0, wire.batch([b"%d" % number])))
    client.send(wire.METADATA, 1, struct.pack(">i", -1))
    first = client.correlation - 100
    for number in range(100):
        assert client.produce_answer(client.read()) == number
        assert client.answered == first + number
    client.read()
    assert client.answered == client.correlation


def test_a_fetch_waits_for_data_and_ends_when_it_comes(node, client, topic):
    other = node.client()
    body = struct.pack(">iiiibi", -1, 20000, 1, 1 << 20, 0, 1) + wire.string(topic)
    other.send(wire.FETCH, 4, body + struct.pack(">iiqi", 1, 1, 0, 1 << 20))
    started = time.monotonic()
    client.produce(topic, 1, wire.batch([b"woken"]))
    other.read()
    assert time.monotonic() - started < 10 * SLOW


def test_a_fetch_without_data_ends_when_its_time_is_over(client, topic):
    started = time.monotonic()
    assert client.fetch(topic, 0, 0, wait_ms=300) == (0, [])
    assert 0.25 < time.monotonic() - started < 10 * SLOW


def test_a_repeated_batch_of_an_idempotent_producer_is_stored_once(client, topic):
    producer, epoch = client.init_producer_id()
    records = wire.batch([b"once"], producer, epoch, 0)
    assert [client.produce(topic, 0, records) for _ in range(3)] == [0, 0, 0]
    with pytest.raises(wire.Refused) as refused:
        client.produce(topic, 0, wire.batch([b"gap"], producer, epoch, 5))
    assert refused.value.code == 45
    assert client.produce(topic, 0, wire.batch([b"next"], producer, epoch, 1)) == 1
    assert client.fetch(topic, 0, 0)[1] == [(0, b"once"), (1, b"next")]


def test_a_corrupt_batch_is_refused_and_nothing_is_stored(client, topic):
    records = bytearray(wire.batch([b"value"]))
    records[-3] ^= 1
    with pytest.raises(wire.Refused) as refused:
        client.produce(topic, 0, bytes(records))
    assert refused.value.code == 2
    assert client.list_offset(topic, 0, -1) == 0


def test_offsets_are_found_by_time(client, topic):
    for number in range(10):
        client.produce(topic, 0, wire.batch([b"x"], timestamp=1000 + 10 * number))
    assert client.list_offset(topic, 0, -2) == 0
    assert client.list_offset(topic, 0, -1) == 10
    assert client.list_offset(topic, 0, 1000) == 0
    assert client.list_offset(topic, 0, 1001) == 1
    assert client.list_offset(topic, 0, 1090) == 9
    assert client.list_offset(topic, 0, 1091) == -1


@pytest.mark.parametrize("offset", [-1, 1, 1 << 40])
def test_an_offset_out_of_range_is_told(client, topic, offset):
    with pytest.raises(wire.Refused) as refused:
        client.fetch(topic, 0, offset)
    assert refused.value.code == 1


def test_an_unknown_topic_is_told(client):
    for call in (lambda: client.fetch("unknown", 0, 0),
                 lambda: client.produce("unknown", 0, wire.batch([b"x"])),
                 lambda: client.list_offset("unknown", 0, -1)):
        with pytest.raises(wire.Refused) as refused:
            call()
        assert refused.value.code == 3


def test_names_and_settings_that_no_topic_can_have_are_refused(client, topic):
    assert client.create_topic(topic) == 36
    assert client.create_topic("no/slash") == 17
    assert client.create_topic("x" * 250) == 17
    assert client.create_topic("partitions", partitions=0) == 37
    assert client.create_topic("config", configs=[("retention.ms", "soon")]) == 40


@kcat
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kcat_reads_what_it_wrote(node, topic, codec):
    lines = b"".join(b"%d %s\n" % (number, b"payload" * 20) for number in range(5000))
    run_kcat(node, "-P", "-t", topic, "-p", 0, "-z", codec, "-X", "acks=all", data=lines)
    assert run_kcat(node, "-C", "-t", topic, "-p", 0, "-o", "beginning", "-e", "-q") == lines


@kcat
def test_kcat_lists_brokers_and_topics(node, topic):
    listing = run_kcat(node, "-L").decode()
    assert f"127.0.0.1:{node.port}" in listing and f'topic "{topic}" with 3 partitions' in listing


@kcat
def test_kcat_creates_a_topic_by_producing_to_it(node):
    name = f"auto-{uuid.uuid4()}"
    run_kcat(node, "-P", "-t", name, data=b"hello\n")
    assert run_kcat(node, "-C", "-t", name, "-o", "beginning", "-e", "-q") == b"hello\n"


@kcat
def test_kcat_produces_idempotently(node, topic):
    lines = b"".join(b"%d\n" % number for number in range(20000))
    run_kcat(node, "-P", "-t", topic, "-p", 2, "-X", "enable.idempotence=true", data=lines)
    assert run_kcat(node, "-C", "-t", topic, "-p", 2, "-o", "beginning", "-e", "-q") == lines
