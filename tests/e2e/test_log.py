# SPDX-License-Identifier: Apache-2.0
"""What a peer calls itself stays one value of a log line, in both forms; the lines are read by strict readers."""
import json
import re
import struct
import time

import pytest

import group_wire as groups
import wire
from node import SLOW

HOSTILE = 'x" level="ERROR\nmodule=storage \\'
LINE = re.compile(r"\S+Z (TRACE|DEBUG|INFO |WARN |ERROR) (\w+) (\w+)(?: (.*))?")
FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|((?:[^ "\\]|\\.)*))(?: |$)')
ESCAPE = re.compile(r'\\(n|x..|.)')


def field_value(text):
    return ESCAPE.sub(lambda found: "\n" if found[1] == "n" else
                      chr(int(found[1][1:], 16)) if found[1][0] == "x" else found[1], text)


def members(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a member twice: {pairs}"
    return dict(pairs)


def read_json(line):
    return json.loads(line, object_pairs_hook=members)


def read_text(line):
    head = LINE.fullmatch(line)
    assert head, line
    pairs = [("level", head[1].strip()), ("module", head[2]), ("event", head[3])]
    at, fields = 0, head[4] or ""
    while at < len(fields):
        field = FIELD.match(fields, at)
        assert field, f"no field at {at}: {line}"
        pairs.append((field[1], field_value(field[2] if field[2] is not None else field[3])))
        at = field.end()
    return members(pairs)


def compact(text):
    if text is None:
        return b"\0"
    assert len(text.encode()) < 127
    return bytes([len(text.encode()) + 1]) + text.encode()


def flexible(client, api, version, body):
    """A call with the header that has tags."""
    return client.call(api, version, b"\0" + body + b"\0")


def wait_transactional(client, name):
    deadline = time.monotonic() + 60 * SLOW
    while time.monotonic() < deadline:
        groups.find_coordinator(client, name, 1)
        reader = client.call(wire.INIT_PRODUCER_ID, 1, wire.string(name) + struct.pack(">i", 60000))
        reader.number("i")
        if reader.number("h") == 0:
            return
        time.sleep(0.05)
    raise AssertionError("no producer id")


@pytest.mark.parametrize("form, read", [("text", read_text), ("json", read_json)], ids=["text", "json"])
def test_what_a_peer_calls_itself_forges_no_field(make_node, form, read):
    node = make_node(f"barnabas.log.format={form}\nbarnabas.log.level=trace\n").start()
    client = wire.Client(node.port, 30 * SLOW, HOSTILE)
    # A request that is refused: the client's id.
    with pytest.raises(wire.Closed):
        wire.Client(node.port, 30 * SLOW, HOSTILE).call(wire.METADATA, 1, b"")
    # A classic group: its id, the member's, the instance's, the reason of who leaves.
    groups.wait_for_coordinator(client, HOSTILE, 60 * SLOW)
    joined = groups.join(client, HOSTILE, instance=HOSTILE)
    assert joined["error"] == 0
    answer = flexible(client, groups.LEAVE, 5, compact(HOSTILE) + b"\x02" + compact(joined["member"]) +
                      compact(HOSTILE) + compact(HOSTILE) + b"\0")
    answer.take(1), answer.number("i")
    assert answer.number("h") == 0
    # A consumer group, and a producer with transactions.
    name = HOSTILE + "2"
    groups.wait_for_coordinator(client, name, 60 * SLOW)
    answer = flexible(client, 68, 0, compact(name) + compact("") + struct.pack(">i", 0) + compact(None) * 2 +
                      struct.pack(">i", 60000) + b"\x02" + compact("t") + compact(None) + b"\x01")
    answer.take(1), answer.number("i")
    assert answer.number("h") == 0
    wait_transactional(client, HOSTILE)
    assert node.stop() == 0
    lines = [read(line) for line in node.text().splitlines()]
    values = {}
    for line in lines:
        assert line["level"] != "ERROR", line
        for key, value in line.items():
            values.setdefault((line["event"], key), set()).add(value)
    assert values["request_refused", "client_id"] == {HOSTILE}
    for key in "group", "instance", "client_reason":
        assert values["group_member_left", key] == {HOSTILE}
    assert values["group_member_left", "member"] == {joined["member"]}
    assert any(name in found for (_, key), found in values.items() if key == "group")
    assert any(HOSTILE in found for (_, key), found in values.items() if key == "transactional_id")
