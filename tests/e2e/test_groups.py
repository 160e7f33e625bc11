# SPDX-License-Identifier: Apache-2.0
"""Groups by their raw requests and through kcat, on a process of its own."""
import itertools
import re
import shutil
import struct
import subprocess
import threading
import time
import urllib.request

import pytest

import group_wire as groups
import wire
from node import SLOW

NUMBERS = itertools.count(1)
ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, INVALID_GROUP_ID = 22, 25, 24
UNKNOWN_TOPIC, NON_EMPTY, GROUP_NOT_FOUND, METADATA_TOO_LARGE = 3, 68, 69, 12


@pytest.fixture
def client(node):
    client = node.client()
    groups.wait_for_coordinator(client, "any", 60 * SLOW)
    return client


@pytest.fixture
def topic(client):
    name = f"t{next(NUMBERS)}"
    assert client.create_topic(name, 4) == 0
    return name


@pytest.fixture
def group(client):
    name = f"g{next(NUMBERS)}"
    groups.wait_for_coordinator(client, name, 60 * SLOW)
    return name


def test_a_group_finds_its_coordinator_on_this_node(node, client, group):
    assert groups.find_coordinator(client, group) == (0, 1, "127.0.0.1", node.port)


def test_members_of_a_group_without_a_coordinator_are_told_so_and_stay_connected(make_node):
    node = make_node(shards=3)
    node.start()
    client = node.client()
    for number in range(8):
        assert groups.sync(client, f"g{number}", 1, "m") == (groups.NOT_COORDINATOR, b"")
        assert groups.join(client, f"g{number}", "m")["error"] == groups.NOT_COORDINATOR
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    assert groups.join(client, "g")["error"] == 0
    assert node.stop() == 0


def test_members_of_a_group_whose_coordinator_is_made_are_told_so_until_they_join(make_node):
    """Whatever state the coordinator's partition is in, the answer is a code on the same connection."""
    node = make_node(shards=3)
    node.start()
    client = node.client()
    groups.find_coordinator(client, "g")
    deadline = time.monotonic() + 60 * SLOW
    waiting = (groups.NOT_COORDINATOR, groups.LOAD_IN_PROGRESS, groups.NOT_AVAILABLE)
    while True:
        synced = groups.sync(client, "g", 1, "m")[0]
        joined = groups.join(client, "g")
        if joined["error"] == 0:
            break
        assert synced in waiting + (UNKNOWN_MEMBER_ID,) and joined["error"] in waiting
        assert time.monotonic() < deadline
    assert groups.sync(client, "g", 1, joined["member"], [(joined["member"], b"all")]) == (0, b"all")
    assert node.stop() == 0


@pytest.mark.parametrize("key_type", [-1, 3, 99])
def test_a_coordinator_of_an_unknown_kind_is_an_invalid_request(client, key_type):
    assert groups.find_coordinator(client, "x", key_type) == (groups.INVALID_REQUEST, -1, "", -1)


def test_the_offsets_topic_is_made_when_it_is_needed(client):
    assert client.metadata()["__consumer_offsets"] == 50


def test_offsets_come_back_as_they_were_committed(client, topic, group):
    assert groups.offset_commit(client, group, {topic: {0: 5, 3: 7}}) == {topic: {0: 0, 3: 0}}
    assert groups.offset_fetch(client, group, {topic: [0, 1, 3]}) == (
        0, {topic: {0: (5, 0), 1: (-1, 0), 3: (7, 0)}})
    assert groups.offset_fetch(client, group, None) == (0, {topic: {0: (5, 0), 3: (7, 0)}})


def test_unknown_topics_and_partitions_fail_alone(client, topic, group):
    assert groups.offset_commit(client, group, {topic: {0: 5, 9: 1}, "none": {0: 1}}) == {
        topic: {9: UNKNOWN_TOPIC, 0: 0}, "none": {0: UNKNOWN_TOPIC}}
    assert groups.offset_fetch(client, group, None) == (0, {topic: {0: (5, 0)}})


def test_long_metadata_fails_alone(client, topic, group):
    assert groups.offset_commit(client, group, {topic: {0: 5}}, metadata="x" * 4097) == {
        topic: {0: METADATA_TOO_LARGE}}
    assert groups.offset_commit(client, group, {topic: {0: 5}}, metadata="x" * 4096) == {topic: {0: 0}}


def test_a_group_that_is_not_there_takes_no_generation(client, topic, group):
    assert groups.offset_commit(client, group, {topic: {0: 5}}, generation=3, member="m") == {
        topic: {0: ILLEGAL_GENERATION}}


