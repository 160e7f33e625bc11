# SPDX-License-Identifier: Apache-2.0
"""The questions of test_wire_data.py: scenes of steps, as in wire_cases_groups.py, about Produce, Fetch and its
sessions, ListOffsets, DeleteRecords, OffsetForLeaderEpoch and Metadata: what the single questions of wire_cases.py
do not reach. Records are given as {"batch": …} or {"batches": […]} and made when they are sent. A step whose API is
"restart" starts both nodes anew; "published" waits until the change before it has come to all of a node.

No write with acks=-1 has a time-out of nearly nothing: ours waits for the disk, Apache's does not.

What there is: TOPICS, each with its settings; a scene writes to those of its own only."""
import collections

from wire_cases import NO_ID, metadata
from wire_cases_groups import find

Step = collections.namedtuple("Step", "api version body keep client settle",
                              defaults=({}, b"wire", ()))
FETCH, PRODUCE, LIST_OFFSETS = range(4, 19), range(3, 14), range(1, 12)
TIME = 1_700_000_000_000
GZIP, TRANSACTIONAL, APPEND_TIME = 1, 0x10, 0x08
LEADERLESS = (3, 5, 6)


# ---- bodies ----

def records(*values, **more):
    return {"batch": {"values": list(values), **more}}


def produce(version, *places, acks=-1, timeout=5000, name=None):
    """places: (topic, partition, records)."""
    return {"transactionalId": name, "acks": acks, "timeoutMs": timeout, "topicData": [
        {**({"topicId": NO_ID if topic == "unknown" else f"<id {topic}>"} if version > 12 else {"name": topic}),
         "partitionData": [{"index": partition, "records": content}
                           for each, partition, content in places if each == topic]}
        for topic in dict.fromkeys(topic for topic, *_ in places)]}


def asked(version, topic, *partitions):
    """partitions: (index, offset) or (index, offset, more fields)."""
    return {**({"topicId": NO_ID if topic == "unknown" else f"<id {topic}>"} if version > 12 else {"topic": topic}),
            "partitions": [{"partition": index, "fetchOffset": offset, "partitionMaxBytes": 1 << 20,
                            **({"currentLeaderEpoch": -1} if version > 8 else {}),
                            **({"lastFetchedEpoch": -1} if version > 11 else {}),
                            **(more[0] if more else {})} for index, offset, *more in partitions]}


def fetch(version, *topics, session=None, forget=(), level=0, wait=0, **more):
    """topics: of asked(); session: (id, epoch)."""
    return {"maxWaitMs": wait, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": level, "topics": list(topics),
            **({"sessionId": session[0], "sessionEpoch": session[1], "forgottenTopicsData": [
                {**({"topicId": NO_ID if topic == "unknown" else f"<id {topic}>"} if version > 12 else
                    {"topic": topic}), "partitions": list(partitions)} for topic, *partitions in forget]}
               if session else {}), **more}


def offsets(version, *places, level=0, replica=-1, epoch=-1):
    """places: (topic, partition, time)."""
    return {"replicaId": replica, **({"isolationLevel": level} if version > 1 else {}), "topics": [
        {"name": topic, "partitions": [
            {"partitionIndex": partition, "timestamp": time, **({"currentLeaderEpoch": epoch} if version > 3 else {})}
            for each, partition, time in places if each == topic]}
        for topic in dict.fromkeys(topic for topic, *_ in places)]}


def deleted(*places):
    """places: (topic, partition, offset)."""
    return {"timeoutMs": 10000, "topics": [
        {"name": topic, "partitions": [{"partitionIndex": partition, "offset": offset}
                                       for each, partition, offset in places if each == topic]}
        for topic in dict.fromkeys(topic for topic, *_ in places)]}


