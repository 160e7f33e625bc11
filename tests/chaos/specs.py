# SPDX-License-Identifier: Apache-2.0
"""The specs: what strikes whom. A spec is a name, a sentence, a few settings and what it does while run.more()."""
import os
import resource
import socket
import struct

import clients
import kafka_requests as kafka
import members
import tellers
from run import Run, Spec

TINY = {"internal.segment.bytes": 4096, "index.interval.bytes": 100}  # a roll every few batches
SESSION_SECONDS = 1.0
DAY_MS = 86400000


# ---- processes ----

def kill_loop(run):
    while run.more():
        run.wait(0.05, 0.6)
        run.kill()
        if run.random.random() < 0.3:  # and once more while it starts
            run.node.spawn()
            run.wait(0, 0.05)
            run.kill()
        run.start()


def kill_in_calls(run):
    while run.more():
        run.kill_in_call(run.random.randint(1, 400))
        run.wait(0.1, 0.6)
        run.look_after()
        if run.node.process is None:
            run.count("killed in a call")
            run.start()


def pauses(run):
    while run.more():
        run.wait(0.2, 0.8)
        run.pause(run.random.uniform(0.5 * SESSION_SECONDS, 2.5 * SESSION_SECONDS))


def restarts(run):
    while run.more():
        run.wait(0.2, 1.0)
        run.stop()
        run.start()


# ---- disks ----

def power_cuts(run):
    run.disk.set(sync_delay_min=100, sync_delay_max=run.random.choice((2000, 10000, 60000)))
    while run.more():
        run.wait(0.2, 0.9)
        run.power_cut()
        if run.random.random() < 0.3:  # again amid recovery
            run.node.spawn()
            run.wait(0, 0.08)
            run.power_cut()
        run.start()


def power_cuts_in_calls(run, calls=500, least=0.2, most=0.8):
    run.disk.set(sync_delay_min=100, sync_delay_max=20000)
    while run.more():
        run.kill_in_call(run.random.randint(1, calls))
        run.wait(least, most)
        if run.node.process.poll() is not None:
            run.count("cut in a call")
        run.kill_in_call(0)
        run.power_cut()
        run.start()


def mixed_deaths(run):
    run.disk.set(sync_delay_min=0, sync_delay_max=10000)
    while run.more():
        run.wait(0.2, 0.8)
        run.random.choice((run.kill, run.power_cut, run.stop))()
        run.start()


def syncs_fail(run):
    while run.more():
        run.wait(0.1, 0.4)
        run.disk_fails(match=run.random.choice(("/t-", "/t-1", ".log", "/data0/t", "/data1", "/data1", "")),
                     sync_fail_skip=run.random.randint(0, 40), sync_fail_count=run.random.choice((1, 1, 3)))
        run.wait(0.3, 0.8)
        run.disk.set(sync_fail_count=0)
        run.look_after()
        run.power_cut()
        run.start()


def writes_fail(run):
    while run.more():
        run.wait(0.1, 0.4)
        run.disk_fails(match=run.random.choice(("/t-", "/t-1", ".log", "/data0/t", "/data1", "/data1")),
                     write_fail_skip=run.random.randint(0, 60), write_fail_count=run.random.choice((1, 1, 3)))
        run.wait(0.3, 0.8)
        run.disk.set(write_fail_count=0)
        run.look_after()
        if run.node.is_running():
            run.kill()
        run.start()


def names_fail(run):
    """Opens, renames, removals, new directories."""
    while run.more():
        run.wait(0.1, 0.3)
        run.disk_fails(match=run.random.choice(("/t-", "/data1", "checkpoint", ".snapshot", "")),
                     name_fail_skip=run.random.randint(0, 6), name_fail_count=run.random.choice((1, 1, 3, 1000)))
        run.wait(0.2, 0.6)
        run.disk.set(name_fail_count=0)
        run.look_after()
        if run.node.is_running():
            run.random.choice((run.kill, run.power_cut))()
        run.start()


