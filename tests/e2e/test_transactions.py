# SPDX-License-Identifier: Apache-2.0
"""Transactions by their raw requests, of both protocols, on a process of its own."""
import itertools
import random
import threading
import time
import urllib.request

import pytest

import group_wire as groups
import txn_wire as txn
import wire
from node import SLOW

NUMBERS = itertools.count(1)
INVALID_EPOCH, INVALID_STATE, INVALID_MAPPING, INVALID_TIMEOUT, FENCED = 47, 48, 49, 50, 90
NOT_ENOUGH_REPLICAS, COORDINATOR_FENCED, NOT_FOUND, UNSTABLE, ABORTABLE = 19, 52, 105, 88, 120
FRESH = 0.2 * SLOW


@pytest.fixture
def client(node):
    return node.client()


@pytest.fixture
def topic(client):
    name = f"x{next(NUMBERS)}"
    assert client.create_topic(name, 4) == 0
    return name


@pytest.fixture
def name():
    return f"tx{next(NUMBERS)}"


def write(client, name, producer, topic, partition, value, sequence=0, version=12):
    """Until the coordinator can be asked (it may still load)."""
    while True:
        error = txn.patiently(lambda: txn.produce(
            client, name, topic, partition, txn.batch([value], producer, sequence), version))[0]
        if error != NOT_ENOUGH_REPLICAS:
            return error
        time.sleep(0.02)


def end(client, name, producer, commit):
    """The producer of the next transaction."""
    error, *after = txn.patiently(lambda: txn.end_txn(client, name, producer, commit))
    assert error == 0
    return tuple(after)


def values(client, topic, partition, committed=True):
    return [value for _, value in txn.fetch(client, topic, partition, 0, committed)["values"]]


# ---- one transaction ----

def test_records_are_seen_when_their_transaction_is_committed(client, topic, name):
    producer = txn.begin(client, name)
    for partition in range(4):
        assert write(client, name, producer, topic, partition, b"v%d" % partition) == 0
    assert [values(client, topic, each) for each in range(4)] == [[]] * 4
    assert values(client, topic, 2, committed=False) == [b"v2"]
    assert txn.list_offset(client, topic, 0) == 0
    assert txn.list_offset(client, topic, 0, committed=False) == 1
    after = end(client, name, producer, True)
    assert after == (producer[0], producer[1] + 1)
    for partition in range(4):
        txn.wait_stable(client, topic, partition, 2)
    assert [values(client, topic, each) for each in range(4)] == [[b"v0"], [b"v1"], [b"v2"], [b"v3"]]
    assert txn.settle(client, name) == "CompleteCommit"


def test_records_of_an_aborted_transaction_are_passed_over(client, topic, name):
    producer = txn.begin(client, name)
    assert write(client, name, producer, topic, 0, b"gone") == 0
    assert write(client, name, producer, topic, 0, b"gone, too", 1) == 0
    after = end(client, name, producer, False)
    assert write(client, name, after, topic, 0, b"stays") == 0
    end(client, name, after, True)
    txn.wait_stable(client, topic, 0, 5)
    seen = txn.fetch(client, topic, 0)
    assert seen["values"] == [(3, b"stays")]
    assert seen["aborted"] == [(producer[0], 0)]
    assert seen["stable"] == seen["mark"] == 5
    assert values(client, topic, 0, committed=False)[0::1][:2] == [b"gone", b"gone, too"]


