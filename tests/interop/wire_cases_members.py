# SPDX-License-Identifier: Apache-2.0
"""More scenes of test_wire_groups.py, of several members: consumers that take partitions from each other, clients of
both protocols in one group, static members that come back, and offsets that all of these commit. The assignor is
`range`, whose outcome hangs on nothing but the members' ids. No group may have more than MEMBERS_MAX members."""
import struct

from wire_cases_groups import (CONCURRENT, Step, beat, commit, data, describe, fetch, heartbeat, join, leave, listed,
                               subscription, sync, txn_commit)


def partitions_of(places):
    return struct.pack(">i", len(places)) + b"".join(
        struct.pack(">h", len(topic)) + topic.encode() + struct.pack(f">i{len(partitions)}i", len(partitions),
            *partitions)
        for topic, partitions in places)


def assignment(*places):
    """places: (topic, partitions), as the protocol that is embedded in the classic one has it."""
    return struct.pack(">h", 0) + partitions_of(places) + struct.pack(">i", -1)


def owning(version, topics, *places, generation=-1, rack=None):
    """A subscription that says what its member has."""
    content = struct.pack(">hi", version, len(topics)) + b"".join(
        struct.pack(">h", len(topic)) + topic.encode() for topic in topics) + struct.pack(">i", -1)
    if version > 0:
        content += partitions_of(places)
    if version > 1:
        content += struct.pack(">i", generation)
    if version > 2:
        content += struct.pack(">h", -1) if rack is None else struct.pack(">h", len(rack)) + rack.encode()
    return data(content)


class Group:
    """Steps of one group."""

    def __init__(self, name, version=1):
        self.name, self.version = name, version

    def beat(self, *arguments, version=None, **more):
        version = self.version if version is None else version
        if arguments[1] == 0:
            more.setdefault("serverAssignor", "range")
        return Step("ConsumerGroupHeartbeat", version, beat(version, self.name, *arguments, **more))

    def described(self):
        return Step("ConsumerGroupDescribe", 1, {"groupIds": [self.name]})

    def described_old(self, version=6):
        return Step("DescribeGroups", version, describe(version, self.name))

    def commit(self, version, member, generation, *places, instance=None):
        return Step("OffsetCommit", version, commit(version, self.name, *places, generation=generation, member=member,
                                                    instance=instance))

    def join(self, version=9, keep=None, hold=None, **what):
        return Step("JoinGroup", version, join(version, self.name, **what), keep or {}, hold)

    def sync(self, generation, member, *assignments, version=5, hold=None, **more):
        return Step("SyncGroup", version, sync(version, self.name, generation, member, assignments, **more), hold=hold)

    def alive(self, generation, member, instance=None):
        return Step("Heartbeat", 4, heartbeat(4, self.name, generation, member, instance))

    def leave(self, *members, version=5):
        return Step("LeaveGroup", version, leave(version, self.name, *members))


def commits(group, *members):
    """Commits of members with epochs of past, present and future, of all partitions."""
    return [group.commit(version, member, epoch, (topic, partition, 5))
            for version in (9, 10) for member, *epochs in members for epoch in epochs
            for topic, partition in (("plain", 0), ("plain", 1), ("other", 0))]


# ---- consumers among themselves ----

def takes(version):
    group = Group(f"takes-{version}", version)
    everything = ["plain", "other"]
    states = [Step("ListGroups", 5, listed(5, [state])) for state in ("Stable", "Reconciling", "assigning")]
    return [
        group.beat("a", 0, everything, []), group.beat("a", 2, owned=[("plain", (0, 1)), ("other", (0,))]),
        group.beat("b", 0, everything, []), group.described(), *states, *commits(group, ("a", 1, 2, 3), ("b", 2, 3, 4)),
        group.beat("b", 3, owned=[]), group.beat("b", 3),
        # what it has to give up is told at once, and again to who tells all
        group.beat("a", 2), group.described(), group.beat("a", 2),
        group.beat("a", 2, everything, [("plain", (0, 1)), ("other", (0,))], rebalance=60000),
        *commits(group, ("a", 1, 2, 3), ("b", 3)), group.beat("b", 3),
        group.beat("a", 2, owned=[("plain", (0,)), ("other", (0,))]), group.described(),
        group.beat("a", 2, owned=[("plain", (0,)), ("other", (0,))]),  # the answer was lost
        group.beat("a", 2, owned=[("plain", (0, 1)), ("other", (0,))]), group.beat("a", 2),
        *commits(group, ("a", 1, 2, 3), ("b", 2, 3, 4)),
        group.beat("b", 3), group.beat("b", 3, owned=[("plain", (1,))]), group.described(), *states,
        *commits(group, ("a", 2, 3), ("b", 2, 3, 4)),
        # a subscription that changes
        group.beat("a", 3, ["other"]), group.described(), group.beat("a", 3, owned=[("other", (0,))]),
        group.beat("b", 3), group.described(), group.beat("b", 3, [], None), group.described(),
        group.beat("b", 4, owned=[]), group.beat("b", 5, owned=[]), group.beat("a", 5), group.described(),
        # fenced, and back
        group.beat("a", 1), group.beat("a", 0, everything, []), group.described(), group.beat("a", 6),
        group.beat("b", -1), group.beat("a", 6), group.beat("a", 7), group.beat("a", 7), group.described(), *states,
        group.beat("a", -1), group.described(), *states]