def reads_fail(run):
    while run.more():
        run.wait(0.1, 0.3)
        run.disk_fails(match=run.random.choice(("/t-", ".log", "/data1")), read_fail_skip=run.random.randint(0, 10),
                     read_fail_count=run.random.choice((1, 1, 3, 1000)))
        run.wait(0.2, 0.6)
        run.disk.set(read_fail_count=0)
        run.look_after()
        if run.node.is_running():
            run.kill()
        run.start()


def space_ends(run):
    while run.more():
        run.wait(0.1, 0.5)
        run.disk_fails(match=run.random.choice(("/t-", ".log")), space_left=run.random.randint(0, 60000))
        run.wait(0.4, 1.0)
        run.disk.set(space_left=-1)
        run.look_after()
        run.wait(0.1, 0.3)  # does it go on by itself?
        if run.random.random() < 0.6:
            if run.node.is_running():
                run.kill()
        if not run.node.is_running():
            run.start()
    if run.node.is_running():
        run.kill()  # a directory that failed is taken back at a start


def space_is_low(run):
    while run.more():
        run.disk_fails(space_left=run.random.choice((1 << 20, 3 << 20)))
        run.wait(0.4, 0.9)
        run.disk.set(space_left=-1)
        run.wait(0.3, 0.6)


def short_writes(run):
    run.disk.set(short_one_in=3)
    while run.more():
        run.wait(0.4, 1.2)
        run.random.choice((run.kill, run.power_cut))()
        run.start()


def slow_disk(run):
    run.disk.set(sync_delay_min=1000, sync_delay_max=150000, write_delay_one_in=50, write_delay_max=100000)
    while run.more():
        run.wait(0.8, 1.5)
        run.power_cut()
        run.start()


# ---- network ----

def cuts(run):
    stream = run.random

    def connected(connection):
        way = connection.ways[stream.choice(("up", "down"))]
        way.cut_after = stream.choice((stream.randint(0, 200), stream.randint(0, 20000)))
        way.cut = stream.choice(("reset", "close"))
    run.proxy.connected = connected
    while run.more():
        run.wait(0.3, 0.5)
        if stream.random() < 0.2:
            run.proxy.cut_all()


def black_hole(run):
    while run.more():
        run.wait(0.2, 0.5)
        direction = run.random.choice(("up", "down"))
        run.proxy.all(direction, is_black_hole=True)
        run.wait(0.3, 1.8)
        run.proxy.all(direction, is_black_hole=False)
        run.count("black holes")


def drip(run):
    while run.more():
        run.proxy.all("up", drip_bytes=run.random.choice((7, 50, 200)), drip_pause=0.002)
        run.proxy.all("down", drip_bytes=run.random.choice((50, 500)), drip_pause=0.002)
        run.wait(0.8, 1.5)
        run.proxy.all("up", drip_bytes=0, delay=run.random.uniform(0, 0.1))
        run.proxy.all("down", drip_bytes=0, delay=run.random.uniform(0, 0.1))
        run.wait(0.3, 0.8)


def half_open(run):
    while run.more():
        run.wait(0.1, 0.4)
        run.proxy.cut_all("half_open")
        if run.random.random() < 0.3:
            run.proxy.is_refusing = True
            run.wait(0.05, 0.4)
            run.proxy.is_refusing = False
    run.count("left half open", len(run.proxy.half_open))


# ---- what a process may have ----

