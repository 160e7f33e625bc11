# SPDX-License-Identifier: Apache-2.0
"""Nodes of one process, broker and controller at once, on loopback ports: Apache Kafka's, the oracle,
and ours. Both are driven alike and may open each other's directories in turn."""
import collections
import os
import pathlib
import signal
import socket
import subprocess
import time

import java_tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build"))
BARNABAS = BUILD / "barnabas"
CLUSTER_ID = "aW50ZXJvcC10ZXN0LTAwMQ"
READY = "Transitioning from RECOVERY to RUNNING"
START_SECONDS = 90
STOP_SECONDS = 60
Usage = collections.namedtuple("Usage", "cpu_seconds rss_bytes")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Node:
    """A node that lives in `folder`: server.properties, its log directories and its own log."""

    def __init__(self, folder, tools, ports=None, directories=1, properties=None):
        self.folder = pathlib.Path(folder)
        self.tools = tools
        self.port, self.controller_port = ports or free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.node_id = 1
        self.log_dirs = [self.folder / f"data-{index}" for index in range(directories)]
        self.config = self.folder / f"{self.kind}.properties"
        self.log = self.folder / f"{self.kind}.log"
        self.process = None
        self.folder.mkdir(parents=True, exist_ok=True)
        everything = {**self.defaults(), **self.own_defaults, **(properties or {})}
        self.config.write_text("".join(f"{key}={value}\n" for key, value in everything.items()),
                               encoding="utf-8")

    def defaults(self):
        return {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners":
                f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "log.dirs": ",".join(map(str, self.log_dirs)),
            "num.partitions": 1,
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
        }

    # ---- life ----

    def format(self, *options):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def start(self):
        assert self.process is None
        mark = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready(mark):
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise AssertionError(f"{self.kind} ended with {code} at start\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.kind} was not ready in time\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def is_ready(self, mark):
        with open(self.log, "rb") as log:
            log.seek(mark)
            if READY.encode() not in log.read():
                return False
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def signal(self, number):
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.kind} did not end on signal {number}\n{self.log_tail()}") from None

    def stop(self):
        """A clean stop; the exit code of a JVM that ends on SIGTERM is 143."""
        code = self.signal(signal.SIGTERM)
        assert code in (0, 143, -signal.SIGTERM), f"{self.kind} ended with {code}\n{self.log_tail()}"

    def kill(self):
        self.signal(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def revive(self):
        """Starts a node again that a test before has brought down, so that the next ones can tell more
        than that it is down."""
        if not self.is_alive():
            self.process = None
            self.start()

    def close(self):
        if self.process:
            self.kill()

    # ---- looking at it ----

    def log_tail(self, lines=60):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def usage(self):
        """Processor time and resident memory so far, from /proc."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return Usage((int(fields[11]) + int(fields[12])) / ticks,
                     int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))

    def tool(self, name, *arguments, **options):
        """A tool that talks to this node."""
        server = ("--bootstrap-server", self.address)
        if name == "kafka-cluster":  # its options follow the subcommand
            return self.tools.run(name, arguments[0], *server, *arguments[1:], **options)
        return self.tools.run(name, *server, *arguments, **options)

    def create_topic(self, topic, *options):
        """Creates a topic and waits until its partitions take records: what an idempotent producer
        sends before may overtake itself (a first batch refused, the second one taken)."""
        self.tool("kafka-topics", "--create", "--topic", topic, *options)
        wait_for(lambda: self.tool("kafka-get-offsets", "--topic", topic, check=False).exit == 0)

    def partition_folder(self, topic, partition=0):
        found = [path for path in (folder / f"{topic}-{partition}" for folder in self.log_dirs)
                 if path.is_dir()]
        assert len(found) == 1, found
        return found[0]


class ApacheNode(Node):
    kind = "apache"
    own_defaults = {}

    @staticmethod
    def available():
        return java_tools.available()

    def format(self, *options):
        self.tools.run("kafka-storage", "format", "-t", CLUSTER_ID, "-c", self.config,
                       *(options or ("--standalone",)))

    def command(self):
        log = java_tools.JAVA / "node/log4j2.properties"
        return ["java", "-Xms96m", "-Xmx256m", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={log}",
                "-cp", java_tools.class_path(java_tools.NODE), "kafka.Kafka", str(self.config)]


class BarnabasNode(Node):
    kind = "barnabas"
    own_defaults = {"barnabas.flush.mode": os.environ.get("BARNABAS_INTEROP_FLUSH_MODE", "commit"),
                    "barnabas.shards": os.environ.get("BARNABAS_INTEROP_SHARDS", "0")}

    @staticmethod
    def available():
        return BARNABAS.exists()

    def format(self, *options):
        command = [BARNABAS, "storage", "format", "-t", CLUSTER_ID, "-c", self.config,
                   *(options or ("--standalone",))]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr

    def command(self):
        return [str(BARNABAS), "start", str(self.config)]


KINDS = {"apache": ApacheNode, "barnabas": BarnabasNode}


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.1)
