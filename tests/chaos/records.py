# SPDX-License-Identifier: Apache-2.0
"""Batches of numbered records, and what a reader makes of what he got (as tests/sim/batches.h). A record says its
number, its topic's key and its partition, so that bytes that went astray show although their CRC is right."""
import ctypes
import struct

import paths  # noqa: F401  (where wire.py is)
import wire
from wire import varint

TRANSACTIONAL, CONTROL = 0x10, 0x20
HEADER = struct.Struct(">qiibIhiqqqhii")  # up to the number of records

try:
    _isal = ctypes.CDLL("libisal.so.2").crc32_iscsi
    _isal.argtypes, _isal.restype = (ctypes.c_char_p, ctypes.c_int, ctypes.c_uint), ctypes.c_uint

    def crc32c(data):
        return _isal(bytes(data), len(data), 0xFFFFFFFF) ^ 0xFFFFFFFF
    assert crc32c(b"123456789") == 0xE3069283
except OSError:
    crc32c = wire.crc32c


def record(delta, key, value):
    body = b"\0" + varint(0) + varint(delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(-1) if value is None else varint(len(value)) + value
    return varint(len(body) + 1) + body + b"\0"


def batch(pairs, timestamp, producer_id=-1, epoch=-1, sequence=-1, attributes=0):
    records = b"".join(record(delta, key, value) for delta, (key, value) in enumerate(pairs))
    tail = struct.pack(">hiqqqhii", attributes, len(pairs) - 1, timestamp, timestamp, producer_id, epoch, sequence,
                       len(pairs)) + records
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail


def numbered(first_value, count, topic_key, partition, pad, timestamp, **producer):
    return batch([(None, b"%d %s %d %s" % (first_value + at, topic_key.encode(), partition, bytes(pad)))
                  for at in range(count)], timestamp, **producer)


def records_of(data):
    """[(offset delta, key, value)] of a batch's records part."""
    reader, out = wire.Reader(data), []
    while reader.at < len(data):
        length = reader.varint()
        end = reader.at + length
        reader.take(1), reader.varint()
        delta, key_bytes = reader.varint(), reader.varint()
        key = reader.take(key_bytes) if key_bytes >= 0 else None
        value_bytes = reader.varint()
        value = reader.take(value_bytes) if value_bytes >= 0 else None
        assert reader.varint() == 0 and reader.at == end
        out.append((delta, key, value))
    return out


def batches_of(data):
    """Whole batches: (header fields, records bytes, is its CRC right). What is cut off at the end is left out."""
    at = 0
    while at + 61 <= len(data):
        fields = HEADER.unpack_from(data, at)
        end = at + 12 + fields[1]
        if fields[1] < 49 or end > len(data):
            break
        yield fields, data[at + 61:end], fields[3] == 2 and crc32c(data[at + 21:end]) == fields[4], end - at
        at = end


def batches_seen(data, topic_key, partition, aborted=(), is_compacted=False):
    """As the history wants them. aborted: [(producer id, first offset)], as a reader under read_committed is told.
    Compaction leaves batches of one record whole, or their headers alone."""
    out, dead, waiting = [], set(), sorted(aborted, key=lambda each: each[1])
    for fields, body, is_valid, size in batches_of(data):
        base, _, _, _, crc, attributes, last_delta, _, timestamp, producer_id, epoch, sequence, count = fields
        last = base + max(last_delta, 0)
        seen = {"base_offset": base, "last_offset": last, "first_value": -1, "producer_id": producer_id,
                "producer_epoch": epoch, "base_sequence": sequence, "crc": crc, "size_bytes": size,
                "timestamp_ms": timestamp}
        while waiting and waiting[0][1] <= last:
            dead.add(waiting.pop(0)[0])
        try:
            found = records_of(body) if is_valid else []
            is_empty = is_compacted and is_valid and count == 0
            is_valid = is_valid and len(found) == count and (is_empty or count == last_delta + 1)
            if is_empty:
                seen.update(is_empty=True, is_control=bool(attributes & CONTROL))
            elif attributes & CONTROL:
                seen.update(is_control=True, marker=struct.unpack(">hh", found[0][1][:4])[1])
                dead.discard(producer_id)
            else:
                seen.update(values_of(found, topic_key, partition))
                if attributes & TRANSACTIONAL and producer_id in dead:
                    seen["is_aborted"] = True
            if attributes & TRANSACTIONAL:
                seen["is_transactional"] = True
        except (AssertionError, IndexError, TypeError, struct.error):
            is_valid = False
        seen["is_valid"] = is_valid
        out.append(seen)
    return out


def values_of(found, topic_key, partition):
    """{first_value, amount} when these are consecutive values of this partition."""
    values = [value_of(value, topic_key, partition) for _, _, value in found]
    if not values or values != list(range(values[0], values[0] + len(values))) or \
            [delta for delta, _, _ in found] != list(range(len(found))):
        return {}
    amounts = [value.split(b" ", 3)[3] for _, _, value in found if values[0] >= 0]
    amount = sum(int(each) for each in amounts if each.lstrip(b"-").isdigit())
    return {"first_value": values[0], **({"amount": amount} if amount else {})}


def value_of(value, topic_key, partition):
    words = (value or b"").split(b" ", 3)
    if len(words) == 4 and words[0].isdigit() and words[1] == topic_key.encode() and \
            words[2] == b"%d" % partition:
        return int(words[0])
    return -1
