# SPDX-License-Identifier: Apache-2.0
"""The questions of test_wire_oracle.py: name, API, version, body. "<id NAME>" in a body stands for the
id of that topic. They are asked in order, since some of them write.

What there is: `plain` (2 partitions; three batches, of 2, 1 and 3 records, in the first), `small`
(max.message.bytes=300), `compact` (cleanup.policy=compact), `stamped` (LogAppendTime), `strict`
(min.insync.replicas=2, of one replica)."""
from batches import batch, cut, joined

NO_ID = "AAAAAAAAAAAAAAAAAAAABQ"
FAR = 1 << 40


def named(name, *partitions):
    return {"topics": [{"name": name, "partitions": list(partitions)}]}


def list_offsets(time, topic="plain", partition=0, epoch=-1):
    return {"replicaId": -1, **named(topic, {"partitionIndex": partition, "currentLeaderEpoch": epoch,
                                             "timestamp": time})}


def fetch(topic="plain", offset=0, partition=0, by_id=True, epoch=-1, fetched=-1, max_bytes=1 << 20, **more):
    return {"maxWaitMs": 100, "minBytes": 0, "maxBytes": 1 << 20, "topics": [{
        **({"topicId": topic if topic == NO_ID else f"<id {topic}>"} if by_id else {"topic": topic}),
        "partitions": [{"partition": partition, "fetchOffset": offset, "currentLeaderEpoch": epoch,
                        "lastFetchedEpoch": fetched, "partitionMaxBytes": max_bytes}]}], **more}


def fetches(max_bytes, *places):
    """A fetch of several (partition, offset) of `plain`."""
    body = fetch(by_id=False, maxBytes=max_bytes)
    (first,) = body["topics"][0]["partitions"]
    body["topics"][0]["partitions"] = [{**first, "partition": partition, "fetchOffset": offset}
                                       for partition, offset in places]
    return body


def produce(records, topic="plain", partition=1, acks=-1, by_id=False, **more):
    return {"acks": acks, "timeoutMs": 5000, "topicData": [{
        **({"topicId": topic if topic == NO_ID else f"<id {topic}>"} if by_id else {"name": topic}),
        "partitionData": [{"index": partition, "records": records}]}], **more}


def produce_twice(by_id):
    """One record for a partition of `plain`, then two for the same one."""
    body = produce(batch([b"first"]), by_id=by_id)
    body["topicData"][0]["partitionData"].append({"index": 1, "records": batch([b"second", b"third"])})
    return body


def create(name, partitions=1, replicas=1, assignments=(), configs=(), only=True):
    return {"validateOnly": only, "timeoutMs": 10000, "topics": [{
        "name": name, "numPartitions": partitions, "replicationFactor": replicas,
        "assignments": [{"partitionIndex": index, "brokerIds": brokers} for index, brokers in assignments],
        "configs": [{"name": key, "value": value} for key, value in configs]}]}


def add_partitions(name, count, assignments=None):
    return {"validateOnly": True, "timeoutMs": 10000, "topics": [{
        "name": name, "count": count,
        "assignments": assignments and [{"brokerIds": each} for each in assignments]}]}


def resource(kind, name, **more):
    return {"resources": [{"resourceType": kind, "resourceName": name, **more}]}


def describe(kind, name, keys=None):
    return {**resource(kind, name, configurationKeys=keys), "includeSynonyms": True}


def alter(kind, name, *changes, only=True):
    return {"validateOnly": only, **resource(kind, name, configs=[
        {"name": key, "configOperation": operation, "value": value} for key, operation, value in changes])}


def quota(*entity, key="consumer_byte_rate", value=1000.0, remove=False):
    return {"validateOnly": True, "entries": [{
        "entity": [{"entityType": kind, "entityName": name} for kind, name in entity],
        "ops": [{"key": key, "value": value, "remove": remove}]}]}


def epochs(topic, partition=0, epoch=0, current=-1):
    return {"replicaId": -1, "topics": [{"topic": topic, "partitions": [
        {"partition": partition, "currentLeaderEpoch": current, "leaderEpoch": epoch}]}]}


def quorum(topic):
    return {"topics": [{"topicName": topic, "partitions": [{"partitionIndex": 0}]}]}


def metadata(*names, ids=(), create_it=False, **more):
    return {"allowAutoTopicCreation": create_it, "topics": [
        *({"name": name} for name in names), *({"topicId": each, "name": None} for each in ids)], **more}


GOOD = batch([b"one"])

