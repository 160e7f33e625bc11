# SPDX-License-Identifier: Apache-2.0
"""groups: members that join at once, heartbeats, offset commits, and what a member costs."""
import functools
import itertools
import json

import nodes
from paced import Paced, per_request

NUMBERS = itertools.count(1)
# What each member asks at least until the group is stable: to join and to sync; to join, and to say what it has when
# it was told.
ROUNDS = 2
MEMORY_MEMBERS = 1000  # fewer drown in what a node needs anyway


def group_once(bench, node, protocol, members):
    number = next(NUMBERS)
    topic = f"groups-{number}"
    beats, commits = bench.choose((20000, 20000), (200000, 100000))
    node.topic(topic, members)
    client = Paced(nodes.GROUP, node.address, protocol, f"group-{number}", topic, members, members,
                   beats, commits)
    client.mark("connected")
    before = nodes.held(node) if members >= MEMORY_MEMBERS else 0
    client.go()
    figures = {"until stable, s": json.loads(client.read())["stable_seconds"]}
    if members >= MEMORY_MEMBERS:
        figures["held a member, KB"] = max(nodes.held(node) - before, 0) * 1e3 / members
    beaten, beat_span = client.measured(bench, node)
    committed, commit_span = client.measured(bench, node)
    client.go()
    client.end()
    node.forget(topic)
    return {**figures,
            "CPU µs a heartbeat": per_request(beat_span, beaten["count"])["CPU µs"],
            "heartbeats/s": beaten["count"] / beaten["seconds"],
            "CPU µs a commit": per_request(commit_span, committed["count"])["CPU µs"],
            "commits/s": committed["count"] / committed["seconds"]}


def floor(bench, members):
    """Small requests of as many connections, received, appended and answered."""
    found = bench.floor(members, 1, 160, 1, 1, bench.choose(20000, 100000), 1)
    stable = bench.floor(members, 1, 160, 1, 1, ROUNDS * members, 1)
    return {"until stable, s": stable["answered_seconds"],
            "CPU µs a heartbeat": found["cpu_us"], "CPU µs a commit": found["cpu_us"]}


def groups(bench):
    ready = bench.shared(nodes.PAGE_CACHE)
    for members in (100,) if bench.form == "quick" else (100, MEMORY_MEMBERS):
        for protocol in ("classic", "consumer"):
            if members < MEMORY_MEMBERS:
                for kind in bench.kinds:
                    group_once(bench, ready[kind], protocol, members)  # coordinator, JVM

            def run(kind, protocol=protocol, members=members):
                if members < MEMORY_MEMBERS:
                    return group_once(bench, ready[kind], protocol, members)
                # A node of its own: memory that an earlier group gave back would hide what this one takes.
                node = bench.node(kind, f"groups-{protocol}", nodes.PAGE_CACHE[kind]).start()
                try:
                    group_once(bench, node, protocol, 100)
                    return group_once(bench, node, protocol, members)
                finally:
                    bench.drop(node)

            bench.pairs("groups", f"{protocol}, {members:,} members", run,
                        most=bench.few(1) if members >= MEMORY_MEMBERS else None,
                        floor=functools.partial(floor, bench, members))
