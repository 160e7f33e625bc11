# SPDX-License-Identifier: Apache-2.0
"""What a parent hands to the process: descriptors, signals, pipes."""
import fcntl
import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import time

import pytest

import wire
from node import BINARY, READY, SLOW
from test_log import read_text


def spawn(node, command, **options):
    node.log.touch()
    node.seen = 0
    node.process = subprocess.Popen([str(word) for word in command], cwd=node.folder, **options)


def wait_until_served(node):
    deadline = time.monotonic() + 15 * SLOW
    while True:
        try:
            node.client().metadata()
            return
        except (OSError, wire.Closed):
            assert node.process.poll() is None and time.monotonic() < deadline, "the node does not serve"
            time.sleep(0.02)


def test_no_file_takes_the_place_of_a_closed_standard_descriptor(make_node):
    node = make_node("barnabas.log.level=TRACE\n")
    spawn(node, ["sh", "-c", 'exec "$0" start "$1" <&- >&- 2>&-', BINARY, node.file])
    wait_until_served(node)
    client = node.client()
    assert client.create_topic("t") == 0
    assert client.produce("t", 0, wire.batch([b"one"])) == 0
    held = [os.readlink(f"/proc/{node.process.pid}/fd/{number}") for number in range(3)]
    assert [name for name in held if name.startswith(str(node.folder)) or ":" in name] == []
    assert client.fetch("t", 0, 0)[1] == [(0, b"one")]
    assert node.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_the_parent_had_ignored_does_not_stop_the_node(make_node, number):  # nohup, sh -c 'barnabas start &'
    node = make_node()
    with open(node.log, "ab") as log:
        spawn(node, [BINARY, "start", node.file], stdout=log, stderr=log,
              preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    node.wait_for(READY)
    # Ignored and not blocked, it is gone when it is sent; blocked, it would wait for a descriptor of the node's.
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    ignored, blocked = (int(re.search(rf"{name}:\s+(\w+)", status)[1], 16) for name in ("SigIgn", "SigBlk"))
    assert ignored >> number - 1 & 1 and not blocked >> number - 1 & 1
    assert blocked >> signal.SIGTERM - 1 & 1
    node.process.send_signal(number)
    node.client().metadata()
    assert node.stop() == 0


def pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def read_some(reader):
    """What is there within a while; nothing when all who could write are gone."""
    try:
        return os.read(reader, 1 << 20) if select.select([reader], [], [], 10 * SLOW)[0] else b""
    except OSError:  # how a terminal ends
        return b""


@pytest.mark.parametrize("pair", [pipe, os.openpty])
def test_a_log_that_nobody_reads_stops_nothing(make_node, pair):
    node = make_node("".join(f"no.such.key.{number}.{'x' * 500}=1\n" for number in range(50)))
    reader, writer = pair()
    spawn(node, [BINARY, "start", node.file], stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    wait_until_served(node)
    assert node.client().create_topic("t") == 0
    told = b""
    while select.select([reader], [], [], 0)[0]:  # there is room again
        told += os.read(reader, 1 << 20)
    node.process.send_signal(signal.SIGTERM)
    while (more := read_some(reader)):
        told += more
    assert node.process.wait(60 * SLOW) == 0
    os.close(reader)
    lines = told.decode().splitlines()
    assert any("log_lines_dropped lines=" in line for line in lines)
    check_lines(lines)


def check_lines(lines):
    """Each is whole, but for those before log_lines_dropped, and none has another at its end."""
    for line, following in zip(lines, lines[1:] + [""]):
        assert len(re.findall(r"\d{4}-\d\d-\d\dT", line)) == 1, line
        if "log_lines_dropped" not in following:
            read_text(line)


def test_a_log_that_may_grow_no_more_stops_nothing(make_node):  # ulimit -f
    node = make_node("barnabas.disk.reserve.bytes=0\n")
    node.log.write_bytes(b"x" * ((1 << 20) - 71) + b"\n")
    with open(node.log, "ab") as log:
        spawn(node, [BINARY, "start", node.file], stdout=log, stderr=log,
              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY)))
    wait_until_served(node)
    assert node.client().create_topic("t") == 0
    assert node.log.stat().st_size == 1 << 20
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert node.stop() == 0
    lines = node.text().splitlines()[1:]
    assert "log_lines_dropped lines=" in lines[1]
    check_lines(lines)


def test_a_configuration_may_come_through_a_pipe(make_node):
    node = make_node()
    text = node.file.read_bytes()
    info = subprocess.run([BINARY, "storage", "info", "-c", "/dev/stdin"], input=text, timeout=60)
    assert info.returncode == 0
    with open(node.log, "ab") as log:
        spawn(node, [BINARY, "start", "/dev/stdin"], stdin=subprocess.PIPE, stdout=log, stderr=log)
    with node.process.stdin as pipe:
        pipe.write(text + b"#" * 100000 + b"\n")  # more than a pipe takes at once
    node.wait_for(READY)
    node.client().metadata()
    assert node.stop() == 0


@pytest.mark.parametrize("command", [
    ["--version"], ["help"], ["help", "start"], ["start", "--help"], ["storage", "--help"], ["protocol", "--help"],
    ["protocol", "list"], ["storage", "random-uuid"], ["storage", "version-mapping"],
    ["storage", "feature-dependencies", "-f", "share.version=2"],
])
def test_what_could_not_be_printed_is_a_failure(command):
    with open("/dev/full", "w", encoding="utf-8") as full:
        answer = subprocess.run([BINARY, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert answer.returncode == 1 and "standard output" in answer.stderr


def test_a_message_that_could_not_be_printed_is_a_failure():
    empty = '{"topics": []}'
    message = subprocess.run([BINARY, "protocol", "encode", "Metadata", "0", "request"], input=empty, timeout=60,
                             stdout=subprocess.PIPE, text=True)
    with open("/dev/full", "w", encoding="utf-8") as full:
        for command, given in ("decode", message.stdout), ("encode", empty):
            answer = subprocess.run([BINARY, "protocol", command, "Metadata", "0", "request"], input=given,
                                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            assert answer.returncode == 1 and "standard output" in answer.stderr