def epochs(version, *places, replica=-1):
    """places: (topic, partition, epoch, epoch of the leader)."""
    return {**({"replicaId": replica} if version > 2 else {}), "topics": [
        {"topic": topic, "partitions": [
            {"partition": partition, "currentLeaderEpoch": current, "leaderEpoch": epoch}
            for each, partition, epoch, current in places if each == topic]}
        for topic in dict.fromkeys(topic for topic, *_ in places)]}


# ---- steps ----

def write(version, *places, client=b"wire", **more):
    return Step("Produce", version, produce(version, *places, **more), client=client)


def read(version, *arguments, keep=None, client=b"wire", **more):
    return Step("Fetch", version, fetch(version, *arguments, **more), keep or {}, client)


def at(version, *arguments, **more):
    return Step("ListOffsets", version, offsets(version, *arguments, **more))


def delete(*places, version=2):
    return Step("DeleteRecords", version, deleted(*places))


def made(name, kept):
    """A new topic; its id is kept under that name."""
    return [
        Step("CreateTopics", 7, {"timeoutMs": 10000, "topics": [{
            "name": name, "numPartitions": 1, "replicationFactor": 1,
            "configs": [{"name": "retention.ms", "value": "-1"}]}]}),
        Step("Metadata", 12, metadata(name), {kept: ["topics", 0, "topicId"]}, settle=LEADERLESS)]


# ---- sessions ----

def sessions(version):
    topic = f"session-{version}"

    def ask(epoch, *topics, forget=(), session="<session>", keep=None, **more):
        return read(version, *topics, session=(session, epoch), forget=forget, keep=keep, **more)

    def open(*topics, **more):
        return ask(0, *topics, keep={"session": ["sessionId"]}, **more)
    every = asked(version, topic, (0, 0), (1, 0), (2, 0))
    new = {"session": 0}
    return [
        write(9, (topic, 0, records("a", "b")), (topic, 1, records("c"))),
        ask(0, every, **new, keep={"session": ["sessionId"]}), ask(1), ask(2),
        write(9, (topic, 1, records("d"))), ask(3), ask(4),
        ask(5, asked(version, topic, (1, 2))), ask(6), write(9, (topic, 1, records("e"))), ask(7),
        # others join, go wrong, and are forgotten
        ask(8, asked(version, topic, (0, 99))), ask(9), ask(10, asked(version, topic, (0, 2))), ask(11),
        ask(12, asked(version, topic, (9, 0))), ask(13), ask(14, forget=[(topic, 9)]), ask(15),
        ask(16, asked(version, "unknown", (0, 0))), ask(17), ask(18, forget=[("unknown", 0)]), ask(19),
        ask(20, asked(version, topic, (2, 0)), forget=[(topic, 2)]), ask(21, forget=[(topic, 5), (topic, 0)]),
        ask(22, asked(version, topic, (0, 0))), ask(23, asked(version, topic, (0, 1), (1, 0))),
        # epochs
        ask(22), ask(26), ask(24), ask(25, level=1), ask(26),
        delete((topic, 0, 1)), ask(27), ask(28, asked(version, topic, (0, 1))), ask(29),
        # the end of it
        ask(30, forget=[(topic, 0, 1)]), ask(31),
        ask(0, every, **new, keep={"session": ["sessionId"]}), ask(-1, every), ask(1),
        ask(-1, every, **new), ask(-1, **new), ask(3, **new), ask(3, session=12345), ask(-1, session=12345),
        ask(0, asked(version, topic, (1, 0)), session=12345, keep={"session": ["sessionId"]}), ask(1),
        ask(0, every, **new, keep={"before": ["sessionId"]}),
        ask(0, asked(version, topic, (1, 3)), session="<before>", keep={"session": ["sessionId"]}),
        ask(1, session="<before>"), ask(1), ask(-1),
        ask(0, asked(version, "unknown", (0, 0), (1, 0)), asked(version, topic, (0, 99)),
            asked(version, topic, (1, 0)), **new, keep={"session": ["sessionId"]}), ask(1), ask(2),
        ask(3, asked(version, topic, (0, 2))), ask(4),
        # with and without ids
        *([read(13, session=("<session>", 5)), read(13, asked(13, topic, (0, 0)), session=("<session>", 5))]
          if version < 13 else
          [read(12, session=("<session>", 5)), read(12, asked(12, topic, (0, 0)), session=("<session>", 5))]),
        ask(5), ask(6)]


