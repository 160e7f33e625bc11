#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Line and branch coverage per module from gcov's files, beside what docs/coverage/<module>.txt says of the rest.

  coverage_summary.py BUILD [MODULE…] [--uncovered FILE] [--strict]

Without MODULE: the STRICT_MODULES, and below them each other module that has counters.

BUILD was configured with -Db_coverage=true and has run its tests. Reads what `gcov --json-format` says of each
object; a branch counts once, whatever number of objects hold it. Branches of ASSERT's failing side and of
generated sources are left out: the first is there not to be taken, the second is held by its generator's tests.

What is left of a module is explained in docs/coverage/<module>.txt, an entry of two lines each (docs/coverage.md
has the classes; lines that begin with # are comments):

  read.c read_step: race 1: the segment goes while its file is being opened
      if (segment == NULL || segment->is_doomed)

file and function, class, number of branches of that source line that nothing takes (with several such lines in the
function: of each), and why; below it the source line as it stands, without its indentation. A line that nothing ran,
and its branches, need no entry if the nearest line above it that was run, in the same function, has one: what it lacks
is that branch. A line without a branch has the number 0. --uncovered lists all that is not taken, with "explained" or
"LEFT" before each. --strict holds the STRICT_MODULES to it: it lists what is left, entries that explain what is taken
(or more of it than nothing takes), and entries that name a line that is no more, and fails when there is any.
"""

import argparse
import collections
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

STRICT_MODULES = ("records", "storage", "raft", "protocol")
CLASSES = ("memory", "sampled", "race", "foreign", "bug", "defence", "compiler", "machine")
ENTRY = re.compile(r"(\S+) (\w+): (\w+) (\d+): (.+)")


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


class SourceFile:
    """What was counted in one file: of each line its largest count, its function, and its branches' counts."""

    def __init__(self):
        self.lines = collections.defaultdict(int)
        self.functions = {}
        self.branches = collections.defaultdict(lambda: collections.defaultdict(int))

    def add(self, line):
        number = line["line_number"]
        self.lines[number] = max(self.lines[number], line["count"])
        self.functions.setdefault(number, line.get("function_name", ""))
        for index, branch in enumerate(line["branches"]):
            counts = self.branches[number]
            counts[index] = max(counts[index], branch["count"])


def module_measure(root, build, module):
    """Path → SourceFile of a module's hand-written files."""
    files = collections.defaultdict(SourceFile)
    for document in gcov(build, counters(build, module)):
        for source in document["files"]:
            path = is_ours(root, build, source["file"])
            if path is None or path.parts[1] != module:
                continue
            for line in source["lines"]:
                files[path].add(line)
    return files


class Entry:
    def __init__(self, where, count):
        self.where, self.count, self.is_used, self.is_current = where, count, False, False
        self.untaken = 0  # of the line that has most


def explanations(root, module):
    """(file, function, source line) → Entry of docs/coverage/<module>.txt, and what is wrong with the file."""
    path = root / "docs" / "coverage" / f"{module}.txt"
    found, wrong, head = {}, [], None
    if not path.exists():
        return found, wrong
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.relative_to(root)}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if head is None:
                wrong.append(f"{where}: a source line without an entry above it")
                continue
            key = (head.group(1), head.group(2), line.strip())
            if key in found:
                wrong.append(f"{where}: the same line again")
            found[key] = Entry(where, int(head.group(4)))
            head = None
            continue
        if head is not None:
            wrong.append(f"{where}: the entry before it lacks its source line")
        head = ENTRY.fullmatch(line)
        if head is None:
            wrong.append(f"{where}: not an entry: FILE FUNCTION: CLASS NUMBER: WHY")
        elif head.group(3) not in CLASSES:
            wrong.append(f"{where}: {head.group(3)} is none of {', '.join(CLASSES)}")
    return found, wrong


class Totals:
    def __init__(self):
        self.lines = self.lines_run = self.branches = self.taken = self.explained = self.left = 0


