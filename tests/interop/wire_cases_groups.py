# SPDX-License-Identifier: Apache-2.0
"""The questions of test_wire_groups.py: scenes, each a list of steps in order. A step is API, version, body, and
what to keep of the answer: {name: path}, for "<NAME>" in the bodies behind it. `hold` sends without waiting, on
a connection of that name; `take` reads what has come there. `settle`: the error codes that pass by themselves.

What there is: topics `plain` of two partitions and `other` of one; no initial rebalance delay, no assignment
interval. "<id plain>" is a topic's id."""
import base64
import collections
import struct

NO_ID = "AAAAAAAAAAAAAAAAAAAABQ"
# API: versions.
RANGES = {
    "FindCoordinator": (0, 6), "JoinGroup": (0, 9), "SyncGroup": (0, 5), "Heartbeat": (0, 4), "LeaveGroup": (0, 5),
    "OffsetCommit": (2, 10), "OffsetFetch": (1, 10), "OffsetDelete": (0, 0), "DescribeGroups": (0, 6),
    "ListGroups": (0, 5), "DeleteGroups": (0, 3), "ConsumerGroupHeartbeat": (0, 1), "ConsumerGroupDescribe": (0, 1),
    "TxnOffsetCommit": (0, 6), "AddOffsetsToTxn": (0, 4)}
CONCURRENT, UNSTABLE = 51, 88

Step = collections.namedtuple("Step", "api version body keep hold take settle", defaults=({}, None, None, ()))


def within(api, version):
    first, last = RANGES[api]
    return max(first, min(last, version))


def data(content):
    return base64.b64encode(content).decode()


def subscription(*topics):
    return data(struct.pack(">hi", 0, len(topics)) + b"".join(
        struct.pack(">h", len(topic)) + topic.encode() for topic in topics) + struct.pack(">i", -1))


# ---- bodies ----

def find(version, *keys, kind=0):
    body = {"coordinatorKeys": list(keys)} if version > 3 else {"key": keys[0]}
    return {**body, **({"keyType": kind} if version > 0 else {})}


def join(version, group, member="", instance=None, kind="consumer", protocols=(("range", subscription("plain")),),
         session=30000, rebalance=60000, **more):
    return {"groupId": group, "sessionTimeoutMs": session, "memberId": member, "protocolType": kind,
            "protocols": [{"name": name, "metadata": metadata} for name, metadata in protocols],
            **({"rebalanceTimeoutMs": rebalance} if version > 0 else {}),
            **({"groupInstanceId": instance} if version > 4 else {}), **more}


def sync(version, group, generation, member, assignments=(), instance=None, kind="consumer", name="range"):
    return {"groupId": group, "generationId": generation, "memberId": member,
            "assignments": [{"memberId": each, "assignment": data(content)} for each, content in assignments],
            **({"groupInstanceId": instance} if version > 2 else {}),
            **({"protocolType": kind, "protocolName": name} if version > 4 else {})}


def heartbeat(version, group, generation, member, instance=None):
    return {"groupId": group, "generationId": generation, "memberId": member,
            **({"groupInstanceId": instance} if version > 2 else {})}


def leave(version, group, *members):
    if version < 3:
        return {"groupId": group, "memberId": members[0] if isinstance(members[0], str) else members[0][0]}
    return {"groupId": group, "members": [
        {"memberId": each} if isinstance(each, str) else {"memberId": each[0], "groupInstanceId": each[1]}
        for each in members]}


def commit(version, group, *places, generation=-1, member="", instance=None, metadata=None, **more):
    """places: (topic, partition, offset)."""
    return {"groupId": group, "generationIdOrMemberEpoch": generation, "memberId": member,
            **({"groupInstanceId": instance} if version > 6 else {}), **more,
            "topics": [{**topic_of(version, topic, 10), "partitions": [
                {"partitionIndex": partition, "committedOffset": offset, "committedMetadata": metadata}]}
                for topic, partition, offset in places]}


def topic_of(version, name, first):
    if version < first:
        return {"name": name}
    return {"topicId": NO_ID if name == "unknown" else f"<id {name}>"}


