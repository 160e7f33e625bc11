# SPDX-License-Identifier: Apache-2.0
"""Requests of clients of today for the blocking client of tests/e2e/wire.py: topics by id, fields with tags."""
import base64
import struct

import paths  # noqa: F401
import wire
from wire import Closed, Refused, string  # noqa: F401

PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH = 0, 1, 2, 3, 8, 9
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, ALTER_CONFIGS = 19, 20, 21, 44

ERRORS = {-1: "UNKNOWN_SERVER_ERROR", 1: "OFFSET_OUT_OF_RANGE", 2: "CORRUPT_MESSAGE",
          3: "UNKNOWN_TOPIC_OR_PARTITION", 5: "LEADER_NOT_AVAILABLE", 6: "NOT_LEADER_OR_FOLLOWER",
          7: "REQUEST_TIMED_OUT", 13: "NETWORK_EXCEPTION", 14: "COORDINATOR_LOAD_IN_PROGRESS",
          15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR", 19: "NOT_ENOUGH_REPLICAS",
          20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND", 41: "NOT_CONTROLLER", 45: "OUT_OF_ORDER_SEQUENCE_NUMBER",
          46: "DUPLICATE_SEQUENCE_NUMBER", 56: "KAFKA_STORAGE_ERROR", 59: "UNKNOWN_PRODUCER_ID",
          22: "ILLEGAL_GENERATION", 25: "UNKNOWN_MEMBER_ID", 27: "REBALANCE_IN_PROGRESS",
          47: "INVALID_PRODUCER_EPOCH", 48: "INVALID_TXN_STATE", 49: "INVALID_PRODUCER_ID_MAPPING",
          51: "CONCURRENT_TRANSACTIONS", 55: "OPERATION_NOT_ATTEMPTED", 69: "GROUP_ID_NOT_FOUND",
          79: "MEMBER_ID_REQUIRED", 82: "FENCED_INSTANCE_ID", 88: "UNSTABLE_OFFSET_COMMIT", 90: "PRODUCER_FENCED",
          100: "UNKNOWN_TOPIC_ID", 110: "FENCED_MEMBER_EPOCH", 111: "UNRELEASED_INSTANCE_ID",
          113: "STALE_MEMBER_EPOCH", 120: "TRANSACTION_ABORTABLE"}
RETRIABLE = {3, 5, 6, 7, 13, 14, 15, 16, 19, 20, 41, 56, 100}
MAYBE_APPENDED = {-1, 6, 7, 20, 56}  # the batch may be in the log all the same
OUT_OF_RANGE, OUT_OF_ORDER, DUPLICATE, UNKNOWN_PRODUCER = 1, 45, 46, 59


def error_name(code):
    return ERRORS.get(code, f"error {code}")


