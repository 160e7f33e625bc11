# SPDX-License-Identifier: Apache-2.0
"""Instructions of the node per request, counted under callgrind and held against a stored baseline.

`./dev instructions [--update] [--show TRACE] [TRACE]`. One thread, no kernel, no clock: the same
program gives the same count on each run, whatever else the machine does. What the simulated machine
itself needs (src/os/sim*, and what it calls of libc and src/base) is taken out.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASELINE = pathlib.Path(__file__).with_name("instructions.json")
TOLERANCE = 0.02
# Another compiler makes other code: only what is far off is then a finding.
TOLERANCE_OTHER_COMPILER = 0.15


def is_machine(file):
    return "/os/sim" in file or "tests/" in file


def is_helper(file):
    """What the machine calls and that never calls the node: libc, lists, allocators."""
    return "/src/" not in file and not file.startswith("../src/") or "src/base/" in file


class Profile:
    """One dump: self cost by function, and the machine's calls of helpers."""

    def __init__(self, path):
        self.trace, self.requests = "", 0
        self.functions = collections.Counter()
        helped = collections.Counter()
        # With --compress-strings=no a cfi line stands only where the callee's file is another one.
        file = function = callee_file = callee = ""
        is_call = False
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("desc: Trigger: Client Request: "):
                self.trace, _, count = line.partition("Client Request: ")[2].rpartition(": ")
                self.requests = int(count)
            elif line.startswith("fl="):
                file = line[3:]
            elif line.startswith("fn="):
                function = line[3:]
                callee_file = file
            elif line.startswith(("cfi=", "cfl=")):
                callee_file = line[4:]
            elif line.startswith("cfn="):
                callee = line[4:]
            elif line.startswith("calls="):
                is_call = True
            elif re.match(r"[0-9+*-]", line):
                words = line.split()
                cost = int(words[-1]) if len(words) > 1 else 0
                if is_call:
                    if is_machine(file) and is_helper(callee_file) and not is_machine(callee_file):
                        helped[(callee_file, callee)] += cost
                    is_call = False
                    callee_file = file
                elif not is_machine(file):
                    self.functions[(file, function)] += cost
        self.total = sum(self.functions.values()) - sum(helped.values())

    def show(self, count):
        print(f"\n{self.trace}: {self.total / self.requests:,.0f} instructions a request")
        for (file, function), cost in self.functions.most_common(count):
            name = file.partition("src/")[2] or pathlib.Path(file).name
            print(f"  {cost / self.requests:10,.1f}  {function}  {name}")


def measure(program, only):
    with tempfile.TemporaryDirectory(prefix="barnabas-instructions-") as folder:
        words = ["valgrind", "--tool=callgrind", "--toggle-collect=on_ready", "--dump-line=no",
                 "--compress-strings=no", "--compress-pos=no", "--quiet",
                 f"--callgrind-out-file={folder}/out", str(program)]
        subprocess.run([*words, *([only] if only else [])], check=True, stdout=subprocess.DEVNULL)
        found = [Profile(path) for path in sorted(pathlib.Path(folder).iterdir(), key=lambda each:
                                                  int("0" + each.suffix[1:]))]
    return [profile for profile in found if profile.requests > 0]


def compiler():
    out = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False).stdout
    return (out.splitlines() or ["unknown"])[0]


def compare(profiles):
    stored = json.loads(BASELINE.read_text(encoding="utf-8"))
    known = stored["instructions"]
    is_same = stored["compiler"] == compiler()
    tolerance = TOLERANCE if is_same else TOLERANCE_OTHER_COMPILER
    if not is_same:
        print(f"the baseline was made by {stored['compiler']}, this is {compiler()}: "
              f"{tolerance:.0%} are tolerated")
    passed = failed = 0
    for profile in profiles:
        now = profile.total / profile.requests
        before = known.get(profile.trace)
        change = now / before - 1 if before else float("inf")
        is_good = change <= tolerance
        passed, failed = passed + is_good, failed + (not is_good)
        word = "ok" if is_good else "FAILED"
        if change < -tolerance:
            word = "ok, better: store it with --update"
        print(f"{word}: {profile.trace}: {now:,.0f} instructions"
              + (f", {change:+.2%}" if before else ", no baseline"))
    return passed, failed


def main():
    parser = argparse.ArgumentParser(prog="./dev instructions",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("trace", nargs="?", help="only traces whose names hold this text")
    parser.add_argument("--update", action="store_true", help="store what is counted as baseline")
    parser.add_argument("--show", type=int, metavar="N", help="the N dearest functions of each")
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build-instructions/tests/bench/bench-instructions")
    options = parser.parse_args()
    profiles = measure(options.program, options.trace)
    if options.show:
        for profile in profiles:
            profile.show(options.show)
    if options.update:
        stored = {"compiler": compiler(), "instructions": {}}
        if options.trace:
            stored = json.loads(BASELINE.read_text(encoding="utf-8"))
        stored["instructions"].update({profile.trace: round(profile.total / profile.requests, 1)
                                       for profile in profiles})
        BASELINE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        for trace, count in stored["instructions"].items():
            print(f"{trace}: {count:,.0f}")
        print(f"{len(profiles)} passed, 0 failed")
        return 0
    passed, failed = compare(profiles)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
