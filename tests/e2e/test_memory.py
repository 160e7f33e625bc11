# SPDX-License-Identifier: Apache-2.0
"""Little memory: whoever asks for much is refused, and the node lives on."""
import resource
import socket
import struct
import time

import pytest

import node as nodes
import wire

MORE = 1_000_000  # bytes above what the node has when it is ready


def frame_begun(port, held):
    """A frame of 90 MB, of which `held` bytes come."""
    peer = socket.create_connection(("127.0.0.1", port), 1)
    peer.settimeout(0.3)
    peer.sendall(struct.pack(">i", 90_000_000) + b"\0\0\0\x09\0\0\0\1" + b"z" * held)
    return peer


@pytest.mark.skipif(nodes.SLOW > 1, reason="sanitizers take addresses without end")
@pytest.mark.parametrize("held", [0, 4_000_000], ids=["connections", "frames"])
def test_a_flood_that_takes_all_memory_does_not_end_the_node(tmp_path, held):
    node = nodes.Node(tmp_path, shards=2)
    peers = []
    try:
        node.start()
        client = node.client()
        assert client.create_topic("t", 2) == 0
        client.produce("t", 0, wire.batch([b"before"]))
        with open(f"/proc/{node.process.pid}/statm") as file:
            addresses = int(file.read().split()[0]) * 4096
        resource.prlimit(node.process.pid, resource.RLIMIT_AS, (addresses + MORE, addresses + MORE))
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline and len(peers) < 3000:
            try:
                peers.append(frame_begun(node.port, held))
            except OSError:
                time.sleep(0.01)  # refused, or not taken in yet
        for peer in peers:
            peer.close()
        deadline = time.monotonic() + 10
        while True:
            assert node.process.poll() is None, node.text()[-2000:]
            try:
                client = node.client()
                client.produce("t", 0, wire.batch([b"after"]))
                break
            except wire.Closed:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert [value for _, value in client.fetch("t", 0, 0)[1]][0] == b"before"
        assert "directory_offline" not in node.text()
        assert node.stop() == 0
    finally:
        node.kill()
