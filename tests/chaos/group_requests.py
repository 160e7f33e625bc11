# SPDX-License-Identifier: Apache-2.0
"""Requests of groups as clients of today send them, and what members of the classic protocol say to each other."""
import struct

import kafka_requests as kafka
import wire
from kafka_requests import compact_array, compact_string
from wire import string

HEARTBEAT_OF_CONSUMERS = 68
MEMBER_ID_REQUIRED = 79
LEAVES, LEAVES_FOR_A_WHILE = -1, -2


def consumer_heartbeat(client, group, member, epoch, instance=None, rebalance_ms=-1, topics=None, assignor=None,
                       owned=None):
    """owned: (topic id, [partition]) or None: unchanged. (error, member, epoch, {topic id: [partition]} or None)"""
    body = compact_string(group) + compact_string(member) + struct.pack(">i", epoch) + compact_string(instance)
    body += compact_string(None) + struct.pack(">i", rebalance_ms)
    body += b"\0" if topics is None else compact_array([compact_string(topic) for topic in topics])
    body += compact_string(None) + compact_string(assignor)
    if owned is None:
        body += b"\0"
    else:
        topic_id, partitions = owned
        body += compact_array([topic_id + compact_array([struct.pack(">i", index) for index in partitions]) + b"\0"]
                              if partitions else [])
    reader = client.ask(HEARTBEAT_OF_CONSUMERS, 1, body + b"\0")
    reader.number("i")
    error = reader.number("h")
    reader.compact()
    member, epoch = reader.compact(), reader.number("i")
    reader.number("i")
    given = None
    if reader.number("b") >= 0:
        given = {}
        for topic_id, partitions, _ in reader.items(lambda: (
                reader.take(16), reader.items(lambda: reader.number("i")), reader.tags())):
            given[topic_id] = partitions
        reader.tags()
    return error, member.decode() if member else None, epoch, given


def offset_commit(client, group, topic, offsets, member="", generation=-1, instance=None):
    """offsets: {partition: offset}; {partition: error}"""
    parts = [struct.pack(">iqi", index, offset, -1) + compact_string("m") + b"\0" for index, offset in offsets.items()]
    body = compact_string(group) + struct.pack(">i", generation) + compact_string(member) + compact_string(instance)
    reader = client.ask(kafka.OFFSET_COMMIT, 9, body + compact_array(
        [compact_string(topic) + compact_array(parts) + b"\0"]) + b"\0")
    reader.number("i")
    ((_, found, _),) = reader.items(lambda: (reader.compact(), reader.items(
        lambda: (reader.number("i"), reader.number("h"), reader.tags())), reader.tags()))
    assert {index for index, _, _ in found} == set(offsets), "OffsetCommit answered other partitions"
    return {index: error for index, error, _ in found}


def offset_fetch(client, group, topic, partition, member=None, epoch=-1):
    """(error, offset; -1: none) of a stable one"""
    body = compact_string(group) + compact_string(member) + struct.pack(">i", epoch)
    body += compact_array([compact_string(topic) + compact_array([struct.pack(">i", partition)]) + b"\0"]) + b"\0"
    reader = client.ask(kafka.OFFSET_FETCH, 9, compact_array([body]) + b"\1" + b"\0")
    reader.number("i")

    def part():
        fields = reader.number("i"), reader.number("q"), reader.number("i")
        reader.compact()
        error = reader.number("h")
        reader.tags()
        return fields[1], error
    ((_, topics, error, _),) = reader.items(lambda: (
        reader.compact(), reader.items(lambda: (reader.compact(), reader.items(part), reader.tags())),
        reader.number("h"), reader.tags()))
    if error:
        return error, -1
    ((_, ((offset, error),), _),) = topics
    return error, offset


# ---- what consumers of the classic protocol tell each other ----

def subscription(topic):
    return struct.pack(">hi", 1, 1) + string(topic) + struct.pack(">ii", -1, 0)


def assignment(topic, partitions):
    data = struct.pack(">hi", 1, 1 if partitions else 0)
    if partitions:
        data += string(topic) + struct.pack(">i", len(partitions))
        data += b"".join(struct.pack(">i", index) for index in partitions)
    return data + struct.pack(">i", -1)


def assigned(data):
    """{topic: [partition]}"""
    if not data:
        return {}
    reader = wire.Reader(data)
    assert reader.number("h") >= 0
    return dict(reader.array(lambda: (reader.string(), reader.array(lambda: reader.number("i")))))


def divided(members, partitions):
    """Range: {member: [partition]}; members in their order."""
    members, out, at = sorted(members), {}, 0
    for place, member in enumerate(members):
        count = partitions // len(members) + (place < partitions % len(members))
        out[member] = list(range(at, at + count))
        at += count
    return out
