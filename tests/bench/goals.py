# SPDX-License-Identifier: Apache-2.0
"""What was set out to be reached, held against a run: a table, what was missed first."""
import collections

import report

Goal = collections.namedtuple("Goal", "row case figure times")
FLOOR_TIMES = 1.5  # produce: within this of the floor
FLOOR_UNDERCUT = 0.8  # what ours beats by more met a worse minute than ours, and limits nothing
GROWTH = 1.2  # scaling: a record may become so much dearer
CPU, CPU_GB = "CPU µs", "CPU s/GB"


def produce():
    for name, times in (("100 B", 8), ("1 KB", 8), ("10 KB", 5)):
        for acks in ("1", "all"):
            yield Goal("produce", f"{name}, none, acks={acks}", CPU_GB, times)
    for name in ("100 B", "1 KB"):
        for codec, times in (("lz4", 8), ("zstd", 6)):
            yield Goal("produce", f"{name}, {codec}, acks=1", CPU_GB, times)


def steady():
    for rate, goals in (("1,000", (3, 6, 10)), ("10,000", (4, 10, 15))):
        for word, times in zip(("p50", "p99", "p99.9"), goals):
            yield Goal("steady", f"page cache, {rate} records/s of 1 KB", f"end to end {word} µs", times)


def transactions():
    for mode, times in (("page cache", 8), ("durable", 4)):
        for client in ("wire", "Java"):
            for producers in ("1 producer", "10 producers"):
                case = f"{mode}, {producers}, {client}"
                yield Goal("transactions", case, "transactions/s", times)
                yield Goal("transactions", case, "commit p99 µs", 10)


def fetch():
    for readers in ("1 reader", "8 readers", "32 readers"):
        yield Goal("fetch", f"1 KB, {readers}", CPU_GB, 1.5)
        yield Goal("fetch", f"100 B, {readers}", CPU_GB, 2.5)


GOALS = (
    *produce(),
    Goal("default", "1 KB, none, acks=all; durable : page cache", "MB/s", 1.5),
    Goal("ping", "durable, 1 connection", "requests/s", 1.2),
    Goal("ping", "durable, 64 connections", "requests/s", 20),
    Goal("ping", "durable, 64 connections, 64 partitions", "requests/s", 5),
    Goal("steady", "durable, 1,000 records/s of 1 KB", "ack p50 µs", 20),
    Goal("steady", "durable, 1,000 records/s of 1 KB", "ack p99 µs", 50),
    Goal("ping", "page cache, 1 connection", CPU, 6),
    Goal("ping", "page cache, 10 connections", CPU, 6),
    Goal("ping", "page cache, 1,000 connections", CPU, 6),
    Goal("ping", "page cache, 1 connection, 5 in flight", CPU, 12),
    *(Goal("wide", f"{number} partitions", figure, times) for number in ("1,000", "10,000")
      for figure, times in (("CPU µs a record", 5), ("resident, MB", 10))),
    *fetch(),
    Goal("small", "fetch of 1 record a request", CPU, 4),
    *steady(),
    Goal("idle", "no topic", "resident, MB", 40),
    Goal("produce", "after all of it", "resident, MB", 20),
    Goal("idle", "5,000 partitions", "resident, MB", 10),
    Goal("idle", "1,000 connections", "held a connection, KB", 10),
    Goal("start", "1 partition", "first ack, ms", 100),
    Goal("start", "1,000 partitions", "first ack, ms", 100),
    Goal("recover", "2 GB unsynced, kill -9", "first ack, ms", 50),
    *transactions(),
    Goal("clean", "1 KB, 50,000 keys", CPU_GB, 5),
)


def spread(line):
    return (f"{report.number(line['ratio'])}× ({report.number(line['ratio_least'])}–"
            f"{report.number(line['ratio_most'])}, {len(line['pairs'])})")


def times(value):
    return "–" if value is None else f"{report.number(value)}×"


def goal_line(goal, line):
    return (f"| {goal.row} | {goal.case} | {goal.figure} | {times(goal.times)} | {spread(line)} "
            f"| {report.number(line.get('floor'))} | {times(report.from_floor(line))} "
            f"| {times(report.possible(line))} |")


def is_beyond(goal, line):
    """No broker can, and ours is as near as was asked for. A floor that ours undercuts excuses nothing."""
    distance, possible = report.from_floor(line), report.possible(line)
    return None not in (distance, possible) and possible < goal.times and FLOOR_UNDERCUT <= distance <= FLOOR_TIMES


def check_directions():
    """Less is better of most figures, more of some: a floor that is read the wrong way round would excuse anything."""
    for figure, apache, near, far, floor in (("CPU µs", 12, 4, 8, 3), ("MB/s", 3, 9, 4.5, 12),
                                             ("requests/s", 300, 900, 450, 1200)):
        line = {"figure": figure, "apache": apache, "barnabas": near, "floor": floor}
        assert abs(report.possible(line) - 4) < 1e-9, figure
        assert abs(report.from_floor(line) - 4 / 3) < 1e-9, figure
        assert is_beyond(Goal("", "", figure, 5), line), f"{figure}: the floor itself is 4 times better, not 5"
        assert not is_beyond(Goal("", "", figure, 3), line), f"{figure}: the floor could"
        assert not is_beyond(Goal("", "", figure, 5), {**line, "barnabas": far}), f"{figure}: ours is far from it"
        assert not is_beyond(Goal("", "", figure, 5), {**line, "floor": None}), f"{figure}: there is no floor"
        undercutting = floor * 2 if report.is_more_better(figure) else floor / 2
        assert not is_beyond(Goal("", "", figure, 5), {**line, "barnabas": undercutting}), f"{figure}: no floor is undercut"