def order(version):
    """Whose records came goes to the end of the session."""
    topic = f"order-{version}"
    many = [(index, 0, {"partitionMaxBytes": 90}) for index in range(4)]

    def ask(epoch, *topics, **more):
        return read(version, *topics, session=("<session>", epoch), maxBytes=150, **more)
    return [
        write(9, *((topic, index, records("a" * 20, "b" * 20)) for index in range(4))),
        *(write(9, *((topic, index, records("c" * 20)) for index in range(4))) for _ in range(3)),
        # opened where nothing is: those that the first answer has records of are the last ones at once here, in
        # Apache's sessions with the answer after it
        read(version, asked(version, topic, *((index, 5) for index in range(4))), session=(0, 0),
             keep={"session": ["sessionId"]}),
        ask(1, asked(version, topic, *many)), *(ask(epoch) for epoch in range(2, 7)),
        ask(7, asked(version, topic, (1, 2, {"partitionMaxBytes": 90}))),
        *(ask(epoch) for epoch in range(8, 12)),
        read(version, asked(version, topic, (3, 0), (0, 0)), asked(version, "unknown", (0, 0)),
             asked(version, topic, (1, 0)), asked(version, "other", (0, 0)), asked(version, topic, (2, 0)))]


def recreated(version):
    """A topic that goes and comes again, under a session and under those who knew its id. A session by ids is not
    asked any more: Apache's goes by the name that the id once had (3, then 103), ours by the id alone (100)."""
    topic = f"again-{version}"
    old = {"topicId": "<old id>"}

    def ask(epoch, *topics, **more):
        return read(version, *topics, session=("<session>", epoch), **more)
    gone = Step("Metadata", 12, metadata(topic), settle=(0,))
    by_old = {**asked(9, topic, (0, 0)), **old}
    by_old.pop("topic")
    place = by_old if version > 12 else asked(version, topic, (0, 0))
    return [
        *made(topic, "old id"), write(9, (topic, 0, records("a"))),
        read(version, place, session=(0, 0), keep={"session": ["sessionId"]}), ask(1),
        Step("DeleteTopics", 6, {"timeoutMs": 5000, "topics": [{"name": topic}]}), gone,
        *([ask(2), ask(3)] if version < 13 else []), *made(topic, "new id"),
        write(9, (topic, 0, records("b", "c"))), *([ask(4), ask(5)] if version < 13 else []),
        Step("Produce", 13, {"acks": -1, "timeoutMs": 5000, "topicData": [
            {**old, "partitionData": [{"index": 0, "records": records("late")}]}]}),
        Step("Fetch", 13, {"maxWaitMs": 0, "minBytes": 0, "maxBytes": 1 << 20, "topics": [by_old]}),
        Step("Metadata", 13, {"topics": [{"name": None, "topicId": f"<{each} id>"} for each in ("old", "new")]})]


# ---- fetches ----

