# SPDX-License-Identifier: Apache-2.0
"""Bytes that are no requests: the connection ends, memory is bounded, others are served."""
import os
import random
import socket
import struct
import time

import pytest

import wire
from node import SLOW


def raw(node):
    return socket.create_connection(("127.0.0.1", node.port), 30 * SLOW)


def assert_closed(connection):
    connection.settimeout(30 * SLOW)
    try:
        assert connection.recv(1) == b""
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("data", [
    struct.pack(">i", -1),
    struct.pack(">i", 104857601),
    struct.pack(">i", 0),
    struct.pack(">ihhi", 8, 999, 0, 1),                     # no such API
    struct.pack(">ihhih", 10, 3, 99, 1, -1),                # no such version
    struct.pack(">ihhih", 10, 4, 0, 1, -1),                 # removed
    struct.pack(">ihhih", 10, 52, 0, 1, -1),                # the controller's
    struct.pack(">ihhih", 10, 3, 1, 1, -1),                 # a body that is not there
    struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0x7FFFFFFF),    # a count that cannot be
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
], ids=["negative", "too long", "empty", "unknown api", "unknown version", "removed api", "other listener",
        "no body", "count", "http", "tls"])
def test_what_is_no_request_ends_its_connection_alone(node, data):
    other = node.client()
    connection = raw(node)
    connection.sendall(data)
    assert_closed(connection)
    other.metadata()


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(node):
    client = node.client()
    client.send(wire.API_VERSIONS, 127, b"\0")  # a flexible header: no tags
    reader = client.read()
    assert reader.number("h") == 35
    assert reader.array(lambda: (reader.number("h"), reader.number("h"), reader.number("h"))) == [(18, 0, 5)]
    client.metadata()


def test_random_bytes_end_connections_and_nothing_else(node):
    seed = random.randrange(1 << 32)
    stream = random.Random(seed)
    for _ in range(60):
        connection = raw(node)
        body = stream.randbytes(stream.randrange(200))
        if stream.random() < 0.7:  # a header that leads on
            body = struct.pack(">hhih", stream.randrange(96), stream.randrange(14), 1, -1) + body
        try:
            connection.sendall(struct.pack(">i", len(body)) + body)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        connection.close()
    node.client().metadata()
    assert node.process.poll() is None, f"seed {seed}"


def test_a_bit_flipped_produce_request_is_refused_or_ends_the_connection(node):
    client = node.client()
    topic = f"flip-{os.urandom(4).hex()}"
    assert client.create_topic(topic) == 0
    body = client.produce_body(topic, 0, wire.batch([b"value" * 10]))
    stored = 0
    for bit in range(0, len(body) * 8, 7):
        data = bytearray(body)
        data[bit // 8] ^= 1 << bit % 8
        connection = node.client()
        connection.socket.settimeout(0.2 * SLOW)  # acks or lengths may have become "no answer"
        try:
            connection.send(wire.PRODUCE, 3, bytes(data))
            connection.read()
        except wire.Closed:
            pass
        connection.close()
    for _, value in client.fetch(topic, 0, 0)[1]:
        assert value == b"value" * 10
        stored += 1
    assert stored == client.list_offset(topic, 0, -1)


def test_silent_and_half_sent_connections_hold_little_memory(make_node):
    node = make_node().start()
    node.client().metadata()
    before = node.resident_bytes()
    silent = [raw(node) for _ in range(200)]
    claiming = [raw(node) for _ in range(200)]
    for connection in claiming:
        connection.sendall(struct.pack(">i", 100 << 20) + b"\0\3\0\1")
    node.client().metadata()
    grown = node.resident_bytes() - before
    if SLOW == 1:
        assert grown < 400 * 64 * 1024, f"{grown / 400:.0f} bytes a connection"
    for connection in silent + claiming:
        connection.close()


def test_connections_beyond_the_limit_are_closed_at_once(make_node):
    node = make_node("max.connections.per.ip=3\n").start()
    kept = [node.client() for _ in range(3)]
    for client in kept:
        client.metadata()
    assert_closed(raw(node))
    kept.pop().close()
    deadline = time.monotonic() + 20 * SLOW
    while True:
        try:
            node.client().metadata()
            break
        except wire.Closed:
            assert time.monotonic() < deadline


def test_an_idle_connection_is_closed(make_node):
    node = make_node("connections.max.idle.ms=300\n").start()
    client = node.client()
    client.metadata()
    assert_closed(client.socket)


def test_a_batch_above_the_limit_is_refused_and_the_connection_lives(make_node):
    node = make_node("message.max.bytes=2000\n").start()
    client = node.client()
    client.create_topic("t")
    with pytest.raises(wire.Refused) as refused:
        client.produce("t", 0, wire.batch([b"x" * 3000]))
    assert refused.value.code == 10
    assert client.produce("t", 0, wire.batch([b"x"])) == 0
