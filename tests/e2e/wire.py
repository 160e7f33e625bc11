# SPDX-License-Identifier: Apache-2.0
"""A Kafka client of a page: enough requests in old, plain versions to produce, fetch and administer, over a
blocking socket. It trusts nothing: lengths, checksums and offsets are checked."""
import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
API_VERSIONS, CREATE_TOPICS, INIT_PRODUCER_ID = 18, 19, 22

CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    CRC_TABLE.append(_byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Closed(Exception):
    """The node ended the connection, or was gone."""


class Refused(Exception):
    def __init__(self, api, code):
        super().__init__(f"{api} answered error {code}")
        self.code = code


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()


def blob(data):
    return struct.pack(">i", len(data)) + data


def varint(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value & ~0x7F:
        out.append(value & 0x7F | 0x80)
        value = value >> 7 & (1 << 57) - 1
    out.append(value)
    return bytes(out)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise AssertionError("an answer is too short")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def string(self):
        length = self.number("h")
        return None if length < 0 else self.take(length).decode()

    def blob(self):
        length = self.number("i")
        assert length >= 0, "null where bytes are expected"
        return self.take(length)

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
            shift += 7

    def array(self, each):
        return [each() for _ in range(self.number("i"))]


def batch(values, producer_id=-1, epoch=-1, sequence=-1, timestamp=1000):
    records = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp, timestamp, producer_id, epoch,
                       sequence, len(values)) + records
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail


def batch_values(data):
    """[(offset, value)] of whole uncompressed batches; what is cut at the end is left out."""
    out, at = [], 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            break
        magic, crc = struct.unpack_from(">bI", data, at + 16)
        assert magic == 2 and crc == crc32c(data[at + 21:at + 12 + length]), "a broken batch was served"
        reader = Reader(data[at + 57:at + 12 + length])
        for _ in range(reader.number("i")):
            reader.varint(), reader.take(1), reader.varint()
            delta, key_bytes = reader.varint(), reader.varint()
            reader.take(max(key_bytes, 0))
            value = reader.take(reader.varint())
            for _ in range(reader.varint()):
                reader.take(reader.varint()), reader.take(max(reader.varint(), 0))
            out.append((base + delta, value))
        at += 12 + length
    return out


class Client:
    def __init__(self, port, timeout=10, name="e2e"):
        self.correlation = 0
        self.name = name
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        except OSError as error:
            raise Closed(str(error)) from error

    def close(self):
        self.socket.close()

    def send(self, api, version, body):
        self.correlation += 1
        frame = struct.pack(">hhi", api, version, self.correlation) + string(self.name) + body
        try:
            self.socket.sendall(blob(frame))
        except OSError as error:
            raise Closed(str(error)) from error

    def read(self):
        reader = Reader(self.exactly(struct.unpack(">i", self.exactly(4))[0]))
        self.answered = reader.number("i")
        return reader

    def call(self, api, version, body):
        self.send(api, version, body)
        reader = self.read()
        assert self.answered == self.correlation, "answers are out of order"
        return reader

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except OSError as error:
                raise Closed(str(error)) from error
            if not piece:
                raise Closed("the node closed the connection")
            data += piece
        return data

    # ---- the requests ----

    def create_topic(self, name, partitions=1, configs=()):
        body = struct.pack(">i", 1) + string(name) + struct.pack(">ihi", partitions, 1, 0)
        body += struct.pack(">i", len(configs)) + b"".join(string(k) + string(v) for k, v in configs)
        reader = self.call(CREATE_TOPICS, 2, body + struct.pack(">ib", 30000, 0))
        reader.number("i")
        (code,) = [code for _, code, _ in reader.array(
            lambda: (reader.string(), reader.number("h"), reader.string()))]
        return code

    def init_producer_id(self):
        reader = self.call(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60000))
        reader.number("i")
        code, producer_id, epoch = reader.number("h"), reader.number("q"), reader.number("h")
        if code:
            raise Refused("InitProducerId", code)
        return producer_id, epoch

    @staticmethod
    def produce_body(topic, partition, records, acks=-1):
        return (string(None) + struct.pack(">hii", acks, 10000, 1) + string(topic) +
                struct.pack(">ii", 1, partition) + blob(records))

    @staticmethod
    def produce_answer(reader):
        def partition():
            return reader.number("i"), reader.number("h"), reader.number("q"), reader.number("q")
        ((_, ((_, code, offset, _),)),) = reader.array(
            lambda: (reader.string(), reader.array(partition)))
        if code:
            raise Refused("Produce", code)
        return offset

    def produce(self, topic, partition, records, acks=-1):
        return self.produce_answer(
            self.call(PRODUCE, 3, self.produce_body(topic, partition, records, acks)))

    def fetch(self, topic, partition, offset, wait_ms=100, max_bytes=1 << 20):
        """(high watermark, [(offset, value)])"""
        body = struct.pack(">iiiibi", -1, wait_ms, 1, max_bytes, 0, 1) + string(topic)
        body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
        reader = self.call(FETCH, 4, body)
        reader.number("i")

        def part():
            index, code, mark = reader.number("i"), reader.number("h"), reader.number("q")
            reader.number("q")
            for _ in range(max(reader.number("i"), 0)):
                reader.take(16)
            return index, code, mark, reader.blob()
        ((_, ((_, code, mark, data),)),) = reader.array(
            lambda: (reader.string(), reader.array(part)))
        if code:
            raise Refused("Fetch", code)
        return mark, [(at, value) for at, value in batch_values(data) if at >= offset]

    def list_offset(self, topic, partition, timestamp):
        body = struct.pack(">ii", -1, 1) + string(topic) + struct.pack(">iiq", 1, partition, timestamp)
        reader = self.call(LIST_OFFSETS, 1, body)
        ((_, ((_, code, _, offset),)),) = reader.array(lambda: (reader.string(), reader.array(
            lambda: (reader.number("i"), reader.number("h"), reader.number("q"), reader.number("q")))))
        if code:
            raise Refused("ListOffsets", code)
        return offset

    def metadata(self):
        """{topic: partition count}"""
        reader = self.call(METADATA, 1, struct.pack(">i", -1))
        reader.array(lambda: (reader.number("i"), reader.string(), reader.number("i"), reader.string()))
        reader.number("i")

        def ids():
            return reader.array(lambda: reader.number("i"))

        def topic():
            reader.number("h")
            name = reader.string()
            reader.number("b")
            return name, len(reader.array(lambda: (reader.number("h"), reader.number("i"),
                                                   reader.number("i"), ids(), ids())))
        return dict(reader.array(topic))