def fetches(version):
    topic = f"fetch-{version}"

    def ask(*partitions, **more):
        return read(version, asked(version, topic, *partitions), **more)
    replica = (lambda number: {"replicaState": {"replicaId": number, "replicaEpoch": -1}}) if version > 14 else \
        (lambda number: {"replicaId": number})
    return [
        write(9, (topic, 0, records("a" * 50, "b" * 50)), (topic, 1, records("c" * 50))),
        write(9, (topic, 0, records("d" * 50))), write(9, (topic, 0, records("e" * 50, "f" * 50, "g" * 50))),
        *(ask((0, offset), level=level) for offset in (0, 1, 2, 3, 5, 6, 7, -1) for level in (0, 1)),
        *(ask((0, 0, {"partitionMaxBytes": limit}), (1, 0, {"partitionMaxBytes": limit}), maxBytes=total)
          for limit in (0, 1, 200, 400, 1 << 20) for total in (0, 1, 190, 400, 600)),
        read(version), read(version, asked(version, topic)),
        ask((0, 0), minBytes=0), ask((0, 0), minBytes=1 << 30), ask((0, 6), wait=-1), ask((0, 6), wait=50, minBytes=0),
        ask((0, 6), wait=50), ask((0, 0), wait=50, minBytes=1 << 20),
        *(ask((0, 0), **replica(number)) for number in (-2, 7, -9)), ask((0, 3), level=1, **replica(-2)),
        *([ask((0, 0, {"currentLeaderEpoch": epoch})) for epoch in (0, 1, 5, -1)] if version > 8 else []),
        *([ask((0, 0, {"currentLeaderEpoch": 3}), **replica(7)), ask((0, 0, {"currentLeaderEpoch": 0}), **replica(7))]
          if version > 8 else []),
        *([ask((0, offset, {"lastFetchedEpoch": epoch})) for offset in (0, 3, 6, 7) for epoch in (0, 1, -2)]
          if version > 11 else []),
        delete((topic, 0, 3)), ask((0, 0)), ask((0, 2)), ask((0, 3)), ask((0, 4)),
        *([ask((0, offset, {"lastFetchedEpoch": 0})) for offset in (0, 2, 3)] if version > 11 else []),
        # the offsets topic, where it is
        *([read(version, asked(version, "__consumer_offsets", (0, 0), (99, 0)))] if version < 13 else []),
        *([ask((0, 3), rackId="r")] if version > 10 else [])]


# ---- produces ----

def produces(version):
    topic = f"produce-{version}"
    two = records("a", "b")

    def ask(*places, **more):
        return write(version, *places, **more)

    def one(content, name=topic, partition=0, **more):
        return ask((name, partition, content), **more)
    return [
        ask((topic, 0, two), (topic, 1, records("c")), ("unknown", 0, two), (topic, 9, two)),
        Step("Produce", version, {"acks": 1, "timeoutMs": 5000, "topicData": []}),
        ask((topic, 0, records("x", wrong_crc=True)), (topic, 1, records("d"))),
        one(two, acks=1), one(two, acks=5), one(two, acks=1, timeout=0), one(two, timeout=(1 << 31) - 1),
        one(records("x", base_offset=5)), one(records("x", magic=0)),
        one(records("x", attributes=APPEND_TIME)), one(records("x", attributes=TRANSACTIONAL)),
        one(records("x", attributes=TRANSACTIONAL), name="produce-other"), one(records("x"), name=topic, partition=-1),
        one(records("x", attributes=TRANSACTIONAL, producer=[7, 0, 0])), one(records("x", producer=[7, 0, -1])),
        one(records("x", producer=[7, -1, -1])), one(records("x", producer=[-1, 0, 0])),
        one(records("x", producer=[-1, -1, 3])), one(records("x", producer=[-2, 0, 0])),
        one(records("x", count=0)), one(records("x", count=-1)), one(records("x", last_delta=-1)),
        one(records("x", "y", count=1)), one(records("x", "y", last_delta=0, count=1)),
        # times
        one(records("x", time=-1)), one(records("x", time=-5)), one(records("x", time=0)), one(records("x", time=TIME)),
        one(records("x", time=1 << 45)), one(records("x", "y", time=1 << 60)),
        *(one(content, name="produce-stamped") for content in (
            two, records("x", time=1 << 50), records("x", time=-1), records("x", "y", "z", attributes=GZIP),
            records("x", producer=[8, 0, 0]), records("x", producer=[8, 0, 0]), records("x", producer=[8, 0, 5]))),
        one(two, name="produce-tight"), one(records("x", "y", "z", time=1000), name="produce-tight"),
        one(two, name="produce-compact"), one(records("x", time=1 << 45), name="produce-compact"),
        one(records("x", "y", keys=["k", None]), name="produce-compact"),
        one(records(None, "y", keys=["k", "l"]), name="produce-compact"),
        one(two, name="produce-compact-stamped"), one(two, name="produce-both"),
        # sizes
        *(one(records("x" * size), name="produce-small") for size in (231, 232, 233, 234)),
        one(records("x" * 1_100_000), name="produce-segments"), one(records("x" * 1_000_000), name="produce-segments"),
        # codecs
        one(records("x" * 400, attributes=GZIP)), one(records("x" * 400, attributes=GZIP), name="produce-small"),
        one(records("x", "y", attributes=GZIP), name="produce-compact"),
        one(records("x", "y", attributes=GZIP, keys=["a", "b"]), name="produce-compact"),
        one(records("x", attributes=GZIP, time=1 << 45)),
        one(records("x", "y", deltas=[0, 2])), one(records("x", "y", deltas=[1, 0])),
        *(one(content, name=f"produce-{codec}") for codec in ("gzip", "zstd", "none") for content in (
            records("x" * 300, "y"), records("x" * 300, "y", attributes=GZIP), records("x", time=1 << 45),
            records("x", producer=[9, 0, 0]), records("x", producer=[9, 0, 0]))),
        one(records("x" * 400, attributes=GZIP), name="produce-none-small"),
        one({"batches": [two, two]}), one({"batches": []}), one({"batches": [two], "tail": 5}),
        # who writes where nobody should
        one(two, name="__consumer_offsets") if version < 13 else one(two),
        one(records("x", keys=["k"]), name="__consumer_offsets", client=b"__admin_client", partition=5)
        if version < 13 else one(two),
        one(two, name="a b") if version < 13 else one(two), one(two, name="") if version < 13 else one(two),
        *(read(12, asked(12, name, (0, 0), (1, 0))) for name in (
            topic, "produce-small", "produce-compact", "produce-both", "produce-compact-stamped", "produce-gzip",
            "produce-zstd", "produce-none", "produce-none-small", "produce-stamped")),
        *(at(7, (name, 0, time)) for name in (topic, "produce-stamped", "produce-gzip", "produce-compact-stamped")
          for time in (-3,))]