def fetch(version, group, topics=(("plain", (0, 1)),), member=None, epoch=-1, stable=False, groups=None):
    asked = None if topics is None else [
        {**topic_of(version, name, 10), "partitionIndexes": list(partitions)} for name, partitions in topics]
    if version > 7:
        known = {"memberId": member, "memberEpoch": epoch} if version > 8 else {}
        return {"groups": [{"groupId": each, "topics": asked, **known} for each in groups or [group]],
                "requireStable": stable}
    return {"groupId": group, "topics": asked, **({"requireStable": stable} if version > 6 else {})}


def forget(group, *places):
    return {"groupId": group, "topics": [
        {"name": topic, "partitions": [{"partitionIndex": partition}]} for topic, partition in places]}


def describe(version, *groups, operations=False):
    return {"groups": list(groups), **({"includeAuthorizedOperations": operations} if version > 2 else {})}


def listed(version, states=(), types=()):
    return {**({"statesFilter": list(states)} if version > 3 else {}),
            **({"typesFilter": list(types)} if version > 4 else {})}


def beat(version, group, member, epoch, topics=None, owned=None, regex=None, rebalance=None, **more):
    return {"groupId": group, "memberId": member, "memberEpoch": epoch, "subscribedTopicNames": topics,
            "topicPartitions": owned if owned is None else [
                {"topicId": NO_ID if name == "unknown" else f"<id {name}>", "partitions": list(partitions)}
                for name, partitions in owned],
            "rebalanceTimeoutMs": rebalance if rebalance is not None else 60000 if epoch == 0 else -1,
            **({"subscribedTopicRegex": regex} if version > 0 else {}), **more}


def txn_commit(version, name, group, *places, generation=-1, member="", instance=None, metadata=None,
               producer="<pid>", epoch="<epoch>"):
    return {"transactionalId": name, "groupId": group, "producerId": producer, "producerEpoch": epoch,
            **({"generationIdOrMemberEpoch": generation, "memberId": member, "groupInstanceId": instance}
               if version > 2 else {}),
            "topics": [{**topic_of(version, topic, 6), "partitions": [
                {"partitionIndex": partition, "committedOffset": offset, "committedMetadata": metadata}]}
                for topic, partition, offset in places]}


# ---- classic groups ----

def life(version):
    """One member of one group, all of whose requests are of this version, or of the nearest there is."""
    group = f"life-{version}"
    at = {api: within(api, version) for api in RANGES}
    steps = [Step("FindCoordinator", at["FindCoordinator"], find(at["FindCoordinator"], group))]
    if at["JoinGroup"] > 3:
        steps.append(Step("JoinGroup", at["JoinGroup"], join(at["JoinGroup"], group), {"member": ["memberId"]}))
        steps.append(Step("JoinGroup", at["JoinGroup"], join(at["JoinGroup"], group, "<member>")))
    else:
        steps.append(Step("JoinGroup", at["JoinGroup"], join(at["JoinGroup"], group), {"member": ["memberId"]}))

    def ask(api, make, *arguments, **more):
        steps.append(Step(api, at[api], make(at[api], group, *arguments, **more)))
    ask("DescribeGroups", describe)
    ask("Heartbeat", heartbeat, 1, "<member>")
    ask("OffsetCommit", commit, ("plain", 0, 3), generation=1, member="<member>")
    ask("SyncGroup", sync, 1, "<member>", [("<member>", b"mine")])
    ask("SyncGroup", sync, 1, "<member>", [])
    ask("DescribeGroups", describe, operations=True)
    ask("Heartbeat", heartbeat, 1, "<member>")
    ask("Heartbeat", heartbeat, 2, "<member>")
    ask("Heartbeat", heartbeat, 1, "nobody")
    ask("SyncGroup", sync, 2, "<member>")
    ask("SyncGroup", sync, 1, "nobody")
    ask("OffsetCommit", commit, ("plain", 0, 3), ("plain", 7, 3), ("unknown", 0, 1), generation=1, member="<member>",
        metadata="note")
    ask("OffsetCommit", commit, ("plain", 1, 4), generation=1, member="<member>", metadata="x" * 5000)
    ask("OffsetCommit", commit, ("plain", 0, 3), generation=2, member="<member>")
    ask("OffsetCommit", commit, ("plain", 0, 3), generation=1, member="nobody")
    ask("OffsetCommit", commit, ("plain", 0, 3))
    ask("OffsetFetch", fetch)
    ask("OffsetFetch", fetch, (("unknown", (0,)), ("plain", (7, 0))))
    ask("OffsetFetch", fetch, stable=True)
    ask("OffsetFetch", fetch, ())
    if at["OffsetFetch"] > 1:
        ask("OffsetFetch", fetch, None)
    steps.append(Step("OffsetDelete", 0, forget(group, ("plain", 0))))
    steps.append(Step("DeleteGroups", at["DeleteGroups"], {"groupsNames": [group]}))
    ask("LeaveGroup", leave, "nobody")
    ask("LeaveGroup", leave, "<member>")
    ask("LeaveGroup", leave, "<member>")
    ask("DescribeGroups", describe)
    steps.append(Step("OffsetDelete", 0, forget(group, ("plain", 0), ("plain", 7), ("other", 0), ("unknown", 0))))
    steps.append(Step("DeleteGroups", at["DeleteGroups"], {"groupsNames": [group]}))
    ask("DescribeGroups", describe)
    ask("OffsetFetch", fetch)
    return steps


