# SPDX-License-Identifier: Apache-2.0
"""Record batches built by hand, right and wrong."""
import base64
import gzip
import struct

GZIP = 1


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = value << 1 ^ value >> 63
    value &= (1 << 64) - 1
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def record(offset_delta, value, key=None, time_delta=0):
    body = b"\0" + varint(time_delta) + varint(offset_delta)
    for part in (key, value):
        body += varint(-1) if part is None else varint(len(part)) + part
    body += varint(0)
    return varint(len(body)) + body


def batch(values, base_offset=0, time=1_700_000_000_000, attributes=0, producer=(-1, -1, -1), magic=2,
          wrong_crc=False, count=None, last_delta=None, keys=None, times=None, deltas=None):
    """A batch of records of these values, compressed where the attributes say gzip; the rest makes it wrong, or
    gives its records keys, times and offsets of their own."""
    keys, times = keys or [None] * len(values), times or [time] * len(values)
    records = b"".join(record(delta, value, key, at - time) for delta, value, key, at in zip(
        deltas or range(len(values)), values, keys, times))
    if attributes & 7 == GZIP:
        records = gzip.compress(records, mtime=0)
    count = len(values) if count is None else count
    last_delta = len(values) - 1 if last_delta is None else last_delta
    body = struct.pack(">hiqqqhii", attributes, last_delta, time, max([time, *times]), *producer, count) + records
    crc = crc32c(body) ^ (1 if wrong_crc else 0)
    rest = struct.pack(">ibI", 0, magic, crc) + body
    return base64.b64encode(struct.pack(">qi", base_offset, len(rest)) + rest).decode()


def joined(*batches):
    return base64.b64encode(b"".join(map(base64.b64decode, batches))).decode()


def cut(text, count):
    return base64.b64encode(base64.b64decode(text)[:-count]).decode()


# ---- reading ----

def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value >> 1 ^ -(value & 1), at


def read_record(data, at):
    """(offset delta, key, value) of an uncompressed record, and where the next one begins."""
    size, at = read_varint(data, at)
    end, at = at + size, at + 1
    _, at = read_varint(data, at)
    delta, at = read_varint(data, at)
    parts = []
    for _ in range(2):
        size, at = read_varint(data, at)
        parts.append(None if size < 0 else data[at:at + size])
        at += max(size, 0)
    return (delta, *parts), end


def parsed(text):
    """What whole batches hold, a dictionary each; an incomplete one at the end is left out. Records in a codec that
    is not read here are named after it."""
    data, at, found = base64.b64decode(text), 0, []
    while at + 61 <= len(data):
        base, size, epoch = struct.unpack_from(">qii", data, at)
        if at + 12 + size > len(data):
            break
        attributes, last, first_time, max_time, producer, producer_epoch, sequence, count = \
            struct.unpack_from(">hiqqqhii", data, at + 21)
        found.append({"offset": base, "leaderEpoch": epoch, "attributes": attributes, "lastDelta": last,
                      "firstTimestamp": first_time, "maxTimestamp": max_time, "producerId": producer,
                      "producerEpoch": producer_epoch, "sequence": sequence,
                      "data": parsed_records(data[at + 61:at + 12 + size], attributes & 7, count)})
        at += 12 + size
    return found


def parsed_records(data, codec, count):
    if codec > GZIP:
        return f"{count} records in codec {codec}"
    data, place, records = gzip.decompress(data) if codec == GZIP else data, 0, []
    for _ in range(count):
        each, place = read_record(data, place)
        records.append([part.hex() if isinstance(part, bytes) else part for part in each])
    return records
