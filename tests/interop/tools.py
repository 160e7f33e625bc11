# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka's command-line tools, run one after the other in one JVM (java/tools/ToolRunner.java),
since a JVM of its own would cost each of some hundred calls a second or two."""
import collections
import json
import subprocess

import java_tools

SOURCES = ("tools/ToolRunner.java", "tools/WireCodec.java", "clients/RecordPipe.java",
           "clients/Check.java", "clients/RecordChecks.java", "clients/AdminChecks.java",
           "clients/ClusterChecks.java", "clients/GroupChecks.java", "clients/KillLoop.java",
           "clients/TransactionChecks.java", "clients/TransactionLoop.java")
CLASSES = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-metadata-shell": "org.apache.kafka.shell.MetadataShell",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-storage": "kafka.tools.StorageTool",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
}
# These need the classes of 4.4.0: the others run as they were released.
ON_NODE_LIBRARIES = ("kafka-features", "kafka-metadata-shell", "kafka-storage")


class Result(collections.namedtuple("Result", "exit output errors")):
    """What a tool printed, and its exit code."""

    @property
    def text(self):
        return self.output + self.errors

    def lines(self):
        return self.output.splitlines()


class Hung(AssertionError):
    """A tool that had not ended within its time."""


class Tools:
    """The JVM of the tools; it starts at the first call and again after a tool that hung."""

    def __init__(self):
        self.process = None

    def start(self):
        path = java_tools.compiled(SOURCES, java_tools.TOOLS)
        log = java_tools.JAVA / "tools/log4j2.properties"
        self.process = subprocess.Popen(
            ["java", "-Xmx384m", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
             f"-Dlog4j2.configurationFile={log}",
             f"-Dtools.path={java_tools.class_path(('tools/pom.xml',))}", "-cp", path, "ToolRunner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="utf-8")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def run(self, main, *arguments, stdin="", seconds=60, check=True):
        """Runs a tool by its name without `.sh`, or any class by its own."""
        if not self.process:
            self.start()
        run = {"main": CLASSES.get(main, main), "arguments": [str(word) for word in arguments],
               "input": stdin, "seconds": seconds,
               "released": main in CLASSES and main not in ON_NODE_LIBRARIES}
        self.process.stdin.write(json.dumps(run) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise AssertionError(f"{main}: the JVM of the tools ended")
        answer = json.loads(line)
        result = Result(answer["exit"], answer["output"], answer["errors"])
        if result.exit is None:
            self.close()
            raise Hung(f"{main} had not ended after {seconds} s\n{result.text}")
        assert not check or result.exit == 0, f"{main} {arguments} exited {result.exit}\n{result.text}"
        return result
