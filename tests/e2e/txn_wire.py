# SPDX-License-Identifier: Apache-2.0
"""Requests of transactions for wire.Client, of both protocols, and a reader of committed records."""
import struct
import time

import wire
from wire import blob, string

PRODUCE, FETCH, LIST_OFFSETS, OFFSET_FETCH, FIND_COORDINATOR = 0, 1, 2, 9, 10
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, WRITE_MARKERS = 22, 24, 25, 26, 27
TXN_OFFSET_COMMIT, DESCRIBE_PRODUCERS, DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS = 28, 61, 65, 66
LOADING, NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT = 14, 15, 16, 51
BUSY = (LOADING, NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT)
TRANSACTIONAL, CONTROL = 0x10, 0x20


# ---- flexible versions ----

def uvarint(value):
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def cstring(text):
    return b"\0" if text is None else uvarint(len(text.encode()) + 1) + text.encode()


def carray(items, form):
    items = list(items)
    return uvarint(len(items) + 1) + b"".join(form(item) for item in items)


def array(items, form):
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(form(item) for item in items)


class Flexible:
    """What wire.Reader does not know."""

    def __init__(self, reader):
        self.take, self.number = reader.take, reader.number

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self):
        length = self.uvarint()
        return None if length == 0 else self.take(length - 1).decode()

    def array(self, each):
        length = self.uvarint()
        assert length > 0, "null where a list is expected"
        return [each() for _ in range(length - 1)]

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())

    def struct(self, *fields):
        values = tuple(field() for field in fields)
        self.tags()
        return values if len(values) > 1 else values[0]


def flexible(client, api, version, body):
    client.send(api, version, b"\0" + body + b"\0")
    reader = client.read()
    assert client.answered == client.correlation, "answers are out of order"
    reader = Flexible(reader)
    reader.tags()
    return reader


# ---- the coordinator's requests ----

def init_producer_id(client, name, timeout_ms=60000, producer=(-1, -1), version=4):
    """(error, producer id, epoch)"""
    if version < 2:
        reader = client.call(INIT_PRODUCER_ID, version, string(name) + struct.pack(">i", timeout_ms))
    else:
        body = cstring(name) + struct.pack(">i", timeout_ms)
        body += struct.pack(">qh", *producer) if version >= 3 else b""
        reader = flexible(client, INIT_PRODUCER_ID, version, body)
    reader.number("i")
    return reader.number("h"), reader.number("q"), reader.number("h")


def patiently(call, seconds=30):
    """Until the coordinator is there and free; the answer's first or only part is the error."""
    deadline = time.monotonic() + seconds
    while True:
        answer = call()
        error = answer[0] if isinstance(answer, tuple) else answer
        if error not in BUSY or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


def begin(client, name, timeout_ms=60000):
    """A producer of the id: (producer id, epoch); its coordinator is found or made."""
    find_coordinator(client, name)
    error, *producer = patiently(lambda: init_producer_id(client, name, timeout_ms))
    assert error == 0
    return tuple(producer)


def find_coordinator(client, name):
    reader = client.call(FIND_COORDINATOR, 2, string(name) + b"\1")
    reader.number("i")
    return reader.number("h")


def add_partitions(client, name, producer, places, version=2):
    """places: {topic: [partition]}; {topic: {partition: error}}"""
    body = string(name) + struct.pack(">qh", *producer) + array(
        places.items(), lambda item: string(item[0]) + array(item[1], lambda i: struct.pack(">i", i)))
    reader = client.call(ADD_PARTITIONS, version, body)
    reader.number("i")
    return dict(reader.array(lambda: (reader.string(), dict(reader.array(
        lambda: (reader.number("i"), reader.number("h")))))))