METADATA = [
    ("metadata of all topics", "Metadata", 12, {"topics": None}),
    ("metadata of no topic", "Metadata", 12, {"topics": []}),
    ("metadata of all topics in version 0", "Metadata", 0, {"topics": []}),
    ("metadata of one topic in version 1", "Metadata", 1, metadata("plain")),
    ("metadata of one topic with operations", "Metadata", 9, metadata(
        "plain", includeTopicAuthorizedOperations=True)),
    ("metadata of the cluster's operations", "Metadata", 10, {
        "topics": [], "includeClusterAuthorizedOperations": True}),
    ("metadata of an unknown topic", "Metadata", 12, metadata("unknown")),
    ("metadata of an unknown topic in version 4", "Metadata", 4, metadata("unknown", "plain")),
    ("metadata of an invalid name", "Metadata", 12, metadata("a b")),
    ("metadata of an invalid name that may be made", "Metadata", 12,
     metadata("a b", create_it=True)),
    ("metadata of an unknown topic that may be made", "Metadata", 9,
     metadata("made", create_it=True)),
    ("metadata by id", "Metadata", 12, metadata(ids=["<id plain>"])),
    ("metadata by an unknown id", "Metadata", 13, metadata(ids=[NO_ID])),
    ("a described cluster", "DescribeCluster", 0, {"includeClusterAuthorizedOperations": True}),
    ("a described cluster with fenced brokers", "DescribeCluster", 2,
     {"includeFencedBrokers": True}),
    ("a described cluster of controllers", "DescribeCluster", 1, {"endpointType": 2}),
    ("a described cluster of nothing", "DescribeCluster", 1, {"endpointType": 9}),
    ("partitions of a topic", "DescribeTopicPartitions", 0, {"topics": [{"name": "plain"}]}),
    ("partitions up to a limit", "DescribeTopicPartitions", 0, {
        "topics": [{"name": "plain"}, {"name": "small"}], "responsePartitionLimit": 1}),
    ("partitions from a cursor", "DescribeTopicPartitions", 0, {
        "topics": [{"name": "plain"}], "cursor": {"topicName": "plain", "partitionIndex": 1}}),
    ("partitions from a cursor in no topic asked for", "DescribeTopicPartitions", 0, {
        "topics": [{"name": "small"}], "cursor": {"topicName": "plain", "partitionIndex": 1}}),
    ("partitions from a negative cursor", "DescribeTopicPartitions", 0, {
        "topics": [{"name": "plain"}], "cursor": {"topicName": "plain", "partitionIndex": -1}}),
    ("partitions of an unknown topic", "DescribeTopicPartitions", 0,
     {"topics": [{"name": "unknown"}]}),
]

OFFSETS = [
    *((f"the offset at {time} in version {version}", "ListOffsets", version, list_offsets(time))
      for version, times in ((1, (-1, -2, 0, 1_700_000_000_001)), (7, (-3,)), (8, (-4,)), (9, (-5,)),
                             (11, (-6, -7, FAR * 4)))
      for time in times),
    ("the max timestamp before it was known", "ListOffsets", 6, list_offsets(-3)),
    ("the offset of an unknown topic", "ListOffsets", 7, list_offsets(-1, "unknown")),
    ("the offset of an unknown partition", "ListOffsets", 7, list_offsets(-1, partition=9)),
    ("the offset in the epoch of the leader", "ListOffsets", 7, list_offsets(-1, epoch=0)),
    ("the offset in an epoch to come", "ListOffsets", 7, list_offsets(-1, epoch=9)),
    ("the offset of an empty partition at a time", "ListOffsets", 7, list_offsets(5, "small")),
    ("an epoch's end", "OffsetForLeaderEpoch", 4, epochs("plain")),
    ("the end of an epoch to come", "OffsetForLeaderEpoch", 4, epochs("plain", epoch=9)),
    ("an epoch's end for a leader to come", "OffsetForLeaderEpoch", 3, epochs("plain", current=9)),
    ("an epoch's end in an unknown topic", "OffsetForLeaderEpoch", 4, epochs("unknown")),
    ("an epoch's end in an unknown partition", "OffsetForLeaderEpoch", 4,
     epochs("plain", partition=9)),
    ("records deleted beyond the end", "DeleteRecords", 2,
     named("plain", {"partitionIndex": 0, "offset": 99})),
    ("records deleted at a wrong offset", "DeleteRecords", 2,
     named("plain", {"partitionIndex": 0, "offset": -2})),
    ("records deleted in an unknown topic", "DeleteRecords", 2,
     named("unknown", {"partitionIndex": 0, "offset": 0})),
    ("records deleted in a compacted topic", "DeleteRecords", 1,
     named("compact", {"partitionIndex": 0, "offset": 0})),
]

