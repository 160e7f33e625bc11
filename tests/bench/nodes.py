# SPDX-License-Identifier: Apache-2.0
"""The two nodes of tests/interop/kafka.py with the settings of a bench: Apache's as its own start
script sets the JVM, with the heap held at 1 GB; ours as it is, and built for release."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

import java_tools  # noqa: E402
import kafka  # noqa: E402

TOOLS = kafka.BUILD / "tests/bench"
PROBE, PING, LOAD = (str(TOOLS / f"bench-{name}") for name in ("probe", "ping", "rdkafka-load"))


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
        subprocess.run([LOAD, "create", f"address={self.address}", f"topic={name}",
                        f"partitions={partitions}", *words], check=True, timeout=180)

    def forget(self, name):
        """Frees the disk; a broker that cannot delete keeps its topic."""
        subprocess.run([LOAD, "delete", f"address={self.address}", f"topic={name}"], check=False,
                       timeout=180)


class BenchedApache(Benched, kafka.ApacheNode):
    own_defaults = {"file.delete.delay.ms": 1000}

    def command(self):
        log = java_tools.JAVA / "node/log4j2.properties"
        return ["java", "-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
                "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={log}",
                "-cp", java_tools.class_path(java_tools.NODE), "kafka.Kafka", str(self.config)]


class BenchedBarnabas(Benched, kafka.BarnabasNode):
    own_defaults = {"file.delete.delay.ms": 1000, "barnabas.shards": 1}


KINDS = {"barnabas": BenchedBarnabas, "apache": BenchedApache}
PAGE_CACHE = {"barnabas": {"barnabas.flush.mode": "os"}, "apache": {}}
DURABLE = {"barnabas": {"barnabas.flush.mode": "commit"},
           "apache": {"log.flush.interval.messages": 1}}
