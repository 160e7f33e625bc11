#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line and branch coverage per module from gcov's files, and the lines that nothing ran.

  coverage_summary.py BUILD [MODULE…] [--uncovered FILE]

BUILD was configured with -Db_coverage=true and has run its tests. Reads what `gcov --json-format` says of each
object; a branch counts once, whatever number of objects hold it. Branches of ASSERT's failing side and of
generated sources are left out: the first is there not to be taken, the second is held by its generator's tests.
"""

import argparse
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

DEFAULT_MODULES = ("records", "storage", "raft", "protocol")


def counters(build, module):
    """gcov's data files of one module's library."""
    folder = build / "src" / module / f"lib{module}.a.p"
    return sorted(folder.glob("*.gcda"))


def gcov(build, files):
    """What gcov says of the data files, as parsed JSON documents."""
    with tempfile.TemporaryDirectory() as scratch:
        for start in range(0, len(files), 50):
            subprocess.run(
                ["gcov", "--json-format", "--branch-probabilities"]
                + [str(path.resolve()) for path in files[start : start + 50]],
                cwd=scratch, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for path in sorted(pathlib.Path(scratch).glob("*.json.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as text:
                yield json.load(text)


def is_ours(root, build, name):
    """The source's path from the root, when it is hand-written code below src/."""
    path = pathlib.Path(name)
    path = (path if path.is_absolute() else build / path).resolve()
    try:
        inside = path.relative_to(root)
    except ValueError:
        return None
    if inside.parts[0] != "src" or "generated" in inside.parts or inside.parts[1].startswith("build"):
        return None
    return inside


def assertion_lines(path):
    """Numbers of lines that an ASSERT stands on, with its continuation."""
    found, is_open, depth = set(), False, 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not is_open and ("ASSERT(" in line or "ASSERT_DEBUG(" in line):
            is_open, depth = True, 0
        if is_open:
            found.add(number)
            depth += line.count("(") - line.count(")")
            is_open = depth > 0
    return found


def module_measure(root, build, module):
    """Per file: line → largest count, and (line, branch) → largest count."""
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    branches = collections.defaultdict(lambda: collections.defaultdict(int))
    for document in gcov(build, counters(build, module)):
        for source in document["files"]:
            path = is_ours(root, build, source["file"])
            if path is None or path.parts[1] != module:
                continue
            for line in source["lines"]:
                number = line["line_number"]
                lines[path][number] = max(lines[path][number], line["count"])
                for index, branch in enumerate(line["branches"]):
                    key = (number, index)
                    branches[path][key] = max(branches[path][key], branch["count"])
    return lines, branches


def ratio(covered, total):
    return f"{100.0 * covered / total:.1f} %" if total else "–"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("modules", nargs="*", default=DEFAULT_MODULES)
    parser.add_argument("--uncovered", type=pathlib.Path, help="write the lines that nothing ran here")
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    build = options.build.resolve()
    missing = []
    print("| module | lines | run | branches | taken |\n|---|---|---|---|---|")
    for module in options.modules:
        lines, branches = module_measure(root, build, module)
        if not lines:
            sys.exit(f"no counters of {module} in {build}: configure with -Db_coverage=true, run tests")
        totals = [0, 0, 0, 0]
        for path in sorted(lines):
            asserted = assertion_lines(root / path)
            dead = sorted(n for n, count in lines[path].items() if not count)
            taken = {key: count for key, count in branches[path].items() if key[0] not in asserted}
            totals[0] += len(lines[path])
            totals[1] += len(lines[path]) - len(dead)
            totals[2] += len(taken)
            totals[3] += sum(1 for count in taken.values() if count)
            text = (root / path).read_text(encoding="utf-8").splitlines()
            missing += [f"{path}:{n}: {text[n - 1].strip()}" for n in dead if n <= len(text)]
        print(f"| {module} | {totals[0]} | {ratio(totals[1], totals[0])} | {totals[2]} | "
              f"{ratio(totals[3], totals[2])} |")
    if options.uncovered:
        options.uncovered.write_text("\n".join(missing) + "\n", encoding="utf-8")
        print(f"{len(missing)} lines that nothing ran: {options.uncovered}")


if __name__ == "__main__":
    main()