def nobody(version):
    """Of a group that is not there, of one without a name."""
    at = {api: within(api, version) for api in RANGES}
    steps = []
    for group in (f"nobody-{version}", "", " "):
        for api, make, arguments in (
                ("FindCoordinator", find, ()), ("JoinGroup", join, ("nobody",)), ("SyncGroup", sync, (1, "nobody")),
                ("Heartbeat", heartbeat, (1, "nobody")), ("LeaveGroup", leave, ("nobody",)),
                ("OffsetCommit", commit, (("plain", 0, 1),)), ("OffsetFetch", fetch, ()),
                ("DescribeGroups", describe, ())):
            steps.append(Step(api, at[api], make(at[api], group, *arguments)))
        steps += [
            Step("OffsetCommit", at["OffsetCommit"], commit(
                at["OffsetCommit"], f"{group}?", ("plain", 0, 1), generation=3, member="nobody")),
            Step("OffsetDelete", 0, forget(f"{group}?", ("plain", 0))),
            Step("OffsetDelete", 0, forget(group)),
            Step("DeleteGroups", at["DeleteGroups"], {"groupsNames": [group, f"{group}?"]}),
            Step("ConsumerGroupDescribe", at["ConsumerGroupDescribe"], {"groupIds": [group]}),
            Step("ConsumerGroupHeartbeat", at["ConsumerGroupHeartbeat"],
                 beat(at["ConsumerGroupHeartbeat"], f"{group}?" if group.strip() else group, "m", 5))]
    steps.append(Step("ListGroups", at["ListGroups"], listed(at["ListGroups"])))
    return steps


def joins(version):
    """Joins that are refused, and what they leave."""
    group, last = f"joins-{version}", version

    def ask(keep=None, **what):
        return Step("JoinGroup", last, join(last, what.pop("group", group), **what), keep or {})
    return [
        ask(session=10), ask(session=10_000_000), ask(session=-1), ask(group="", session=10),
        ask(protocols=()), ask(kind=""), ask(kind="", protocols=()), ask(member="nobody"),
        ask(member="nobody", group=f"{group}-missing"), ask(rebalance=-1, member="nobody"),
        # Apache has made a group of this name meanwhile, we have not
        Step("DescribeGroups", 6, describe(6, f"{group}-missing")),
        *([ask(instance="", member="nobody"), ask(instance="a b", member="nobody"),
           ask(instance="x" * 250, member="nobody"), ask(instance="i", member="nobody")] if version > 4 else []),
        ask(keep={"one": ["memberId"]}),
        *([ask(member="<one>")] if version > 3 else []),
        Step("SyncGroup", 5, sync(5, group, 1, "<one>", [("<one>", b"a"), ("nobody", b"b")])),
        ask(kind="connect"), ask(kind=""), ask(protocols=(("roundrobin", subscription("plain")),)),
        ask(protocols=()), ask(member="nobody"),
        Step("SyncGroup", 5, sync(5, group, 1, "<one>", kind="connect")),
        Step("SyncGroup", 5, sync(5, group, 1, "<one>", name="other")),
        Step("SyncGroup", 5, sync(5, group, 1, "<one>", kind=None, name=None)),
        Step("SyncGroup", 4, sync(4, group, 1, "<one>")),
        Step("DescribeGroups", 6, describe(6, group)),
        Step("LeaveGroup", 5, leave(5, group, "<one>"))]