def silent(version):
    """Without acknowledgement: what is refused ends the connection, whatever went well."""
    topic = f"silent-{version}"
    good = records("a")
    return [
        write(version, (topic, 0, good), acks=0), write(version, (topic, 1, good), (topic, 9, good), acks=0),
        write(version, ("unknown", 0, good), acks=0), write(version, (topic, 0, records("x", wrong_crc=True)), acks=0),
        write(version, (topic, 0, records("x", attributes=TRANSACTIONAL, producer=[5, 0, 0])), acks=0),
        write(version, (topic, 0, records("b")), (topic, 1, records("c"))), read(12, asked(12, topic, (0, 0), (1, 0)))]


# ---- offsets ----

def lists(version):
    topic, stamped = f"list-{version}", f"list-stamped-{version}"
    times = (TIME, TIME + 1, TIME + 2, TIME + 3, TIME + 4, TIME + 5, TIME + 9, TIME + 10, 0, 1, 1 << 60)
    return [
        at(version, (topic, 0, 0), (topic, 0, -1)), at(version, (topic, 0, 0)), at(version, (topic, 0, -2)),
        *([at(version, (topic, 0, -3))] if version > 6 else []),
        write(9, (topic, 0, records("a", "b", "c", time=TIME + 2, times=[TIME + 2, TIME + 5, TIME + 1]))),
        write(9, (topic, 0, records("d", "e", time=TIME + 4, times=[TIME + 4, TIME + 5], attributes=GZIP))),
        write(9, (topic, 0, records("f", time=-1))), write(9, (topic, 0, records("g", time=TIME + 9))),
        write(9, (topic, 0, records("h", "i", time=TIME + 9, times=[TIME + 3, TIME + 9]))),
        write(9, (stamped, 0, records("a", "b"))), write(9, (stamped, 0, records("c"))),
        *(at(version, (topic, 0, time), level=level) for time in (*times, -1, -2, *range(-9, -2))
          for level in (0, 1)),
        *(at(version, (stamped, 0, time)) for time in (TIME, 1 << 60, -1, -3)),
        *(at(version, (topic, 0, time), replica=replica) for time in (-1, -2, TIME + 4, -3) for replica in (-2, 1, 7)),
        at(version, (topic, 0, -1), (topic, 1, -2), (topic, 9, -1), ("unknown", 0, -1), (stamped, 0, -2)),
        at(version, (topic, -1, -1)), at(version, ("", 0, -1)), at(version), at(version, (topic, 0, -1), level=2),
        *(at(version, (topic, 0, time), epoch=epoch) for time in (-1, -2, TIME) for epoch in (0, 1, -2)),
        delete((topic, 0, 2)), *(at(version, (topic, 0, time)) for time in (-1, -2, -4)),
        *(at(version, (topic, 0, time), level=1) for time in (-4, -5, -6, -7)),
        delete((topic, 0, -1)), *(at(version, (topic, 0, time)) for time in (-1, -2, -4, -6))]


