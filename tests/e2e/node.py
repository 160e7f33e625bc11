# SPDX-License-Identifier: Apache-2.0
"""One node in a process of its own, on free ports of the loopback address."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build")) / "barnabas"
READY = "Transitioning from RECOVERY to RUNNING"
SLOW = 10 if os.environ.get("TSAN_OPTIONS") or os.environ.get("ASAN_OPTIONS") else 1


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Node:
    """properties: what is added to a single node's file. folder: where file, log and data live."""

    def __init__(self, folder, properties="", shards=1, directories=1, formatted=True):
        self.folder = pathlib.Path(folder)
        self.port, self.controller_port, self.http_port = free_ports(3)
        self.data = [self.folder / f"data{number}" for number in range(directories)]
        self.file = self.folder / "server.properties"
        self.log = self.folder / "node.log"
        self.process = None
        self.file.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}\n"
            "controller.listener.names=CONTROLLER\n"
            f"controller.quorum.bootstrap.servers=127.0.0.1:{self.controller_port}\n"
            f"log.dirs={','.join(map(str, self.data))}\n"
            "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n"
            "share.coordinator.state.topic.min.isr=1\n"
            f"barnabas.http.listener=127.0.0.1:{self.http_port}\nbarnabas.shards={shards}\n" + properties)
        if formatted:
            cluster = subprocess.run([BINARY, "storage", "random-uuid"], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout.strip()
            self.run("storage", "format", "-t", cluster, "-c", self.file, "--standalone", check=True)

    def run(self, *arguments, check=False):
        return subprocess.run([BINARY, *map(str, arguments)], check=check, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder)

    def spawn(self, *arguments):
        with open(self.log, "ab") as log:
            self.seen = log.tell()
            self.process = subprocess.Popen([BINARY, "start", *map(str, arguments or (self.file,))],
                                            stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)

    def start(self, *arguments):
        self.spawn(*arguments)
        self.wait_for(READY)
        return self

    def text(self):
        with open(self.log, "rb") as log:
            log.seek(self.seen)
            return log.read().decode(errors="replace")

    def wait_for(self, text, seconds=30):
        deadline = time.monotonic() + seconds * SLOW
        while time.monotonic() < deadline:
            if text in self.text():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise AssertionError(f"the node did not say {text!r}:\n{self.text()[-4000:]}")

    def client(self):
        return wire.Client(self.port, timeout=30 * SLOW)

    def stop(self):
        """Exit status of an orderly stop."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60 * SLOW)
        self.process = None
        return status

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024
