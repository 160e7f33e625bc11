# SPDX-License-Identifier: Apache-2.0
"""The history of a run as JSON lines, in the order in which events happened to this process: one lock, one file, one
monotone clock. tests/history/history.h says what an event means; history_check judges."""
import json
import re
import subprocess
import threading
import time

from paths import HISTORY_CHECK


class History:
    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.file = open(path, "w", encoding="ascii")
        self.next_op, self.next_value, self.count = 0, 0, 0
        self.wall_offset_ms = 0

    def wall_ms(self):
        """Of the node."""
        return int(time.time() * 1000) + self.wall_offset_ms

    def values(self, count):
        with self.lock:
            self.next_value += count
            return self.next_value - count

    def add(self, kind, phase=None, op=None, **fields):
        """An invocation gets a number, which joins its end to it."""
        with self.lock:
            event = {"kind": kind, "time_ns": time.monotonic_ns(), "wall_ms": self.wall_ms()}
            if phase:
                event["phase"] = phase
                if op is None:
                    op, self.next_op = self.next_op, self.next_op + 1
                event["op"] = op
            event.update((name, value) for name, value in fields.items() if value is not None)
            self.file.write(json.dumps(event, separators=(",", ":")) + "\n")
            self.count += 1
        return op

    def mark(self, mark):
        self.add("mark", mark=mark)

    def check(self):
        """(violations, what history_check said)"""
        self.file.close()
        done = subprocess.run([HISTORY_CHECK, self.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = done.stdout.strip().splitlines()
        violations = [line for line in lines if re.match(r"\w+ event \d+: ", line)]
        if done.returncode != bool(violations) or not lines:
            raise AssertionError(f"history_check ended with {done.returncode}: {done.stdout}")
        return violations, "; ".join(line for line in lines if line not in violations)