def deletes(version):
    topic = f"delete-{version}"
    producers = Step("DescribeProducers", 0, {"topics": [{"name": topic, "partitionIndexes": [2]}]})

    def produced(*values, **more):
        return write(9, (topic, 2, records(*values, **more)))

    def ask(*places):
        return delete(*places, version=version)
    return [
        ask((topic, 0, 0)), ask((topic, 0, -1)), ask((topic, 0, 1)),
        produced("a", "b", producer=[11, 0, 0]), produced("c", producer=[12, 1, 0]),
        ask((topic, 2, 1)), producers, ask((topic, 2, 2)), producers, ask((topic, 2, -1)), producers,
        produced("a", "b", producer=[11, 0, 0]), produced("d", producer=[11, 0, 2]), produced("c", producer=[12, 1, 1]),
        producers,
        write(9, (topic, 0, records("a", "b", "c")), (topic, 1, records("d"))),
        ask((topic, 0, -3)), ask((topic, 0, 4)), ask((topic, 0, 1), (topic, 1, 5), (topic, 9, 0), ("unknown", 0, 0)),
        ask((topic, 0, 0)), ask((topic, 0, 1)), ask((topic, 0, 3)), ask((topic, 0, 2)), ask((topic, 1, -1)),
        ask(("produce-compact", 0, 0)), ask(("produce-both", 0, 0)), ask(("__consumer_offsets", 0, 0)),
        ask(("__consumer_offsets", 0, 99)), ask(("__consumer_offsets", 999, 0)), ask(("__transaction_state", 0, 0)),
        ask(),
        at(7, (topic, 0, -2), (topic, 1, -2)), read(12, asked(12, topic, (0, 0), (1, 0))),
        read(12, asked(12, topic, (0, 3), (1, 1))),
        Step("OffsetForLeaderEpoch", 4, epochs(4, (topic, 0, 0, -1), (topic, 1, 0, -1)))]


def leader_epochs(version):
    topic = "epochs"

    def ask(*places, **more):
        return Step("OffsetForLeaderEpoch", version, epochs(version, *places, **more))
    return [
        ask((topic, 0, 0, -1)), write(9, (topic, 0, records("a"))),
        *(ask((topic, 0, epoch, current)) for epoch in (-1, 0, 1, 7) for current in (-2, -1, 0, 1)),
        ask((topic, 0, 0, -1), (topic, 1, 0, -1), (topic, 9, 0, -1), ("unknown", 0, 0, 3), (topic, -1, 0, 0)), ask(),
        *([ask((topic, 0, 0, -1), replica=replica) for replica in (-2, 1, 9)] if version > 2 else [])]