FETCHES = [
    ("a fetch from the start in version 4", "Fetch", 4, fetch(by_id=False)),
    ("a fetch from within a batch in version 12", "Fetch", 12, fetch(offset=1, by_id=False)),
    ("a fetch by id", "Fetch", 13, fetch(offset=2)),
    ("a fetch in the last version", "Fetch", 18, fetch()),
    ("a fetch at the end", "Fetch", 17, fetch(offset=6)),
    ("a fetch of an empty partition", "Fetch", 12, fetch("small", by_id=False)),
    ("a fetch of less than a batch", "Fetch", 17, fetch(max_bytes=10)),
    ("a fetch of committed records", "Fetch", 17, fetch(isolationLevel=1)),
    *((f"a fetch beyond the end in version {version}", "Fetch", version, fetch(offset=99, by_id=version > 12))
      for version in (4, 12, 13, 17)),
    ("a fetch before the start", "Fetch", 12, fetch(offset=-5, by_id=False)),
    ("a fetch of an unknown topic in version 4", "Fetch", 4, fetch("unknown", by_id=False)),
    ("a fetch of an unknown topic in version 12", "Fetch", 12, fetch("unknown", by_id=False)),
    ("a fetch of an unknown id", "Fetch", 13, fetch(NO_ID)),
    ("a fetch of an unknown id in the last version", "Fetch", 18, fetch(NO_ID)),
    ("a fetch of an unknown partition", "Fetch", 13, fetch(partition=9)),
    ("a fetch in an epoch to come", "Fetch", 12, fetch(epoch=9, by_id=False)),
    ("a fetch after an epoch to come", "Fetch", 12, fetch(offset=6, fetched=3, by_id=False)),
    ("a fetch in an unknown session", "Fetch", 12,
     {"sessionId": 12345, "sessionEpoch": 3, "maxWaitMs": 1}),
    ("a fetch of nothing", "Fetch", 12, {"maxWaitMs": 1}),
]

PRODUCES = [
    ("a produce", "Produce", 3, produce(GOOD)),
    ("a produce by id", "Produce", 13, produce(batch([b"two", b"three"]), by_id=True)),
    ("a produce with acks 1", "Produce", 9, produce(GOOD, acks=1)),
    ("a produce with its own time", "Produce", 9, produce(GOOD, "stamped", 0)),
    ("a produce with acks 2", "Produce", 9, produce(GOOD, acks=2)),
    ("a produce with acks -2", "Produce", 12, produce(GOOD, acks=-2)),
    ("a produce to an unknown topic", "Produce", 9, produce(GOOD, "unknown")),
    ("a produce to an unknown id", "Produce", 13, produce(GOOD, NO_ID, by_id=True)),
    ("a produce to an unknown partition", "Produce", 9, produce(GOOD, partition=9)),
    ("a produce with a wrong checksum", "Produce", 9, produce(batch([b"x"], wrong_crc=True))),
    ("a produce of magic 1", "Produce", 9, produce(batch([b"x"], magic=1))),
    ("a produce that is cut short", "Produce", 9, produce(cut(GOOD, 3))),
    ("a produce with a wrong count", "Produce", 9, produce(batch([b"x"], count=2))),
    ("a produce with a wrong last offset", "Produce", 9, produce(batch([b"x"], last_delta=4))),
    ("a produce of an empty batch", "Produce", 9, produce(batch([], last_delta=0))),
    ("a produce of no batch", "Produce", 9, produce("")),
    ("a produce of two batches", "Produce", 9, produce(joined(GOOD, GOOD))),
    ("a produce of a control batch", "Produce", 9, produce(batch([b"x"], attributes=0x20))),
    ("a produce that is too large", "Produce", 9, produce(batch([b"x" * 400]), "small", 0)),
    ("a produce without key to a compacted topic", "Produce", 9, produce(GOOD, "compact", 0)),
    ("a produce far in the future", "Produce", 9, produce(batch([b"x"], time=FAR * 4))),
    ("a produce of the first sequence", "Produce", 9, produce(batch([b"x"], producer=(900, 0, 0)))),
    ("a produce of the same sequence again", "Produce", 9,
     produce(batch([b"x"], producer=(900, 0, 0)))),
    ("a produce of a sequence too far", "Produce", 9, produce(batch([b"x"], producer=(900, 0, 7)))),
    ("a produce of a newer epoch", "Produce", 9, produce(batch([b"x"], producer=(900, 1, 0)))),
    ("a produce of an older epoch", "Produce", 9, produce(batch([b"x"], producer=(900, 0, 1)))),
    ("a produce of a newer epoch from its midst", "Produce", 9,
     produce(batch([b"x"], producer=(900, 2, 5)))),
    ("a produce without a transaction's begin", "Produce", 9, produce(batch(
        [b"x"], attributes=0x10, producer=(901, 0, 0)))),
    ("what the produces left", "Fetch", 12, fetch(partition=1, by_id=False)),
    ("the producers that are left", "DescribeProducers", 0, {"topics": [{
        "name": "plain", "partitionIndexes": [0, 1, 9]}, {"name": "unknown", "partitionIndexes": [0]}]}),
]

