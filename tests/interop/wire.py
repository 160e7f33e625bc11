# SPDX-License-Identifier: Apache-2.0
"""Raw requests to a node: bodies from JSON through a codec, headers and frames made here.

The codec is ours (`barnabas protocol`), or Apache Kafka's with BARNABAS_INTEROP_CODEC=apache, and
where ours has not been built."""
import functools
import json
import os
import re
import socket
import struct
import subprocess

import kafka

SCHEMA = kafka.ROOT / "schema/protocol"
CODEC = os.environ.get("BARNABAS_INTEROP_CODEC", "barnabas" if kafka.BARNABAS.exists() else "apache")
API_VERSIONS = "ApiVersions"
ZERO_ID = "AAAAAAAAAAAAAAAAAAAAAA"


# ---- what the schema tells of requests ----

class Field:
    """A line of a schema file: a field, with the fields of its elements below it."""

    def __init__(self, line):
        words = line.split("#")[0].split()
        self.name, self.type = words[0], words[1]
        rest = words[2:]
        self.versions = span(rest[0])
        self.default = rest[rest.index("=") + 1] if "=" in rest else None
        self.tagged = "tag" in rest
        self.fields = []

    def json_name(self):
        return self.name[0].lower() + self.name[1:]

    def default_json(self):
        if self.default == "null":
            return None
        if self.type.startswith("[]"):
            return []
        kind = self.type.split("?")[0]
        if kind in ("i8", "i16", "u16", "i32", "u32", "i64"):
            return int(self.default or 0)
        return {"bool": self.default == "true", "f64": 0.0, "string": "", "uuid": ZERO_ID,
                "bytes": "", "records": ""}[kind]


def span(text):
    first, plus, _ = text.partition("+")
    if plus:
        return int(first), 1 << 15
    first, _, last = text.partition("-")
    return int(first), int(last or first)


@functools.lru_cache(None)
def schema():
    """Name of each API to (key, first flexible version, fields of its request)."""
    apis = {}
    for path in SCHEMA.iterdir():
        if not path.is_file():
            continue
        text = path.read_text("utf-8")
        head = re.search(r"^api (\d+) (\w+)\s+versions \S+(?:\s+flexible (\d+))?", text, re.M)
        request = text.partition("\nrequest\n")[2].partition("\nresponse")[0]
        if not head:
            continue
        root = Field("root root 0+")
        stack, shared = [(0, root)], {}
        for line in request.splitlines():
            if not line.strip() or line.strip().startswith("#"):
                continue
            depth = len(line) - len(line.lstrip())
            while stack[-1][0] >= depth:
                stack.pop()
            words = line.split()
            if words[0] == "struct":  # shared by several fields
                field = shared[words[1]] = Field(f"{words[1]} struct 0+")
            else:
                field = Field(line)
                stack[-1][1].fields.append(field)
            stack.append((depth, field))
        share(root.fields, shared)
        apis[head[2]] = (int(head[1]), int(head[3] or 1 << 15), root.fields)
    return apis


def share(fields, shared):
    """Gives fields of a shared structure the fields of that structure."""
    for field in fields:
        name = field.type.removeprefix("[]").rstrip("?")
        if not field.fields and name in shared:
            field.fields = shared[name].fields
        share(field.fields, shared)


def completed(value, fields, version):
    """The JSON of a message with what is missing at its default and without what the version lacks."""
    whole, known = {}, {field.json_name() for field in fields}
    assert set(value) <= known, f"no such fields: {set(value) - known}"
    for field in fields:
        name = field.json_name()
        if not field.versions[0] <= version <= field.versions[1]:
            continue
        if name not in value:
            if not field.tagged:
                whole[name] = field.default_json()
        elif field.fields and value[name] is not None:
            inner = value[name]
            whole[name] = [completed(each, field.fields, version) for each in inner] \
                if isinstance(inner, list) else completed(inner, field.fields, version)
        else:
            whole[name] = value[name]
    return whole


# ---- codec and connection ----

@functools.lru_cache(20000)  # both nodes are asked the same, and answer much the same
def coded(action, api, version, direction, text):
    result = subprocess.run([kafka.BARNABAS, "protocol", action, api, str(version), direction, "--hex"],
                            input=text, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, f"{action} {api} {version}: {result.stderr}\n{text}"
    return result.stdout


class Codec:
    def __init__(self, tools):
        self.tools = tools

    def run(self, action, api, version, direction, text):
        if CODEC == "apache":
            return self.tools.run("WireCodec", action, api, version, direction, stdin=text).output
        return coded(action, api, version, direction, text)

    def encode(self, api, version, body):
        whole = completed(body, schema()[api][2], version)
        return bytes.fromhex(self.run("encode", api, version, "request", json.dumps(whole)))

    def decode(self, api, version, data):
        return json.loads(self.run("decode", api, version, "response", data.hex()))


class Connection:
    def __init__(self, node, seconds=20):
        self.socket = socket.create_connection(("127.0.0.1", node.port), timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, payload):
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)

    def receive(self):
        """The next frame, or None where the node has closed the connection."""
        try:
            head = self.exactly(4)
            return head and self.exactly(struct.unpack(">i", head)[0])
        except ConnectionError:
            return None

    def exactly(self, count):
        data = b""
        while len(data) < count:
            some = self.socket.recv(count - len(data))
            if not some:
                return None
            data += some
        return data

    def ask(self, codec, api, version, body, correlation=7):
        """The decoded answer, or None where the connection was closed."""
        key, flexible, _ = schema()[api]
        self.send(request_header(key, version, correlation, version >= flexible)
                  + codec.encode(api, version, body))
        return self.answer(codec, api, version, correlation)

    def answer(self, codec, api, version, correlation=7):
        frame = self.receive()
        if frame is None:
            return None
        assert struct.unpack(">i", frame[:4])[0] == correlation
        flexible = version >= schema()[api][1] and api != API_VERSIONS
        assert not flexible or frame[4] == 0, "tagged fields in a response header"
        return codec.decode(api, version, frame[5 if flexible else 4:])


def request_header(key, version, correlation, flexible, client=b"wire"):
    header = struct.pack(">hhih", key, version, correlation, len(client)) + client
    return header + (b"\0" if flexible else b"")
