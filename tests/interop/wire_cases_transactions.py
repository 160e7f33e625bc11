# SPDX-License-Identifier: Apache-2.0
"""The questions of test_wire_transactions.py: scenes of steps, as in wire_cases_groups.py. `settle` may also hold
words: an answer that has one of them passes by itself. Records are given as {"batch": …} and made when they are
sent, as they hold the producer's id. Nothing hangs on how long a transaction takes to end: who waits for that asks
DescribeTransactions first, since our node lets a request wait for it where Apache's answers at once.

What there is: the topics of TOPICS, each of two partitions; a scene writes to those of its own only."""
from wire_cases_groups import CONCURRENT, NO_ID, Step, find

RANGES = {
    "InitProducerId": (0, 5), "AddPartitionsToTxn": (0, 5), "AddOffsetsToTxn": (0, 4), "EndTxn": (0, 5),
    "WriteTxnMarkers": (1, 2), "DescribeProducers": (0, 0), "DescribeTransactions": (0, 0), "ListTransactions": (0, 2)}
PRODUCE, FETCH, LIST_OFFSETS = range(3, 14), range(4, 19), range(1, 12)
LOADING, NOT_COORDINATOR, NO_COORDINATOR = 14, 16, 15
TRANSACTIONAL, CONTROL = 0x10, 0x20
LONG = 600000
TIME = 1_700_000_000_000


# ---- bodies ----

def init(version, name, timeout=LONG, producer=None, epoch=None):
    return {"transactionalId": name, "transactionTimeoutMs": timeout,
            **({} if version < 3 or producer is None else {"producerId": producer}),
            **({} if version < 3 or epoch is None else {"producerEpoch": epoch})}


def topics(*places):
    return [{"name": topic, "partitions": list(partitions)} for topic, partitions in places]


def added(version, name, *places, producer="<pid>", epoch="<epoch>", verify=False):
    if version < 4:
        return {"v3AndBelowTransactionalId": name, "v3AndBelowProducerId": producer, "v3AndBelowProducerEpoch": epoch,
                "v3AndBelowTopics": topics(*places)}
    return {"transactions": [{"transactionalId": name, "producerId": producer, "producerEpoch": epoch,
                              "verifyOnly": verify, "topics": topics(*places)}]}


def end(name, committed=True, producer="<pid>", epoch="<epoch>"):
    return {"transactionalId": name, "producerId": producer, "producerEpoch": epoch, "committed": committed}


def records(*values, producer="<pid>", epoch="<epoch>", sequence=0, attributes=TRANSACTIONAL, time=TIME):
    return {"batch": {"values": list(values), "producer": [producer, epoch, sequence], "attributes": attributes,
                      "time": time}}


def produce(version, name, *places, acks=-1):
    """places: (topic, partition, records)."""
    return {"transactionalId": name, "acks": acks, "timeoutMs": 15000, "topicData": [
        {**({"topicId": NO_ID if topic == "unknown" else f"<id {topic}>"} if version > 12 else {"name": topic}),
         "partitionData": [{"index": partition, "records": content}
                           for each, partition, content in places if each == topic]}
        for topic in dict.fromkeys(topic for topic, *_ in places)]}


def fetch(version, topic, offset=0, level=1, partition=0):
    return {"maxWaitMs": 100, "minBytes": 0, "maxBytes": 1 << 20, "isolationLevel": level, "topics": [{
        **({"topicId": f"<id {topic}>"} if version > 12 else {"topic": topic}),
        "partitions": [{"partition": partition, "fetchOffset": offset, "partitionMaxBytes": 1 << 20,
                        **({"currentLeaderEpoch": -1} if version > 8 else {})}]}]}


def offsets(version, topic, time, level=1, partition=0):
    return {"replicaId": -1, **({"isolationLevel": level} if version > 1 else {}), "topics": [{
        "name": topic, "partitions": [{"partitionIndex": partition, "timestamp": time}]}]}