def add_for_broker(client, transactions, version=5):
    """transactions: [(name, producer, verify only, {topic: [partition]})];
    (error, {name: {topic: {partition: error}}})"""
    def one(item):
        name, producer, verify, places = item
        return cstring(name) + struct.pack(">qhb", *producer, verify) + carray(
            places.items(), lambda place: cstring(place[0]) + carray(
                place[1], lambda index: struct.pack(">i", index)) + b"\0") + b"\0"
    reader = flexible(client, ADD_PARTITIONS, version, carray(transactions, one))
    reader.number("i")

    def partition():
        return reader.struct(lambda: reader.number("i"), lambda: reader.number("h"))

    def topic():
        return reader.struct(reader.string, lambda: dict(reader.array(partition)))
    return reader.number("h"), dict(reader.array(
        lambda: reader.struct(reader.string, lambda: dict(reader.array(topic)))))


def add_offsets(client, name, producer, group, version=2):
    reader = client.call(ADD_OFFSETS, version,
                         string(name) + struct.pack(">qh", *producer) + string(group))
    reader.number("i")
    return reader.number("h")


def end_txn(client, name, producer, commit, version=5):
    """(error, producer id, epoch): the last two of version 5"""
    if version < 3:
        reader = client.call(END_TXN, version,
                             string(name) + struct.pack(">qhb", *producer, commit))
        reader.number("i")
        return reader.number("h"), -1, -1
    reader = flexible(client, END_TXN, version, cstring(name) + struct.pack(">qhb", *producer, commit))
    reader.number("i")
    error = reader.number("h")
    return (error, reader.number("q"), reader.number("h")) if version >= 5 else (error, -1, -1)


def describe(client, *names):
    """{name: {...}}"""
    reader = flexible(client, DESCRIBE_TRANSACTIONS, 0, carray(names, cstring))
    reader.number("i")

    def topic():
        return reader.struct(reader.string, lambda: reader.array(lambda: reader.number("i")))

    def one():
        error, name, state, timeout, start, producer, epoch, topics = reader.struct(
            lambda: reader.number("h"), reader.string, reader.string, lambda: reader.number("i"),
            lambda: reader.number("q"), lambda: reader.number("q"), lambda: reader.number("h"),
            lambda: dict(reader.array(topic)))
        return name, {"error": error, "state": state, "timeout": timeout, "start": start,
                      "producer": (producer, epoch), "topics": topics}
    return dict(reader.array(one))


def list_transactions(client, states=(), producers=(), longer_ms=-1, pattern=None, version=2):
    """(error, unknown states, {name: (producer id, state)})"""
    body = carray(states, cstring) + carray(producers, lambda each: struct.pack(">q", each))
    body += struct.pack(">q", longer_ms) if version >= 1 else b""
    body += cstring(pattern) if version >= 2 else b""
    reader = flexible(client, LIST_TRANSACTIONS, version, body)
    reader.number("i")
    error, unknown = reader.number("h"), reader.array(reader.string)
    return error, unknown, {name: rest for name, *rest in reader.array(
        lambda: reader.struct(reader.string, lambda: reader.number("q"), reader.string))}