def descriptors_end(run):
    """Clients take what they can get; the files of the node must not suffer."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run.limit(resource.RLIMIT_NOFILE, 1200)
    while run.more():
        run.wait(0.1, 0.3)
        held = [run.knock() for _ in range(run.random.randint(900, 1600))]
        run.wait(0.3, 0.8)
        for each in held:
            each.close()
        run.wait(0.1, 0.4)
    run.limit(resource.RLIMIT_NOFILE, None)


def memory_ends(run):
    """The node may end for want of the little that it must have, in order; what clients ask for is never a reason."""
    while run.more():
        run.wait(0.1, 0.4)
        run.disk_fails()  # memory that fails may look like a disk that does
        run.limit(resource.RLIMIT_AS, run.node.virtual_bytes() + run.random.choice((0, 1 << 16, 1 << 20)))
        held = [run.knock() for _ in range(run.random.randint(10, 100))]
        for peer in held:
            try:
                for _ in range(30):
                    peer.send(ask_much(run))
            except OSError:
                pass  # it has had enough
        run.wait(0.2, 0.8)
        for peer in held:
            peer.close()
        if run.node.is_running():
            run.limit(resource.RLIMIT_AS, None)
        run.look_after()
        if not run.node.is_running():
            run.start()


def slow_peers(run):
    """Frames that never end, answers that nobody reads."""
    held = []
    while run.more():
        for _ in range(10):
            peer = run.knock()
            try:
                if run.random.random() < 0.5:
                    peer.send(struct.pack(">i", run.random.choice((100, 1 << 20))) + bytes(run.random.randint(0, 60)))
                else:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    for _ in range(200):
                        peer.send(ask_much(run))
            except OSError:
                pass  # it has had enough
            held.append(peer)
        run.wait(0.1, 0.4)
        for peer in held[:-60]:
            peer.close()
        del held[:-60]


def ask_much(run):
    topic = run.topics.named("t")
    part = struct.pack(">iiqiqi", run.random.randrange(topic.partitions), -1, 0, -1, -1, 1 << 20) + b"\0"
    body = struct.pack(">iiiibii", -1, 0, 1, 1 << 20, 0, 0, -1) + kafka.compact_array(
        [topic.id + kafka.compact_array([part]) + b"\0"]) + kafka.compact_array([]) + kafka.compact_string("") + b"\0"
    frame = struct.pack(">hhi", kafka.FETCH, 13, 1) + kafka.string("slow") + b"\0" + body
    return struct.pack(">i", len(frame)) + frame


# ---- clocks, and everything ----

def clock_jumps(run):
    while run.more():
        run.wait(0.3, 0.8)
        run.jump(run.random.choice((-1, 1)) * run.random.choice((1000, 3600000, DAY_MS, 365 * DAY_MS)))
        if run.random.random() < 0.3:
            run.kill()
            run.start()


def everything(run):
    run.disk.set(sync_delay_min=0, sync_delay_max=5000, short_one_in=20)
    while run.more():
        fault = run.random.randrange(6)
        run.wait(0.1, 0.5)
        if fault == 0:
            run.kill()
            run.start()
        elif fault == 1:
            run.power_cut()
            run.start()
        elif fault == 2:
            run.proxy.cut_all(run.random.choice(("reset", "close", "half_open")))
        elif fault == 3:
            run.pause(run.random.uniform(0.1, 1.5))
        elif fault == 4:
            run.proxy.all(run.random.choice(("up", "down")), is_black_hole=True)
            run.wait(0.1, 0.7)
            run.proxy.all("up", is_black_hole=False)
            run.proxy.all("down", is_black_hole=False)
        else:
            run.stop()
            run.start()


# ---- who works ----

def churning(run):
    return [clients.Churner(run, 20), clients.Producer(run, 1, topics=("c", "t")),
            clients.Producer(run, 2, topics=("c",), acks=1), clients.Consumer(run, 10, "c"),
            clients.Consumer(run, 11)]


def deleting(run):
    return Run.usual_workers(run) + [clients.Deleter(run, 20)]


def committing(run):
    return [clients.Committer(run, 21), clients.Committer(run, 22), clients.Producer(run, 1),
            clients.Consumer(run, 10)]


def keyed(run):
    return [clients.KeyWriter(run, 31), clients.KeyWriter(run, 32), clients.Producer(run, 1),
            clients.Consumer(run, 10)]


def waiting_for_all(run):
    """Only acks=all: what a full disk refuses must never be seen as lost."""
    return [clients.Producer(run, 1), clients.Producer(run, 2, is_idempotent=False),
            clients.Consumer(run, 10, searches=True), clients.Consumer(run, 11)]


def grouped(run):
    return members.members_of(run) + [clients.Producer(run, 1), clients.Producer(run, 2, acks=1, is_idempotent=False,
                                                                                 pace=0.03)]


def grouped_os(run):
    """Without acks=1, of which nobody can say whether it comes to be seen."""
    return members.members_of(run) + [clients.Producer(run, 1)]


def telling(run):
    return tellers.tellers_of(run)


COMPACT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.0, "segment.ms": 500, **TINY}
BANK = {tellers.TOPIC: {}, tellers.KEYED_TOPIC: COMPACT}

SPECS = [
    Spec("kill", "kill -9 under load, also while it starts", kill_loop),
    Spec("kill_in_calls", "kill -9 amid a chosen call to the disk", kill_in_calls, topics={"t": TINY}),
    Spec("pause", "stopped longer than sessions and requests may last", pauses, request_seconds=SESSION_SECONDS,
         properties={"broker.session.timeout.ms": int(SESSION_SECONDS * 1000)}),
    Spec("restart", "stops in good order under load", restarts),
    Spec("power", "power cuts in flush mode commit: nothing acknowledged is lost", power_cuts),
    Spec("power_os", "power cuts in flush mode os: only what it permits is lost, nothing torn is served", power_cuts,
         properties={"barnabas.flush.mode": "os"}),
    Spec("power_synced", "the same with flushes by time and at rolls: what they covered stays", power_cuts,
         properties={"barnabas.flush.mode": "os"}, topics={"t": {**TINY, "flush.ms": 150}}),
    Spec("power_roll", "power cuts amid rolls of tiny segments", power_cuts_in_calls, topics={"t": TINY}),
    Spec("power_topics", "power cuts while topics come and go", power_cuts_in_calls, topics={"t": {}, "c": TINY},
         workers=churning),
    Spec("sync_fails", "EIO from fsync, then a power cut", syncs_fail, may_stop=True, directories=2),
    Spec("write_fails", "EIO from write", writes_fail, may_stop=True, directories=2),
    Spec("name_fails", "EIO from opens, renames and removals", names_fail, may_stop=True, directories=2,
         topics={"t": TINY}),
    Spec("read_fails", "EIO from reads", reads_fail, may_stop=True, directories=2, topics={"t": TINY}),
    Spec("disk_full", "ENOSPC amid writes, then space again", space_ends, may_stop=True, workers=waiting_for_all,
         topics={"t": TINY}),
    Spec("disk_low", "less space than barnabas.disk.low.bytes, then more", space_is_low,
         properties={"barnabas.disk.low.bytes": 2 << 20}),
    Spec("short_writes", "a third of all writes come short, with kills and power cuts", short_writes),
    Spec("slow_disk", "syncs of up to 150 ms, writes that stall, with power cuts", slow_disk),
    Spec("cuts", "connections end after byte k, either way", cuts),
    Spec("black_hole", "nothing comes through, one way, for longer than requests may last", black_hole,
         request_seconds=0.8),
    Spec("drip", "bytes drip; answers are late", drip),
    Spec("half_open", "the node's ends of connections stay open; connects are refused", half_open),
    Spec("slow_peers", "frames that never end, answers that nobody reads", slow_peers),
    Spec("descriptors", "connections until no descriptor is left for them", descriptors_end, topics={"t": TINY}),
    Spec("memory", "no memory is left, then there is some", memory_ends, may_stop=True,
         topics={"t": TINY}),
    Spec("clock", "the wall clock jumps, up to a year, both ways", clock_jumps),
    Spec("shards", "three shards on two directories, with deaths of all kinds", mixed_deaths, shards=3, directories=2,
         workers=deleting, topics={"t": TINY}),
    Spec("deletion", "records are deleted while it dies", mixed_deaths, workers=deleting, topics={"t": TINY}),
    Spec("retention", "old and many bytes are removed while it dies", mixed_deaths,
         topics={"t": {**TINY, "retention.ms": 1500, "retention.bytes": 30000, "segment.ms": 300}}),
    Spec("compaction", "keys of a compacted topic while it dies", mixed_deaths, topics={"t": {}, "k": COMPACT},
         workers=keyed),
    Spec("offsets", "committed offsets of groups while it dies", mixed_deaths, workers=committing),
    Spec("members", "groups of both protocols while the node is killed", kill_loop, workers=grouped,
         properties=members.PROPERTIES),
    Spec("members_power", "groups, with power cuts: no committed offset is lost", power_cuts, workers=grouped,
         properties=members.PROPERTIES, shards=2, directories=2),
    Spec("members_os", "groups, with power cuts in flush mode os", power_cuts, workers=grouped_os,
         properties={**members.PROPERTIES, "barnabas.flush.mode": "os"}, topics={"t": {"flush.ms": 150}}),
    Spec("members_pause", "groups of a node that is stopped for longer than sessions last", pauses, workers=grouped,
         properties=members.PROPERTIES),
    Spec("members_hole", "groups behind a network where nothing comes through, one way", black_hole, workers=grouped,
         properties=members.PROPERTIES, request_seconds=0.8),
    Spec("tellers", "transactions while the node is killed, two shards", kill_loop, workers=telling, topics=BANK,
         properties=tellers.PROPERTIES, shards=2),
    Spec("tellers_power", "transactions, with power cuts amid calls",
         lambda run: power_cuts_in_calls(run, 4000, 0.7, 1.6), seconds=6, workers=telling,
         topics={**BANK, tellers.TOPIC: TINY}, properties=tellers.PROPERTIES, directories=2),
    Spec("tellers_calls", "transactions, killed amid a chosen call to the disk", kill_in_calls, workers=telling,
         topics=BANK, properties=tellers.PROPERTIES),
    Spec("tellers_pause", "transactions of a node that is stopped for longer than they may last", pauses, seconds=6,
         workers=telling, topics=BANK, properties=tellers.PROPERTIES),
    Spec("tellers_cuts", "transactions whose connections end after byte k", cuts, workers=telling, topics=BANK,
         properties=tellers.PROPERTIES),
    Spec("everything", "all of it at once, two shards", everything, shards=2, topics={"t": TINY}),
]

# The runner must be able to find something: these have to fail.
CONTROLS = [
    Spec("control_os", "flush mode os that says it were commit", power_cuts, claims="commit", must_complain=True,
         properties={"barnabas.flush.mode": "os"}),
    Spec("control_liar", "a disk whose syncs are lies", lambda run: (run.disk.set(sync_lies=1), power_cuts(run)),
         must_complain=True),
]

# Bugs of src/base/bug.h that each of these specs must find, in a build with -Dbugs=true. Those that are not here need
# more seeds than real time has room for; tests/sim/BUGS.md finds them.
BUGS = {
    "ack_before_commit": "power",
    "watermark_of_written": "power",
    "data_not_synced": "power",
    "directory_not_synced": "power_roll",
    "failed_write_acknowledged": "write_fails",
    "torn_tail_kept": "power_os",
    "producers_not_replayed": "kill",
    "answers_out_of_order": "slow_disk",
    "start_not_checkpointed": "deletion",
    "read_past_watermark": "slow_disk",
    "producer_ids_twice": "kill",
    "vote_before_sync": "power",
    "offsets_before_commit": "offsets",
    "static_member_not_fenced": "members_hole",
    "join_does_not_wait": "members_hole",
    "stale_generation_commits": "members",
    "partition_given_early": "members_hole",
    "sessions_not_resumed": "members",
    "complete_before_markers": "tellers_power",
    "txn_offsets_before_marker": "tellers",
    "aborted_list_cut": "tellers",
    "successor_epoch_kept": "tellers",
}