def markers(version, *each):
    """each: (producer, epoch, committed, places, coordinator's epoch, transaction version)."""
    return {"markers": [{
        "producerId": producer, "producerEpoch": epoch, "transactionResult": committed, "coordinatorEpoch": coordinator,
        "topics": [{"name": topic, "partitionIndexes": list(partitions)} for topic, partitions in places],
        **({"transactionVersion": protocol} if version > 1 else {})}
        for producer, epoch, committed, places, coordinator, protocol in each]}


# ---- steps ----

def begin(name, version=4, pid="pid", epoch="epoch", **more):
    return Step("InitProducerId", version, init(version, name, **more), {pid: ["producerId"], epoch: ["producerEpoch"]},
                settle=[LOADING, NO_COORDINATOR, NOT_COORDINATOR, CONCURRENT])


def add(name, *places, version=3, **more):
    return Step("AddPartitionsToTxn", version, added(version, name, *places, **more), settle=[CONCURRENT])


def write(version, name, *places, **more):
    return Step("Produce", version, produce(version, name, *places, **more), settle=[CONCURRENT])


def done(*names):
    """The states of transactions, once none of them is ending."""
    return Step("DescribeTransactions", 0, {"transactionalIds": list(names)}, settle=["PrepareCommit", "PrepareAbort"])


def producers(*places):
    return Step("DescribeProducers", 0, {"topics": [{"name": topic, "partitionIndexes": list(partitions)}
                                                    for topic, partitions in places]})


def ended(name, committed=True, version=4, settle=(CONCURRENT,), **more):
    kept = {"pid": ["producerId"], "epoch": ["producerEpoch"]} if version > 4 and not more else {}
    return Step("EndTxn", version, end(name, committed, **more), kept, settle=settle)


# ---- InitProducerId ----

def inits(version):
    name, topic = f"init-{version}", "init"

    def ask(keep=None, name=name, **more):
        return Step("InitProducerId", version, init(version, name, **more), keep or {}, settle=[LOADING, CONCURRENT])
    ids = [
        ask(producer="<pid>", epoch="<epoch>"), ask(producer="<pid>", epoch="<epoch>"),  # the second one is late
        ask({"epoch": ["producerEpoch"]}), ask(producer="<pid>"), ask(epoch="<epoch>"), ask(producer="<pid>", epoch=-1),
        ask(producer=-1, epoch=-1), ask(producer=-5, epoch=3), ask(producer="<pid>", epoch=-7),
        ask(producer=123456, epoch=0), ask(producer="<pid>", epoch=30000), ask(producer="<pid>", epoch=32767),
        ask(name=None, producer="<pid>", epoch="<epoch>"), ask(name=None, producer="<pid>"),
        ask(name=None, epoch=3), ask(name="", producer="<pid>", epoch="<epoch>"),
        ask(name=f"{name}-fresh", producer="<pid>", epoch="<epoch>"), ask(name=f"{name}-fresh", producer=123456, epoch=5),
        done(f"{name}-fresh"),
        ask({"pid": ["producerId"], "epoch": ["producerEpoch"]}),
        add(name, (topic, (0,))), ask(producer="<pid>", epoch=0), ask(producer=123456, epoch="<epoch>"), done(name),
        ask(producer="<pid>", epoch="<epoch>"), done(name), ask(producer="<pid>", epoch="<epoch>"), done(name),
    ] if version > 2 else []
    return [
        Step("FindCoordinator", 3, find(3, name, kind=1), settle=[NO_COORDINATOR]),
        ask(timeout=0), ask(timeout=-1), ask(timeout=900001), ask(timeout=1 << 30), ask(name=""), ask(name="", timeout=0),
        done(name),
        ask({"pid": ["producerId"], "epoch": ["producerEpoch"]}), ask(), ask({"epoch": ["producerEpoch"]}, timeout=900000),
        done(name), ask(timeout=1), done(name), ask({"epoch": ["producerEpoch"]}),
        ask(timeout=0), done(name), ask(name=None), ask(name=None, timeout=-1), ask(name=" ", timeout=5),
        add(name, (topic, (0, 1))), ask(timeout=-1), done(name), ask({"epoch": ["producerEpoch"]}), done(name),
        *ids]