def anew():
    """Both nodes are started anew: the leaders' epochs rise."""
    topic = "anew"
    restart = Step("restart", 0, {"topic": topic})
    told = [
        Step("Metadata", 12, metadata(topic), settle=LEADERLESS),
        *(read(version, asked(version, topic, (0, 0, {"currentLeaderEpoch": 0}), (1, 0, {"currentLeaderEpoch": 0})))
          for version in range(9, 19)),
        *(at(version, (topic, 0, -1), epoch=0) for version in range(4, 12)),
        *(Step("OffsetForLeaderEpoch", version, epochs(version, *(
            (topic, 0, epoch, current) for epoch in (0, 1, 2, 3, 4, 99) for current in (-1, 0, 99))))
          for version in (2, 3, 4)),
        *(read(18, asked(18, topic, (0, offset, {"lastFetchedEpoch": epoch}))) for offset in (0, 2, 3, 4)
          for epoch in (0, 1, 2, 3, 99)),
        *(at(8, (topic, 0, time)) for time in (-1, -2, -3, -4)), read(12, asked(12, topic, (0, 0)))]
    return [
        write(9, (topic, 0, records("a", "b"))), restart, *told,
        write(9, (topic, 0, records("c", time=TIME + 5))), *told,
        write(9, (topic, 0, records("d", producer=[77, 0, 3]))),
        delete((topic, 0, 2)), *told, restart, *told, write(9, (topic, 0, records("d", producer=[77, 0, 3]))),
        write(9, (topic, 0, records("d", producer=[77, 0, 9]))),
        Step("DescribeProducers", 0, {"topics": [{"name": topic, "partitionIndexes": [0, 1]}]})]


def changed():
    """A topic whose settings change under its writers. After records were deleted nothing is looked up by time: see
    wire_cases_transactions.reads."""
    topic = "changed"

    def change(name, value):
        return [Step("IncrementalAlterConfigs", 1, {"validateOnly": False, "resources": [{
            "resourceType": 2, "resourceName": topic, "configs": [
                {"name": name, "configOperation": 0 if value else 1, "value": value}]}]}), Step("published", 0, {"topic": topic, "name": name, "value": value})]

    def told(*contents, times=(-1, -2, -3, TIME, 1 << 50)):
        return [*(write(9, (topic, 0, content)) for content in contents), read(12, asked(12, topic, (0, 0))),
                *(at(8, (topic, 0, time)) for time in times)]
    large, future = records("x" * 400), records("x", time=1 << 45)
    return [
        *told(large, future), *change("max.message.bytes", "300"), *told(large, records("y")),
        *change("max.message.bytes", None), *told(large), *change("message.timestamp.after.max.ms", str(1 << 50)),
        *told(future), *change("message.timestamp.type", "LogAppendTime"), *told(records("x"), future),
        *change("compression.type", "gzip"), *told(records("x" * 300)),
        *change("message.timestamp.type", "CreateTime"), *told(records("x" * 300)), *change("compression.type", None),
        *change("min.insync.replicas", "2"), *told(records("x")),
        *change("min.insync.replicas", None), *told(records("x")),
        *change("cleanup.policy", "compact"), *told(records("x"), records("x", keys=["k"])), delete((topic, 0, 1)),
        *change("cleanup.policy", "compact,delete"), delete((topic, 0, 1)),
        *change("cleanup.policy", "delete"), *told(records("x"), times=(-1, -2)), delete((topic, 0, 2)),
        *told(times=(-1, -2))]


# ---- metadata ----