def test_the_first_protocol_adds_partitions_itself(client, topic, name):
    producer = txn.begin(client, name)
    assert txn.add_partitions(client, name, producer, {topic: [0, 3]}) == {topic: {0: 0, 3: 0}}
    assert txn.add_partitions(client, name, producer, {topic: [3]}, 0) == {topic: {3: 0}}
    told = txn.describe(client, name)[name]
    assert told["state"] == "Ongoing" and told["topics"] == {topic: [0, 3]}
    assert write(client, name, producer, topic, 0, b"a", version=8) == 0
    assert write(client, name, producer, topic, 3, b"b", version=8) == 0
    assert txn.patiently(lambda: txn.end_txn(client, name, producer, True, 2))[0] == 0
    txn.wait_stable(client, topic, 0, 2)
    txn.wait_stable(client, topic, 3, 2)
    assert values(client, topic, 0) == [b"a"] and values(client, topic, 3) == [b"b"]
    # The same epoch goes on.
    for version in (0, 1, 2):
        assert txn.patiently(lambda: txn.add_partitions(client, name, producer, {topic: [1]})
                             [topic][1]) == 0
        assert write(client, name, producer, topic, 1, b"again", version, 8) == 0
        assert txn.patiently(lambda: txn.end_txn(client, name, producer, False, version))[0] == 0
    txn.settle(client, name)
    assert values(client, topic, 1) == []


def test_what_was_not_added_is_not_written(client, topic, name):
    producer = txn.begin(client, name)
    assert txn.add_partitions(client, name, producer, {topic: [0]}) == {topic: {0: 0}}
    records = txn.batch([b"v"], producer, 0)
    assert txn.produce(client, name, topic, 1, records, 8)[0] == INVALID_STATE
    error, offset, message = txn.produce(client, name, topic, 1, records, 10)
    assert (error, offset, message) == (INVALID_STATE, -1, "Partition was not added to the transaction")
    assert txn.produce(client, name, topic, 1, records, 11)[0] == ABORTABLE
    assert txn.list_offset(client, topic, 1, committed=False) == 0


def test_an_ended_transaction_cannot_be_ended_otherwise(client, topic, name):
    producer = txn.begin(client, name)
    assert write(client, name, producer, topic, 0, b"v") == 0
    after = end(client, name, producer, True)
    txn.settle(client, name)
    assert txn.end_txn(client, name, producer, True) == (0, *after)  # a repetition
    assert txn.end_txn(client, name, producer, False)[0] == INVALID_STATE
    assert txn.end_txn(client, name, after, True)[0] == INVALID_STATE  # nothing was begun


def test_requests_that_make_no_sense_are_refused(client, topic, name):
    producer = txn.begin(client, name)
    strange = (producer[0] + 1000000, 0)
    assert txn.add_partitions(client, name, strange, {topic: [0]}) == {topic: {0: INVALID_MAPPING}}
    assert txn.add_partitions(client, name, producer, {topic: [0, 77], "none": [1]}) == {
        topic: {0: 55, 77: 3}, "none": {1: 3}}
    assert txn.add_partitions(client, name, producer, {"__transaction_state": [0]}) == {
        "__transaction_state": {0: 29}}
    # effect: transaction.max.timeout.ms
    assert txn.init_producer_id(client, name, 900001)[0] == INVALID_TIMEOUT
    assert txn.init_producer_id(client, name, 0)[0] == INVALID_TIMEOUT
    assert txn.init_producer_id(client, "")[0] == 42
    assert txn.init_producer_id(client, name, producer=(5, -1))[0] == 42
    other = f"other-{name}"
    assert txn.patiently(lambda: txn.end_txn(client, other, producer, True))[0] == INVALID_MAPPING
    assert txn.describe(client, other)[other]["error"] == NOT_FOUND
    records = txn.batch([b"v"], producer, 0)
    assert txn.produce(client, None, topic, 0, records, 8)[0] == 53
    mixed = wire.batch([b"v"], *producer, 1)
    assert write(client, name, producer, topic, 0, b"v") == 0
    assert txn.produce(client, name, topic, 0, mixed)[0] == INVALID_STATE


# ---- fencing ----

