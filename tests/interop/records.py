# SPDX-License-Identifier: Apache-2.0
"""Records sent to a node and read back through Kafka's Java client (java/clients/RecordPipe.java)."""
import base64
import json


def packed(data):
    return None if data is None else base64.b64encode(data).decode()


def record(topic, value, key=None, partition=0, timestamp=None, headers=()):
    """A record as RecordPipe takes it; key, value and header values are bytes or None."""
    made = {"topic": topic, "partition": partition, "key": packed(key), "value": packed(value),
            "headers": [[name, packed(each)] for name, each in headers]}
    if timestamp is not None:
        made["timestamp"] = timestamp
    return made


def send(node, records, *properties):
    """Sends in order; returns the (partition, offset) of each."""
    text = "".join(json.dumps(each) + "\n" for each in records)
    lines = node.tools.run("RecordPipe", "produce", node.address, *properties, stdin=text).lines()
    assert len(lines) == len(records)
    return [tuple(map(int, line.split())) for line in lines]


def read(node, topic):
    """All records of a topic, partition by partition in the order of offsets."""
    return [json.loads(line) for line in node.tools.run("RecordPipe", "consume", node.address, topic).lines()]