def test_two_members_share_a_group(node, client, topic, group):
    other = node.client()
    first = groups.join(client, group)
    assert first["error"] == 0 and first["leader"] == first["member"]
    assert groups.sync(client, group, 1, first["member"], [(first["member"], b"all")]) == (0, b"all")

    def second_joins():
        answers.append(groups.join(other, group))
    answers = []
    thread = threading.Thread(target=second_joins)
    thread.start()
    deadline = time.monotonic() + 20 * SLOW
    while groups.heartbeat(client, group, 1, first["member"]) == 0:
        assert time.monotonic() < deadline, "nobody told the first member to rejoin"
        time.sleep(0.02)
    again = groups.join(client, group, first["member"])
    thread.join()
    (second,) = answers
    assert again["error"] == second["error"] == 0
    assert again["generation"] == second["generation"] == 2
    assert again["leader"] == second["leader"] == first["member"]
    assert len(again["members"]) == 2 and second["members"] == []
    plan = [(first["member"], b"one"), (second["member"], b"two")]
    assert groups.sync(client, group, 2, first["member"], plan) == (0, b"one")
    assert groups.sync(other, group, 2, second["member"]) == (0, b"two")
    assert groups.offset_commit(other, group, {topic: {1: 9}}, 2, second["member"]) == {topic: {1: 0}}
    assert groups.offset_commit(other, group, {topic: {1: 8}}, 1, second["member"]) == {
        topic: {1: ILLEGAL_GENERATION}}
    assert groups.offset_commit(other, group, {topic: {1: 8}}, 2, "nobody") == {
        topic: {1: UNKNOWN_MEMBER_ID}}
    code, state, kind, protocol, members = groups.describe_groups(client, [group])[group]
    assert (code, state, kind, protocol) == (0, "Stable", "consumer", "range")
    assert sorted((name, host, data) for name, _, host, _, data in members) == sorted(
        (name, "/127.0.0.1", data) for name, data in plan)
    assert groups.delete_groups(client, [group]) == {group: NON_EMPTY}
    assert groups.leave(client, group, [first["member"], second["member"]]) == (
        0, {first["member"]: 0, second["member"]: 0})
    assert groups.describe_groups(client, [group])[group][:2] == (0, "Empty")


def test_a_member_that_hangs_up_while_it_joins_hurts_nobody(node, client, group):
    for _ in range(3):
        gone = node.client()
        groups.join_send(gone, group)
        required = groups.join_read(gone)
        groups.join_send(gone, group, required["member"])
        gone.close()
    assert groups.find_coordinator(client, group)[0] == 0
    assert groups.describe_groups(client, [group])[group][0] == 0


def test_groups_are_listed_and_deleted(client, topic, group):
    groups.offset_commit(client, group, {topic: {0: 5}})
    groups.wait_for_coordinator(client, "none", 60 * SLOW)
    code, listed = groups.list_groups(client)
    assert code == 0 and listed[group] == ""
    assert groups.delete_groups(client, [group, "none", group]) == {group: 0, "none": GROUP_NOT_FOUND}
    assert group not in groups.list_groups(client)[1]
    assert groups.offset_fetch(client, group, None) == (0, {})


def test_single_offsets_are_deleted(client, topic, group):
    groups.offset_commit(client, group, {topic: {0: 5, 1: 6}})
    assert groups.offset_delete(client, group, {topic: [0, 9]}) == (0, {topic: {9: UNKNOWN_TOPIC, 0: 0}})
    assert groups.offset_fetch(client, group, None) == (0, {topic: {1: (6, 0)}})
    groups.wait_for_coordinator(client, "none", 60 * SLOW)
    assert groups.offset_delete(client, "none", {topic: [0]})[0] == GROUP_NOT_FOUND


def test_offsets_outlive_kill_9_and_a_restart(make_node):
    node = make_node(shards=2).start()
    client = node.client()
    groups.wait_for_coordinator(client, "a", 60 * SLOW)
    assert client.create_topic("t", 3) == 0
    expected = {}
    for number in range(60):
        group, partition = f"g{number % 7}", number % 3
        groups.wait_for_coordinator(client, group, 60 * SLOW)
        assert groups.offset_commit(client, group, {"t": {partition: number}}) == {"t": {partition: 0}}
        expected.setdefault(group, {})[partition] = (number, 0)
    for end in (node.kill, node.stop):
        end()
        node.start()
        client = node.client()
        groups.wait_for_coordinator(client, "a", 60 * SLOW)
        for group, places in expected.items():
            groups.wait_for_coordinator(client, group, 60 * SLOW)
            assert groups.offset_fetch(client, group, None) == (0, {"t": places})


def test_a_parked_join_ends_when_the_node_stops(make_node):
    node = make_node().start()
    client, other = node.client(), node.client()
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    first = groups.join(client, "g")
    groups.sync(client, "g", 1, first["member"], [(first["member"], b"")])
    groups.join_send(other, "g")
    groups.join_send(other, "g", groups.join_read(other)["member"], rebalance_ms=300000)
    time.sleep(0.2)  # it waits for the first member now
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < 10 * SLOW