STATIC = [
    Step("JoinGroup", 9, join(9, "static", instance="i"), {"first": ["memberId"]}),
    Step("SyncGroup", 5, sync(5, "static", 1, "<first>", [("<first>", b"a")], instance="i")),
    Step("Heartbeat", 4, heartbeat(4, "static", 1, "<first>", "i")),
    Step("Heartbeat", 4, heartbeat(4, "static", 1, "<first>", "j")),
    Step("Heartbeat", 4, heartbeat(4, "static", 1, "nobody", "i")),
    Step("JoinGroup", 8, join(8, "static", "nobody", "i")),
    Step("JoinGroup", 9, join(9, "static", "nobody", "j")),
    Step("DescribeGroups", 6, describe(6, "static")),
    Step("DescribeGroups", 4, describe(4, "static")),
    Step("JoinGroup", 9, join(9, "static", instance="i"), {"second": ["memberId"]}),
    Step("Heartbeat", 4, heartbeat(4, "static", 1, "<first>", "i")),
    Step("Heartbeat", 4, heartbeat(4, "static", 1, "<first>")),
    Step("SyncGroup", 5, sync(5, "static", 1, "<first>", instance="i")),
    Step("SyncGroup", 5, sync(5, "static", 1, "<second>", instance="i")),
    Step("OffsetCommit", 9, commit(9, "static", ("plain", 0, 1), generation=1, member="<first>", instance="i")),
    Step("OffsetCommit", 9, commit(9, "static", ("plain", 0, 1), generation=1, member="<second>", instance="i")),
    Step("OffsetCommit", 9, commit(9, "static", ("plain", 0, 1), generation=1, member="<second>", instance="j")),
    Step("OffsetCommit", 9, commit(9, "static", ("plain", 0, 1), instance="i")),
    Step("LeaveGroup", 5, leave(5, "static", ("<first>", "i"), ("", "j"), ("nobody", None), ("", None))),
    Step("JoinGroup", 5, join(5, "static", instance="i"), {"third": ["memberId"]}),
    Step("JoinGroup", 9, join(9, "static", "<third>", "i", protocols=(("range", subscription("other")),))),
    Step("SyncGroup", 5, sync(5, "static", 2, "<third>", [("<third>", b"c")], instance="i")),
    Step("LeaveGroup", 3, leave(3, "static", ("", "i"), ("", "i"))),
    Step("DescribeGroups", 6, describe(6, "static")),
    Step("DeleteGroups", 2, {"groupsNames": ["static", "static", "unknown"]}),
]

TWO = [
    Step("JoinGroup", 3, join(3, "two"), {"one": ["memberId"]}),
    Step("SyncGroup", 3, sync(3, "two", 1, "<one>", [("<one>", b"all")])),
    Step("JoinGroup", 9, join(9, "two"), {"two": ["memberId"]}),
    Step("DescribeGroups", 6, describe(6, "two")),
    Step("JoinGroup", 9, join(9, "two", "<two>", protocols=(
        ("roundrobin", data(b"r")), ("range", subscription("plain", "other")))), hold="second"),
    Step("Heartbeat", 4, heartbeat(4, "two", 1, "<one>")),
    Step("Heartbeat", 4, heartbeat(4, "two", 1, "<two>")),
    Step("SyncGroup", 5, sync(5, "two", 1, "<one>")),
    Step("OffsetCommit", 9, commit(9, "two", ("plain", 0, 1), generation=1, member="<one>")),
    Step("DescribeGroups", 5, describe(5, "two")),
    Step("JoinGroup", 3, join(3, "two", "<one>"), {"generation": ["generationId"]}),
    Step("JoinGroup", 9, None, take="second"),
    Step("DescribeGroups", 6, describe(6, "two")),
    Step("SyncGroup", 5, sync(5, "two", 2, "<two>"), hold="second"),
    Step("OffsetCommit", 9, commit(9, "two", ("plain", 0, 2), generation=2, member="<one>")),
    Step("Heartbeat", 4, heartbeat(4, "two", 2, "<one>")),
    Step("SyncGroup", 3, sync(3, "two", 2, "<one>", [("<one>", b"half"), ("<two>", b"rest")])),
    Step("SyncGroup", 5, None, take="second"),
    Step("LeaveGroup", 4, leave(4, "two", "<two>", "<two>", "nobody")),
    Step("Heartbeat", 3, heartbeat(3, "two", 2, "<one>")),
    Step("LeaveGroup", 2, leave(2, "two", "<one>")),
    Step("DescribeGroups", 3, describe(3, "two", operations=True)),
]