def file_judge(root, module, path, source, entries, totals):
    """Adds a file to the totals; says what nothing takes, in order, as lines of text."""
    said = []
    text = (root / path).read_text(encoding="utf-8").splitlines()
    asserted = assertion_lines(root / path)
    inside = str(path.relative_to(pathlib.Path("src") / module))
    controlling = {}  # function → has the nearest run line above an entry?
    for number in sorted(source.lines):
        if number > len(text):
            continue
        function, content = source.functions[number], text[number - 1].strip()
        branches = {} if number in asserted else source.branches.get(number, {})
        untaken = sum(1 for count in branches.values() if not count)
        is_run = source.lines[number] > 0
        totals.lines += 1
        totals.lines_run += is_run
        totals.branches += len(branches)
        totals.taken += len(branches) - untaken
        entry = entries.get((inside, function, content))
        if entry is not None:
            entry.is_current = True
            entry.is_used |= untaken > 0 or not is_run
            entry.untaken = max(entry.untaken, untaken)
        if is_run:
            if untaken > 0 or entry is not None:
                controlling[function] = entry is not None
            elif branches:
                controlling[function] = False
        if untaken == 0 and is_run:
            continue
        allowed = entry.count if entry is not None else 0
        if entry is None and not is_run and controlling.get(function):
            allowed = untaken  # it lacks the branch above it, which has an entry
            is_explained = True
        else:
            is_explained = entry is not None and untaken <= allowed
        totals.explained += min(untaken, allowed)
        totals.left += max(untaken - allowed, 0) if untaken else not is_explained
        said.append(f"{'explained' if is_explained else 'LEFT'} {path}:{number} {function}: "
                    f"{untaken} of {len(branches)}{'' if is_run else ', not run'}: {content}")
    return said


def ratio(covered, total):
    return f"{100.0 * covered / total:.1f} %" if total else "–"


def entries_judge(entries):
    """What is wrong with a module's entries: those of lines that are no more, those that explain what is taken."""
    stale, taken = [], []
    for (name, function, content), entry in entries.items():
        where = f"{entry.where}: {name} {function}"
        if not entry.is_current:
            stale.append(f"{where}: no such line: {content}")
        elif not entry.is_used:
            taken.append(f"taken {where}: {content}")
        elif entry.untaken < entry.count:
            taken.append(f"taken {where}: explains {entry.count}, not taken {entry.untaken}: {content}")
    return stale, taken


def others(build):
    """The modules beside the strict ones that have counters."""
    names = sorted(folder.name for folder in (build / "src").iterdir() if folder.is_dir())
    return [name for name in names if name not in STRICT_MODULES and counters(build, name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--uncovered", type=pathlib.Path, help="write what nothing takes here")
    parser.add_argument("--strict", action="store_true",
                        help=f"fail when something of {', '.join(STRICT_MODULES)} is not as docs/coverage says")
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    build = options.build.resolve()
    said, wrong = [], []
    modules = options.modules or [*STRICT_MODULES, *others(build)]
    print("| module | lines | run | branches | taken | explained | left |\n|---|---|---|---|---|---|---|")
    for module in modules:
        files = module_measure(root, build, module)
        if not files:
            sys.exit(f"no counters of {module} in {build}: configure with -Db_coverage=true, run tests")
        entries, mistakes = explanations(root, module)
        totals = Totals()
        for path in sorted(files):
            said += (found := file_judge(root, module, path, files[path], entries, totals))
            if module in STRICT_MODULES:
                wrong += [line for line in found if line.startswith("LEFT")]
        stale, taken = entries_judge(entries)
        said += taken
        if module in STRICT_MODULES:
            wrong += mistakes + stale + taken
        print(f"| {module} | {totals.lines} | {ratio(totals.lines_run, totals.lines)} | {totals.branches} | "
              f"{ratio(totals.taken, totals.branches)} | {totals.explained} | {totals.left} |")
    if options.uncovered:
        options.uncovered.write_text("\n".join(said) + "\n", encoding="utf-8")
        print(f"what nothing takes: {options.uncovered}")
    for line in wrong:
        print(line)
    judged = ", ".join(module for module in modules if module in STRICT_MODULES)
    if not judged:
        return
    if wrong:
        print(f"{judged}: {len(wrong)} lines are not as docs/coverage says")
        sys.exit(1 if options.strict else 0)
    print(f"{judged}: every branch that nothing takes is explained in docs/coverage")


if __name__ == "__main__":
    main()
