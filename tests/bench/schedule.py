# SPDX-License-Identifier: Apache-2.0
"""What runs next: the cases of a row in turn, a pair of each at a time, while the row's time lasts."""
import subprocess
import sys
import time

import report

# A pair is no pair when the machine was not the same before, between and after.
CANARY_PERCENT_MAX, STEAL_PERCENT_MAX, OTHERS_PERCENT_MAX = 5, 3, 10
BROKEN_PAIRS_MAX = 2  # of a case that one side failed; it is given up with the next one
FAILURES = (AssertionError, OSError, subprocess.SubprocessError)


class Case:
    """run(kind) gives figures by name; floor() those that the machine allows."""

    def __init__(self, row, name, run, wanted, floor, kinds):
        self.row, self.name, self.run, self.wanted = row, name, run, wanted
        self.floor, self.kinds = floor, kinds
        self.kept, self.rejected, self.broken, self.floors = [], [], [], []
        self.seconds = 0.0  # of the longest pair

    @property
    def tried(self):
        return len(self.kept) + len(self.rejected)

    @property
    def failed(self):
        return len(self.broken) > BROKEN_PAIRS_MAX

    @property
    def title(self):
        return f"{self.row}, {self.name}"


class Schedule:
    """Times of a run: when the row and when all of it has to end (None: when it is done)."""

    def __init__(self, bench, seconds):
        self.bench = bench
        self.end = time.monotonic() + seconds if seconds else None
        self.row_end = self.end
        self.queue, self.left_out = [], []
        self.canary_before = None

    def is_over(self):
        return self.end is not None and time.monotonic() >= self.end

    def is_row_over(self):
        return self.row_end is not None and time.monotonic() >= self.row_end

    def row_begin(self, weight, weights_left):
        """A row has its share of what is left; what it does not use is for those behind it."""
        self.queue, self.canary_before = [], None
        if self.end is None:
            return None
        share = max(self.end - time.monotonic(), 0) * weight / weights_left
        self.row_end = time.monotonic() + share
        return share

    def add(self, case):
        self.queue.append(case)

    def flush(self, share=1):
        """Every case has one pair, then every case two, and so on: time that ends early takes pairs, not cases. The
        order of the two flips from pair to pair. A disturbed pair is run again, in the full form twice as
        many at most; when too few are left, those that were least wanted are shown, and said."""
        cases, self.queue = self.queue, []
        begun = time.monotonic()
        end = self.row_end and begun + max(self.row_end - begun, 0) * share
        try:
            self.turns(cases, end)
        finally:  # an interrupt leaves what was measured
            for case in cases:
                self.count(case)

    def turns(self, cases, end):
        waiting = list(cases)
        while waiting:
            for case in list(waiting):
                limit = case.wanted * (2 if self.bench.form == "full" else 1)
                if len(case.kept) >= case.wanted or case.tried >= limit or case.failed:
                    waiting.remove(case)
                elif self.is_late(case, end):
                    waiting.remove(case)
                    if not case.tried:
                        self.left_out.append(case.title)
                        print(f"{case.title}: left out, the time is over", flush=True)
                else:
                    self.one(case)

    def is_late(self, case, end):
        if self.end is None:
            return False
        limit = end if case.tried else self.end
        return time.monotonic() + case.seconds > limit

    def one(self, case):
        begun, marks = time.monotonic(), len(self.bench.results.disturbances)
        before = self.canary_before or self.bench.canary()
        kinds = case.kinds
        pair = self.pair(case, kinds if case.tried % 2 == 0 else list(reversed(kinds)))
        if case.floor:
            self.floor(case)
        self.canary_before = self.bench.canary()
        why = self.disturbed(before, self.canary_before, marks)
        if why:
            print(f"{case.title}: disturbed: {why}", flush=True)
        if len(pair) < len(kinds):
            case.broken.append(pair)
        else:
            (case.rejected if why else case.kept).append(pair)
        case.seconds = max(case.seconds, time.monotonic() - begun)
        print(f"{case.title}: {time.monotonic() - begun:.0f} seconds", flush=True)

    def floor(self, case):
        try:
            case.floors.append(case.floor())
        except FAILURES as error:
            self.bench.fail(f"{case.title}, floor", error)
            return
        shown = ", ".join(f"{name} {report.number(value)}" for name, value in case.floors[-1].items())
        print(f"{case.title}, floor: {shown}", flush=True)

    def pair(self, case, kinds):
        pair = {}
        for kind in kinds:
            try:
                pair[kind] = case.run(kind)
            except FAILURES as error:
                self.bench.fail(f"{case.title}, {kind}", error)
                continue
            shown = ", ".join(f"{name} {report.number(value)}"
                              for name, value in pair[kind].items())
            print(f"{case.title}, {kind}: {shown}", flush=True)
        return pair

    def disturbed(self, before, after, marks):
        """Why a pair does not count; empty: it does."""
        why = []
        for name, value in before.items():
            moved = abs(after[name] / value - 1) * 100
            if moved > CANARY_PERCENT_MAX:
                why.append(f"{name} moved by {moved:.0f} %")
        for each in self.bench.results.disturbances[marks:]:
            if each["steal_percent"] > STEAL_PERCENT_MAX:
                why.append(f"steal {each['steal_percent']:.0f} %")
            if each["others_percent"] > OTHERS_PERCENT_MAX:
                why.append(f"others used {each['others_percent']:.0f} %")
        return ", ".join(dict.fromkeys(why))

    def count(self, case):
        wanted = max(case.wanted - len(case.kept), 0)
        results = self.bench.results
        results.rejected += len(case.rejected) - min(wanted, len(case.rejected))
        results.doubtful += min(wanted, len(case.rejected))
        # One side alone, when there is nothing else.
        for pair in case.kept + case.rejected[:wanted] or case.broken[:1]:
            results.add(case.row, case.name, pair)
        for figures in case.floors:
            results.add_floor(case.row, case.name, figures)


def fail(results, what, error):
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    results.failures.append(f"{what}: {why}")
    print(f"FAILED {what}: {error}", file=sys.stderr, flush=True)
