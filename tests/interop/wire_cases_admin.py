# SPDX-License-Identifier: Apache-2.0
"""The questions of test_wire_admin.py: scenes, each a list of (API, version, body) in order, since some of them write.

What there is: `plain` (2 partitions), `compact` (cleanup.policy=compact) and `there.is_one`, on nodes whose files set
what PROPERTIES has. "<id NAME>" in a body stands for the id of that topic."""
from wire_cases import NO_ID, resource

PROPERTIES = {"log.retention.hours": 100, "log.roll.ms": 3600000, "my.unknown.key": "abc",
              "listener.name.plaintext.max.connections": 77}
READS = {"DescribeConfigs", "DescribeClientQuotas", "DescribeUserScramCredentials", "ListConfigResources"}
TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)


# ---- questions ----

def topic(name="new", partitions=1, replicas=1, assignments=(), configs=()):
    return {"name": name, "numPartitions": partitions, "replicationFactor": replicas,
            "assignments": [{"partitionIndex": index, "brokerIds": brokers} for index, brokers in assignments],
            "configs": [{"name": key, "value": value} for key, value in configs]}


def create(*topics, version=7, only=True, timeout=10000):
    return "CreateTopics", version, {"validateOnly": only, "timeoutMs": timeout, "topics": list(topics)}


def configured(*configs):
    return create(topic(configs=configs))


def assigned(*assignments, partitions=-1, replicas=-1):
    return create(topic("new", partitions, replicas, assignments))


def delete(*topics, version=6):
    return "DeleteTopics", version, {"timeoutMs": 5000, **(
        {"topics": list(topics)} if version > 5 else {"topicNames": [each["name"] for each in topics]})}


def by_id(topic_id, name=None):
    return {"topicId": topic_id, "name": name}


def grow(*topics, version=3):
    return "CreatePartitions", version, {"validateOnly": True, "timeoutMs": 10000, "topics": [
        {"name": name, "count": count, "assignments": to and [{"brokerIds": each} for each in to]}
        for name, count, to in topics]}


def resources(*each):
    return {"resources": [one for several in each for one in several["resources"]]}


def describe(kind, name, keys=None, version=4, synonyms=True):
    return "DescribeConfigs", version, {**resource(kind, name, configurationKeys=keys), "includeSynonyms": synonyms}


def changes(kind, name, *operations):
    return resource(kind, name, configs=[{"name": key, "configOperation": operation, "value": value}
                                         for key, operation, value in operations])


def alter(*each, only=True, version=1):
    return "IncrementalAlterConfigs", version, {"validateOnly": only, **resources(*each)}


def change(kind, name, *operations):
    return alter(changes(kind, name, *operations), only=False)


def refuse(kind, name, key, value, operation=SET):
    return alter(changes(kind, name, (key, operation, value)))


def replace(kind, name, *pairs, only=True, version=2):
    return "AlterConfigs", version, {"validateOnly": only, **resource(
        kind, name, configs=[{"name": key, "value": value} for key, value in pairs])}


def quota(*entries, only=True):
    return "AlterClientQuotas", 1, {"validateOnly": only, "entries": [
        {"entity": [{"entityType": kind, "entityName": name} for kind, name in entity],
         "ops": [{"key": key, "value": float(value or 0), "remove": value is None} for key, value in operations]}
        for entity, *operations in entries]}


def quotas(*components, strict=False):
    return "DescribeClientQuotas", 1, {"strict": strict, "components": [
        {"entityType": kind, "matchType": match, "match": name} for kind, match, name in components]}