def settle(client, name, seconds=30):
    """What became of the transaction, once it is neither open nor ending."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        told = describe(client, name)[name]
        if told["error"] == 0 and told["state"] in ("Empty", "CompleteCommit", "CompleteAbort"):
            return told["state"]
        time.sleep(0.01)
    raise AssertionError(f"{name} does not end: {told}")


# ---- records ----

def batch(values, producer, sequence, attributes=TRANSACTIONAL):
    data = bytearray(wire.batch(values, producer[0], producer[1], sequence))
    struct.pack_into(">h", data, 21, attributes)
    struct.pack_into(">I", data, 17, wire.crc32c(bytes(data[21:])))
    return bytes(data)


def produce(client, name, topic, partition, records, version=12):
    """(error, offset, message)"""
    if version < 9:
        body = string(name) + struct.pack(">hii", -1, 10000, 1) + string(topic)
        reader = client.call(PRODUCE, version, body + struct.pack(">ii", 1, partition) + blob(records))
        reader.number("i"), reader.string(), reader.number("i"), reader.number("i")
        return reader.number("h"), reader.number("q"), None
    part = struct.pack(">i", partition) + uvarint(len(records) + 1) + records + b"\0"
    body = cstring(name) + struct.pack(">hi", -1, 10000)
    reader = flexible(client, PRODUCE, version,
                      body + carray([0], lambda _: cstring(topic) + carray([0], lambda _: part) + b"\0"))
    reader.uvarint(), reader.string(), reader.uvarint(), reader.number("i")
    error, offset = reader.number("h"), reader.number("q")
    reader.number("q"), reader.number("q")
    reader.array(lambda: reader.struct(lambda: reader.number("i"), reader.string))
    return error, offset, reader.string()


def fetch(client, topic, partition, offset=0, committed=True, wait_ms=0):
    """{"mark", "stable", "aborted": [(producer id, first offset)], "values": [(offset, value)]}: all that is
    there as a consumer of that isolation sees it."""
    found = {"values": [], "aborted": []}
    while True:
        body = struct.pack(">iiiibi", -1, wait_ms, 1, 1 << 20, committed, 1) + string(topic)
        reader = client.call(FETCH, 4, body + struct.pack(">iiqi", 1, partition, offset, 1 << 20))
        reader.number("i"), reader.number("i"), reader.string(), reader.number("i"), reader.number("i")
        error = reader.number("h")
        if error:
            raise wire.Refused("Fetch", error)
        found["mark"], found["stable"] = reader.number("q"), reader.number("q")
        count = reader.number("i")
        assert (count < 0) == (not committed), "the list of aborted transactions"
        aborted = [(reader.number("q"), reader.number("q")) for _ in range(max(count, 0))]
        data = reader.blob()
        if not data:
            return found
        found["aborted"] += [each for each in aborted if each not in found["aborted"]]
        offset = take(data, aborted, found["values"], offset)


def take(data, aborted, values, offset):
    """Appends what is not aborted; the next offset."""
    at, dead, waiting = 0, set(), sorted(aborted, key=lambda each: each[1])
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            break
        attributes, last = struct.unpack_from(">hi", data, at + 21)
        (producer,) = struct.unpack_from(">q", data, at + 43)
        while waiting and waiting[0][1] <= base + last:
            dead.add(waiting.pop(0)[0])
        if attributes & CONTROL:
            dead.discard(producer)
        elif not (attributes & TRANSACTIONAL and producer in dead):
            values += [each for each in wire.batch_values(data[at:at + 12 + length]) if each[0] >= offset]
        at += 12 + length
        offset = max(offset, base + last + 1)
    return offset


def wait_stable(client, topic, partition, offset, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if list_offset(client, topic, partition) >= offset:
            return
        time.sleep(0.005)
    raise AssertionError(f"the last stable offset does not reach {offset}")


def list_offset(client, topic, partition, committed=True):
    """The latest one."""
    body = struct.pack(">ibi", -1, committed, 1) + string(topic) + struct.pack(">iiq", 1, partition, -1)
    reader = client.call(LIST_OFFSETS, 2, body)
    reader.number("i")
    ((_, ((_, error, _, offset),)),) = reader.array(lambda: (reader.string(), reader.array(
        lambda: (reader.number("i"), reader.number("h"), reader.number("q"), reader.number("q")))))
    if error:
        raise wire.Refused("ListOffsets", error)
    return offset


# ---- offsets ----

def txn_offset_commit(client, name, group, producer, places, version=2):
    """places: {topic: {partition: offset}}; {topic: {partition: error}}"""
    if version < 3:
        body = string(name) + string(group) + struct.pack(">qh", *producer) + array(
            places.items(), lambda item: string(item[0]) + array(
                item[1].items(), lambda place: struct.pack(">iqi", *place, -1) + string("")))
        reader = client.call(TXN_OFFSET_COMMIT, version, body)
        reader.number("i")
        return dict(reader.array(lambda: (reader.string(), dict(reader.array(
            lambda: (reader.number("i"), reader.number("h")))))))
    body = cstring(name) + cstring(group) + struct.pack(">qh", *producer)
    body += struct.pack(">i", -1) + cstring("") + cstring(None) + carray(
        places.items(), lambda item: cstring(item[0]) + carray(
            item[1].items(),
            lambda place: struct.pack(">iqi", *place, -1) + cstring("") + b"\0") + b"\0")
    reader = flexible(client, TXN_OFFSET_COMMIT, version, body)
    reader.number("i")
    return dict(reader.array(lambda: reader.struct(reader.string, lambda: dict(reader.array(
        lambda: reader.struct(lambda: reader.number("i"), lambda: reader.number("h")))))))


def stable_offset(client, group, topic, partition):
    """(offset, error) of a fetch that wants no pending commit"""
    body = cstring(group) + carray([topic], lambda each: cstring(each) + carray(
        [partition], lambda index: struct.pack(">i", index)) + b"\0") + b"\1"
    reader = flexible(client, OFFSET_FETCH, 7, body)
    reader.number("i")

    def part():
        _, offset, _, _, error = reader.struct(
            lambda: reader.number("i"), lambda: reader.number("q"), lambda: reader.number("i"),
            reader.string, lambda: reader.number("h"))
        return offset, error
    (((_, (answer,))),) = reader.array(lambda: reader.struct(reader.string, lambda: reader.array(part)))
    return answer


# ---- partitions ----

def describe_producers(client, topic, partition):
    """{producer id: (epoch, last sequence, coordinator epoch, first offset of its transaction)}"""
    body = carray([topic], lambda each: cstring(each) + carray(
        [partition], lambda index: struct.pack(">i", index)) + b"\0")
    reader = flexible(client, DESCRIBE_PRODUCERS, 0, body)
    reader.number("i")

    def producer():
        identity, epoch, sequence, _, coordinator, start = reader.struct(
            lambda: reader.number("q"), lambda: reader.number("i"), lambda: reader.number("i"),
            lambda: reader.number("q"), lambda: reader.number("i"), lambda: reader.number("q"))
        return identity, (epoch, sequence, coordinator, start)

    def part():
        _, error, _, producers = reader.struct(
            lambda: reader.number("i"), lambda: reader.number("h"), reader.string,
            lambda: dict(reader.array(producer)))
        assert error == 0
        return producers
    ((_, (found,)),) = reader.array(lambda: reader.struct(reader.string, lambda: reader.array(part)))
    return found


def write_markers(client, producer, commit, places, coordinator_epoch=0, version=1, protocol=0):
    """{topic: {partition: error}}"""
    told = write_each_marker(client, [(producer, commit, places)], coordinator_epoch, version, protocol)
    assert list(told) == [producer[0]]
    return told[producer[0]]


def write_each_marker(client, markers, coordinator_epoch=0, version=1, protocol=0):
    """markers: (producer, commit, places); {producer's id: {topic: {partition: error}}}"""
    def encoded(marker):
        producer, commit, places = marker
        data = struct.pack(">qhb", *producer, commit) + carray(
            places.items(), lambda item: cstring(item[0]) + carray(
                item[1], lambda index: struct.pack(">i", index)) + b"\0")
        return data + struct.pack(">i", coordinator_epoch) + (
            struct.pack(">b", protocol) if version >= 2 else b"") + b"\0"
    reader = flexible(client, WRITE_MARKERS, version, carray(markers, encoded))

    def partition():
        return reader.struct(lambda: reader.number("i"), lambda: reader.number("h"))

    def topic():
        return reader.struct(reader.string, lambda: unique(reader.array(partition)))
    return unique(reader.array(
        lambda: reader.struct(lambda: reader.number("q"), lambda: unique(reader.array(topic)))))


def unique(pairs):
    assert len(dict(pairs)) == len(pairs), f"told twice: {pairs}"
    return dict(pairs)