def pattern(name, *arguments, settle=(), keep=None, **more):
    return Step("ConsumerGroupHeartbeat", 1, beat(1, name, *arguments, **more), keep or {}, settle=settle)


# Which topics match is found meanwhile; the epoch rises when it is.
PATTERNS = [
    pattern("patterns", "a", 0, None, [], regex="pl.*", serverAssignor="range", keep={"first": ["memberEpoch"]}),
    pattern("patterns", "a", "<first>", settle=['"memberEpoch": 0,', '"memberEpoch": 1,']),
    Group("patterns").described(), pattern("patterns", "a", 2), pattern("patterns", "a", 3),
    pattern("patterns", "b", 0, ["other"], [], regex="pl.*", serverAssignor="range"), Group("patterns").described(),
    pattern("patterns", "a", 2, owned=[("plain", (0,))]), pattern("patterns", "b", 3), Group("patterns").described(),
    pattern("patterns", "a", 3, regex="("), pattern("patterns", "a", 3, regex=""), Group("patterns").described(),
    pattern("patterns", "b", 3), pattern("patterns", "b", 4), pattern("patterns", "a", 4, ["plain"]),
    pattern("patterns", "b", 4, regex=""), Group("patterns").described(), pattern("patterns", "b", 5),
    pattern("patterns", "b", 6), pattern("patterns", "a", 5), pattern("patterns", "a", 6),
    Group("patterns").described(),
    pattern("patterns", "a", -1), pattern("patterns", "b", -1), Group("patterns").described()]

# ---- as many as there may be (MEMBERS_MAX) ----

MEMBERS_MAX = 4
FULL, OLD_FULL = Group("full"), Group("old full")
FULLS = [
    *(FULL.beat(member, 0, ["plain"], [], **({"instanceId": "i"} if member == "a" else {})) for member in "abcde"),
    FULL.beat("e", 0, ["plain"], [], instanceId="j"), FULL.beat("e", 0, ["plain"], [], instanceId="i"),
    FULL.beat("b", 0, ["plain"], []), FULL.beat("e", 3), FULL.beat("", 0, ["plain"], [], version=0),
    FULL.join(9), FULL.join(3), FULL.join(9, member="e"), FULL.join(9, instance="j"), FULL.join(9, kind="connect"),
    FULL.beat("d", -1), FULL.beat("e", 0, ["plain"], []), FULL.described(),
    # an instance that is there takes nobody's place
    FULL.join(9, {"other": ["memberId"]}, instance="i")]
OLD_FULLS = [
    OLD_FULL.join(3, {"one": ["memberId"]}), OLD_FULL.sync(1, "<one>", ("<one>", b"1")),
    *(OLD_FULL.join(3, hold=name) for name in ("two", "three", "four")), OLD_FULL.alive(1, "<one>"),
    OLD_FULL.join(9, member="<one>"),
    *(Step("JoinGroup", 3, None, {name: ["memberId"]}, take=name) for name in ("two", "three", "four")),
    OLD_FULL.join(9), OLD_FULL.join(3), OLD_FULL.join(9, instance="i"), OLD_FULL.join(9, member="nobody"),
    OLD_FULL.join(9, kind="connect"), OLD_FULL.sync(2, "<one>", ("<one>", b"1")), OLD_FULL.join(9),
    OLD_FULL.join(9, member="<two>"), OLD_FULL.leave("<two>", "<three>", "<four>", "<one>"), OLD_FULL.described_old()]

# ---- static members ----

