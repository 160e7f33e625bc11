# SPDX-License-Identifier: Apache-2.0
"""steady: latency at a rate that does not wait for answers (no coordinated omission)."""
import functools
import itertools
import subprocess

import nodes
import rows_load
from paced import Paced

TOPICS = itertools.count(1)
MODES = {"page cache": nodes.PAGE_CACHE, "durable": nodes.DURABLE}
PERCENTILES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}
CONNECTIONS = 8


def measured(bench, node, topic, rate, warm_up, seconds, curve):
    client = Paced(nodes.STEADY, node.address, topic, -1, CONNECTIONS, rate, 1024, warm_up, seconds, curve)
    client.mark("measure")
    found, _ = client.measured(bench, node)
    client.end()
    return {f"{what} {word} µs": found[f"{key}_{name}"] for what, key in
            (("ack", "ack"), ("end to end", "end")) for word, name in PERCENTILES.items()}


class Relay:
    """A process that looks like a node and does nothing but what no broker can do without: floor_relay.c."""

    def __init__(self, bench, mode):
        self.process = subprocess.Popen([nodes.FLOOR_RELAY, bench.folder, mode.replace(" ", "-")],
                                        stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.wait(10)  # it ends with its client
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def curve_name(mode, rate, kind):
    return f"steady-{mode.replace(' ', '-')}-{rate}-{kind}.txt"


def floor(bench, mode, rate, seconds):
    """The same client beside a relay; how late a process wakes up that only sleeps stands with the run."""
    wake = bench.wake(rate)
    bench.results.facts[f"bare wake, {rate:,} a second"] = (
        f"{wake['p50_us']:.0f} µs (p99 {wake['p99_us']:.0f}, p99.9 {wake['p999_us']:.0f})")
    bench.settle()
    with Relay(bench, mode) as relay:
        return measured(bench, relay, "floor", rate, 1, seconds, bench.curve(curve_name(mode, rate, "floor")))


def steady(bench):
    for mode, rate in (("page cache", 1000), ("page cache", 10000), ("durable", 1000)):
        ready = bench.shared(MODES[mode])
        warm_up, seconds = bench.choose((2, 8 if rate == 1000 else 5), (30, 300))

        def run(kind, ready=ready, mode=mode, rate=rate, warm_up=warm_up, seconds=seconds):
            topic = f"steady-{next(TOPICS)}"
            ready[kind].topic(topic, 1)
            bench.settle()
            figures = measured(bench, ready[kind], topic, rate, warm_up, seconds,
                               bench.curve(curve_name(mode, rate, kind)))
            rows_load.verify_one(ready[kind], topic, rate * (warm_up + seconds))
            ready[kind].forget(topic)
            return figures

        bench.pairs("steady", f"{mode}, {rate:,} records/s of 1 KB", run,
                    floor=functools.partial(floor, bench, mode, rate, seconds))
