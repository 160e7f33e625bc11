#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts tests over the reports of several runners and ends with one line, `N passed, N failed`.

  test_summary.py REPORT…   testlog.json of meson, junit files (*.xml) of pytest

Programs of cmocka speak TAP (CMOCKA_MESSAGE_OUTPUT=TAP) and count test by test; any other program is
one test. The whole output of a failed program is shown. A report that is missing or empty is a
failure: a runner that did not run must not look green.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

# Not anchored: a test may have printed without a newline.
TAP = re.compile(r"(not )?ok \d+ (-|# SKIP) (.*)")
PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)


class Count:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []

    def fail(self, text, count=1):
        self.failed += count
        print(f"FAILED {text}")


def program_count(test, count):
    output = (test.get("stdout") or "").replace("\r", "")
    lines = TAP.findall(output)
    planned = sum(int(number) for number in PLAN.findall(output))
    skipped = [name for _, kind, name in lines if kind != "-"]
    passed = sum(1 for word, kind, _ in lines if kind == "-" and not word)
    reached = passed + len(skipped)
    result = test["result"]
    if result == "SKIP":
        count.skipped.append(f"{test['name']} (said so itself)")
        return
    if result in ("OK", "EXPECTEDFAIL") and reached == len(lines) and planned <= reached:
        count.passed += passed if lines else 1
        count.skipped += [f"{test['name']}: {name}" for name in skipped]
        return
    count.passed += passed
    why = {"FAIL": f"status {test['returncode']}", "TIMEOUT": "time ran out"}.get(result, result)
    if planned > len(lines):
        why += f", after test {len(lines)} of {planned}"
    # What was planned and never reached its end has not passed.
    count.fail(f"{test['name']}: {why}", max(len(lines) - reached, planned - reached, 1))
    print("  command: " + " ".join(map(str, test.get("command", []))))
    for text in (output, test.get("stderr") or ""):
        for line in text.splitlines():
            print("  " + line)


def meson_count(path, count):
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip():
            program_count(json.loads(line), count)


def junit_count(path, count):
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(name)  # pytest has shown the rest
        elif case.find("skipped") is not None:
            count.skipped.append(f"{name}: {case.find('skipped').get('message')}")
        else:
            count.passed += 1


def main():
    total = Count()
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in map(pathlib.Path, sys.argv[1:]):
        before = total.passed + total.failed + len(total.skipped)
        try:
            (junit_count if path.suffix == ".xml" else meson_count)(path, total)
        except (OSError, ValueError, KeyError, xml.ParseError) as error:
            total.fail(f"{path}: {error}")
            continue
        if before == total.passed + total.failed + len(total.skipped):
            total.fail(f"{path}: no test ran")
    for text in total.skipped:
        print(f"skipped {text}")
    print(f"{total.passed} passed, {total.failed} failed")
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