def scram(deletions=(), upsertions=()):
    return "AlterUserScramCredentials", 0, {
        "deletions": [{"name": name, "mechanism": mechanism} for name, mechanism in deletions],
        "upsertions": [{"name": name, "mechanism": mechanism, "iterations": iterations, "salt": "c2FsdA==",
                        "saltedPassword": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
                       for name, mechanism, iterations in upsertions]}


def users(*names):
    return "DescribeUserScramCredentials", 0, {"users": [{"name": name} for name in names] or None}


def features(*updates, version=2):
    return "UpdateFeatures", version, {"validateOnly": True, "featureUpdates": [
        {"feature": name, "maxVersionLevel": level, "upgradeType": kind} for name, level, kind in updates]}


def move(*topics, **more):
    return "AlterPartitionReassignments", 1, {"timeoutMs": 5000, "topics": [
        {"name": name, "partitions": [{"partitionIndex": index, "replicas": to} for index, to in parts]}
        for name, parts in topics], **more}


def elect(kind, *topics):
    return "ElectLeaders", 2, {"electionType": kind, "timeoutMs": 1000, "topicPartitions": [
        {"topic": name, "partitions": list(partitions)} for name, *partitions in topics]}


# ---- scenes ----

POLICY = describe(TOPIC, "plain", ["cleanup.policy"])
THROTTLED = "leader.replication.throttled.replicas"
RATE = "producer_byte_rate"
RETENTION = ("retention.ms", SET, "5")
IDS = ("01", " 1", "2", "-1", "x", "99999999999", "")

SCENES = {
    "topics with settings": [
        create(topic()), create(topic("new", -1, -1)), *(create(topic(), version=version) for version in range(2, 8)),
        *(configured(pair) for pair in (
            ("cleanup.policy", "compact, delete"), ("retention.ms", " 7 "), ("preallocate", "TRUE"),
            ("min.cleanable.dirty.ratio", "0.50"), ("compression.type", "ZSTD"), ("internal.segment.bytes", "100"),
            (THROTTLED, "*"), ("", "1"), ("retention.ms", ""), ("cleanup.policy", ""),
            ("cleanup.policy", "delete,delete"), ("max.message.bytes", "1" * 40))),
        configured(("retention.ms", "1"), ("retention.ms", "2")), configured(("retention.ms", None), ("segment.ms", None)),
        configured(("retention.ms", "x"), ("retention.ms", "2")), configured(("no.such", "1"), ("retention.ms", "x")),
        configured(("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "5"))],
    "names of topics": [
        create(topic("a.b"), topic("a_b")), create(topic("there_is.one")), create(topic("there.is_one")),
        create(topic("there_is_one")), create(topic("n" * 249)), create(topic("é")), create(topic("__consumer_offsets")),
        create(topic("a b", configs=[("no", "1")])), create(),
        create(topic("a"), topic("b", 0), topic("a"), topic("c", 1, 5), topic("plain"), topic("__cluster_metadata"),
               topic("b b"))],
    "numbers and assignments": [
        *(create(topic("new", partitions)) for partitions in (10001, 10000, 2147483647, -5)),
        create(topic("new", 6000), topic("other", 6000)), create(topic("new", 0, 0)), create(topic("new", 1, 32767)),
        assigned((0, [1])), assigned((1, [1]), (0, [1])), assigned((-1, [1])), assigned((0, [1]), (0, [1])),
        assigned((0, [1]), (1, [])), assigned((0, [1, 1]), (1, [7])), assigned((0, [-1])),
        assigned((0, [1]), partitions=1), assigned((0, [1]), replicas=1), assigned((1, [1]), (3, [1])),
        assigned((1000000, [1]))],
    "topics made and deleted": [
        create(topic("real", 2, configs=[("retention.ms", " 77 "), ("cleanup.policy", "compact, delete")]), only=False),
        describe(TOPIC, "real"), create(topic("real")), delete({"name": "real"}, {"name": "real"}),
        delete({"name": "unknown"}, {"name": "unknown"}, by_id(NO_ID), by_id(NO_ID)),
        delete({"name": "compact"}, by_id("<id compact>")), delete(by_id("<id compact>"), by_id("<id compact>")),
        delete(by_id("<id compact>", "plain")), delete({"name": None}, {"name": None}), delete(),
        delete({"name": "a b"}, {"name": ""}),
        *(delete({"name": "unknown"}, {"name": "unknown"}, {"name": "a b"}, version=version) for version in range(1, 6)),
        delete({"name": "real"}, version=4), delete({"name": "real"}, version=4)],
    "partitions added": [
        *(grow(("plain", count, to)) for count, to in (
            (3, None), (3, []), (3, [[1]]), (4, [[1], [7]]), (4, [[1], [1, 1]]), (4, [[1], []]), (2, []), (1, [[1]]),
            (0, None), (-1, None), (10002, None), (10003, None), (2147483647, None), (3, [[1, 1]]))),
        grow(("plain", 3, None), ("plain", 4, None)), grow(), grow(("a b", 3, None), ("", 3, None), ("plain", 3, None)),
        *(grow(("plain", 3, None), ("unknown", 4, None), version=version) for version in range(4))],
    "lists appended to": [
        *(step for operation, value in (
            (APPEND, "compact"), (APPEND, "compact"), (SUBTRACT, "delete"), (SUBTRACT, "compact"), (SUBTRACT, "compact"),
            (APPEND, ""), (APPEND, "delete,compact,delete"), (SUBTRACT, "delete, compact"), (DELETE, None), (DELETE, "x"))
          for step in (change(TOPIC, "plain", ("cleanup.policy", operation, value)), POLICY)),
        change(TOPIC, "plain", (THROTTLED, APPEND, "0:1")), change(TOPIC, "plain", (THROTTLED, APPEND, "1:1,0:1")),
        describe(TOPIC, "plain", [THROTTLED]), refuse(TOPIC, "plain", THROTTLED, "*", APPEND),
        change(TOPIC, "plain", (THROTTLED, SUBTRACT, "0:1,1:1")), describe(TOPIC, "plain", [THROTTLED]),
        change(TOPIC, "plain", (THROTTLED, DELETE, None)),
        refuse(GROUP, "g", "streams.rack.aware.assignment.tags", "x,y", APPEND),
        refuse(METRICS, "m", "metrics", "c", APPEND), refuse(METRICS, "m", "match", "client_id=a", SUBTRACT),
        refuse(BROKER, "1", "no.such", "1", APPEND), refuse(BROKER, "1", "node.id", "1", APPEND),
        refuse(BROKER, "1", "log.cleaner.threads", "1", SUBTRACT),
        refuse(BROKER, "1", "leader.replication.throttled.rate", "1", APPEND)],
    "settings of topics": [
        alter(changes(TOPIC, "plain", ("no.such", DELETE, None))), alter(changes(TOPIC, "plain")), alter(),
        alter(changes(TOPIC, "plain", RETENTION, ("segment.ms", SET, "x"))),
        *(alter(changes(TOPIC, name, RETENTION)) for name in ("unknown", "", "a b", "n" * 250)),
        refuse(TOPIC, "a b", "no", "5"), refuse(TOPIC, "plain", "", "1"), refuse(TOPIC, "a b", "retention.ms", "5", APPEND),
        alter(changes(TOPIC, "plain", RETENTION), changes(TOPIC, "plain", RETENTION), changes(TOPIC, "compact", RETENTION)),
        alter(changes(TOPIC, "plain", RETENTION), changes(BROKER, "1", ("node.id", SET, "5")),
              changes(GROUP, "g", ("no", SET, "5")), changes(METRICS, "m", ("no", SET, "5")),
              changes(LOGGER, "1", ("root", SET, "NO")), changes(TOPIC, "unknown", RETENTION), changes(99, "x")),
        refuse(TOPIC, "plain", "retention.ms", None, APPEND), refuse(TOPIC, "plain", "message.format.version", "3.0"),
        replace(TOPIC, "plain", ("retention.ms", "5"), only=False), describe(TOPIC, "plain"),
        replace(TOPIC, "plain", ("segment.ms", "5"), ("cleanup.policy", "compact"), only=False), describe(TOPIC, "plain"),
        *(replace(TOPIC, "plain", *pairs) for pairs in (
            [("no", "5")], [("retention.ms", None)], [("retention.ms", "1"), ("retention.ms", "2")])),
        *(replace(kind, name, ("no", "1")) for kind, name in (
            (LOGGER, "1"), (99, "1"), (TOPIC, "unknown"), (TOPIC, ""), (TOPIC, "a b"), (BROKER, "7"), (GROUP, "g"),
            (GROUP, ""), (METRICS, "m"), (METRICS, ""))),
        replace(TOPIC, "plain", only=False), describe(TOPIC, "plain"), describe(TOPIC, "plain", []),
        describe(TOPIC, "plain", ["retention.ms", "retention.ms", "no"])],
    "settings of brokers": [
        *(alter(changes(BROKER, name, ("log.cleaner.threads", SET, "1"))) for name in IDS),
        *(describe(BROKER, name, ["node.id"]) for name in IDS),
        *(refuse(BROKER, name, key, value) for name in ("1", "") for key, value in (
            ("no.such", "1"), ("broker.id", "1"), ("process.roles", "broker"), ("cordoned.log.dirs", "*"),
            ("cordoned.log.dirs", "/nope"), ("num.io.threads", "100"), ("num.network.threads", "16"),
            ("log.cleaner.threads", "16"), ("remote.log.reader.threads", "2"), ("max.connection.creation.rate", "0"),
            ("group.consumer.assignment.interval.ms", "3000000"), ("group.share.assignment.interval.ms", "3000000"),
            ("group.streams.assignment.interval.ms", "3000000"), ("log.local.retention.ms", "99999999999"),
            ("log.remote.copy.lag.ms", "99999999999"), ("log.roll.jitter.ms", "-5"), ("compression.type", "zip"),
            ("ssl.keystore.location", "/x"), ("listener.name.plaintext.max.connections", "5"), ("max.connections", "0"),
            ("listener.name.plaintext.max.connections", "0"))),
        *(alter(changes(BROKER, "1", (key, SET, "99"), ("log.retention.bytes", SET, "3")))
          for key in ("log.local.retention.bytes", "log.remote.copy.lag.bytes")),
        alter(changes(BROKER, "1", ("node.id", DELETE, None))), alter(changes(BROKER, "", ("listeners", DELETE, None))),
        change(BROKER, "", ("log.retention.ms", SET, "86400000"), ("message.max.bytes", SET, "2000000"),
               ("my.other", SET, "v"), ("leader.replication.throttled.rate", SET, "5")),
        change(BROKER, "1", ("log.segment.bytes", SET, " 3000000 "), ("my.plugin", SET, "v"),
               ("leader.replication.throttled.rate", SET, "1000"), ("log.cleanup.policy", APPEND, "compact")),
        describe(BROKER, "1"), describe(BROKER, "1", synonyms=False), describe(BROKER, ""), describe(TOPIC, "plain"),
        describe(BROKER, "", ["log.retention.ms", "no"]), configured(("segment.bytes", "1048576")),
        change(BROKER, "1", ("log.cleanup.policy", SUBTRACT, "delete")), describe(BROKER, "1", ["log.cleanup.policy"]),
        refuse(BROKER, "1", "log.cleanup.policy", "compact", SUBTRACT),
        replace(BROKER, "1", ("log.cleaner.threads", "1"), only=False), describe(BROKER, "1"),
        replace(BROKER, "", only=False), replace(BROKER, "1", only=False), describe(BROKER, "1"), describe(BROKER, ""),
        create(topic())],
    "settings of groups, client metrics and loggers": [
        describe(GROUP, "g"), describe(METRICS, "m"), describe(GROUP, ""), describe(METRICS, ""), describe(LOGGER, "2"),
        describe(LOGGER, "1", ["root"]), describe(LOGGER, ""),
        change(GROUP, "g", ("consumer.session.timeout.ms", SET, "50000"), ("share.auto.offset.reset", SET, "earliest")),
        change(METRICS, "m", ("interval.ms", SET, "1000"), ("match", SET, "client_id=a.*,client_software_name=b"),
               ("metrics", SET, "a,b")),
        describe(GROUP, "g"), describe(METRICS, "m"), ("ListConfigResources", 0, {}),
        *(("ListConfigResources", 1, {"resourceTypes": kinds}) for kinds in (
            [], [2], [4], [16], [32], [2, 2], [99], [2, 99], [0], [1], [4, 2, 32])),
        change(METRICS, "m", *((key, DELETE, None) for key in ("interval.ms", "match", "metrics"))),
        change(GROUP, "g", ("consumer.session.timeout.ms", DELETE, None), ("share.auto.offset.reset", DELETE, None)),
        describe(GROUP, "g"), describe(METRICS, "m"), ("ListConfigResources", 1, {"resourceTypes": [16, 32]}),
        *(refuse(GROUP, "g", "consumer.session.timeout.ms", value) for value in ("", "x", "1", "45000", "100000")),
        *(refuse(METRICS, "m", "match", value) for value in (
            "client_id=a,client_id=b", "client_id", "client_id=", "=x", "client_id=a=b", "client_id=[", " client_id = a ")),
        *(refuse(LOGGER, name, "root", "INFO") for name in ("1", "2", "", "x")),
        *(refuse(LOGGER, "1", "root", *pair) for pair in (
            ("info",), (None, DELETE), ("INFO", APPEND), ("INFO", SUBTRACT), (None,), ("OFF",), ("",))),
        refuse(LOGGER, "1", "no.such", "INFO"), refuse(LOGGER, "1", "no.such", None, DELETE)],
    "quotas": [
        *(quota(([("user", "u")], (key, value))) for key in (
            RATE, "request_percentage", "controller_mutation_rate", "connection_creation_rate", "no", "")
          for value in (0, -1, 0.5, 1.0000001, 1.5, 1e18, 1e19, None)),
        *(quota(([("ip", name)], ("connection_creation_rate", 1))) for name in (
            "127.0.0.1", "::1", "nowhere.invalid", "", None, "300.1.1.1", "1.1.1.", ":::")),
        quota(([("ip", "1.1.1.1")], (RATE, 1))), quota(([("ip", "1.1.1.1")], ("connection_creation_rate", 1.5))),
        quota(([], (RATE, 1))), quota(([("user", "u"), ("ip", "1.1.1.1")], (RATE, 1))), quota(([("colour", "u")],)),
        quota(([("user", "")],)), quota(([("user", "u")],)), quota(),
        quota(([("user", "u")], (RATE, 1)), ([("user", "u"), ("colour", "red")], (RATE, 1))),
        quota(([("ip", "1.0000000000.0.1")], ("connection_creation_rate", 1))),
        quota(([("user", "u"), ("client-id", None)], (RATE, 1000), ("request_percentage", 50.5)),
              ([("user", None)], (RATE, 3000)), ([("client-id", "c")], (RATE, 4000)),
              ([("ip", "127.0.0.9")], ("connection_creation_rate", 500)), ([("user", "bad")], ("no", 1)), only=False),
        *(quotas(*components, strict=strict) for strict in (False, True) for components in (
            [], [("user", 0, "u")], [("user", 1, None)], [("user", 2, None)], [("user", 0, "u"), ("client-id", 1, None)],
            [("client-id", 0, "c")], [("ip", 2, None)], [("ip", 2, None), ("user", 2, None)], [("user", 0, None)],
            [("user", 1, "u")], [("user", 2, "u")], [("user", 3, None)], [("", 2, None)], [("user", 0, "")])),
        quota(([("user", "u"), ("client-id", None)], (RATE, None), ("request_percentage", None), ("no", None)),
              ([("user", None)], (RATE, None)), ([("client-id", "c")], (RATE, None)),
              ([("ip", "127.0.0.9")], ("connection_creation_rate", None)), only=False),
        quotas()],
    "credentials": [
        scram(), *(scram(upsertions=[each]) for each in (
            ("a", 1, 4095), ("a", 1, 16385), ("a", 0, 4096), ("a", 3, 4096), ("", 1, 4096), ("", 3, 1))),
        scram(upsertions=[("a", 1, 4096), ("a", 2, 4096)]), scram(upsertions=[("a", 1, 1), ("a", 2, 4096)]),
        scram([("a", 1)], [("a", 1, 4096)]), scram([("a", 1), ("a", 2)]),
        scram(upsertions=[("alice", 1, 8192), ("bob", 2, 4096)]), scram(upsertions=[("alice", 2, 4096)]),
        users(), users("alice"), users("alice", "bob", "carol"), users("alice", "alice"), users(""),
        scram([("bob", 1), ("bob", 2)]), scram([("bob", 2), ("bob", 1)]), scram([("bob", 1)]),
        scram([("alice", 1), ("alice", 2)]), scram([("alice", 1)]), scram([("bob", 2)]), scram([("alice", 2)]), users()],
    "features": [
        *(features((name, level, kind)) for name, levels in (
            ("metadata.version", (-1, 0, 7, 99)), ("group.version", (0, 1, 2)), ("transaction.version", (0, 3)),
            ("kraft.version", (0, 1, 2)), ("eligible.leader.replicas.version", (0, 1)), ("no.such", (0, 1)))
          for level in levels for kind in (0, 1, 2, 3, 4)),
        features(), features(version=1), features(("group.version", 1, 1), ("no.such", 1, 1), version=1),
        features(("group.version", 0, 2), ("metadata.version", 20, 2))],
    "the cluster": [
        *(elect(kind, *topics) for kind in (0, 1) for topics in (
            [], [("plain", 0, 1)], [("plain",)], [("plain", 0, 0)], [("unknown", 0), ("plain", 9, -1)])),
        move(("plain", [(0, [1])]), ("plain", [(1, [1])])), move(("plain", [])), move(("plain", [(0, [1]), (0, None)])),
        move(("unknown", [(0, [1])]), ("unknown", [(0, None)])), move(("plain", [(9, None), (-1, [1]), (0, [-1])])),
        move(("plain", [(0, [1])]), allowReplicationFactorChange=False),
        ("ListPartitionReassignments", 0, {"timeoutMs": 1000, "topics": [{"name": "plain", "partitionIndexes": [0, 9]}]}),
        *(("AlterReplicaLogDirs", 2, {"dirs": [{"path": path, "topics": [
            {"name": name, "partitions": [0, 9]} for name in ("plain", "unknown", "a b", "n" * 249)]}]})
          for path in ("/nowhere", "")),
        *(("DescribeLogDirs", version, {"topics": topics}) for version in range(1, 6) for topics in (
            None, [], [{"topic": "plain", "partitions": [0, 9]}, {"topic": "plain", "partitions": [1]}])),
        *(("DescribeQuorum", version, {"topics": [{"topicName": name, "partitions": [
            {"partitionIndex": index} for index in partitions]}]}) for version in range(3)
          for name, partitions in (("__cluster_metadata", (1,)), ("__cluster_metadata", (0, 0)),
                                   ("__cluster_metadata", ()), ("plain", (0,)))),
        *(("DescribeTopicPartitions", 0, {"topics": [{"name": name} for name in names], "responsePartitionLimit": limit,
                                          **({"cursor": {"topicName": at[0], "partitionIndex": at[1]}} if at else {})})
          for names in ([], ["plain", "compact", "plain"], ["unknown", "plain"]) for limit in (0, 1, 2, 2000, -1)
          for at in (None, ("plain", 1), ("plain", 9), ("unknown", 5)))],
}