def test_a_new_producer_of_the_id_fences_the_old_one(client, topic, name):
    old = txn.begin(client, name)
    assert write(client, name, old, topic, 0, b"zombie") == 0
    new = txn.begin(client, name)  # aborts what was open
    assert new[0] == old[0] and new[1] == old[1] + 2
    txn.wait_stable(client, topic, 0, 2)
    assert txn.produce(client, name, topic, 0, txn.batch([b"late"], old, 1))[0] == INVALID_EPOCH
    assert txn.produce(client, name, topic, 1, txn.batch([b"late"], old, 0))[0] == INVALID_EPOCH
    assert txn.produce(client, name, topic, 1, txn.batch([b"late"], old, 0), 8)[0] == INVALID_EPOCH
    assert txn.add_partitions(client, name, old, {topic: [2]}) == {topic: {2: FENCED}}
    assert txn.add_partitions(client, name, old, {topic: [2]}, 1) == {topic: {2: INVALID_EPOCH}}
    assert txn.end_txn(client, name, old, True)[0] == FENCED
    assert txn.end_txn(client, name, old, True, 1)[0] == INVALID_EPOCH
    assert txn.add_offsets(client, name, old, "g") == FENCED
    assert txn.add_offsets(client, name, old, "g", 1) == INVALID_EPOCH
    assert txn.init_producer_id(client, name, producer=old)[0] == FENCED
    assert txn.init_producer_id(client, name, producer=old, version=3)[0] == INVALID_EPOCH
    assert write(client, name, new, topic, 0, b"new") == 0
    end(client, name, new, True)
    txn.wait_stable(client, topic, 0, 4)
    assert values(client, topic, 0) == [b"new"]
    assert values(client, topic, 1) == []


def test_a_producer_that_comes_back_goes_on_with_a_new_epoch(client, name):
    producer = txn.begin(client, name)
    error, *after = txn.init_producer_id(client, name, producer=producer)
    assert error == 0 and tuple(after) == (producer[0], producer[1] + 1)
    assert txn.init_producer_id(client, name, producer=producer)[:2] == (0, producer[0])  # a repetition


# ---- offsets ----

def test_offsets_become_real_with_their_transaction(client, topic, name):
    group = f"g-{name}"
    groups.wait_for_coordinator(client, group, 60 * SLOW)
    producer = txn.begin(client, name)
    for number, commit in ((5, False), (7, True), (9, True)):
        assert txn.patiently(lambda: txn.txn_offset_commit(
            client, name, group, producer, {topic: {1: number}}, 5)[topic][1]) == 0
        assert txn.stable_offset(client, group, topic, 1) == (-1, UNSTABLE)
        assert groups.offset_fetch(client, group, {topic: [1]})[1][topic][1][1] == 0
        producer = end(client, name, producer, commit)
        txn.settle(client, name)
        assert txn.stable_offset(client, group, topic, 1) == (number if commit else -1, 0)


def test_the_first_protocol_adds_the_group_itself(client, topic, name):
    group = f"g-{name}"
    groups.wait_for_coordinator(client, group, 60 * SLOW)
    producer = txn.begin(client, name)
    places = {topic: {0: 3}}
    assert txn.txn_offset_commit(client, name, group, producer, places) == {topic: {0: INVALID_STATE}}
    assert txn.txn_offset_commit(client, name, group, producer, places, 4) == {topic: {0: ABORTABLE}}
    assert txn.add_offsets(client, name, producer, group) == 0
    assert txn.txn_offset_commit(client, name, group, producer, places) == {topic: {0: 0}}
    assert txn.end_txn(client, name, producer, True, 2)[0] == 0
    txn.settle(client, name)
    assert txn.stable_offset(client, group, topic, 0) == (3, 0)
    assert txn.txn_offset_commit(client, name, group, producer, places) == {topic: {0: INVALID_STATE}}
    assert txn.txn_offset_commit(client, name, "", producer, places, 5) == {topic: {0: 24}}