# ---- AddPartitionsToTxn, AddOffsetsToTxn ----

def adds(version, together=True):
    name, topic = f"add-{version}", "add"

    def ask(*places, **more):
        return add(more.pop("name", name), *(places or [(topic, (0,))]), version=version, **more)
    verified = [
        ask(verify=True), ask((topic, (1,)), verify=True), ask(("unknown", (0,)), verify=True),
        ask((topic, (0, 1, 7)), ("unknown", (1,)), verify=True), ask(verify=True, epoch="<next>"),
        ask(verify=True, epoch=-1), ask(verify=True, producer=123456), ask(verify=True, name=f"{name}-no"),
        ask(verify=True, name=""), ask(verify=True, producer=-1)]
    both = [Step("AddPartitionsToTxn", version, {"transactions": [
        *added(version, name, (topic, (1,)), verify=verify)["transactions"],
        *added(version, f"{name}-no", (topic, (1,)), ("unknown", (2,)))["transactions"],
        *added(version, "", (topic, (1,)))["transactions"],
        *added(version, f"{name}-b", (topic, (1,)), producer="<pid b>", epoch=0)["transactions"]]},
        settle=[CONCURRENT]) for verify in (False, True) if version > 3]
    return [
        begin(name), begin(f"{name}-b", pid="pid b", epoch="epoch b"), begin(f"{name}-next", epoch="next"),
        begin(f"{name}-next", epoch="next"), begin(f"{name}-next", pid="pid next", epoch="next"),
        *(verified if version > 3 else []),
        ask(name=f"{name}-no"), ask(name=""), ask(producer=123456), ask(epoch="<next>"), ask(epoch=-1), ask(producer=-1),
        ask(("unknown", (0,))), ask((topic, (0, 9)), ("unknown", (0, 1))), ask((topic, (1,)), ("unknown", (0,))),
        ask((topic, (-1,))), ask(("", (0,))), ask(("a b", (0,))), ask((topic, (0,)), name=f"{name}-no"),
        Step("AddPartitionsToTxn", version, added(version, name)), done(name),
        ask((topic, ())), done(name),
        ask(), ask(), ask((topic, (0, 1))), ask((topic, (0,)), (topic, (1,))), ask(("__consumer_offsets", (0,))),
        ask(("__transaction_state", (0,))), done(name),
        *(verified + (both if together else []) if version > 3 else []),
        done(name, f"{name}-b"), ended(name), done(name), *(verified if version > 3 else []), ask(), done(name),
        ended(name, False), done(name),
        *([ended(f"{name}-b", producer="<pid b>", epoch=0), done(f"{name}-b")] if version > 3 else [])]


def add_offsets(version):
    name = f"offsets-{version}"

    def ask(group="g", **more):
        return Step("AddOffsetsToTxn", version, {"transactionalId": name, "producerId": "<pid>",
                                                 "producerEpoch": "<epoch>", "groupId": group, **more}, settle=[CONCURRENT])
    return [begin(name), ask(transactionalId=f"{name}-no"), ask(transactionalId=""), ask(producerId=123456),
            ask(producerEpoch=9), ask(producerEpoch=-1), ask(""), ask("", transactionalId=f"{name}-no"), done(name),
            ask(), ask(), ask("g2"), done(name), ended(name, False), done(name), ask(" "), done(name),
            ended(name), done(name)]


# ---- EndTxn ----