def test_metrics_tell_groups_and_lag(node, client, topic, group):
    client.produce(topic, 1, wire.batch([b"a", b"b", b"c"]))
    groups.offset_commit(client, group, {topic: {1: 1}})
    page = urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10).read().decode()
    assert f'barnabas_group_lag_records{{group="{group}",topic="{topic}",partition="1"}} 2' in page
    assert 'barnabas_groups{type="classic",state="Empty"}' in page


def metrics(node):
    return urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10).read().decode()


def lag_seconds(node, group, topic, partition):
    """None where there is none."""
    found = re.search(rf'^barnabas_group_lag_seconds{{group="{group}",topic="{topic}",'
                      rf'partition="{partition}"}} ([0-9.]+)$', metrics(node), re.M)
    return found and float(found[1])


def test_lag_in_seconds_is_the_age_of_the_oldest_record_that_is_not_committed(node, client, topic, group):
    now_ms = int(time.time() * 1000)
    for age_s in (5000, 300, 20):
        client.produce(topic, 1, wire.batch([b"a", b"b"], timestamp=now_ms - age_s * 1000))
    for offset, age_s in ((0, 5000), (1, 5000), (2, 300), (4, 20)):
        groups.offset_commit(client, group, {topic: {1: offset}})
        for _ in range(2):  # looked up, and remembered
            assert age_s <= lag_seconds(node, group, topic, 1) < age_s + 60
    groups.offset_commit(client, group, {topic: {1: 6}})
    assert lag_seconds(node, group, topic, 1) == 0
    client.produce(topic, 1, wire.batch([b"new"], timestamp=now_ms - 40_000))
    assert 40 <= lag_seconds(node, group, topic, 1) < 100
    groups.offset_commit(client, group, {topic: {0: 0, 1: -1}})
    assert lag_seconds(node, group, topic, 0) == 0 and lag_seconds(node, group, topic, 1) is None


def test_lag_in_seconds_of_many_groups_is_looked_up_page_by_page(make_node):
    node = make_node().start()
    client = node.client()
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    client.create_topic("t", 3)
    now_ms = int(time.time() * 1000)
    for partition in range(3):
        client.produce("t", partition, wire.batch([b"x"], timestamp=now_ms - 70_000))
    for number in range(300):
        groups.offset_commit(client, f"g{number}", {"t": {0: 0, 1: 0, 2: 0}})
    # one time of each partition serves all groups that stand at the same offset
    assert metrics(node).count("barnabas_group_lag_seconds{") == 900


def test_a_partition_that_its_member_does_not_fetch_is_logged(make_node):
    node = make_node("barnabas.group.unfetched.log.ms=1000\ngroup.initial.rebalance.delay.ms=0\n").start()
    client = node.client()
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    client.create_topic("t", 3)
    member = groups.join(client, "g")["member"]
    assignment = struct.pack(">hi", 0, 1) + wire.string("t") + struct.pack(">iii", 2, 0, 2) + struct.pack(">i", -1)
    groups.sync(client, "g", 1, member, [(member, assignment)])
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        client.fetch("t", 0, 0, wait_ms=50)
        assert groups.heartbeat(client, "g", 1, member) == 0
    lines = re.findall(r"coordinator unfetched .*", node.text())
    assert lines and all(f'group="g" member="{member}" topic=t partition=2 ' in line for line in lines), lines
    assert "position=-1 high_watermark=0" in lines[0]


def test_the_lags_that_metrics_show_are_bounded(make_node):
    """effect: barnabas.metrics.group.series.max"""
    node = make_node("barnabas.metrics.group.series.max=3\n").start()
    client = node.client()
    groups.wait_for_coordinator(client, "g", 60 * SLOW)
    client.create_topic("t", 5)
    for partition in range(5):
        client.produce("t", partition, wire.batch([b"x"]))
        groups.offset_commit(client, "g", {"t": {partition: 0}})
    page = urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10).read().decode()
    assert page.count("barnabas_group_lag_records{") == 3
    assert "barnabas_group_series_left_out 2\n" in page


@pytest.mark.skipif(not shutil.which("kcat"), reason="needs kcat")
def test_kcat_consumers_share_a_group_and_go_on_where_it_was(node, client, topic, group):
    def consumer(count):
        return subprocess.Popen(
            ["kcat", "-b", f"127.0.0.1:{node.port}", "-G", group, "-X", "auto.offset.reset=earliest", "-q",
             "-c", str(count), topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for partition in range(4):
        client.produce(topic, partition, wire.batch([b"%d-%d" % (partition, i) for i in range(5)]))
    first = consumer(20)
    out, _ = first.communicate(timeout=60 * SLOW)
    assert sorted(out.split()) == sorted(f"{p}-{i}" for p in range(4) for i in range(5))
    for partition in range(4):
        client.produce(topic, partition, wire.batch([b"%d-new" % partition]))
    out, _ = consumer(4).communicate(timeout=60 * SLOW)
    assert sorted(out.split()) == [f"{p}-new" for p in range(4)]