def returns(version):
    group = Group(f"returns-{version}", version)

    def ask(*arguments, **more):
        return group.beat(*arguments, instanceId="i", **more)
    other = [group.beat("z", 0, ["plain"], [], instanceId="j"), group.beat("z", 2, owned=[])]
    return [
        ask("a", 0, ["plain"], []), ask("a", -2), ask("a", 0, ["plain"], []), group.described(), ask("a", 2),
        ask("a", 1),
        ask("a", -2), *other, ask("a", 0, ["plain"], []), group.described(), ask("a", 3, owned=[("plain", (0,))]),
        group.beat("z", 3), ask("a", -2), ask("b", 0, ["other"], []), group.described(), ask("a", 3),
        group.beat("z", 3), group.beat("z", 4), group.described(),
        # the same member under another instance id, and as one without
        group.beat("b", 0, ["other"], [], instanceId="k"), group.described(), ask("b", 4),
        group.beat("b", 4, instanceId="k"), group.beat("b", 0, ["other"], []), group.described(),
        group.leave(("", "j"), ("", "k")), group.described()]


OLD_STATIC = Group("old static")
OLD_STATICS = [
    OLD_STATIC.join(5, {"one": ["memberId"]}, instance="i"),
    OLD_STATIC.sync(1, "<one>", ("<one>", b"all"), instance="i"),
    OLD_STATIC.join(9, hold="second", instance="j"), OLD_STATIC.alive(1, "<one>", "i"),
    OLD_STATIC.join(9, instance="i", member="<one>"),
    Step("JoinGroup", 9, None, {"two": ["memberId"]}, take="second"),
    OLD_STATIC.sync(2, "<two>", instance="j", hold="second"),
    OLD_STATIC.sync(2, "<one>", ("<one>", b"half"), ("<two>", b"rest"), instance="i"),
    Step("SyncGroup", 5, None, take="second"),
    # who led is not to divide again
    OLD_STATIC.join(8, {"three": ["memberId"]}, instance="i"), OLD_STATIC.sync(2, "<three>", instance="i"),
    OLD_STATIC.join(9, {"four": ["memberId"]}, instance="i"), OLD_STATIC.sync(2, "<four>", instance="i"),
    OLD_STATIC.join(8, {"five": ["memberId"]}, instance="j"), OLD_STATIC.sync(2, "<five>", instance="j"),
    OLD_STATIC.join(9, {"six": ["memberId"]}, instance="j"), OLD_STATIC.sync(2, "<six>", instance="j"),
    OLD_STATIC.alive(2, "<five>", "j"), OLD_STATIC.alive(2, "<six>", "j"), OLD_STATIC.alive(2, "<six>"),
    OLD_STATIC.described_old(),
    # another choice of protocols
    OLD_STATIC.join(9, {"seven": ["memberId"]}, instance="j", protocols=(
        ("roundrobin", data(b"r")), ("range", subscription("plain")))),
    OLD_STATIC.join(9, instance="i", protocols=(("roundrobin", data(b"r")),)),
    OLD_STATIC.join(9, member="<seven>", instance="j", hold="second"),
    OLD_STATIC.alive(2, "<four>", "i"),
    OLD_STATIC.leave(("<two>", "j"), ("", "i"), ("<seven>", None)),
    Step("JoinGroup", 9, None, take="second"),
    OLD_STATIC.described_old(),
]

GIVEN_IDS = Group("given ids")
IDS = [  # that were given out and not used yet
    GIVEN_IDS.join(9, {"one": ["memberId"]}), GIVEN_IDS.described_old(), GIVEN_IDS.alive(0, "<one>"),
    GIVEN_IDS.sync(0, "<one>"), GIVEN_IDS.commit(9, "<one>", 0, ("plain", 0, 1)),
    GIVEN_IDS.commit(9, "<one>", -1, ("plain", 0, 1)),
    GIVEN_IDS.join(9, member="<one>", kind="connect"), GIVEN_IDS.leave("<one>"), GIVEN_IDS.join(9, member="<one>"),
    GIVEN_IDS.join(4, {"two": ["memberId"]}), GIVEN_IDS.join(4, member="<two>"),
    GIVEN_IDS.join(9, {"three": ["memberId"]}), GIVEN_IDS.alive(1, "<three>"), GIVEN_IDS.leave("<three>", "<three>"),
    GIVEN_IDS.alive(1, "<two>"), GIVEN_IDS.described_old(), GIVEN_IDS.join(9, member="<two>"),
    GIVEN_IDS.sync(3, "<two>", ("<two>", b"a")), GIVEN_IDS.sync(2, "<two>", ("<two>", b"a")),
    GIVEN_IDS.join(9, {"four": ["memberId"]}), GIVEN_IDS.beat("a", 0, ["plain"], []),
    GIVEN_IDS.leave("<four>", "<two>"), GIVEN_IDS.described_old()]


# ---- clients of both protocols ----