def ends(version):
    name, topic = f"end-{version}", "end"

    def ask(committed, **more):
        return ended(more.pop("name", name), committed, version, **more)
    wrong = [ask(False, producer=123456), ask(True, producer=-1), ask(True, epoch=9), ask(False, epoch=9),
             ask(True, epoch=-1), ask(True, name=f"{name}-no", epoch=0), ask(True, name="", epoch=0)]
    if version < 5:
        opened = [add(name, (topic, (0,))), done(name)]
        return [begin(name), *wrong, ask(True), ask(False), done(name),
                *opened, *wrong, ask(True), ask(True), done(name), ask(True), ask(False), *wrong, done(name),
                *opened, ask(False), ask(False), done(name), ask(False), ask(True), *wrong, done(name),
                *opened, begin(name, epoch="later"), ask(True), ask(False), done(name),
                ask(False, epoch="<later>"), ask(True, epoch="<later>"), done(name),
                begin(name), *opened, ask(True), done(name), ended(name, True, version, epoch="<later>")]
    # From version 5 on an end raises the epoch.
    def opened(number):
        return [Step("DescribeTransactions", 0, {"transactionalIds": [name]}),
                write(12, name, (topic, 1, records("v", sequence=0))), done(name)]

    def late(committed):
        return ended(name, committed, version, epoch="<before>")
    before = Step("InitProducerId", 4, init(4, name), {"pid": ["producerId"], "before": ["producerEpoch"],
                                                       "epoch": ["producerEpoch"]}, settle=[CONCURRENT, LOADING])
    return [begin(name), *wrong, ask(True), done(name), ask(False), done(name), ask(False), done(name), ask(True),
            before, *opened(0), *wrong, ask(True), late(True), late(False), done(name), late(True), late(False), *wrong,
            ask(True), ask(False), done(name),
            before, *opened(1), ask(False), late(False), late(True), done(name), late(False), late(True), ask(True),
            ask(False), late(False), late(True), done(name),
            before, *opened(2), begin(name), late(True), late(False), done(name), *opened(3), ask(True), done(name),
            Step("Fetch", 12, fetch(12, topic, partition=1)), producers((topic, (1,)))]


# ---- WriteTxnMarkers ----

def marks(version):
    name, topic = f"mark-{version}", f"mark-{version}"
    place = [(topic, (0,))]

    def ask(*each):
        return Step("WriteTxnMarkers", version, markers(version, *each))

    def opened(sequence):
        return [add(name, (topic, (0, 1))), write(9, name, (topic, 0, records("a", "b", sequence=sequence)),
                                                  (topic, 1, records("c", sequence=sequence))), producers((topic, (0, 1)))]
    seen = [producers((topic, (0, 1))), Step("Fetch", 12, fetch(12, topic)), Step("ListOffsets", 7, offsets(7, topic, -1))]
    return [
        begin(name), begin(name), *opened(0),
        ask(), ask(("<pid>", "<epoch>", True, [], 0, 0)), ask(("<pid>", "<epoch>", True, [(topic, ())], 0, 0)),
        ask(("<pid>", "<epoch>", True, [("unknown", (0,)), (topic, (7,))], 0, 0)),
        ask(("<pid>", 0, True, place, 0, 0)),  # an older epoch
        *seen,
        ask(("<pid>", "<epoch>", False, [(topic, (0, 1, 9)), ("unknown", (3,))], 0, 0)), *seen,
        ask(("<pid>", "<epoch>", True, place, 0, 0)), *seen,  # nothing is open
        ended(name, False), done(name), *seen,
        *opened(4), ask(("<pid>", 7, True, place, 5, 0)), *seen,  # of a producer and a coordinator to come
        ask(("<pid>", 7, True, place, 4, 0)), ask(("<pid>", 6, True, place, 5, 0)),
        ask((123456, 3, True, place, 0, 0), (123457, 0, False, place, 0, 0), (123456, 3, False, place, 0, 0)), *seen,
        ask(("<pid>", 7, True, place, -1, 0)), ask(("<pid>", -1, True, place, 9, 0)), ask((-1, 0, True, place, 9, 0)),
        *([ask(("<pid>", 7, True, place, 9, 2)), ask(("<pid>", 8, True, place, 9, 2)), ask(("<pid>", 8, True, place, 9, 1)),
           ask(("<pid>", 9, True, place, 9, 7))] if version > 1 else []),
        *seen,
        ask((123456, 3, True, [("__consumer_offsets", (0, 7))], 0, 0)), *seen]