def topics_told(version):
    name = f"metadata-{version}"

    def ask(*names, **more):
        """What a version lacks is left out."""
        body = metadata(*names, **more)
        if version < 4:
            body.pop("allowAutoTopicCreation")
        return Step("Metadata", version, body)

    def operations(*names, **more):
        return ask(*names, **more, includeTopicAuthorizedOperations=True,
                   **({"includeClusterAuthorizedOperations": True} if version < 11 else {}))
    ids = [
        Step("Metadata", version, {"topics": [{"name": each, "topicId": topic_id} for each, topic_id in topics],
                                   "allowAutoTopicCreation": False})
        for topics in (
            [(None, "<id list-7>")], [("list-7", "<id list-7>")], [("wrong", "<id list-7>")], [(None, NO_ID)],
            [(None, NO_ID), (None, "<id list-7>"), ("list-8", "AAAAAAAAAAAAAAAAAAAAAA")], [("", "<id list-7>")],
            [(None, "<id list-7>"), (None, "<id list-7>"), (None, "<id list-8>")], [("list-7", NO_ID)])
    ] if version > 9 else []
    return [
        ask("list-7", f"{name}-no", "list-8", "a b", "", "..", "n" * 250, "__consumer_offsets"),
        ask("list-7", "list-7", f"{name}-none", f"{name}-none"),
        ask(f"{name}.new", f"{name}.new", create_it=True),
        ask(f"{name}.new", create_it=True)._replace(settle=LEADERLESS), ask(f"{name}_new", create_it=True),
        ask("", "a b", "n" * 250, create_it=True), ask(f"{name}_new"),
        *([operations("list-7", "no-such", "a b"), operations(),
           operations("list-7", f"{name}.new")] if version > 7 else []),
        *([ask("list-7", includeTopicAuthorizedOperations=True)] if version > 7 else []),
        *ids]


SCENES = {
    **{f"sessions in version {version}": sessions(version) for version in range(7, 19)},
    **{f"order in version {version}": order(version) for version in (4, 7, 12, 13, 18) if version > 6},
    **{f"topics made again in version {version}": recreated(version) for version in (7, 12, 13, 18)},
    **{f"fetches in version {version}": fetches(version) for version in FETCH},
    **{f"records in version {version}": produces(version) for version in PRODUCE},
    **{f"silent records in version {version}": silent(version) for version in (3, 9, 13)},
    **{f"offsets in version {version}": lists(version) for version in LIST_OFFSETS},
    **{f"deleted records in version {version}": deletes(version) for version in range(3)},
    **{f"epochs in version {version}": leader_epochs(version) for version in (2, 3, 4)},
    **{f"metadata in version {version}": topics_told(version) for version in range(14)},
    "settings that change": changed(),
    "nodes that start anew": anew(),
}
TOPICS = {
    **{f"session-{version}": (3, {}) for version in range(7, 19)},
    **{f"order-{version}": (4, {}) for version in (7, 12, 13, 18)},
    **{f"fetch-{version}": (2, {}) for version in FETCH},
    **{f"produce-{version}": (2, {}) for version in PRODUCE},
    **{f"silent-{version}": (2, {}) for version in (3, 9, 13)},
    **{f"list-{version}": (2, {}) for version in LIST_OFFSETS},
    **{f"list-stamped-{version}": (1, {"message.timestamp.type": "LogAppendTime"}) for version in LIST_OFFSETS},
    **{f"delete-{version}": (3, {}) for version in range(3)}, "changed": (2, {}),
    "epochs": (2, {}), "other": (1, {}), "anew": (2, {}), "produce-other": (2, {}),
    "produce-stamped": (2, {"message.timestamp.type": "LogAppendTime"}),
    "produce-tight": (2, {"message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "1000"}),
    "produce-compact": (2, {"cleanup.policy": "compact"}), "produce-both": (2, {"cleanup.policy": "compact,delete"}),
    "produce-compact-stamped": (2, {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}),
    "produce-small": (2, {"max.message.bytes": "300"}),
    "produce-segments": (2, {"segment.bytes": "1048576", "max.message.bytes": "3000000"}),
    "produce-gzip": (2, {"compression.type": "gzip"}), "produce-zstd": (2, {"compression.type": "zstd"}),
    "produce-none": (2, {"compression.type": "uncompressed"}),
    "produce-none-small": (2, {"compression.type": "uncompressed", "max.message.bytes": "300"}),
}
GROUP = Step("FindCoordinator", 3, find(3, "g"))
