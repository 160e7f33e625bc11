#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guided tour: starts a node in a temporary folder, streams a log file of this machine and a large generated
one through produce and consume with every compression, and compares the bytes.

  tools/demo.py [MEGABYTES]      (200)
"""
import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build")) / "barnabas"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LOGS = ("/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/alternatives.log",
        "/var/lib/dpkg/status")
READY = b"Transitioning from RECOVERY to RUNNING"


def say(text):
    print(text, flush=True)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def machine_log():
    """The largest text of the list whose lines kcat can carry one by one."""
    found = [path for path in map(pathlib.Path, LOGS) if path.is_file() and path.stat().st_size > 0]
    return max(found, key=lambda path: path.stat().st_size) if found else ROOT / "LICENSE"


def without_empty_lines(data):
    """kcat passes over empty lines: they cannot be records of it."""
    return b"".join(line for line in data.splitlines(keepends=True) if line.strip(b"\r\n"))


def generate(path, megabytes):
    stream = random.Random(7)
    words = [bytes(stream.choices(b"abcdefghijklmnopqrstuvwxyz", k=stream.randrange(3, 12))) for _ in range(3000)]
    block = b"".join(b"%08d " % number + b" ".join(stream.choices(words, k=stream.randrange(4, 30))) + b"\n"
                     for number in range(20000))
    with open(path, "wb") as file:
        while file.tell() < megabytes << 20:
            file.write(block)


def digest(path):
    result = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            result.update(piece)
    return result.hexdigest()


class Node:
    def __init__(self, folder):
        self.port, controller, self.http_port = free_ports(3)
        self.log = folder / "node.log"
        command = [BINARY, "start",
                   "--override", f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
                   "--override", f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}",
                   "--override", f"barnabas.http.listener=127.0.0.1:{self.http_port}"]
        started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        while READY not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > started + 30:
                sys.exit(f"the node does not start:\n{self.log.read_text()}")
            time.sleep(0.001)
        self.seconds = time.monotonic() - started

    def kcat(self, *arguments, **streams):
        subprocess.run(["kcat", "-b", f"127.0.0.1:{self.port}", "-q", *arguments], check=True, timeout=600, **streams)


def round_trip(node, source, codec, folder):
    topic = f"{source.stem}-{codec}".replace("_", "-")
    copy = folder / "copy"
    started = time.monotonic()
    with open(source, "rb") as data:
        node.kcat("-P", "-t", topic, "-p", "0", "-z", codec, "-X", "acks=all", "-X", "linger.ms=5", stdin=data)
    produced = time.monotonic()
    with open(copy, "wb") as out:
        node.kcat("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", stdout=out)
    consumed = time.monotonic()
    same = digest(copy) == digest(source)
    megabytes = source.stat().st_size / 1e6
    say(f"  {codec:<7} {megabytes:8.1f} MB  produce {megabytes / (produced - started):7.1f} MB/s  "
        f"consume {megabytes / (consumed - produced):7.1f} MB/s  {'same bytes' if same else 'BYTES DIFFER'}")
    copy.unlink()
    return same


def main():
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if not shutil.which("kcat"):
        sys.exit("kcat is needed (Debian package kcat)")
    with tempfile.TemporaryDirectory(prefix="barnabas-demo-") as name:
        folder = pathlib.Path(name)
        node = Node(folder)
        say(f"A node formatted itself and serves on 127.0.0.1:{node.port} after {node.seconds * 1000:.0f} ms.")
        small, large = folder / "machine-log", folder / "generated"
        small.write_bytes(without_empty_lines(machine_log().read_bytes()))
        generate(large, megabytes)
        same = True
        for source, text in ((small, f"{machine_log()} of this machine"), (large, "a generated log")):
            say(f"{text}, line by line:")
            for codec in CODECS:
                same &= round_trip(node, source, codec, folder)
        node.process.send_signal(signal.SIGTERM)
        status = node.process.wait(timeout=60)
        say(f"The node stopped with status {status}.")
        if not same or status != 0:
            sys.exit(1)


if __name__ == "__main__":
    main()