def unsigned(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def compact(data):
    return unsigned(0) if data is None else unsigned(len(data) + 1) + data


def compact_string(text):
    return compact(None if text is None else text.encode())


def compact_array(items):
    return unsigned(len(items) + 1) + b"".join(items)


def topic_id_text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Flexible(wire.Reader):
    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def compact(self):
        length = self.unsigned()
        return None if length == 0 else self.take(length - 1)

    def items(self, each):
        count = self.unsigned()
        return [each() for _ in range(count - 1)] if count else None

    def tags(self):
        for _ in range(self.unsigned()):
            self.unsigned()
            self.take(self.unsigned())


class Client(wire.Client):
    def __init__(self, port, timeout=3):
        super().__init__(port, timeout)
        self.socket.setsockopt(6, 1, 1)  # TCP_NODELAY

    def send_flexible(self, api, version, body):
        self.correlation += 1
        frame = struct.pack(">hhi", api, version, self.correlation) + string("chaos") + b"\0" + body
        try:
            self.socket.sendall(wire.blob(frame))
        except OSError as error:
            raise Closed(str(error)) from error

    def read_flexible(self):
        reader = self.read()
        reader.__class__ = Flexible
        reader.tags()
        return reader

    def ask(self, api, version, body):
        self.send_flexible(api, version, body)
        reader = self.read_flexible()
        assert self.answered == self.correlation, "answers are out of order"
        return reader

    # ---- requests ----

    def produce_send(self, topic_id, partition, data, acks, timeout_ms):
        part = struct.pack(">i", partition) + compact(data) + b"\0"
        self.send_flexible(PRODUCE, 13, compact(None) + struct.pack(">hi", acks, timeout_ms) +
                           compact_array([topic_id + compact_array([part]) + b"\0"]) + b"\0")

    def produce_read(self):
        """(correlation, error, base offset)"""
        reader = self.read_flexible()

        def partition():
            reader.number("i")
            code, offset = reader.number("h"), reader.number("q")
            reader.number("q"), reader.number("q")
            reader.items(lambda: (reader.number("i"), reader.compact(), reader.tags()))
            reader.compact(), reader.tags()
            return code, offset
        ((_, ((code, offset),), _),) = reader.items(
            lambda: (reader.take(16), reader.items(partition), reader.tags()))
        return self.answered, code, offset

    def fetch_by_id(self, topic_id, offsets, wait_ms, max_bytes, isolation=0):
        """offsets: {partition: offset}. {partition: (error, high watermark, last stable, log start, records,
        [(producer id, first offset) that was aborted])}"""
        parts = [struct.pack(">iiqiqi", partition, -1, offset, -1, -1, max_bytes) + b"\0"
                 for partition, offset in offsets.items()]
        body = struct.pack(">iiiibii", -1, wait_ms, 1, max_bytes, isolation, 0, -1)
        body += compact_array([topic_id + compact_array(parts) + b"\0"]) + compact_array([])
        reader = self.ask(FETCH, 13, body + compact_string("") + b"\0")
        reader.number("i")
        code = reader.number("h")
        reader.number("i")
        if code:
            raise Refused("Fetch", code)

        def partition():
            index, error = reader.number("i"), reader.number("h")
            ends = reader.number("q"), reader.number("q"), reader.number("q")
            aborted = reader.items(lambda: (reader.number("q"), reader.number("q"), reader.tags())[:2])
            reader.number("i")
            data = reader.compact()
            reader.tags()
            assert data is not None, "Fetch answered null records"
            return index, (error, *ends, data, aborted or [])
        found = {}
        for topic in reader.items(lambda: (reader.take(16), reader.items(partition), reader.tags())):
            assert topic[0] == topic_id, "Fetch answered another topic"
            found.update(topic[1])
        assert set(found) <= set(offsets), "Fetch answered a partition that was not asked for"
        return found

    def topic(self, name):
        """(id, number of partitions); None: there is none."""
        body = compact_array([bytes(16) + compact_string(name) + b"\0"]) + b"\0\0\0"
        reader = self.ask(METADATA, 12, body)
        reader.number("i")
        reader.items(lambda: (reader.number("i"), reader.compact(), reader.number("i"), reader.compact(),
                              reader.tags()))
        reader.compact(), reader.number("i")

        def partition():
            fields = reader.number("h"), reader.number("i"), reader.number("i"), reader.number("i")
            for _ in range(3):
                reader.items(lambda: reader.number("i"))
            reader.tags()
            return fields

        def topic():
            code, _, topic_id = reader.number("h"), reader.compact(), reader.take(16)
            reader.number("b")
            parts = reader.items(partition)
            reader.number("i"), reader.tags()
            return code, topic_id, len(parts)
        ((code, topic_id, count),) = reader.items(topic)
        if code == 3:
            return None
        if code:
            raise Refused("Metadata", code)
        return topic_id, count

    def delete_topic(self, topic_id):
        body = compact_array([compact(None) + topic_id + b"\0"]) + struct.pack(">i", 3000) + b"\0"
        reader = self.ask(DELETE_TOPICS, 6, body)
        reader.number("i")
        ((code),) = reader.items(lambda: (reader.compact(), reader.take(16), reader.number("h"),
                                          reader.compact(), reader.tags())[2])
        return code

    def delete_records(self, topic, partition, offset):
        """(error, low watermark)"""
        body = struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, offset, 3000)
        reader = self.call(DELETE_RECORDS, 1, body)
        reader.number("i")
        ((_, ((_, low, code),)),) = reader.array(lambda: (reader.string(), reader.array(
            lambda: (reader.number("i"), reader.number("q"), reader.number("h")))))
        return code, low

    def offset_commit(self, group, topic, partition, offset):
        body = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1)
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">iiq", 1, partition, offset) + string("")
        reader = self.call(OFFSET_COMMIT, 2, body)
        ((_, ((_, code),)),) = reader.array(lambda: (reader.string(), reader.array(
            lambda: (reader.number("i"), reader.number("h")))))
        return code

    def offset_fetch(self, group, topic, partition):
        """(error, offset)"""
        body = string(group) + struct.pack(">i", 1) + string(topic) + struct.pack(">ii", 1, partition)
        reader = self.call(OFFSET_FETCH, 1, body)
        ((_, ((_, offset, _, code),)),) = reader.array(lambda: (reader.string(), reader.array(
            lambda: (reader.number("i"), reader.number("q"), reader.string(), reader.number("h")))))
        return code, offset
