# SPDX-License-Identifier: Apache-2.0
"""start, recover, idle: what a node costs before anyone uses it."""
import json
import re
import shutil
import subprocess
import time

import measure
import nodes
import rows_load

CONNECTIONS, FIRST, MORE = 1000, 100, 4  # MORE thousands: what one holds stands out from what else moves
SYNCS = "fsync,fdatasync,syncfs,sync_file_range,msync"


def first_acks(node, topic, partitions, tracer=()):
    """Starts a node and produces as soon as it listens: milliseconds from exec to the first
    acknowledgement and to that of the last partition, and the first one's wall time."""
    stamp = node.folder / "stamp"
    stamp.unlink(missing_ok=True)
    probe = subprocess.Popen([nodes.PROBE, "ack", node.address, topic, str(partitions)],
                             stdout=subprocess.PIPE, text=True)
    assert probe.stdout.readline() == "ready\n"
    node.spawn(stamp, tracer)
    out, _ = probe.communicate(timeout=180)
    assert probe.returncode == 0, f"no acknowledged produce\n{node.log_tail()}"
    found = json.loads(out)
    begun = int(stamp.read_text("ascii"))
    return ((found["first_ns"] - begun) / 1e6, (found["last_ns"] - begun) / 1e6,
            found["first_real"])


def start(bench):
    for partitions in (1, 1000):
        case = f"{partitions:,} partition{'s' * (partitions > 1)}"
        ready = {}
        for kind in bench.kinds:
            ready[kind] = bench.node(kind, f"start-{partitions}").start()
            ready[kind].topic("probe", partitions)
            ready[kind].stop()
            first_acks(ready[kind], "probe", partitions)  # every log exists from here on
            ready[kind].stop()

        def run(kind, ready=ready, partitions=partitions):
            first, last, _ = first_acks(ready[kind], "probe", partitions)
            ready[kind].stop()
            figures = {"first ack, ms": first}
            if partitions > 1:
                figures["all partitions acked, ms"] = last
            return figures

        bench.pairs("start", case, run, most=bench.few(3) if partitions > 1 else None)
        if shutil.which("strace") and bench.form == "full":
            bench.pairs("start", f"{case}, traced",
                        lambda kind, ready=ready: {"syncs until then": syncs(ready[kind])}, most=1)


def syncs(node):
    """How often a node asks the disk to sync from exec to its first acknowledgement."""
    trace = node.folder / "syncs"
    tracer = ["strace", "-D", "-f", "--seccomp-bpf", "-ttt", "-e", f"trace={SYNCS}", "-o", str(trace)]
    _, _, acked = first_acks(node, "probe", 1, tracer)
    node.stop()
    calls = re.findall(r"^\d+ +([\d.]+) (?:" + SYNCS.replace(",", "|") + r")\(", trace.read_text(),
                       re.MULTILINE)
    return sum(float(at) <= acked for at in calls)


def recover(bench):
    size = 1024
    count = 2 * 10**9 // size

    def run(kind):
        node = bench.node(kind, "recover", nodes.PAGE_CACHE[kind]).start()
        try:
            node.topic("load", 6)
            rows_load.produce_once(bench, node, "load", count, size, "1", "none")
            node.kill()
            first, last, _ = first_acks(node, "load", 6)
            rows_load.verify(node, "load", count, skip=100)
        finally:
            bench.drop(node)
        return {"first ack, ms": first, "all partitions acked, ms": last}

    bench.pairs("recover", "2 GB unsynced, kill -9", run, most=bench.few(2))


def idle(bench):
    """The two idle at the same time: it is memory that is compared."""
    seconds = bench.choose(8, 60)
    for number in range(bench.pairs_wanted or bench.choose(1, 3)):  # memory moves little
        if number > 0 and bench.schedule.is_row_over():
            break
        empty = {kind: bench.node(kind, "idle", http(kind)).start() for kind in bench.kinds}
        time.sleep(seconds)
        bench.pairs("idle", "no topic", lambda kind, nodes_of=empty: resident(nodes_of[kind]), most=1)
        bench.flush()
        connections(bench, empty)
        bench.drop(*empty.values())

        many = {kind: bench.node(kind, "many", http(kind)).start() for kind in bench.kinds}
        for node in many.values():
            node.topic("many", 5000)
        time.sleep(seconds)
        bench.pairs("idle", "5,000 partitions",
                    lambda kind, nodes_of=many: resident(nodes_of[kind]), most=1)
        bench.flush()
        bench.drop(*many.values())


def connections(bench, ready):
    """What a thousand take, and what one more holds: the first hundred make room for the rest."""
    holders = [hold(node, FIRST) for node in ready.values()]
    time.sleep(1)
    before = {kind: nodes.held(node) for kind, node in ready.items()}
    holders += [hold(node, CONNECTIONS - FIRST) for node in ready.values()]
    time.sleep(2)
    found = {kind: resident(node) for kind, node in ready.items()}
    holders += [hold(node, CONNECTIONS) for node in ready.values() for _ in range(MORE)]
    time.sleep(2)
    count = CONNECTIONS - FIRST + MORE * CONNECTIONS

    def run(kind):
        return {**found[kind], "held a connection, KB": max(nodes.held(ready[kind]) - before[kind], 0) * 1e3 / count}

    bench.pairs("idle", f"{CONNECTIONS:,} connections", run, most=1)
    bench.flush()
    for holder in holders:
        holder.communicate()


def http(kind):
    """Ours with its metrics page; a stock Apache node has none."""
    return {"barnabas.http.listener": "127.0.0.1:0"} if kind == "barnabas" else {}


def resident(node):
    everything, own = measure.memory(node.process.pid)
    return {"resident, MB": everything, "of no file, MB": own}


def hold(node, connections):
    holder = subprocess.Popen([nodes.PING, "hold", node.address, str(connections)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "holding\n", "connections were refused"
    return holder