OFFSETS = [
    *(Step("OffsetCommit", version, commit(version, "simple", ("plain", 0, 7), ("other", 0, version),
                                           ("unknown", 0, 1), ("plain", 9, 1), metadata=metadata))
      for version in range(2, 11) for metadata in (None, "", "note")),
    Step("OffsetCommit", 4, commit(4, "simple", ("plain", 1, 7), retentionTimeMs=60000)),
    Step("OffsetCommit", 6, {**commit(6, "simple"), "topics": [{"name": "plain", "partitions": [
        {"partitionIndex": 1, "committedOffset": 9, "committedLeaderEpoch": 5},
        {"partitionIndex": 1, "committedOffset": 8, "committedLeaderEpoch": 4}]}]}),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", 0, -1), ("plain", 0, 1 << 62))),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", 0, 1), metadata="ä" * 4096)),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", 0, 1), metadata="ä" * 4097)),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", 0, 1), generation=-5, member="nobody")),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", 0, 1), generation=0)),
    Step("OffsetCommit", 10, commit(10, "simple")),
    Step("OffsetCommit", 9, commit(9, "simple", ("plain", -1, 1), ("__consumer_offsets", 0, 1))),
    *(Step("OffsetFetch", version, fetch(version, "simple", topics))
      for version in range(1, 11)
      for topics in ((("plain", (0, 1, 9)), ("other", (0,))), (("unknown", (0,)), ("plain", (0, 0))), (("plain", ()),))),
    *(Step("OffsetFetch", version, fetch(version, "simple", None)) for version in range(2, 11)),
    *(Step("OffsetFetch", version, fetch(version, "simple", None, stable=True)) for version in range(7, 11)),
    *(Step("OffsetFetch", version, fetch(version, "simple", None, groups=["simple", "unknown", "", "simple"]))
      for version in range(8, 11)),
    Step("OffsetFetch", 8, {"groups": []}),
    Step("OffsetFetch", 9, fetch(9, "simple", member="nobody", epoch=3)),
    Step("OffsetFetch", 9, fetch(9, "simple", member="", epoch=-1)),
    Step("OffsetDelete", 0, forget("simple", ("plain", 0), ("plain", 0), ("unknown", 3), ("plain", 5))),
    Step("OffsetDelete", 0, forget("simple")),
    Step("OffsetFetch", 9, fetch(9, "simple", None)),
    Step("DescribeGroups", 6, describe(6, "simple", "simple", "", "unknown", operations=True)),
    Step("DescribeGroups", 5, describe(5)),
    Step("ConsumerGroupDescribe", 1, {"groupIds": ["simple", "", "unknown"], "includeAuthorizedOperations": True}),
    Step("ConsumerGroupDescribe", 0, {"groupIds": []}),
    *(Step("ListGroups", version, listed(version)) for version in range(6)),
    *(Step("ListGroups", 5, listed(5, states, types)) for states, types in (
        (["Empty"], []), (["empty"], []), (["Stable", "Dead"], []), (["nonsense"], []), ([], ["classic"]),
        ([], ["Consumer"]), ([], ["nonsense"]), (["Empty"], ["Classic"]), ([""], [""]))),
    Step("DeleteGroups", 2, {"groupsNames": []}),
    Step("DeleteGroups", 1, {"groupsNames": ["simple", "", "unknown"]}),
]

