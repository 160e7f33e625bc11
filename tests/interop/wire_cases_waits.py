# SPDX-License-Identifier: Apache-2.0
"""Fetches that wait, and what happens meanwhile: whether an answer comes before its time is out is as much Kafka's
as what it says. Asked by test_wire_data.py of two empty topics of two partitions each, in this order."""
from wire_cases_data import Step, asked, deleted, fetch, records, write

WAIT_MS = 3000  # far from what an answer takes that comes at once


def waits(topic, other):
    """Name: the fetch, what happens while it waits, in order."""
    def ask(*partitions, version=12, **more):
        return Step("Fetch", version, fetch(version, asked(version, topic, *partitions), wait=WAIT_MS, **more))

    def two(offset, **more):
        body = fetch(12, asked(12, topic, (0, offset)), asked(12, other, (0, 0)), wait=WAIT_MS, **more)
        return Step("Fetch", 12, body)
    some = records("x" * 100)
    moved = Step("DeleteRecords", 2, deleted((topic, 0, -1)))
    gone = Step("DeleteTopics", 6, {"timeoutMs": 5000, "topics": [{"name": topic}]})
    return [
        ("nothing", ask((0, 0)), []),
        ("a record", ask((0, 0)), [write(9, (topic, 0, some))]),
        ("a record elsewhere", ask((0, 1)), [write(9, (topic, 1, some))]),
        ("too few bytes", ask((0, 1), minBytes=400), [write(9, (topic, 0, some))]),
        ("enough bytes in the end", ask((0, 2), minBytes=400), [write(9, (topic, 0, some))] * 3),
        ("enough bytes together", two(5, minBytes=300), [write(9, (topic, 0, some)), write(9, (other, 0, some))]),
        ("more than the partition may", ask((0, 6, {"partitionMaxBytes": 50}), minBytes=400),
         [write(9, (topic, 0, some))]),
        ("more than the answer may", ask((0, 7), minBytes=400, maxBytes=50), [write(9, (topic, 0, some))]),
        ("enough from the start, of what may not be", ask((0, 0, {"partitionMaxBytes": 50}), minBytes=1000), []),
        ("records deleted behind it", ask((0, 8)), [moved]),
        ("a batch of many records", ask((0, 8)), [write(9, (topic, 0, records(*"abcdefgh")))]),
        ("a record for who reads committed ones", ask((0, 16), level=1), [write(9, (topic, 0, some))]),
        ("a record by id", ask((0, 17), version=18), [write(9, (topic, 0, some))]),
        ("the end of the topic", ask((0, 18)), [gone])]
