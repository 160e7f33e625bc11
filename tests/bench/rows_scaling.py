# SPDX-License-Identifier: Apache-2.0
"""scaling: processor time of a record as shards, partitions and connections grow, at equal records per batch and
request, beside the floor's own growth on the same machine."""
import functools
import itertools

import nodes
import rows_load
import rows_request

SHARE = 10  # partitions of one request, a record each
PART = 110  # bytes of such a batch, with its head
CONNECTIONS, PARTITIONS, SHARDS = (1, 10, 1000), (10, 1000, 10000), (1, 2)
TOPICS = itertools.count(1)


def scaling(bench):
    for grows, numbers in ((connections, CONNECTIONS), (partitions, PARTITIONS), (shards, SHARDS)):
        if any(bench.wants(f"{grows.__name__}: {number:,}") for number in numbers):
            grows(bench)
    growths(bench)


def connections(bench):
    ready = bench.shared(nodes.PAGE_CACHE)
    warm_up, count = bench.choose((10000, 40000), (100000, 200000))
    for number in CONNECTIONS:

        def run(kind, number=number):
            figures = rows_request.ping_once(bench, ready[kind], (number, 1, 1), warm_up, count)
            return {"CPU µs a record": figures["CPU µs"]}

        bench.pairs("scaling", f"connections: {number:,}", run, most=bench.few(2),
                    floor=functools.partial(floor, bench, number, 1, 1, count, 1))
    bench.flush(0.3)


def floor(bench, connections_count, files, parts, count, threads):
    size = rows_request.FRAME if parts == 1 else parts * PART
    found = bench.floor(connections_count, 1, size, files, parts, count, threads)
    return {"CPU µs a record": found["cpu_us"] / parts}


def partitions(bench):
    """Requests of ten partitions each, in turn over all of them."""
    ready = {kind: bench.node(kind, "scaling", nodes.PAGE_CACHE[kind]).start()
             for kind in bench.kinds}
    for kind in bench.kinds:  # the JVM's warm-up
        rows_request.wide_once(bench, ready[kind], SHARE, 2000, bench.choose(2000, 20000), SHARE)
    for number in PARTITIONS:
        # Every log is open once the warm-up has written to it.
        warm_up, count = number // SHARE, bench.choose(3000, 20000)

        def run(kind, number=number, warm_up=warm_up, count=count):
            topic, found, span = rows_request.wide_once(bench, ready[kind], number, warm_up, count,
                                                        SHARE)
            ready[kind].forget_wide(topic)
            records = found["count"] * SHARE
            return {"CPU µs a record": span.total * 1e6 / records,
                    "records/s": records / found["seconds"]}

        bench.pairs("scaling", f"partitions: {number:,}", run, most=bench.few(1),
                    floor=functools.partial(floor, bench, 1, number, SHARE, count, 1))
    bench.flush(0.6)
    bench.drop(*ready.values())


def shards(bench):
    """Ours alone has shards; Apache's threads are as many as it comes with."""
    warm_up, count = bench.choose((10000, 40000), (100000, 200000))
    for number in SHARDS:
        node = bench.node("barnabas", f"shards-{number}",
                          {**nodes.PAGE_CACHE["barnabas"], "barnabas.shards": number}).start()

        def run(_, node=node):
            figures = rows_request.ping_once(bench, node, (16, 1, 16), warm_up, count)
            return {"CPU µs a record": figures["CPU µs"]}

        if "barnabas" in bench.kinds:
            bench.pairs("scaling", f"shards: {number}", run, most=bench.few(2),
                        kinds=["barnabas"],
                        floor=functools.partial(floor, bench, 16, 16, 1, count, number))
    bench.flush()


def growths(bench):
    """How much dearer a record became: of each node, and of the floor."""
    for what, first, last in (("connections", 1, 1000), ("connections", 10, 1000),
                              ("partitions", 10, 10000), ("shards", *SHARDS)):
        bench.results.growth("scaling", f"{what}: {first:,} → {last:,}", f"{what}: {first:,}",
                             f"{what}: {last:,}", "CPU µs a record")