TOPICS = [
    ("a topic validated in version 7", "CreateTopics", 7, create("new", 3)),
    ("a topic validated with defaults", "CreateTopics", 5,
     create("new", -1, -1, configs=[("retention.ms", "7")])),
    ("a topic validated in version 2", "CreateTopics", 2,
     create("new", assignments=[(0, [1])], partitions=-1, replicas=-1)),
    ("a topic that exists", "CreateTopics", 7, create("plain")),
    ("an empty name", "CreateTopics", 7, create("")),
    ("a name of dots", "CreateTopics", 7, create("..")),
    ("a name with a space", "CreateTopics", 7, create("a b")),
    ("a long name", "CreateTopics", 7, create("n" * 250)),
    ("no partitions", "CreateTopics", 7, create("new", 0)),
    ("no replicas", "CreateTopics", 7, create("new", 1, 0)),
    ("too many replicas", "CreateTopics", 7, create("new", 1, 2)),
    ("partitions and an assignment", "CreateTopics", 7, create("new", 2, 1, [(0, [1])])),
    ("an assignment with a gap", "CreateTopics", 7, create("new", -1, -1, [(0, [1]), (2, [1])])),
    ("an assignment to nobody", "CreateTopics", 7, create("new", -1, -1, [(0, [])])),
    ("an assignment to an unknown broker", "CreateTopics", 7, create("new", -1, -1, [(0, [7])])),
    ("an assignment to one broker twice", "CreateTopics", 7, create("new", -1, -1, [(0, [1, 1])])),
    ("an unknown setting", "CreateTopics", 7, create("new", configs=[("no.such", "1")])),
    ("a wrong setting", "CreateTopics", 7, create("new", configs=[("retention.ms", "soon")])),
    ("a setting without value", "CreateTopics", 7, create("new", configs=[("retention.ms", None)])),
    ("settings that contradict", "CreateTopics", 7, create(
        "new", configs=[("local.retention.ms", "20"), ("retention.ms", "10"),
                        ("remote.storage.enable", "true")])),
    ("a topic twice", "CreateTopics", 7,
     {"validateOnly": True, "topics": create("new")["topics"] * 2}),
    ("the end of an unknown topic", "DeleteTopics", 6,
     {"topics": [{"name": "unknown"}], "timeoutMs": 1000}),
    ("the end of an unknown id", "DeleteTopics", 6,
     {"topics": [{"topicId": NO_ID, "name": None}], "timeoutMs": 1000}),
    ("the end of a name and an id", "DeleteTopics", 6, {
        "topics": [{"topicId": "<id plain>", "name": "plain"}], "timeoutMs": 1000}),
    ("the end of neither name nor id", "DeleteTopics", 6,
     {"topics": [{"name": None}], "timeoutMs": 1000}),
    ("the end of an unknown topic in version 3", "DeleteTopics", 3,
     {"topicNames": ["unknown"], "timeoutMs": 1000}),
    ("more partitions", "CreatePartitions", 3, add_partitions("plain", 3)),
    ("fewer partitions", "CreatePartitions", 3, add_partitions("plain", 1)),
    ("as many partitions", "CreatePartitions", 2, add_partitions("plain", 2)),
    ("more partitions of an unknown topic", "CreatePartitions", 3, add_partitions("unknown", 3)),
    ("more partitions than assigned", "CreatePartitions", 3, add_partitions("plain", 4, [[1]])),
    ("more partitions on an unknown broker", "CreatePartitions", 3,
     add_partitions("plain", 3, [[7]])),
    ("an election that is not needed", "ElectLeaders", 2, {
        "electionType": 0, "topicPartitions": [{"topic": "plain", "partitions": [0, 9]}], "timeoutMs": 1000}),
    ("an election in an unknown topic", "ElectLeaders", 1, {
        "electionType": 1, "topicPartitions": [{"topic": "unknown", "partitions": [0]}], "timeoutMs": 1000}),
    ("an election of an unknown kind", "ElectLeaders", 2, {
        "electionType": 5, "topicPartitions": [{"topic": "plain", "partitions": [0]}], "timeoutMs": 1000}),
    ("an election everywhere", "ElectLeaders", 2,
     {"electionType": 0, "topicPartitions": None, "timeoutMs": 1000}),
    ("the moves in progress", "ListPartitionReassignments", 0, {"topics": None}),
    ("the moves of an unknown topic", "ListPartitionReassignments", 0, {
        "topics": [{"name": "unknown", "partitionIndexes": [0]}]}),
    ("a move to an unknown broker", "AlterPartitionReassignments", 0, named(
        "plain", {"partitionIndex": 0, "replicas": [1, 7]})),
    ("a move to nobody", "AlterPartitionReassignments", 1,
     named("plain", {"partitionIndex": 0, "replicas": []})),
    ("the end of no move", "AlterPartitionReassignments", 1,
     named("plain", {"partitionIndex": 0, "replicas": None})),
    ("a move of an unknown partition", "AlterPartitionReassignments", 1, named(
        "plain", {"partitionIndex": 9, "replicas": [1]})),
    ("a move to an unknown directory", "AlterReplicaLogDirs", 2, {"dirs": [{
        "path": "/nowhere", "topics": [{"name": "plain", "partitions": [0]}]}]}),
    ("log directories", "DescribeLogDirs", 4, {"topics": None}),
    ("log directories of one topic", "DescribeLogDirs", 2,
     {"topics": [{"topic": "plain", "partitions": [0]}]}),
    ("log directories of an unknown topic", "DescribeLogDirs", 5,
     {"topics": [{"topic": "unknown", "partitions": [0]}]}),
]