def table(rows):
    check_directions()
    found = {(line["row"], line["case"], line["figure"]): line for line in rows}
    missed, met, beyond, unmeasured = [], [], [], []
    for goal in GOALS:
        line = found.get((goal.row, goal.case, goal.figure))
        if line is None or "ratio" not in line:
            unmeasured.append(f"{goal.row}, {goal.case}")
        elif line["ratio"] < goal.times and is_beyond(goal, line):
            beyond.append((line["ratio"] / goal.times, goal_line(goal, line)))
        elif line["ratio"] < goal.times:
            missed.append((line["ratio"] / goal.times, goal_line(goal, line)))
        else:
            met.append(goal_line(goal, line))
    head = ["| Row | Case | Figure | Goal | Reached (least–most, pairs) | Floor | Ours : floor | Floor's own ratio |",
            "|---|---|---|---:|---:|---:|---:|---:|"]
    out = [f"{len(met)} of {len(GOALS)} goals are met, {len(missed)} are not, {len(beyond)} are beyond what this "
           f"machine allows, {len(unmeasured)} were not measured. \"Floor's own ratio\" is what a broker would reach "
           "that does nothing but receive, check and append (and sync, where durable), or read, check and send, or hand "
           "on what came: a goal above it is impossible there. \"Ours : floor\" is how many times worse ours is.", ""]
    if missed:
        out += ["Not met, the farthest first:", "", *head, *(text for _, text in sorted(missed)), ""]
    if beyond:
        out += [f"Beyond the floor's own ratio, and within {FLOOR_TIMES}× of the floor:", "", *head,
                *(text for _, text in sorted(beyond)), ""]
    if met:
        out += ["Met:", "", *head, *met, ""]
    if unmeasured:
        out += [f"Not measured: {'; '.join(dict.fromkeys(unmeasured))}.", ""]
    return out + floors(rows) + fetch_floors(rows) + growths(rows)


def floors(rows):
    """Produce beside the floor of the same run."""
    lines = [line for line in rows if line["row"] == "produce" and line["figure"] == CPU_GB
             and line.get("floor") and line["barnabas"]]
    if not lines:
        return []
    out = [f"Produce beside the floor (goal: at most {FLOOR_TIMES}×), {CPU_GB}:", "",
           "| Case | Ours | Floor | Ours : floor | |", "|---|---:|---:|---:|---|"]
    for line in sorted(lines, key=lambda each: each["floor"] / each["barnabas"]):
        distance = report.from_floor(line)
        out.append(f"| {line['case']} | {report.number(line['barnabas'])} | {report.number(line['floor'])} "
                   f"| {times(distance)} | {'met' if distance <= FLOOR_TIMES else 'not met'} |")
    return [*out, ""]


def fetch_floors(rows):
    """Fetches beside both floors."""
    lines = [line for line in rows if line["row"] in ("fetch", "small") and line["figure"] in (CPU, CPU_GB)
             and line.get("floor_unseen") and line["barnabas"]]
    if not lines:
        return []
    out = [f"Fetches beside what reads, checks and sends (goal: at most {FLOOR_TIMES}×), and beside what lets the kernel "
           "send the file, unseen:", "",
           "| Case | Ours | Apache Kafka | Floor | Ours : floor | | Unseen | Ours : unseen |",
           "|---|---:|---:|---:|---:|---|---:|---:|"]
    for line in lines:
        ours = line["barnabas"]
        distance = report.from_floor(line)
        out.append(f"| {line['case']}, {line['figure']} | {report.number(ours)} | {report.number(line['apache'])} "
                   f"| {report.number(line['floor'])} | {times(distance)} "
                   f"| {'met' if distance <= FLOOR_TIMES else 'not met'} | {report.number(line['floor_unseen'])} "
                   f"| {report.number(ours / line['floor_unseen'])}× |")
    return [*out, ""]


def growths(rows):
    lines = [line for line in rows if line["row"] == "scaling" and line["figure"].startswith("times ")]
    if not lines:
        return []
    out = [f"Processor time of a record as a number grows (goal: at most {GROWTH}×):", "",
           "| What grows | Ours | Apache Kafka | Floor | |", "|---|---:|---:|---:|---|"]
    for line in lines:
        ours = line["barnabas"]
        out.append(f"| {line['case']} | {report.number(ours)}× | {report.number(line['apache'])}× "
                   f"| {report.number(line.get('floor'))}× "
                   f"| {'–' if ours is None else 'met' if ours <= GROWTH else 'not met'} |")
    return [*out, ""]