def test_records_and_offsets_are_one(client, topic, name):
    group = f"g-{name}"
    groups.wait_for_coordinator(client, group, 60 * SLOW)
    producer = txn.begin(client, name)
    for number in range(1, 6):
        commit = number % 2 == 1
        assert write(client, name, producer, topic, 0, b"%d" % number) == 0
        assert txn.patiently(lambda: txn.txn_offset_commit(
            client, name, group, producer, {topic: {3: number}}, 5)[topic][3]) == 0
        producer = end(client, name, producer, commit)
    txn.settle(client, name)
    assert values(client, topic, 0) == [b"1", b"3", b"5"]
    assert txn.stable_offset(client, group, topic, 3) == (5, 0)


# ---- other brokers and operators ----

def test_brokers_verify_and_add_many_transactions_at_once(client, topic, name):
    second = f"second-{name}"
    one, two = txn.begin(client, name), txn.begin(client, second)
    assert txn.add_for_broker(client, [(name, one, False, {topic: [0]}),
                                       (second, two, True, {topic: [0, 1]})]) == (
        0, {name: {topic: {0: 0}}, second: {topic: {0: ABORTABLE, 1: ABORTABLE}}})
    assert txn.add_for_broker(client, [(name, one, True, {topic: [0, 1]}),
                                       (second, (two[0], two[1] + 1), True, {topic: [1]})], 4) == (
        0, {name: {topic: {0: 0, 1: ABORTABLE}}, second: {topic: {1: FENCED}}})
    end(client, name, one, True)


def test_transactions_are_listed_and_described(client, topic, name):
    names = [f"{name}-{each}" for each in "abc"]
    producers = [txn.begin(client, each, 40000 + index) for index, each in enumerate(names)]
    assert write(client, names[0], producers[0], topic, 2, b"v") == 0
    error, unknown, found = txn.list_transactions(client, pattern=f"{name}-.*")
    assert (error, unknown) == (0, [])
    assert found == {names[0]: [producers[0][0], "Ongoing"], names[1]: [producers[1][0], "Empty"],
                     names[2]: [producers[2][0], "Empty"]}
    assert set(txn.list_transactions(client, ["Ongoing", "Odd"], pattern=f"{name}.*")[2]) == {names[0]}
    assert txn.list_transactions(client, ["Odd"], version=1)[1:] == (["Odd"], {})
    assert set(txn.list_transactions(client, producers=[producers[1][0]], version=0)[2]) == {names[1]}
    assert names[0] not in txn.list_transactions(client, longer_ms=600000)[2]
    assert txn.list_transactions(client, pattern="(")[0] == 128
    told = txn.describe(client, names[0], names[1], "")
    assert told[names[0]]["state"] == "Ongoing" and told[names[0]]["topics"] == {topic: [2]}
    assert told[names[0]]["producer"] == producers[0] and told[names[0]]["timeout"] == 40000
    assert told[names[0]]["start"] > 0
    assert told[names[1]] == {"error": 0, "state": "Empty", "timeout": 40001, "start": -1,
                              "producer": producers[1], "topics": {}}
    assert told[""]["error"] == 42
    end(client, names[0], producers[0], False)


def test_an_operator_ends_what_nobody_will_end(client, topic, name):
    txn.begin(client, name)
    producer = txn.begin(client, name)
    assert write(client, name, producer, topic, 1, b"hanging") == 0
    epoch, sequence, coordinator, start = txn.describe_producers(client, topic, 1)[producer[0]]
    assert (epoch, sequence, start) == (producer[1], 0, 0)
    assert txn.list_offset(client, topic, 1) == 0
    assert txn.write_markers(client, producer, False, {topic: [1, 9], "none": [0]},
                             max(coordinator, 0)) == {topic: {1: 0, 9: 3}, "none": {0: 3}}
    assert txn.list_offset(client, topic, 1) == 2
    assert txn.describe_producers(client, topic, 1)[producer[0]][3] == -1
    assert values(client, topic, 1) == []
    # Older ones say nothing any more.
    assert txn.write_markers(client, (producer[0], producer[1] - 1), True, {topic: [1]}) == {
        topic: {1: INVALID_EPOCH}}
    assert txn.write_markers(client, producer, True, {topic: [1]}, coordinator_epoch=7) == {topic: {1: 0}}
    assert txn.write_markers(client, producer, True, {topic: [1]}, coordinator_epoch=6) == {
        topic: {1: COORDINATOR_FENCED}}
    for strange in ((-1, 0), (producer[0], -1), (-5, -5)):
        assert txn.write_markers(client, strange, True, {topic: [1]}) == {topic: {1: -1}}
    # The second protocol's markers carry the bumped epoch, and may come twice.
    after = (producer[0], producer[1] + 1)
    for _ in range(2):
        assert txn.write_markers(client, after, True, {topic: [1]}, 7, 2, 2) == {topic: {1: 0}}


