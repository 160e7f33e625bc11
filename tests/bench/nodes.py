# SPDX-License-Identifier: Apache-2.0
"""The two nodes of tests/interop/kafka.py with the settings of a bench: Apache's as its own start
script sets the JVM, with the heap held at 1 GB; ours as it is, and built for release."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

import measure  # noqa: E402
import java_tools  # noqa: E402
import kafka  # noqa: E402

TOOLS = kafka.BUILD / "tests/bench"
PROBE, PING, LOAD, STEADY, CALLS, GROUP, TRANSACT, TRANSACT_WIRE, FLOOR, FLOOR_FETCH, \
    FLOOR_RELAY, FLOOR_BROKER = (
    str(TOOLS / f"bench-{name}")
    for name in ("probe", "ping", "rdkafka-load", "steady", "calls", "group", "transact", "transact-wire",
                 "floor", "floor-fetch", "floor-relay", "floor-broker"))


# A controller writes at most 10,000 records for one request.
AT_ONCE_MAX = 5000
GONE_SECONDS_MAX = 180  # of a deleted topic's files


class Benched:
    """Adds to a node: a start whose first instant is known, and topics made by a neutral client."""

    def spawn(self, stamp, tracer=()):
        """Starts without waiting. `stamp` is a file that will hold the time of exec."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([PROBE, "stamp", stamp, *tracer, *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.folder)

    def topic(self, name, partitions, **settings):
        words = [f"{key.replace('_', '.')}={value}" for key, value in settings.items()]
        first = min(partitions, AT_ONCE_MAX)
        subprocess.run([LOAD, "create", f"address={self.address}", f"topic={name}",
                        f"partitions={first}", *words], check=True, timeout=180)
        if first < partitions:
            subprocess.run([LOAD, "grow", f"address={self.address}", f"topic={name}",
                            f"partitions={partitions}"], check=True, timeout=180)

    def forget(self, name):
        """Frees the disk; a broker that cannot delete keeps its topic."""
        return subprocess.run([LOAD, "delete", f"address={self.address}", f"topic={name}"], check=False,
                              timeout=180).returncode == 0

    def forget_wide(self, name):
        """The same for thousands of partitions: until their files are gone they are open, and a broker that has no
        descriptors left for what comes next refuses its records."""
        if self.forget(name):
            kafka.wait_for(lambda: not any(next(folder.glob(f"{name}-*"), None) for folder in self.log_dirs),
                           GONE_SECONDS_MAX)


class BenchedApache(Benched, kafka.ApacheNode):
    own_defaults = {"log.segment.delete.delay.ms": 1000}

    def command(self):
        log = java_tools.JAVA / "node/log4j2.properties"
        return ["java", "-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
                "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={log}",
                "-cp", java_tools.class_path(java_tools.NODE), "kafka.Kafka", str(self.config)]


class BenchedBarnabas(Benched, kafka.BarnabasNode):
    own_defaults = {"log.segment.delete.delay.ms": 1000, "barnabas.shards": 1}


class FloorBroker:
    """What speaks just enough of the protocol to be measured like a broker, and does the least: floor_broker.c."""
    kind = "floor"

    def __init__(self, folder, partitions, is_durable, threads):
        self.process = subprocess.Popen(
            [FLOOR_BROKER, str(folder), "durable" if is_durable else "os", str(partitions), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = self.process.stdout.readline().strip()
        assert port, "the floor did not start"
        self.address = f"127.0.0.1:{port}"

    def topic(self, name, partitions, **settings):
        """Every topic is there."""

    def forget(self, name):
        """Nothing is kept."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def memory(node):
    """Resident megabytes."""
    return measure.memory(node.process.pid)[0]


def held(node):
    """Megabytes in use for what it holds; of Apache the live heap, which is the least that it needs."""
    pid = node.process.pid
    return measure.live_heap(pid) if node.kind == "apache" else measure.private(pid)


KINDS = {"barnabas": BenchedBarnabas, "apache": BenchedApache}
# Apache's default lets a group's first rebalance wait three seconds for more members; that is no work.
GROUPS = {"group.initial.rebalance.delay.ms": 0, "group.max.size": 100000,
          "group.consumer.max.size": 100000}
PAGE_CACHE = {"barnabas": {"barnabas.flush.mode": "os", **GROUPS}, "apache": GROUPS}
DURABLE = {"barnabas": {"barnabas.flush.mode": "commit"},
           "apache": {"log.flush.interval.messages": 1}}
# Each as it comes: ours acknowledges what is on the disk, Apache's what is in memory.
DEFAULT = {"barnabas": DURABLE["barnabas"], "apache": PAGE_CACHE["apache"]}