COORDINATORS = [
    *(Step("FindCoordinator", version, find(version, key, kind=kind))
      for version in (1, 3, 4, 6) for key, kind in (("g", 0), ("", 0), ("g", 9), ("g", -1))),
    Step("FindCoordinator", 4, find(4)), Step("FindCoordinator", 6, find(6, "a", "", "a", " ")),
]

# ---- consumer groups ----


# Regular expressions that are none, a kind of mistake each.
BROKEN = ["(", "a(b", "[", "[a", "a**", "a*+*", "*", "+a", "a|*", "a{2000}", "a{1,1001}", "a{3,2}", "\\", "a\\", ")", "a)b",
          "(?=a)", "(?i", "(?", "(?z)", "(?P<n", "(?P<a>b)(?P<a>c)", "(?P=n)", "[z-a]", "[a-\\d]", "[[:nope:]]",
          "\\8", "\\k", "\\pX", "\\p{Nope}", "\\x{110000}", "\\xg", "(?<n>a", "(?<=a)", "(((((("]


def consumer(version):
    group = f"consumer-{version}"
    name = "a" if version else "<a>"

    def ask(*arguments, keep=None, **more):
        return Step("ConsumerGroupHeartbeat", version, beat(version, more.pop("group", group), *arguments, **more),
                    keep or {})
    described = Step("ConsumerGroupDescribe", version, {"groupIds": [group], "includeAuthorizedOperations": True})
    return [
        # what makes no sense
        ask("", 0, ["plain"], []) if version else ask("", 3), ask("m", 0, group=""), ask("m", 0, ["plain"], [], group=" "),
        ask("m", 0), ask("m", 0, ["plain"]), ask("m", 0, ["plain"], [("plain", (0,))]),
        ask("m", 0, ["plain"], [], rebalance=-1), ask("m", 0, ["plain"], [], rebalance=0),
        ask("m", 0, ["plain"], [], instanceId=""), ask("m", 0, ["plain"], [], rackId=""),
        ask("m", 0, ["plain"], [], serverAssignor="none"), ask("m", 0, ["plain"], [], serverAssignor=""),
        ask("m", -2), ask("m", -3), ask("m", -1), ask("m", 5), ask("m", 5, instanceId="i"), ask("m", -2, instanceId="i"),
        ask("m", -1, instanceId="i"), ask("m", 0, [], []), ask("m", 1 << 30),
        *([*(ask("m", 0, None, [], regex=regex) for regex in BROKEN), ask("", 0, ["plain"], [])] if version else []),
        described,
        # a member by itself
        ask("a" if version else "", 0, ["plain"], [], keep={} if version else {"a": ["memberId"]}),
        described,
        ask(name, 0, ["plain"], []),
        ask(name, 1), ask(name, 1, owned=[("plain", (0, 1))]), ask(name, 2), ask(name, 3), ask(name, 9),
        ask(name, 1, ["plain", "other"]), ask(name, 2, owned=[("plain", (0, 1))]),
        ask(name, 2, ["plain", "unknown"]), ask(name, 3, ["plain"], serverAssignor="range"), described,
        ask(name, 3, owned=[("plain", (0, 1)), ("unknown", (3,))]),
        ask("nobody", 3), ask(name, 3, rackId="r"), ask(name, 4), ask(name, 5), described,
        # offsets
        *(Step("OffsetCommit", at, commit(at, group, ("plain", 0, 5), generation=epoch, member=member))
          for at in (8, 9, 10) for epoch, member in ((1, name), (2, name), (3, name), (4, name), (5, name), (99, name),
                                                     (3, "nobody"), (-1, ""), (-1, name))),
        *(Step("OffsetFetch", at, fetch(at, group, member=member, epoch=epoch))
          for at in (8, 9, 10) for epoch, member in ((-1, None), (3, name), (4, name), (99, name), (3, "nobody"),
                                                     (-1, name))),
        Step("OffsetDelete", 0, forget(group, ("plain", 0), ("other", 0))),
        # others' requests
        Step("DescribeGroups", 6, describe(6, group)), Step("DescribeGroups", 5, describe(5, group)),
        Step("JoinGroup", 9, join(9, group, "nobody")), Step("SyncGroup", 5, sync(5, group, 3, name)),
        Step("Heartbeat", 4, heartbeat(4, group, 3, name)), Step("Heartbeat", 4, heartbeat(4, group, 3, "nobody")),
        Step("JoinGroup", 9, join(9, group, kind="connect")),
        Step("LeaveGroup", 5, leave(5, group, "nobody", (name, "i"))),
        Step("ListGroups", 5, listed(5, [], ["consumer"])), Step("DeleteGroups", 2, {"groupsNames": [group]}),
        # the end
        ask(name, -1), ask(name, -1), described,
        Step("DeleteGroups", 2, {"groupsNames": [group]}), described]