def test_outcomes_of_markers_are_told_once_for_each_producer_and_partition(client, topic, name):
    first, second = (txn.begin(client, f"{name}-{each}") for each in "ab")
    for producer, id_ in ((first, "a"), (second, "b")):
        assert write(client, f"{name}-{id_}", producer, topic, 1, b"hanging") == 0
    told = txn.write_each_marker(client, [
        (second, True, {topic: [1, 9, 1]}), (first, False, {"none": [0], topic: [0]}), (first, False, {topic: [1]}),
        (second, True, {topic: [1]}), ((first[0] + 900000, 0), True, {}), ((first[0] + 900001, 0), True, {topic: []})])
    assert told == {first[0]: {topic: {0: 0, 1: 0}, "none": {0: 3}}, second[0]: {topic: {1: 0, 9: 3}}}
    assert txn.write_each_marker(client, []) == {}
    assert values(client, topic, 1) == [b"hanging"]


def test_offsets_are_not_listed_in_an_isolation_that_is_none(client, topic, name):
    assert [txn.list_offset(client, topic, 1, level) for level in (0, 1)] == [0, 0]
    for level in (2, -1):
        with pytest.raises(wire.Refused) as caught:
            txn.list_offset(client, topic, 1, level)
        assert caught.value.code == -1


def test_a_marker_in_the_offsets_topic_reaches_the_group(client, topic, name):
    group = f"g-{name}"
    groups.wait_for_coordinator(client, group, 60 * SLOW)
    producer = txn.begin(client, name)
    assert txn.patiently(lambda: txn.txn_offset_commit(
        client, name, group, producer, {topic: {0: 4}}, 5)[topic][0]) == 0
    index = java_hash(group) % 50
    assert txn.describe(client, name)[name]["topics"] == {"__consumer_offsets": [index]}
    assert txn.write_markers(client, producer, True, {"__consumer_offsets": [index]}) == {
        "__consumer_offsets": {index: 0}}
    assert txn.stable_offset(client, group, topic, 0) == (4, 0)


def java_hash(text):
    value = 0
    for each in text.encode("utf-16-be")[1::2]:
        value = (31 * value + each) & 0xFFFFFFFF
    return abs(value - (1 << 32) if value >> 31 else value)


def test_the_metrics_name_what_holds_readers_back(node, client, topic, name):
    def page():
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10) as answer:
            return answer.read().decode()
    producer = txn.begin(client, name)
    assert write(client, name, producer, topic, 3, b"v") == 0
    line = (f'barnabas_transaction_holds_back_seconds{{topic="{topic}",partition="3",'
            f'producer_id="{producer[0]}",transactional_id="{name}"}} ')
    assert line in page()
    assert 'barnabas_transactions{state="Ongoing"} ' in page()
    end(client, name, producer, True)
    txn.settle(client, name)
    assert line not in page()


# ---- many at a time ----

