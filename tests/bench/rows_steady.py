# SPDX-License-Identifier: Apache-2.0
"""steady: latency at a rate that does not wait for answers (no coordinated omission)."""
import functools
import itertools

import nodes
import rows_load
from paced import Paced

TOPICS = itertools.count(1)
MODES = {"page cache": nodes.PAGE_CACHE, "durable": nodes.DURABLE}
PERCENTILES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}
CONNECTIONS = 8


def floor(bench, rate, durable):
    """What a process is charged for that only sleeps until a record is due; durable: and syncs then."""
    wake, sync = bench.wake(rate), bench.sync() if durable else {}
    return {f"{what} {word} µs": wake[key] + sync.get(key, 0) if word == "p50"
            else max(wake[key], sync.get(key, 0))
            for what in ("ack", "end to end") for word, key in PERCENTILES.items()}


def steady(bench):
    for mode, rate in (("page cache", 1000), ("page cache", 10000), ("durable", 1000)):
        ready = bench.shared(MODES[mode])
        warm_up, seconds = bench.choose((2, 8 if rate == 1000 else 5), (30, 300))

        def run(kind, ready=ready, mode=mode, rate=rate, warm_up=warm_up, seconds=seconds):
            topic = f"steady-{next(TOPICS)}"
            ready[kind].topic(topic, 1)
            name = f"steady-{mode.replace(' ', '-')}-{rate}-{kind}.txt"
            client = Paced(nodes.STEADY, ready[kind].address, topic, -1, CONNECTIONS, rate, 1024,
                           warm_up, seconds, bench.curve(name))
            client.mark("measure")
            found, _ = client.measured(bench, ready[kind])
            client.end()
            rows_load.verify_one(ready[kind], topic, rate * (warm_up + seconds))
            ready[kind].forget(topic)
            return {f"{what} {word} µs": found[f"{key}_{name}"] for what, key in
                    (("ack", "ack"), ("end to end", "end")) for word, name in PERCENTILES.items()}

        bench.pairs("steady", f"{mode}, {rate:,} records/s of 1 KB", run,
                    floor=functools.partial(floor, bench, rate, mode == "durable"))