# ---- Produce ----

def produces(version):
    name, topic = f"produce-{version}", f"produce-{version}"
    old = version < 12

    def ask(*places, name=name, **more):
        return write(version, name, *((topic, *place) for place in places), **more)

    def one(partition=0, *values, name=name, **more):
        return ask((partition, records(*(values or ["v"]), **more)), name=name)
    seen = [Step("Fetch", 12, fetch(12, topic)), Step("Fetch", 12, fetch(12, topic, level=0)), producers((topic, (0, 1)))]
    kept = 4 if old else 5
    return [
        begin(name), begin(name), begin(f"{name}-b", pid="pid b", epoch="epoch b"),
        one(name=None), one(name=""), one(name=f"{name}-no"), one(producer=123456), one(epoch=0), one(epoch=7),
        one(name=f"{name}-b"), one(producer="<pid b>", epoch="<epoch b>"), one(sequence=5), done(name, f"{name}-b"),
        one(attributes=TRANSACTIONAL | CONTROL), one(attributes=CONTROL), one(producer=-1, epoch=-1, sequence=-1),
        one(producer="<pid>", epoch=-1, sequence=0), *seen, done(name, f"{name}-b"),
        *([one(), add(name, (topic, (0,))), one(1)] if old else []),
        one(0, "a", "b"), one(0, "a", "b"), done(name), one(0, "c", sequence=2), one(0, "d", sequence=9), *seen,
        one(0, "plain", attributes=0, sequence=3), one(0, "plain", attributes=0, producer=-1, epoch=-1, sequence=-1),
        one(0, "other", attributes=0, producer="<pid b>", epoch="<epoch b>"), one(0, epoch=0, sequence=3), *seen,
        ask((0, records("e", sequence=4)), (1, records("e"))), done(name),
        ask((0, records("x", sequence=5)), (1, records("y", producer="<pid b>", epoch="<epoch b>", sequence=0))),
        ask((0, {"batches": [records("x", sequence=5), records("y", sequence=6)]})),
        ask((9, records("v"))), write(version, name, ("unknown", 0, records("v"))),
        one(0, "f", sequence=5), *seen, done(name, f"{name}-b"),
        ended(name, False, kept), done(name), *seen,
        *([one(0, "g", sequence=6), add(name, (topic, (0,)))] if old else []),
        one(0, "g", sequence=6 if old else 0), ended(name, True, kept), done(name), *seen,
        # an idempotent batch of the producer between two transactions
        one(0, "h", attributes=0, sequence=7 if old else 0), *seen,
        *([add(name, (topic, (0,)))] if old else []),
        one(0, "i", sequence=8 if old else 1), begin(name), done(name), one(0, "late", epoch=1, sequence=9), *seen]


# ---- Fetch, ListOffsets ----