def test_producers_at_the_same_time_do_not_mix(node, client, topic):
    faults = []

    def run(number):
        try:
            own, name = node.client(), f"many-{topic}-{number}"
            producer = txn.begin(own, name)
            for round_number in range(10):
                for partition in range(4):
                    error = write(own, name, producer, topic, partition, b"%d.%d.%d" % (
                        number, round_number, (number + round_number) % 3 > 0))
                    assert error == 0, error
                producer = end(own, name, producer, (number + round_number) % 3 > 0)
            txn.settle(own, name)
        except Exception as fault:  # noqa: BLE001: told below
            faults.append((number, fault))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not faults, faults
    expected = sorted(b"%d.%d.1" % (number, each) for number in range(6) for each in range(10)
                      if (number + each) % 3 > 0)
    for partition in range(4):
        assert sorted(values(client, topic, partition)) == expected


# ---- time ----

def test_an_overdue_transaction_is_aborted(make_node):
    # effect: transaction.abort.timed.out.transaction.cleanup.interval.ms
    node = make_node("transaction.abort.timed.out.transaction.cleanup.interval.ms=50\n"
                     "transaction.max.timeout.ms=5000\n").start()
    client = node.client()
    assert client.create_topic("t", 1) == 0
    producer = txn.begin(client, "x", 300)
    # effect: transaction.max.timeout.ms
    assert txn.init_producer_id(client, "y", 5001)[0] == INVALID_TIMEOUT
    assert write(client, "x", producer, "t", 0, b"late") == 0
    txn.wait_stable(client, "t", 0, 2)
    assert txn.settle(client, "x") == "CompleteAbort"
    assert values(client, "t", 0) == []
    assert txn.produce(client, "x", "t", 0, txn.batch([b"v"], producer, 1))[0] == INVALID_EPOCH
    error, *after = txn.patiently(lambda: txn.end_txn(client, "x", producer, False))
    assert error == 0 and tuple(after) == (producer[0], producer[1] + 1)
    assert write(client, "x", tuple(after), "t", 0, b"v") == 0