SETTINGS = [
    ("a topic's settings", "DescribeConfigs", 4, describe(2, "plain")),
    ("a changed topic's settings", "DescribeConfigs", 1, describe(2, "compact")),
    ("one setting of a topic", "DescribeConfigs", 3,
     describe(2, "plain", ["retention.ms", "no.such"])),
    ("an unknown topic's settings", "DescribeConfigs", 4, describe(2, "unknown")),
    ("an invalid topic's settings", "DescribeConfigs", 4, describe(2, "a b")),
    ("some settings of the broker", "DescribeConfigs", 4, describe(4, "1", [
        "num.partitions", "node.id", "log.retention.ms", "log.retention.hours", "min.insync.replicas",
        "message.max.bytes", "compression.type", "auto.create.topics.enable"])),
    ("the settings of all brokers", "DescribeConfigs", 4, describe(4, "")),
    ("another broker's settings", "DescribeConfigs", 4, describe(4, "7")),
    ("no broker's settings", "DescribeConfigs", 4, describe(4, "seven")),
    ("an unknown kind of settings", "DescribeConfigs", 4, describe(99, "x")),
    ("a group's settings", "DescribeConfigs", 4, describe(32, "group")),
    ("settings of client metrics", "DescribeConfigs", 4, describe(16, "metrics")),
    ("a setting changed", "IncrementalAlterConfigs", 1,
     alter(2, "plain", ("retention.ms", 0, "5000"))),
    ("an unknown setting changed", "IncrementalAlterConfigs", 1,
     alter(2, "plain", ("no.such", 0, "1"))),
    ("a setting changed wrongly", "IncrementalAlterConfigs", 0,
     alter(2, "plain", ("retention.ms", 0, "soon"))),
    ("a number appended to", "IncrementalAlterConfigs", 1,
     alter(2, "plain", ("retention.ms", 2, "1"))),
    ("a setting changed twice", "IncrementalAlterConfigs", 1, alter(
        2, "plain", ("retention.ms", 0, "1"), ("retention.ms", 0, "2"))),
    ("a setting changed to nothing", "IncrementalAlterConfigs", 1,
     alter(2, "plain", ("retention.ms", 0, None))),
    ("an unknown topic's setting changed", "IncrementalAlterConfigs", 1,
     alter(2, "unknown", ("retention.ms", 0, "1"))),
    ("a fixed setting of a broker changed", "IncrementalAlterConfigs", 1,
     alter(4, "1", ("node.id", 0, "9"))),
    ("another broker's setting changed", "IncrementalAlterConfigs", 1,
     alter(4, "7", ("log.cleaner.threads", 0, "2"))),
    ("all settings replaced", "AlterConfigs", 2, {"validateOnly": True, **resource(
        2, "plain", configs=[{"name": "retention.ms", "value": "5"}])}),
    ("all settings replaced wrongly", "AlterConfigs", 1, {"validateOnly": True, **resource(
        2, "plain", configs=[{"name": "retention.ms", "value": "soon"}])}),
    ("resources of an unknown kind listed", "ListConfigResources", 1, {"resourceTypes": [99]}),
    ("client metrics listed", "ListConfigResources", 0, {}),
    ("a quota", "AlterClientQuotas", 1, quota(("user", "u"))),
    ("an unknown quota", "AlterClientQuotas", 1, quota(("user", "u"), key="no_such_rate")),
    ("a negative quota", "AlterClientQuotas", 1, quota(("user", "u"), value=-1.0)),
    ("a fraction of a byte rate", "AlterClientQuotas", 0, quota(("user", "u"), value=1.5)),
    ("a quota of nobody", "AlterClientQuotas", 1, quota()),
    ("a quota of an unknown kind", "AlterClientQuotas", 1, quota(("colour", "red"))),
    ("a quota of a user at an address", "AlterClientQuotas", 1,
     quota(("user", "u"), ("ip", "127.0.0.1"))),
    ("a quota of no address", "AlterClientQuotas", 1,
     quota(("ip", "nowhere."), key="connection_creation_rate")),
    ("a quota with an empty name", "AlterClientQuotas", 1, quota(("user", ""))),
    ("no quotas", "DescribeClientQuotas", 1,
     {"components": [{"entityType": "user", "matchType": 0, "match": "u"}]}),
    ("quotas of an unknown kind", "DescribeClientQuotas", 1,
     {"components": [{"entityType": "colour", "matchType": 2, "match": None}]}),
    ("quotas of a kind twice", "DescribeClientQuotas", 0,
     {"components": [{"entityType": "user", "matchType": 2, "match": None}] * 2}),
    ("quotas matched in an unknown way", "DescribeClientQuotas", 0,
     {"components": [{"entityType": "user", "matchType": 9, "match": None}]}),
    ("no credentials", "DescribeUserScramCredentials", 0, {"users": None}),
    ("credentials of an unknown user", "DescribeUserScramCredentials", 0,
     {"users": [{"name": "nobody"}]}),
    ("credentials of a user twice", "DescribeUserScramCredentials", 0,
     {"users": [{"name": "n"}, {"name": "n"}]}),
    ("credentials of no user deleted", "AlterUserScramCredentials", 0,
     {"deletions": [{"name": "nobody", "mechanism": 1}]}),
    ("credentials in an unknown mechanism", "AlterUserScramCredentials", 0,
     {"deletions": [{"name": "nobody", "mechanism": 9}]}),
    ("access rules without authorizer", "DescribeAcls", 3, {
        "resourceTypeFilter": 1, "patternTypeFilter": 1, "operation": 1, "permissionType": 1}),
]