def reads(topic="reads"):
    """Two producers whose transactions cross, some aborted; what all versions tell, step by step. Nothing is looked
    up by time after records were deleted: Apache finds none where a batch before the start of the log is young
    enough, and finds the youngest record even there."""
    one, two = f"{topic}-1", f"{topic}-2"
    second = {"producer": "<pid 2>", "epoch": "<epoch 2>"}

    def told(*starts, every=False, times=(TIME + 3, TIME + 9)):
        return [*(Step("Fetch", version, fetch(version, topic, offset, level))
                  for version in (FETCH if every else (11, 18)) for offset in starts for level in (0, 1)),
                *(Step("ListOffsets", version, offsets(version, topic, time, level))
                  for version in (LIST_OFFSETS if every else (8,)) for level in (0, 1)
                  for time in (-1, -2, *times, *([-3] if version > 6 and times else []))),
                producers((topic, (0,)))]

    def wrote(name, value, sequence, time, **more):
        return write(9, name, (topic, 0, records(value, value, sequence=sequence, time=TIME + time, **more)))
    return [
        begin(one), begin(two, pid="pid 2", epoch="epoch 2"), *told(0),
        add(one, (topic, (0,))), wrote(one, "a", 0, 1), add(two, (topic, (0,)), **second),
        wrote(two, "b", 0, 2, **second), wrote(one, "c", 2, 3), *told(0, 3),
        ended(one, False), done(one), *told(0, 2, 5), ended(two, True, **second), done(two), *told(0, 1, 2, 6, 7),
        add(two, (topic, (0,)), **second), wrote(two, "d", 2, 4, **second), ended(two, False, **second), done(two),
        add(one, (topic, (0,))), wrote(one, "e", 4, 5), ended(one, False), done(one),
        add(one, (topic, (0,))), wrote(one, "f", 6, 9), *told(0, 6, 9, 12, 14), *told(3, every=True),
        *(Step("Fetch", 12, {**fetch(12, topic), "topics": [{"topic": topic, "partitions": [
            {"partition": 0, "fetchOffset": 0, "currentLeaderEpoch": -1, "partitionMaxBytes": limit}]}]})
          for limit in (0, 1, 100, 250, 500)),
        Step("Fetch", 12, fetch(12, topic, level=2)), Step("Fetch", 12, fetch(12, topic, level=-1)),
        Step("ListOffsets", 7, offsets(7, topic, -1, 2)),
        Step("Fetch", 12, fetch(12, topic, 99)), Step("ListOffsets", 7, offsets(7, topic, 1 << 50)),
        Step("DeleteRecords", 2, {"timeoutMs": 10000, "topics": [{"name": topic, "partitions": [
            {"partitionIndex": 0, "offset": 7}]}]}), *told(7, 8, times=()),
        Step("DeleteRecords", 2, {"timeoutMs": 10000, "topics": [{"name": topic, "partitions": [
            {"partitionIndex": 0, "offset": -1}]}]}), *told(7, 14, times=()), ended(one), done(one),
        *told(14, 16, times=())]


# ---- what is told of transactions ----

def listed(version, states=(), producers=(), duration=-1, pattern=None):
    return {"stateFilters": list(states), "producerIdFilters": list(producers),
            **({"durationFilter": duration} if version > 0 else {}),
            **({"transactionalIdPattern": pattern} if version > 1 else {})}


def lists(version):
    name, topic = f"list-{version}", "list"

    def ask(*arguments, **more):
        return Step("ListTransactions", version, listed(version, *arguments, **more))
    patterns = [
        ask(pattern=each) for each in (
            "list-2.*", "list-2", "list-2-open", "list", "", ".*-open", "(", "[", "a**", "*", "(?=l)l.*", "\\",
            "^list-2.*$", "LIST-2.*", "(?i)LIST-2.*", "list-2|list-2-empty", "list-2-(open|ended)", "x{2000}",
            "list\\-2.*", "[[:alpha:]]+-2-open")]
    return [
        begin(f"{name}-empty"), begin(f"{name}-open"), add(f"{name}-open", (topic, (0,))),
        begin(f"{name}-ended", pid="pid e", epoch="epoch e"),
        add(f"{name}-ended", (topic, (1,)), producer="<pid e>", epoch="<epoch e>"),
        ended(f"{name}-ended", producer="<pid e>", epoch="<epoch e>"), done(f"{name}-ended"),
        begin(f"{name}-aborted", pid="pid a", epoch="epoch a"),
        add(f"{name}-aborted", (topic, (1,)), producer="<pid a>", epoch="<epoch a>"),
        ended(f"{name}-aborted", False, producer="<pid a>", epoch="<epoch a>"), done(f"{name}-aborted"),
        done(f"{name}-open", f"{name}-empty", "unknown", "", f"{name}-open"), done(),
        ask(), *(ask([each]) for each in ("Ongoing", "Empty", "CompleteCommit", "CompleteAbort", "PrepareCommit",
                                          "PrepareAbort", "Dead", "PrepareEpochFence", "ongoing", "nonsense", "")),
        ask(["Ongoing", "nonsense", "CompleteCommit", "other"]), ask(["nonsense"], ["<pid>"]), ask((), ["<pid>"]),
        ask((), ["<pid>", "<pid e>", 123456]), ask((), [-1]), ask(["Empty"], ["<pid>"]), ask(["Ongoing"], ["<pid>"]),
        *([ask(duration=0), ask(duration=-5), ask(duration=900000), ask(["Ongoing"], duration=1 << 40),
           ask(["Empty"], duration=0)] if version > 0 else []),
        *(patterns if version > 1 else []),
        ended(f"{name}-open"), done(f"{name}-open"), ask(["Ongoing"])]


