# SPDX-License-Identifier: Apache-2.0
"""Few descriptors: more partitions than the process may have open files."""
import resource
import subprocess

import node as nodes
import wire


def limited(amount):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (amount, amount))

    return limit


def test_a_node_with_more_partitions_than_descriptors_takes_and_gives_records(tmp_path, monkeypatch):
    node = nodes.Node(tmp_path, shards=2)
    spawn = subprocess.Popen
    monkeypatch.setattr(nodes.subprocess, "Popen", lambda *a, **k: spawn(*a, preexec_fn=limited(200), **k))
    try:
        node.start()
        client = node.client()
        assert client.create_topic("many", 250) == 0
        for value in (b"one", b"two"):
            for partition in range(250):
                client.produce("many", partition, wire.batch([value]))
        for partition in range(250):
            assert client.fetch("many", partition, 0)[1] == [(0, b"one"), (1, b"two")]
        assert "log_failed" not in node.text()
        assert node.stop() == 0
    finally:
        node.kill()


def test_a_limit_that_cannot_carry_the_node_is_refused_and_named(tmp_path):
    node = nodes.Node(tmp_path, shards=2)
    done = subprocess.run([nodes.BINARY, "start", str(node.file)], preexec_fn=limited(100), text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode != 0
    assert "ulimit -n" in done.stdout