CLUSTER = [
    ("a producer id", "InitProducerId", 4, {"transactionalId": None, "transactionTimeoutMs": 0}),
    ("a producer id in version 0", "InitProducerId", 0,
     {"transactionalId": None, "transactionTimeoutMs": 1000}),
    ("an empty transactional id", "InitProducerId", 4,
     {"transactionalId": "", "transactionTimeoutMs": 1000}),
    ("an unknown broker unregistered", "UnregisterBroker", 0, {"brokerId": 77}),
    ("an unknown feature", "UpdateFeatures", 1, {"validateOnly": True, "featureUpdates": [
        {"feature": "no.such", "maxVersionLevel": 1, "upgradeType": 1}]}),
    ("a feature beyond its versions", "UpdateFeatures", 2,
     {"validateOnly": True, "featureUpdates": [
        {"feature": "group.version", "maxVersionLevel": 99, "upgradeType": 1}]}),
    ("the quorum", "DescribeQuorum", 2, quorum("__cluster_metadata")),
    ("the quorum of an unknown topic", "DescribeQuorum", 1, quorum("plain")),
]

# What clients of old and new lean on, beyond the rows above.
EDGES = [
    ("metadata of no topic in version 1", "Metadata", 1, {"topics": []}),
    ("metadata of all topics in version 1", "Metadata", 1, {"topics": None}),
    ("metadata of the topic that was to be made", "Metadata", 9, metadata("made")),
    ("metadata of an internal topic that is not there", "Metadata", 12, metadata("__consumer_offsets")),
    ("metadata by name and id", "Metadata", 12,
     {"topics": [{"topicId": "<id plain>", "name": "plain"}]}),
    ("metadata of a topic twice", "Metadata", 12, metadata("plain", "plain")),
    ("the offset of a partition twice", "ListOffsets", 7, {"replicaId": -1, **named(
        "plain", *[{"partitionIndex": 0, "currentLeaderEpoch": -1, "timestamp": -1}] * 2)}),
    ("the committed end", "ListOffsets", 7, {**list_offsets(-1), "isolationLevel": 1}),
    ("a produce with too few replicas", "Produce", 9, produce(GOOD, "strict", 0)),
    ("a produce to the leader alone", "Produce", 9, produce(GOOD, "strict", 0, acks=1)),
    ("a fetch of what too few replicas have", "Fetch", 12, fetch("strict", by_id=False)),
    ("the end of what too few replicas have", "ListOffsets", 7, list_offsets(-1, "strict")),
    ("a produce without key to a compacted topic in version 7", "Produce", 7,
     produce(GOOD, "compact", 0)),
    ("a produce of four without keys to a compacted topic", "Produce", 13,
     produce(batch([b"1", b"2", b"3", b"4"]), "compact", 0, by_id=True)),
    *((f"a produce of sequence {sequence}", "Produce", 9,
       produce(batch([b"x"], producer=(902, 0, sequence)))) for sequence in range(6)),
    ("a produce of the second sequence again", "Produce", 9,
     produce(batch([b"x"], producer=(902, 0, 1)))),
    ("a produce of a sequence that is forgotten", "Produce", 9,
     produce(batch([b"x"], producer=(902, 0, 0)))),
    ("a produce of an unknown producer's sequence", "Produce", 9,
     produce(batch([b"x"], producer=(903, 4, 5)))),
    ("a produce of a producer without epoch", "Produce", 9,
     produce(batch([b"x"], producer=(904, -1, 0)))),
    ("a fetch of a producer's batches", "Fetch", 16, fetch(partition=1, offset=10)),
    ("a produce that names a partition twice", "Produce", 9, produce_twice(by_id=False)),
    ("a produce that names a partition of an id twice", "Produce", 13, produce_twice(by_id=True)),
    ("the end of what was named twice", "ListOffsets", 7, list_offsets(-1, partition=1)),
    *((f"a fetch cut after {size} bytes", "Fetch", 12, fetch(by_id=False, max_bytes=size))
      for size in (100, 150, 200, 1000)),
    ("a fetch of two partitions within one byte", "Fetch", 12, fetches(1, (0, 0), (1, 0))),
    ("a fetch of two partitions, the first at its end", "Fetch", 12, fetches(1, (0, 6), (1, 0))),
    ("a fetch of two partitions, one beyond its end", "Fetch", 12, fetches(1 << 20, (0, 0), (1, 999))),
    ("a fetch that does not wait", "Fetch", 12, fetch(offset=6, by_id=False, maxWaitMs=0, minBytes=1)),
    ("a fetch from a rack", "Fetch", 13, fetch(rackId="somewhere")),
    ("a producer id again", "InitProducerId", 4,
     {"transactionalId": None, "transactionTimeoutMs": 0, "producerId": 5, "producerEpoch": 3}),
    ("a producer epoch without id", "InitProducerId", 4,
     {"transactionalId": None, "transactionTimeoutMs": 0, "producerId": -1, "producerEpoch": 3}),
    ("a move to where it is", "AlterPartitionReassignments", 1,
     named("plain", {"partitionIndex": 0, "replicas": [1]})),
    ("a feature left as it is", "UpdateFeatures", 1, {"validateOnly": True, "featureUpdates": [
        {"feature": "group.version", "maxVersionLevel": 1, "upgradeType": 1}]}),
    ("no features", "UpdateFeatures", 2, {"validateOnly": True, "featureUpdates": []}),
    ("a topic made", "CreateTopics", 7, create("brief", 2, configs=[("retention.ms", "7")], only=False)),
    ("a made topic's partitions", "DescribeTopicPartitions", 0, {"topics": [{"name": "brief"}]}),
    ("partitions added", "CreatePartitions", 3, {**add_partitions("brief", 3), "validateOnly": False}),
    ("settings of a made topic replaced", "AlterConfigs", 2, {"validateOnly": False, **resource(
        2, "brief", configs=[{"name": "segment.ms", "value": "70000"}])}),
    ("settings of a made topic", "DescribeConfigs", 4, describe(2, "brief", ["segment.ms", "retention.ms"])),
    ("a made topic deleted", "DeleteTopics", 6, {"topics": [{"name": "brief"}], "timeoutMs": 5000}),
    ("a deleted topic", "Metadata", 12, metadata("brief")),
    ("records deleted", "DeleteRecords", 2, named("plain", {"partitionIndex": 0, "offset": 2})),
    ("the start after records were deleted", "ListOffsets", 7, list_offsets(-2)),
    ("a fetch of deleted records", "Fetch", 12, fetch(by_id=False)),
    ("a fetch after deleted records", "Fetch", 17, fetch(offset=2)),
    ("all records deleted", "DeleteRecords", 2, named("plain", {"partitionIndex": 0, "offset": -1})),
    ("the start at the end", "ListOffsets", 7, list_offsets(-2)),
    ("a time in an emptied partition", "ListOffsets", 7, list_offsets(0)),
    ("an epoch's end in an emptied partition", "OffsetForLeaderEpoch", 4, epochs("plain")),
]