def consumer_static(version):
    group = f"consumer-static-{version}"

    def ask(*arguments, keep=None, **more):
        return Step("ConsumerGroupHeartbeat", version, beat(version, group, *arguments, **more), keep or {})
    described = Step("ConsumerGroupDescribe", version, {"groupIds": [group]})
    return [
        ask("a", 0, ["plain"], [], instanceId="i"), ask("a", 1, owned=[("plain", (0, 1))], instanceId="i"), described,
        ask("b", 0, ["plain"], [], instanceId="i"), ask("b", 1, instanceId="i"), ask("a", 1, instanceId="j"),
        ask("c", 1), ask("a", -1, instanceId="j"), ask("a", -2, instanceId="i"), described,
        ask("a", 1, instanceId="i"), ask("a", -2, instanceId="i"), ask("a", -1, instanceId="i"),
        ask("b", 0, ["plain"], [], instanceId="i"), described, ask("b", 1, owned=[("plain", (0, 1))], instanceId="i"),
        ask("b", 2, owned=[("plain", (0, 1))], instanceId="i"),
        Step("LeaveGroup", 5, leave(5, group, ("a", "i"), ("", "j"))), ask("b", -1, instanceId="i"), described]


MOVES = [  # from one protocol to the other
    Step("OffsetCommit", 9, commit(9, "moves", ("plain", 0, 3))),
    Step("ConsumerGroupHeartbeat", 1, beat(1, "moves", "a", 0, ["plain"], [])),
    Step("ConsumerGroupDescribe", 1, {"groupIds": ["moves"]}),
    Step("OffsetFetch", 9, fetch(9, "moves")),
    Step("ConsumerGroupHeartbeat", 1, beat(1, "moves", "a", -1)),
    Step("DescribeGroups", 6, describe(6, "moves")),
    Step("JoinGroup", 9, join(9, "moves"), {"one": ["memberId"]}),
    Step("ConsumerGroupDescribe", 1, {"groupIds": ["moves"]}),
    Step("JoinGroup", 9, join(9, "moves", "<one>")),
    Step("SyncGroup", 5, sync(5, "moves", 1, "<one>", [("<one>", b"")])),
    Step("ConsumerGroupDescribe", 1, {"groupIds": ["moves"]}),
    Step("DescribeGroups", 6, describe(6, "moves")),
    Step("LeaveGroup", 5, leave(5, "moves", "<one>")),
    Step("ConsumerGroupHeartbeat", 1, beat(1, "moves", "b", 0, ["plain"], [])),
    Step("ConsumerGroupHeartbeat", 1, beat(1, "moves", "b", -1)),
]

ELSE = [  # a group of another kind
    Step("JoinGroup", 3, join(3, "else", kind="connect", protocols=(("sessioned", data(b"m")),)),
         {"one": ["memberId"]}),
    Step("SyncGroup", 5, sync(5, "else", 1, "<one>", [("<one>", b"work")], kind="connect", name="sessioned")),
    Step("DescribeGroups", 6, describe(6, "else")),
    Step("OffsetDelete", 0, forget("else", ("plain", 0))),
    Step("ConsumerGroupHeartbeat", 1, beat(1, "else", "a", 0, ["plain"], [])),
    Step("ConsumerGroupDescribe", 1, {"groupIds": ["else"]}),
    Step("ListGroups", 5, listed(5, ["Stable"])),
    Step("LeaveGroup", 1, leave(1, "else", "<one>")),
]

# ---- transactions ----