def test_an_idle_id_is_forgotten(make_node):
    # effect: transactional.id.expiration.ms, transaction.remove.expired.transaction.cleanup.interval.ms
    node = make_node("transactional.id.expiration.ms=300\n"
                     "transaction.remove.expired.transaction.cleanup.interval.ms=50\n").start()
    client = node.client()
    producer = txn.begin(client, "x")
    deadline = time.monotonic() + 30 * SLOW
    while txn.describe(client, "x")["x"]["error"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert txn.describe(client, "x")["x"]["error"] == NOT_FOUND
    assert txn.add_partitions(client, "x", producer, {"t": [0]})["t"][0] in (3, INVALID_MAPPING)
    assert txn.end_txn(client, "x", producer, True)[0] == INVALID_MAPPING


# ---- restarts ----

def restarted(node, hard):
    if hard:
        node.kill()
    else:
        assert node.stop() == 0
    node.start()
    return node.client()


@pytest.mark.parametrize("hard", [False, True], ids=["stop", "kill"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_restart_at_any_stage_loses_and_adds_nothing(make_node, hard, shards):
    # effect: transaction.state.log.load.buffer.size, of one byte: a batch at a time
    node = make_node("transaction.state.log.load.buffer.size=1\n", shards=shards).start()
    client = node.client()
    for topic in ("t", "u"):
        assert client.create_topic(topic, 3) == 0
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    # with an id
    producer = txn.begin(client, "x")
    client = restarted(node, hard)
    assert txn.patiently(lambda: (txn.describe(client, "x")["x"]["error"],))[0] == 0
    # with records and offsets, not ended
    assert write(client, "x", producer, "t", 0, b"one") == 0
    assert write(client, "x", producer, "u", 1, b"two") == 0
    assert txn.patiently(lambda: txn.txn_offset_commit(
        client, "x", "g", producer, {"t": {2: 8}}, 5)["t"][2]) == 0
    client = restarted(node, hard)
    assert values(client, "t", 0) == [] and values(client, "t", 0, committed=False) == [b"one"]
    assert txn.patiently(lambda: (txn.describe(client, "x")["x"]["error"],))[0] == 0
    told = txn.describe(client, "x")["x"]
    assert told["state"] == "Ongoing" and told["producer"] == producer
    assert "topic=__transaction_state" in node.text()
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    assert txn.stable_offset(client, "g", "t", 2) == (-1, UNSTABLE)
    assert write(client, "x", producer, "t", 0, b"three", 1) == 0
    # decided
    after = end(client, "x", producer, True)
    client = restarted(node, hard)
    assert txn.settle(client, "x", 30 * SLOW) == "CompleteCommit"
    assert values(client, "t", 0) == [b"one", b"three"] and values(client, "u", 1) == [b"two"]
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    assert txn.stable_offset(client, "g", "t", 2) == (8, 0)
    # complete
    client = restarted(node, hard)
    assert write(client, "x", after, "t", 1, b"next") == 0
    after = end(client, "x", after, False)
    assert txn.settle(client, "x") == "CompleteAbort"
    assert values(client, "t", 1) == []
    loads = [line for line in node.text().splitlines()
             if "coordinator loaded topic=__transaction_state" in line and " records=0 " not in line]
    assert len(loads) == 1
    words = dict(word.split("=", 1) for word in loads[0].split() if "=" in word)
    assert int(words["chunks"]) >= 3, loads


@pytest.mark.parametrize("shards", [1, 3])
def test_a_kill_during_the_end_leaves_all_or_nothing(make_node, shards):
    node = make_node(shards=shards).start()
    client = node.client()
    assert client.create_topic("t", 6) == 0
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    draw = random.Random(shards)
    expected, offset = [], -1
    producer = txn.begin(client, "x")
    for number in range(8):
        value, commit = b"%d" % number, draw.random() < 0.7
        for partition in range(6):
            assert write(client, "x", producer, "t", partition, value) == 0
        assert txn.patiently(lambda: txn.txn_offset_commit(
            client, "x", "g", producer, {"t": {0: number}}, 5)["t"][0]) == 0
        client.send(txn.END_TXN, 5, b"\0" + txn.cstring("x") + struct_of(producer, commit) + b"\0")
        time.sleep(draw.random() * 0.012)
        client = restarted(node, True)
        producer = txn.begin(client, "x")  # ends what is open
        state = txn.settle(client, "x", 30 * SLOW)
        assert state == "Empty"
        seen = [values(client, "t", partition) for partition in range(6)]
        assert all(each == seen[0] for each in seen), (number, commit, seen)
        groups.wait_for_coordinator(client, "g", 60 * SLOW)
        if value in seen[0]:
            assert commit
            expected, offset = expected + [value], number
        assert seen[0] == expected
        assert txn.stable_offset(client, "g", "t", 0) == (offset, 0)


def struct_of(producer, commit):
    return producer[0].to_bytes(8, "big") + producer[1].to_bytes(2, "big") + bytes([commit])


# ---- clusters of the first protocol ----

def test_a_cluster_of_the_first_protocol_keeps_the_epoch(make_node):
    node = make_node(formatted=False)
    cluster = node.run("storage", "random-uuid").stdout.strip()
    node.run("storage", "format", "-t", cluster, "-c", node.file, "--standalone",
             "--feature", "transaction.version=0", check=True)
    node.start()
    client = node.client()
    assert client.create_topic("t", 1) == 0
    producer = txn.begin(client, "x")
    for number, commit in enumerate((True, False, True)):
        assert txn.patiently(lambda: txn.add_partitions(client, "x", producer, {"t": [0]})["t"][0]) == 0
        assert write(client, "x", producer, "t", 0, b"%d" % number, number, 8) == 0
        assert txn.patiently(lambda: txn.end_txn(client, "x", producer, commit, 2))[0] == 0
    txn.settle(client, "x")
    assert values(client, "t", 0) == [b"0", b"2"]
    client = restarted(node, True)
    assert txn.settle(client, "x", 30 * SLOW) == "CompleteCommit"
    assert txn.describe(client, "x")["x"]["producer"] == producer