# One question of each API in every version.
SWEPT = {
    ("Produce", 3, 13): lambda version: produce(GOOD, by_id=version > 12),
    ("Fetch", 4, 18): lambda version: fetch(partition=1, by_id=version > 12),
    ("ListOffsets", 1, 11): lambda version: list_offsets(-1, partition=1),
    ("Metadata", 0, 13): lambda version: metadata("plain", *["unknown"] * (version > 3)),
    ("OffsetForLeaderEpoch", 2, 4): lambda version: epochs("plain", partition=1),
    ("CreateTopics", 2, 7): lambda version: create("new", 2, 1, configs=[("retention.ms", "7")]),
    ("DeleteTopics", 1, 6): lambda version: {"timeoutMs": 1000, **(
        {"topics": [{"name": "unknown"}]} if version > 5 else {"topicNames": ["unknown"]})},
    ("DeleteRecords", 0, 2): lambda version: named("plain", {"partitionIndex": 1, "offset": 1}),
    ("InitProducerId", 0, 5): lambda version: {"transactionalId": None, "transactionTimeoutMs": 1000},
    ("DescribeAcls", 1, 3): lambda version: {
        "resourceTypeFilter": 1, "patternTypeFilter": 1, "operation": 1, "permissionType": 1},
    ("CreateAcls", 1, 3): lambda version: {"creations": [{
        "resourceType": 2, "resourceName": "plain", "resourcePatternType": 3, "principal": "User:u",
        "host": "*", "operation": 3, "permissionType": 3}]},
    ("DeleteAcls", 1, 3): lambda version: {"filters": [{
        "resourceTypeFilter": 2, "resourceNameFilter": "plain", "patternTypeFilter": 3,
        "principalFilter": None, "hostFilter": None, "operation": 3, "permissionType": 3}]},
    ("DescribeConfigs", 1, 4): lambda version: describe(2, "plain"),
    ("AlterConfigs", 0, 2): lambda version: {"validateOnly": True, **resource(
        2, "plain", configs=[{"name": "retention.ms", "value": "-1"}])},
    ("IncrementalAlterConfigs", 0, 1): lambda version: alter(2, "plain", ("retention.ms", 0, "9")),
    ("AlterReplicaLogDirs", 1, 2): lambda version: {"dirs": [{
        "path": "/nowhere", "topics": [{"name": "plain", "partitions": [0]}]}]},
    ("DescribeLogDirs", 1, 5): lambda version: {"topics": [{"topic": "small", "partitions": [0]}]},
    ("CreatePartitions", 0, 3): lambda version: add_partitions("plain", 5),
    ("CreateDelegationToken", 1, 3): lambda version: {"maxLifetimeMs": -1},
    ("RenewDelegationToken", 1, 2): lambda version: {"hmac": "AAAA", "renewPeriodMs": 1000},
    ("ExpireDelegationToken", 1, 2): lambda version: {"hmac": "AAAA", "expiryTimePeriodMs": 1000},
    ("DescribeDelegationToken", 1, 3): lambda version: {"owners": None},
    ("ElectLeaders", 0, 2): lambda version: {"timeoutMs": 1000, "topicPartitions": [
        {"topic": "plain", "partitions": [0]}]},
    ("AlterPartitionReassignments", 0, 1): lambda version: named(
        "plain", {"partitionIndex": 0, "replicas": [1, 1]}),
    ("DescribeClientQuotas", 0, 1): lambda version: {
        "components": [{"entityType": "user", "matchType": 2, "match": None}], "strict": True},
    ("AlterClientQuotas", 0, 1): lambda version: quota(("user", None)),
    ("DescribeQuorum", 0, 2): lambda version: quorum("__cluster_metadata"),
    ("UpdateFeatures", 0, 2): lambda version: {"validateOnly": True, "featureUpdates": [
        {"feature": "transaction.version", "maxVersionLevel": 99, "upgradeType": 1}]},
    ("DescribeCluster", 0, 2): lambda version: {},
    ("DescribeProducers", 0, 0): lambda version: {"topics": [
        {"name": "a b", "partitionIndexes": [0]}, {"name": "plain", "partitionIndexes": [0]}]},
    ("UnregisterBroker", 0, 0): lambda version: {"brokerId": -1},
    ("ListConfigResources", 0, 1): lambda version: {},
    ("UnregisterController", 0, 0): lambda version: {"controllerId": 77},
    ("DescribeTopicPartitions", 0, 0): lambda version: {"topics": [{"name": "strict"}]},
}
VERSIONS = [(f"{api} in version {version}", api, version, body(version))
            for (api, first, last), body in SWEPT.items() for version in range(first, last + 1)]

# Apache answers these with an error of its own making (UNKNOWN_SERVER_ERROR): that they fail is enough.
REFUSED = [
    ("a produce in an unknown codec", "Produce", 9, produce(batch([b"x"], attributes=5))),
    ("a setting changed in an unknown way", "IncrementalAlterConfigs", 1,
     alter(2, "plain", ("retention.ms", 9, "1"))),
]

CASES = [*METADATA, *OFFSETS, *FETCHES, *PRODUCES, *TOPICS, *SETTINGS, *CLUSTER, *EDGES, *VERSIONS]