def transaction(version):
    """Offsets of a transaction, the way a producer of this version sends them."""
    name, group, old = f"t{version}", f"txn-{version}", version < 5
    at = within("AddOffsetsToTxn", version)
    end = 4 if old else 5

    def ask(*places, **more):
        return Step("TxnOffsetCommit", version, txn_commit(version, more.pop("name", name), more.pop("group", group),
                                                           *(places or [("plain", 0, 7)]), **more), settle=[CONCURRENT])

    def ended(committed):
        return Step("EndTxn", end, {"transactionalId": name, "producerId": "<pid>", "producerEpoch": "<epoch>",
                                    "committed": committed}, {} if old else {"pid": ["producerId"], "epoch": [
                                        "producerEpoch"]}, settle=[CONCURRENT])

    def added(group, **more):
        return Step("AddOffsetsToTxn", at, {"transactionalId": name, "producerId": "<pid>", "producerEpoch": "<epoch>",
                                            "groupId": group, **more}, settle=[CONCURRENT])
    fetched = [Step("OffsetFetch", 9, fetch(9, group, stable=True), settle=[UNSTABLE]),
               Step("OffsetFetch", 9, fetch(9, group))]
    member = [] if version < 3 else [
        ask(generation=0, member="nobody"), ask(generation=0), ask(member="nobody"), ask(instance="i"),
        Step("JoinGroup", 3, join(3, group), {"member": ["memberId"]}),
        ask(generation=1, member="<member>"), ask(generation=2, member="<member>"), ask(generation=1, member="nobody"),
        ask(generation=1, member="<member>", instance="i"), ask(),
        Step("SyncGroup", 3, sync(3, group, 1, "<member>", [("<member>", b"x")])), ask(generation=1, member="<member>"),
        ask(), Step("LeaveGroup", 1, leave(1, group, "<member>"))]
    return [
        Step("FindCoordinator", 3, find(3, name, kind=1), settle=[15]),
        Step("InitProducerId", 4, {"transactionalId": name, "transactionTimeoutMs": 60000},
             {"pid": ["producerId"], "epoch": ["producerEpoch"]}, settle=[14, 15, 16, CONCURRENT]),
        ask(group=""), ask(("unknown", 0, 1)), ask(("plain", 9, 1), ("unknown", 0, 1)), ask(name="nobody"), ask(name=""),
        ask(producer=123456), ask(epoch=9),
        added("", transactionalId="nobody"), added(group, producerEpoch=7), added(group, transactionalId=""),
        *([ask()] if old else []),  # the partition is not in the transaction yet
        *([added(group)] if old else []),
        ask(("plain", 0, 7), ("plain", 9, 7), ("unknown", 0, 7), metadata="note"),
        ask(("plain", 1, 7), metadata="x" * 5000), ask(("plain", 0, 8), ("other", 0, 9)),
        Step("OffsetFetch", 9, fetch(9, group)), Step("OffsetFetch", 9, fetch(9, group, stable=True)),
        Step("OffsetFetch", 9, fetch(9, group, None, stable=True)),
        Step("DescribeGroups", 6, describe(6, group)),
        ended(True), *fetched,
        *([added(group)] if old else []), ask(("plain", 0, 100)), ended(False), *fetched,
        *([added(group)] if old else []), *member,
        ask(("plain", 1, 5)), Step("OffsetDelete", 0, forget(group, ("plain", 1))), ended(True), *fetched,
        *([added(group)] if old else []), ask(("plain", 1, 6)), Step("DeleteGroups", 2, {"groupsNames": [group]}),
        ended(True), *fetched, Step("DescribeGroups", 6, describe(6, group))]


SCENES = {
    "coordinators": COORDINATORS,
    **{f"nobody in version {version}": nobody(version) for version in range(11)},
    **{f"a life in version {version}": life(version) for version in range(11)},
    **{f"joins in version {version}": joins(version) for version in range(10)},
    "static members": STATIC, "two members": TWO, "offsets": OFFSETS,
    **{f"a consumer group in version {version}": consumer(version) for version in range(2)},
    **{f"static members of a consumer group in version {version}": consumer_static(version) for version in range(2)},
    **{f"offsets of a transaction in version {version}": transaction(version) for version in range(7)},
    "from one protocol to the other": MOVES, "a group of another kind": ELSE,
}