def described(topic="told"):
    def opened(name, number):
        return [begin(name, pid=f"pid {number}", epoch=f"epoch {number}"),
                add(name, (topic, (1, 0)), ("list", (0,)), producer=f"<pid {number}>", epoch=f"<epoch {number}>"),
                write(9, name, (topic, 0, records("v", producer=f"<pid {number}>", epoch=f"<epoch {number}>")))]
    return [
        Step("DescribeProducers", 0, {"topics": []}), producers((topic, ())),
        producers((topic, (0, 1, 9)), ("unknown", (0,))),
        producers(("", (0,)), ("a b", (0,)), ("__transaction_state", (0,))),
        *opened("told-1", 1), producers((topic, (0, 1))), *opened("told-2", 2), producers((topic, (0, 1)), (topic, (0,))),
        Step("DescribeTransactions", 0, {"transactionalIds": ["told-1", "told-2", "told-1", "", "unknown"]}),
        ended("told-1", producer="<pid 1>", epoch="<epoch 1>"), done("told-1"), producers((topic, (0, 1))),
        ended("told-2", False, producer="<pid 2>", epoch="<epoch 2>"), done("told-1", "told-2"), producers((topic, (0, 1)))]


COORDINATORS = [
    Step("FindCoordinator", version, find(version, *keys, kind=1), settle=[NO_COORDINATOR])
    for version in range(1, 7) for keys in (("t",), ("",), (" ",), *([("a", "b", "", "a")] if version > 3 else []))]

SCENES = {
    "coordinators": COORDINATORS,
    **{f"producer ids in version {version}": inits(version) for version in range(6)},
    **{f"added partitions in version {version}": adds(version) for version in range(6)},
    **{f"added offsets in version {version}": add_offsets(version) for version in range(5)},
    **{f"ends in version {version}": ends(version) for version in range(6)},
    **{f"markers in version {version}": marks(version) for version in (1, 2)},
    **{f"records in version {version}": produces(version) for version in PRODUCE},
    "committed reads": reads(),
    "told": described(),
    **{f"lists in version {version}": lists(version) for version in range(3)},
}
# Where the cluster has not been told of the second protocol. What asks for it all the same (AddPartitionsToTxn 4 of
# several transactions, EndTxn 5) may leave an id of Apache's busy for ever: it is not asked here.
SCENES_BEFORE = {
    "producer ids in version 4": inits(4), "added partitions in version 3": adds(3),
    "added partitions in version 4": adds(4, together=False), "ends in version 4": ends(4),
    "markers in version 2": marks(2), "records in version 11": produces(11),
}
TOPICS = ("init", "add", "end", "reads", "told", "list", "mark-1", "mark-2", *(f"produce-{version}" for version in PRODUCE))
