# SPDX-License-Identifier: Apache-2.0
"""Barnabas beside Apache Kafka on one machine, in pairs that alternate: see README.md."""
import argparse
import collections
import itertools
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import nodes
import report
import rows_clean
import rows_group
import rows_life
import rows_load
import rows_request
import rows_scaling
import rows_steady
import rows_transaction
import schedule
import tools as apache_tools

# In the order of importance. `quick`: its seconds in the quick form; `final`: its share of the minutes that the final
# form is given; 0: not part of it.
Row = collections.namedtuple("Row", "run quick final")
ROWS = {
    "produce": Row(rows_load.produce, 120, 180),
    "default": Row(rows_load.default, 20, 40),
    "ping": Row(rows_request.ping, 90, 140),
    "steady": Row(rows_steady.steady, 80, 130),
    "fetch": Row(rows_load.fetch, 50, 70),
    "small": Row(rows_request.small, 20, 20),
    "wide": Row(rows_request.wide, 30, 70),
    "idle": Row(rows_life.idle, 60, 60),
    "start": Row(rows_life.start, 60, 75),
    "recover": Row(rows_life.recover, 0, 45),
    "scaling": Row(rows_scaling.scaling, 50, 60),
    "groups": Row(rows_group.groups, 30, 60),
    "transactions": Row(rows_transaction.transactions, 0, 150),
    "clean": Row(rows_clean.clean, 0, 0),
}
FORMS = ("quick", "final")
FINAL_MINUTES = 15
DESCRIPTORS = 131072
FORGOTTEN_SECONDS, SETTLED_SECONDS = 1.2, 0.3  # file.delete.delay.ms of both is 1000


class Bench:
    """One run: where it lives, which nodes it compares, and what has been found."""

    def __init__(self, folder, options, form):
        self.folder, self.form, self.output = pathlib.Path(folder), form, options.output
        self.kinds = [options.only] if options.only else list(nodes.KINDS)
        self.pairs_wanted, self.case_wanted = options.pairs, options.case
        self.tools = apache_tools.Tools()
        self.results = report.Results()
        self.made, self.shared_nodes, self.numbers = [], {}, itertools.count(1)
        seconds = (options.minutes or {"final": FINAL_MINUTES}.get(form, 0)) * 60
        if form == "quick" and not seconds:
            seconds = sum(ROWS[row].quick or ROWS[row].final or 60 for row in options.rows)
        self.schedule = schedule.Schedule(self, seconds)

    def choose(self, short, full):
        """Volumes: of the quick and the final form, and of the full one."""
        return full if self.form == "full" else short

    # ---- nodes ----

    def node(self, kind, name, properties=None):
        """A formatted node that does not run yet."""
        folder = self.folder / f"{name}-{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        node = nodes.KINDS[kind](folder, self.tools, properties=properties)
        node.format()
        self.made.append(node)
        return node

    def shared(self, properties):
        """Running nodes of these properties, warm; the rows share them, for a JVM's warm-up is dear."""
        ready = {}
        for kind in self.kinds:
            key = (kind, json.dumps(properties[kind], sort_keys=True))
            node = self.shared_nodes.get(key)
            if node and not node.is_alive():
                self.fail(f"a node of {kind} is gone", AssertionError(node.log_tail(5)))
                self.drop(node)
                node = None
            if not node:
                node = self.node(kind, f"shared-{next(self.numbers)}", properties[kind]).start()
                rows_load.warm(self, node)
                self.shared_nodes[key] = node
            ready[kind] = node
        return ready

    def drop(self, *dropped):
        for node in dropped:
            node.close()
            shutil.rmtree(node.folder, ignore_errors=True)
            self.made.remove(node)
            self.shared_nodes = {key: each for key, each in self.shared_nodes.items()
                                 if each is not node}

    def drop_unshared(self):
        kept = list(self.shared_nodes.values())
        self.drop(*(node for node in list(self.made) if node not in kept))

    def close(self):
        for node in self.made:
            node.close()
        self.tools.close()

    # ---- figures ----

    def few(self, short):
        """Pairs of what matters less, or takes long, in the quick and the final form, unless their number was given."""
        return None if self.pairs_wanted else self.choose(short, None)

    def wants(self, case):
        """Whoever has to make nodes for a case asks before."""
        return not self.case_wanted or self.case_wanted in case

    def pairs(self, row, case, run, most=None, floor=None, kinds=None):
        """To be run in pairs by flush(): run(kind) gives figures by name. `most`: more pairs tell no more."""
        if not self.wants(case):
            return
        wanted = self.pairs_wanted or {"quick": 3}.get(self.form, 5)
        self.schedule.add(schedule.Case(
            row, case, run, min(wanted, most or wanted), floor, kinds or self.kinds))

    def flush(self, share=1):
        """Runs them, in this share of the time that the row has left."""
        self.schedule.flush(share)

    def canary(self):
        """How fast the machine is just now: computing, and waking another process."""
        out = subprocess.run([nodes.PROBE, "canary"], check=True, capture_output=True, text=True)
        found = json.loads(out.stdout)
        self.results.canaries.append(found)
        return found

    def floor(self, *words, tool=nodes.FLOOR):
        """What receiving, a CRC and appending take alone: see floor.c; of fetches floor_fetch.c."""
        out = subprocess.run([tool, self.folder, *map(str, words)], check=True,
                             capture_output=True, text=True, timeout=120)
        return json.loads(out.stdout)

    def floor_broker(self, partitions, run, threads=None):
        """The figures of run(node) of the least that can be sent the same as a broker: see floor_broker.c. `threads`:
        numbers of those that sync, each tried, for the best of each figure is the floor; None: the page cache."""
        best = {}
        for number in threads or (0,):
            with nodes.FloorBroker(self.folder, partitions, threads is not None, number) as node:
                found = run(node)
            for name, value in found.items():
                if name.startswith(("user", "system")):  # hundredths of a second
                    continue
                better = max if report.is_more_better(name) else min
                best[name] = better(best.get(name, value), value)
        return best

    def wake(self, rate):
        """How late a process is that sleeps and does nothing else, in microseconds: p50_us, p99_us, p999_us."""
        out = subprocess.run([nodes.PROBE, "wake", str(rate), "2"], check=True, capture_output=True,
                             text=True)
        return json.loads(out.stdout)

    @staticmethod
    def settle():
        """Nothing that was written before is written while the next is measured, nor are its blocks freed: topics that
        went are deleted a second later."""
        time.sleep(FORGOTTEN_SECONDS)
        os.sync()
        time.sleep(SETTLED_SECONDS)

    def sync(self):
        """The bare fdatasync of a small append, in microseconds."""
        out = subprocess.run([nodes.PROBE, "sync", self.folder, "200"], check=True,
                             capture_output=True, text=True)
        found = json.loads(out.stdout)
        return {"p50_us": found["p50_ns"] / 1e3, "p99_us": found["p99_ns"] / 1e3}

    def curve(self, name):
        """A file for a distribution, next to the results."""
        folder = self.output / "curves"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def fail(self, what, error):
        schedule.fail(self.results, what, error)


