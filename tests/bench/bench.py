# SPDX-License-Identifier: Apache-2.0
"""Barnabas beside Apache Kafka on one machine, in pairs that alternate: see README.md."""
import argparse
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import nodes
import report
import rows_life
import rows_load
import rows_request
import tools as apache_tools

ROWS = {"start": rows_life.start, "recover": rows_life.recover, "idle": rows_life.idle,
        "produce": rows_load.produce, "fetch": rows_load.fetch, "ping": rows_request.ping}


class Bench:
    """One run: where it lives, which nodes it compares, and what has been found."""

    def __init__(self, folder, kinds, quick):
        self.folder, self.kinds, self.quick = pathlib.Path(folder), kinds, quick
        self.tools = apache_tools.Tools()
        self.results = report.Results()
        self.made = []

    def choose(self, quick, full):
        return quick if self.quick else full

    def node(self, kind, name, properties=None):
        """A formatted node that does not run yet."""
        folder = self.folder / f"{name}-{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        node = nodes.KINDS[kind](folder, self.tools, properties=properties)
        node.format()
        self.made.append(node)
        return node

    def drop(self, *dropped):
        for node in dropped:
            node.close()
            shutil.rmtree(node.folder, ignore_errors=True)
            self.made.remove(node)

    def pairs(self, row, case, count, run):
        """run(kind) gives figures by name. The order flips from pair to pair."""
        for index in range(count):
            pair = {}
            for kind in self.kinds if index % 2 == 0 else reversed(self.kinds):
                try:
                    pair[kind] = run(kind)
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    self.fail(f"{row}, {case}, {kind}", error)
                    continue
                shown = ", ".join(f"{name} {report.number(value)}"
                                  for name, value in pair[kind].items())
                print(f"{row}, {case}, {kind}: {shown}", flush=True)
            self.results.add(row, case, pair)

    def fail(self, what, error):
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        self.results.failures.append(f"{what}: {why}")
        print(f"FAILED {what}: {error}", file=sys.stderr, flush=True)

    def sync_cost(self):
        """The machine's bare fdatasync just now, in microseconds."""
        out = subprocess.run([nodes.PROBE, "sync", self.folder, "200"], check=True,
                             capture_output=True, text=True)
        found = json.loads(out.stdout)
        return f"{found['p50_ns'] / 1000:.0f} µs (p99 {found['p99_ns'] / 1000:.0f})"

    def close(self):
        for node in self.made:
            node.close()
        self.tools.close()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW",
                        help=f"of {', '.join(ROWS)}, or `quick` for small volumes (default: all rows)")
    parser.add_argument("--output", default="build/bench", help="folder of bench.md and bench.json")
    parser.add_argument("--only", choices=list(nodes.KINDS), help="one of the two, without ratios")
    parser.add_argument("--folder", help="where the nodes live (default: the system's)")
    options = parser.parse_args()
    wanted = [row for row in options.rows if row != "quick"] or list(ROWS)
    unknown = set(wanted) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    kinds = [options.only] if options.only else list(nodes.KINDS)
    with tempfile.TemporaryDirectory(prefix="barnabas-bench-", dir=options.folder) as folder:
        bench = Bench(folder, kinds, "quick" in options.rows)
        try:
            for row in wanted:
                bench.results.facts[f"bare fdatasync before {row}"] = bench.sync_cost()
                try:
                    ROWS[row](bench)
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    bench.fail(row, error)
                bench.drop(*list(bench.made))
                report.write(bench.results, pathlib.Path(options.output), sys.argv[1:])
        finally:
            bench.close()
    page = report.write(bench.results, pathlib.Path(options.output), sys.argv[1:])
    print("\n" + "\n".join(page))
    return 1 if bench.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
