# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, and what is refused at start."""
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import wire
from node import BINARY, SLOW, Node, free_ports


def test_a_node_without_a_file_formats_itself_and_serves(tmp_path):
    node = Node(tmp_path, formatted=False)
    listeners = (f"listeners=PLAINTEXT://127.0.0.1:{node.port},"
                 f"CONTROLLER://127.0.0.1:{node.controller_port}")
    arguments = ["--override", listeners, "--override",
                 f"controller.quorum.bootstrap.servers=127.0.0.1:{node.controller_port}"]
    try:
        node.start(*arguments)
        assert (tmp_path / "barnabas-data/meta.properties").exists()
        node.client().produce_body("t", 0, b"")
        assert node.client().create_topic("t") == 0
        assert node.stop() == 0
        node.start(*arguments)
        assert node.client().metadata() == {"t": 1}
    finally:
        node.kill()


def test_sigterm_stops_in_order_and_leaves_the_clean_marker(make_node):
    node = make_node().start()
    client = node.client()
    assert client.create_topic("t") == 0
    client.produce("t", 0, wire.batch([b"one"]))
    assert node.stop() == 0
    assert (node.data[0] / ".kafka_cleanshutdown").exists()
    node.start()
    assert node.client().fetch("t", 0, 0)[1] == [(0, b"one")]


def test_sigterm_ends_requests_that_wait(make_node):
    node = make_node().start()
    client = node.client()
    client.create_topic("t")
    body = b"\xff\xff\xff\xff" + b"\0\0\x75\x30" + b"\0\0\0\1" + b"\0\x10\0\0" + b"\0" + b"\0\0\0\1"
    body += wire.string("t") + b"\0\0\0\1" + b"\0\0\0\0" + b"\0" * 8 + b"\0\x10\0\0"
    client.send(wire.FETCH, 4, body)  # waits 30 s for a byte
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < 10 * SLOW


def test_a_second_process_on_the_same_directory_is_refused(make_node):
    node = make_node().start()
    second = node.run("start", node.file)
    assert second.returncode != 0
    assert "data0" in second.stdout and "in use by another process" in second.stdout
    assert node.client().metadata() == {}


@pytest.mark.parametrize("taken", ["port", "controller_port"])
def test_a_port_that_another_process_has_is_said(make_node, taken):
    node = make_node()
    with socket.socket() as other:
        other.bind(("127.0.0.1", getattr(node, taken)))
        other.listen()
        answer = node.run("start", node.file)
        assert answer.returncode > 0, "it ended by a signal"
        assert str(getattr(node, taken)) in answer.stdout and "in use" in answer.stdout
    assert node.start().client().metadata() == {}


def test_an_unformatted_directory_is_refused_with_what_to_do(make_node):
    node = make_node(formatted=False)
    answer = node.run("start", node.file)
    assert answer.returncode != 0
    assert "storage format" in answer.stdout and "data0" in answer.stdout


def test_directories_of_two_clusters_are_refused(make_node):
    first, second = make_node(directories=2), make_node()
    shutil.copy(second.data[0] / "meta.properties", first.data[1] / "meta.properties")
    answer = first.run("start", first.file)
    assert answer.returncode != 0
    assert "data1" in answer.stdout


def test_another_node_id_than_the_directorys_is_refused(make_node):
    node = make_node()
    node.file.write_text(node.file.read_text().replace("node.id=1", "node.id=2"))
    answer = node.run("start", node.file)
    assert answer.returncode != 0
    assert "node" in answer.stdout and "2" in answer.stdout


@pytest.mark.parametrize("line,words", [
    ("num.partitions=none", ["num.partitions", "none"]),
    ("num.partitions=0", ["num.partitions", "0", "1"]),
    ("log.retention.hours=1d2", ["log.retention.hours", "1d2"]),
    ("barnabas.flush.mode=never", ["barnabas.flush.mode", "never", "commit"]),
    ("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
     ["authorizer.class.name"]),
    ("listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:PLAINTEXT", ["SSL"]),
])
def test_a_value_that_cannot_be_honoured_refuses_the_start(make_node, line, words):
    node = make_node()
    node.file.write_text(node.file.read_text() + line + "\n")
    answer = node.run("start", node.file)
    assert answer.returncode != 0
    for word in words:
        assert word in answer.stdout


@pytest.mark.parametrize("roles", ["broker", "controller"])
def test_a_single_role_is_refused_with_the_reason(make_node, roles):
    node = make_node()
    text = node.file.read_text().replace("process.roles=broker,controller", f"process.roles={roles}")
    if roles == "broker":
        text = text.replace(f",CONTROLLER://127.0.0.1:{node.controller_port}", "")
    else:
        text = text.replace(f"PLAINTEXT://127.0.0.1:{node.port},", "")
    node.file.write_text(text)
    answer = node.run("start", node.file)
    assert answer.returncode != 0
    assert "process.roles" in answer.stdout


def test_an_unknown_key_warns_with_the_nearest_one(make_node):
    node = make_node("num.partition=3\n").start()
    assert "num.partitions" in node.text()


def test_defaults_that_one_node_cannot_meet_are_named(make_node):
    node = make_node()
    lines = [line for line in node.file.read_text().splitlines()
             if "replication.factor" not in line and ".min.isr" not in line]
    node.file.write_text("\n".join(lines) + "\n")
    node.start()
    assert "offsets.topic.replication.factor=1" in node.text()


def test_health_pages_follow_the_node(make_node):  # effect: barnabas.http.listener
    node = make_node().start()
    pages = {}
    for page in ("healthz", "readyz", "metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/{page}", timeout=10) as answer:
            pages[page] = answer.read().decode()
    assert pages["healthz"] == pages["readyz"] == "ok\n"
    assert "kafka_server_kafkaserver_brokerstate 3\n" in pages["metrics"]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/nothing", timeout=10)


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer's memory is not the node's")
def test_an_idle_node_holds_less_than_ten_megabytes(make_node):
    node = make_node().start()
    with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10) as answer:
        answer.read()
    assert node.resident_bytes() < 10e6


def test_log_lines_are_json_when_asked(make_node):
    import json
    node = make_node("barnabas.log.format=json\n").start()  # effect: barnabas.log.format
    lines = [json.loads(line) for line in node.text().splitlines()]
    assert {"time", "level", "module", "event"} <= set(lines[0])


def test_log_lines_below_the_level_are_not_written(make_node):  # effect: barnabas.log.level
    node = make_node("barnabas.log.level=warn\n")
    node.spawn()
    deadline = time.monotonic() + 30 * SLOW
    while time.monotonic() < deadline:
        try:
            assert node.client().create_topic("t") == 0
            break
        except (OSError, wire.Closed):
            time.sleep(0.05)
    assert node.stop() == 0
    assert " INFO " not in node.text()


def test_start_explains_itself():
    answer = subprocess.run([BINARY, "start", "--help"], stdout=subprocess.PIPE, text=True, check=True)
    assert "--override" in answer.stdout
    assert subprocess.run([BINARY, "start", "--nothing"], stderr=subprocess.DEVNULL).returncode == 2
    assert subprocess.run([BINARY, "start", "--override", "no-equal-sign"],
                          stderr=subprocess.DEVNULL).returncode == 2