def mixed(version):
    """version: of the subscriptions of the classic member."""
    group = Group(f"mixed-{version}")

    def joins(member="<one>", *places, generation=-1, topics=("plain",), at=9, **more):
        return group.join(at, member=member,
            protocols=(("range", owning(version, topics, *places, generation=generation)),),
                          **more)
    told = [group.described(), group.described_old(), Step("ListGroups", 5, listed(5))]
    asked = [group.alive(generation, "<one>") for generation in (1, 2, 3)]
    return [
        joins("", at=3, keep={"one": ["memberId"]}),
        group.sync(1, "<one>", ("<one>", assignment(("plain", (0, 1))))),
        group.beat("a", 0, ["plain"], []), *told, *asked, group.alive(1, "a"), group.alive(1, "nobody"),
        *commits(group, ("<one>", 0, 1, 2)), group.commit(8, "<one>", 1, ("plain", 0, 1)),
        group.commit(8, "a", 2, ("plain", 0, 1)),
        group.sync(1, "<one>"), group.sync(2, "<one>"), group.sync(1, "a"), group.sync(1, "nobody"),
        joins("<one>", ("plain", (0, 1)), generation=1), *told, group.sync(1, "<one>", kind="connect"),
        group.sync(1, "<one>", name="other"), group.sync(1, "<one>", kind=None, name=None, version=4),
        group.sync(1, "<one>"),
        *asked, group.beat("a", 2), *commits(group, ("<one>", 0, 1, 2)),
        joins("<one>", ("plain", (1,)), generation=1), *told, *asked, group.sync(2, "<one>"), *asked,
        group.beat("a", 2, owned=[]), group.beat("a", 2, owned=[("plain", (0,))]), *told,
        *commits(group, ("<one>", 0, 1, 2, 3), ("a", 1, 2, 3)),
        *(Step("OffsetFetch", 9, fetch(9, group.name, member=member, epoch=epoch))
          for member in ("<one>", "a", "nobody") for epoch in (1, 2, 3)),
        Step("OffsetFetch", 8, fetch(8, group.name)),
        # what is refused
        group.join(9, member="<one>", protocols=(("range", data(b"\0")),)), group.join(9, member="<one>", protocols=()),
        group.join(9, member="<one>", protocols=(("roundrobin", subscription("plain")),)),
        group.join(9, member="<one>", kind="connect"), group.join(9, kind="connect"),
        group.join(9, member="<one>", session=10), group.join(9, instance="i", member="nobody"),
        group.join(9, member="<one>", instance="i"), group.alive(2, "<one>", "i"), group.sync(2, "<one>", instance="i"),
        # another one
        joins("", keep={"two": ["memberId"]}, topics=("other",)), joins("<two>", topics=("other",)),
        *told, group.sync(3, "<two>"), group.alive(3, "<two>"), *asked,
        group.leave("nobody", ("<one>", "i"), "<two>", "<two>"), *told, *asked,
        joins("<one>", ("plain", (1,)), generation=2), group.sync(4, "<one>"), group.beat("a", 2), *told,
        # the last one of the new protocol goes
        group.beat("a", -1), Step("ConsumerGroupDescribe", 1, {"groupIds": [group.name]}),
        Step("ListGroups", 5, listed(5)), group.alive(4, "<one>"), group.alive(5, "<one>"),
        group.sync(5, "<one>"), joins("<one>", ("plain", (1,)), generation=4),
        group.sync(6, "<one>", ("<one>", assignment(("plain", (0, 1))))), group.described_old(),
        group.alive(6, "<one>"),
        group.leave("<one>"), *told]


STATIC_MIX = Group("static mix")
STATIC_MIXED = [  # a static member changes over, and back
    STATIC_MIX.join(9, {"one": ["memberId"]}, instance="i"),
    STATIC_MIX.sync(1, "<one>", ("<one>", assignment(("plain", (0, 1)))), instance="i"),
    STATIC_MIX.beat("a", 0, ["plain"], [], instanceId="i"), STATIC_MIX.described(), STATIC_MIX.alive(1, "<one>", "i"),
    STATIC_MIX.beat("a", 1, owned=[("plain", (0, 1))], instanceId="i"), STATIC_MIX.described(),
    STATIC_MIX.join(9, {"two": ["memberId"]}, instance="i"), STATIC_MIX.beat("a", 1, instanceId="i"),
    STATIC_MIX.described(), STATIC_MIX.described_old(), STATIC_MIX.sync(1, "<two>", instance="i"),
    STATIC_MIX.sync(2, "<two>", instance="i"), STATIC_MIX.alive(1, "<two>", "i"), STATIC_MIX.alive(2, "<two>", "i"),
    STATIC_MIX.leave(("", "i")), STATIC_MIX.described_old()]