def run_rows(bench, wanted):
    weights = {row: (ROWS[row].quick if bench.form == "quick" else ROWS[row].final) or 60
               for row in wanted}
    for index, row in enumerate(wanted):
        if bench.schedule.is_over():
            bench.schedule.left_out += wanted[index:]
            break
        budget = bench.schedule.row_begin(weights[row], sum(weights[each] for each in wanted[index:]))
        print(f"== {row}" + (f": {budget:.0f} seconds" if budget else ""), flush=True)
        begun = time.monotonic()
        found = bench.sync()
        bench.results.facts[f"bare fdatasync before {row}"] = (f"{found['p50_us']:.0f} µs "
                                                               f"(p99 {found['p99_us']:.0f})")
        try:
            ROWS[row].run(bench)
            bench.flush()
        except schedule.FAILURES as error:
            bench.fail(row, error)
        bench.drop_unshared()
        bench.results.seconds[row] = round(time.monotonic() - begun)
        print(f"== {row}: took {bench.results.seconds[row]} seconds", flush=True)
        write(bench)


def write(bench):
    bench.results.left_out = bench.schedule.left_out
    return report.write(bench.results, bench.output, sys.argv[1:])


def read_options():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help=f"of {', '.join(ROWS)} (default: all rows); `quick`: small volumes, in ten minutes; "
                        f"`final`: the rows in the order of importance, as many pairs as the minutes give")
    parser.add_argument("--pairs", type=int, help="pairs of each case (default: 5, quick 3)")
    parser.add_argument("--case", metavar="TEXT", help="only cases whose name has it")
    parser.add_argument("--minutes", type=float,
                        help=f"begin nothing that would end later (default: final {FINAL_MINUTES}, full: none)")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/bench"),
                        help="folder of bench.md and bench.json; a copy goes to bench/results/<date>.json")
    parser.add_argument("--only", choices=list(nodes.KINDS), help="one of the two, without ratios")
    parser.add_argument("--folder", help="where the nodes live (default: the system's)")
    options = parser.parse_args()
    forms = [word for word in options.rows if word in FORMS]
    options.rows = [word for word in options.rows if word not in FORMS]
    unknown = set(options.rows) - set(ROWS)
    if unknown or len(forms) > 1:
        parser.error(f"no such row: {', '.join(sorted(unknown))}" if unknown else "two forms")
    form = forms[0] if forms else "full"
    if not options.rows:
        options.rows = [name for name, row in ROWS.items()
                        if {"quick": row.quick, "final": row.final}.get(form, 1)]
    return options, form


def descriptors_raise():
    """As many as Kafka's documentation asks for at the least, for both nodes; what is allowed otherwise."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, DESCRIPTORS), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (ValueError, OSError):
            pass


def main():
    options, form = read_options()
    descriptors_raise()
    with tempfile.TemporaryDirectory(prefix="barnabas-bench-", dir=options.folder) as folder:
        bench = Bench(folder, options, form)
        try:
            run_rows(bench, options.rows)
        except KeyboardInterrupt:
            bench.fail("the run", AssertionError("was interrupted"))
        finally:
            bench.close()
    page = write(bench)
    if not options.only and options.pairs != 1:  # a single pair is a trial
        report.keep(options.output)
    print("\n" + "\n".join(page))
    return 1 if bench.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