SPOILT = Group("spoilt")
SPOILTS = [  # groups that no consumer of the new protocol can join
    SPOILT.join(3, {"one": ["memberId"]}), SPOILT.sync(1, "<one>", ("<one>", b"\0\7x")),
    SPOILT.beat("a", 0, ["plain"], []), SPOILT.described_old(), SPOILT.alive(1, "<one>"),
    SPOILT.join(9, member="<one>", protocols=(("range", data(b"x")),)),
    SPOILT.sync(2, "<one>", ("<one>", assignment(("plain", (0,))))), SPOILT.beat("a", 0, ["plain"], []),
    SPOILT.join(9, member="<one>"),
    SPOILT.sync(3, "<one>", ("<one>", assignment(("plain", (0,)))[:-4] + struct.pack(">i", 1) + b"u")),
    SPOILT.beat("a", 0, ["plain"], []), SPOILT.beat("a", 1), SPOILT.beat("a", -1), SPOILT.alive(3, "<one>"),
    SPOILT.join(9, member="<one>"),
    SPOILT.sync(4, "<one>", ("<one>", assignment(("plain", (0, 9)), ("unknown", (0,)))[:-4] + struct.pack(">i", 0))),
    SPOILT.beat("a", 0, ["plain"], []), SPOILT.described(), SPOILT.beat("a", -1), SPOILT.leave("<one>")]


# ---- offsets of transactions ----

def transactions(version):
    """Of members of a consumer group."""
    name, group = f"members-{version}", Group(f"txn-members-{version}")

    def ask(*places, **more):
        return Step("TxnOffsetCommit", version,
            txn_commit(version, name, group.name, *(places or [("plain", 0, 7)]), **more),
                    settle=[CONCURRENT])
    asked = [ask((topic, partition, 9), generation=epoch, member=member)
             for member, *epochs in (("a", 1, 2, 3, 4), ("b", 3), ("nobody", 3), ("", -1, 3), ("a", -1))
             for epoch in epochs for topic, partition in (("plain", 0), ("plain", 1))]
    if version < 3:
        asked = [ask(), ask(("plain", 1, 9))]
    added = [Step("AddOffsetsToTxn", 3, {"transactionalId": name, "producerId": "<pid>", "producerEpoch": "<epoch>",
                                         "groupId": group.name}, settle=[CONCURRENT])] if version < 5 else []
    return [
        Step("FindCoordinator", 3, {"key": name, "keyType": 1}, settle=[15]),
        Step("InitProducerId", 4, {"transactionalId": name, "transactionTimeoutMs": 60000},
             {"pid": ["producerId"], "epoch": ["producerEpoch"]}, settle=[14, 15, 16, CONCURRENT]),
        group.beat("a", 0, ["plain"], []), group.beat("b", 0, ["plain"], []),
        group.beat("a", 2, owned=[("plain", (0, 1))]), group.beat("a", 2, owned=[("plain", (0,))]), group.beat("b", 3),
        *added, *asked,
        *([ask(("plain", 0, 9), ("plain", 1, 9), generation=2, member="a"), ask(instance="i", generation=3, member="a"),
           ask(instance="i")] if version > 2 else []),
        Step("OffsetFetch", 9, fetch(9, group.name, member="a", epoch=3, stable=True)),
        Step("OffsetFetch", 9, fetch(9, group.name, member="a", epoch=2, stable=True)),
        Step("OffsetFetch", 9, fetch(9, group.name)),
        Step("EndTxn", 4 if version < 5 else 5,
            {"transactionalId": name, "producerId": "<pid>", "producerEpoch": "<epoch>", "committed": True},
            settle=[CONCURRENT]),
        Step("OffsetFetch", 9, fetch(9, group.name, stable=True), settle=[88]),
        group.beat("a", -1), group.beat("b", -1), *asked]


SCENES = {
    "patterns": PATTERNS, "a full group": FULLS, "a full classic group": OLD_FULLS,
    **{f"consumers that take from each other in version {version}": takes(version) for version in range(2)},
    **{f"static members that come back in version {version}": returns(version) for version in range(2)},
    "classic static members that come back": OLD_STATICS, "ids that were given out": IDS,
    **{f"both protocols with subscriptions of version {version}": mixed(version) for version in range(4)},
    "a static member that changes over": STATIC_MIXED, "groups that cannot be upgraded": SPOILTS,
    **{f"transactions of consumers in version {version}": transactions(version) for version in range(7)},
}
