# SPDX-License-Identifier: Apache-2.0
"""Plots of results as SVG, without a library (publish.py asks for them).

From curves/: latency against the share of records that were faster, on a logarithmic axis towards 1. From
figures: throughput against batch size, record size, partitions, connections and readers.
"""
import math
import re

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 70, 20, 40, 50
COLORS = {"barnabas": "#0b6e4f", "apache": "#c8553d", "floor": "#888888"}
NAMES = {"barnabas": "Barnabas", "apache": "Apache Kafka", "floor": "floor"}


class Plot:
    """Two axes of numbers, each with ticks (place, text)."""

    def __init__(self, title, x_name, y_name, x_ticks, y_ticks):
        self.title = title
        self.x_low, self.x_high = x_ticks[0][0], x_ticks[-1][0]
        self.y_low, self.y_high = y_ticks[0][0], y_ticks[-1][0]
        self.out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
                    f'font-family="sans-serif" font-size="12">', f"<title>{title}</title>",
                    f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
                    self.text(WIDTH / 2, 20, title, 14),
                    self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name),
                    f'<g transform="rotate(-90 14 {HEIGHT / 2})">{self.text(14, HEIGHT / 2, y_name)}</g>']
        for value, text in x_ticks:
            x = self.x(value)
            self.out.append(self.line(x, TOP, x, HEIGHT - BOTTOM))
            self.out.append(self.text(x, HEIGHT - BOTTOM + 18, text))
        for value, text in y_ticks:
            y = self.y(value)
            self.out.append(self.line(LEFT, y, WIDTH - RIGHT, y))
            self.out.append(self.text(LEFT - 6, y + 4, text, 12, "end"))
        self.legend = 0

    def x(self, value):
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - ((value - self.y_low) / (self.y_high - self.y_low or 1)
                                  * (HEIGHT - TOP - BOTTOM))

    @staticmethod
    def text(x, y, text, size=12, anchor="middle"):
        return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{text}</text>'

    @staticmethod
    def line(x1, y1, x2, y2):
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'

    def curve(self, kind, points, name=None):
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.out.append(f'<polyline points="{places}" fill="none" stroke="{COLORS[kind]}" '
                        f'stroke-width="2"/>')
        if len(points) < 20:
            self.out += [f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3" '
                         f'fill="{COLORS[kind]}"/>' for x, y in points]
        y = TOP + 14 + 16 * self.legend
        self.out.append(f'<rect x="{LEFT + 10}" y="{y - 9}" width="14" height="4" '
                        f'fill="{COLORS[kind]}"/>' + self.text(LEFT + 30, y, name or NAMES[kind], 12, "start"))
        self.legend += 1

    def write(self, path):
        path.write_text("\n".join(self.out + ["</svg>"]) + "\n", encoding="utf-8")
        return path, self.title


def powers(values):
    """Ticks of a logarithmic axis around positive values."""
    low = math.floor(math.log10(max(min(values), 1e-6)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    return [(power, f"{10 ** power:,g}") for power in range(low, high + 1)]


def latency(folder, target):
    groups = {}
    for path in sorted(folder.glob("*.txt")):
        case, _, kind = path.stem.rpartition("-")
        groups.setdefault(case, {})[kind] = [tuple(map(float, line.split()))
                                             for line in path.read_text().splitlines()]
    shares = [(0, "0"), (1, "0.9"), (2, "0.99"), (3, "0.999"), (4, "0.9999")]
    for case, kinds in groups.items():
        for column, what in ((1, "acknowledgement"), (2, "end to end")):
            values = [row[column] for rows in kinds.values() for row in rows if row[column] > 0]
            plot = Plot(f"{case.replace('-', ' ')}: {what}", "share of records that were faster",
                        "microseconds", shares, powers(values))
            for kind, rows in kinds.items():
                plot.curve(kind, [(-math.log10(max(1 - row[0], 1e-4)), math.log10(max(row[column], 0.1)))
                                  for row in rows])
            yield plot.write(target / f"{case}-{what.replace(' ', '-')}.svg")


# (file, title, row, pattern of the case with the number, figure, name of the axis)
SERIES = (
    ("produce-batch", "Produce, 100 B records", "produce",
     r"100 B, (?:batches of ([\d,]+) bytes|none, acks=1)", "MB/s", "bytes of a batch"),
    ("produce-batch-cpu", "Produce, 100 B records", "produce",
     r"100 B, (?:batches of ([\d,]+) bytes|none, acks=1)", "CPU s/GB", "bytes of a batch"),
    ("produce-size", "Produce, full batches", "produce", r"(\d+) (K?B), none, acks=1", "MB/s",
     "bytes of a record"),
    ("produce-size-cpu", "Produce, full batches", "produce", r"(\d+) (K?B), none, acks=1", "CPU s/GB",
     "bytes of a record"),
    ("connections", "One-record requests", "ping", r"page cache, ([\d,]+) connections?", "requests/s",
     "connections"),
    ("connections-cpu", "One-record requests", "ping", r"page cache, ([\d,]+) connections?", "CPU µs",
     "connections"),
    ("partitions", "Requests of ten partitions", "scaling", r"partitions: ([\d,]+)", "records/s",
     "partitions"),
    ("partitions-cpu", "Requests of ten partitions", "scaling", r"partitions: ([\d,]+)",
     "CPU µs a record", "partitions"),
    ("readers", "Fetch, 1 KB records", "fetch", r"1 KB, (\d+) readers?", "MB/s", "readers"),
    ("transactions", "Transactions, Java producers, page cache", "transactions",
     r"page cache, (\d+) producers?, Java", "transactions/s", "producers"),
    ("transactions-durable", "Transactions, Java producers, durable", "transactions",
     r"durable, (\d+) producers?, Java", "transactions/s", "producers"),
)
FULL_BATCH = 131072


def number(match):
    value = int(match[1].replace(",", "")) if match[1] else FULL_BATCH
    return value * 1024 if (match.lastindex or 0) > 1 and match[2] == "KB" else value


def series(lines, target):
    for name, title, row, pattern, figure, axis in SERIES:
        found = {}
        for line in lines:
            match = re.fullmatch(pattern, line["case"])
            if line["row"] != row or line["figure"] != figure or not match:
                continue
            for kind in NAMES:
                if line.get(kind):
                    found.setdefault(kind, []).append((number(match), line[kind]))
        places = sorted({x for points in found.values() for x, _ in points})
        if len(places) < 2:
            continue
        values = [y for points in found.values() for _, y in points]
        plot = Plot(f"{title}: {figure}", axis, figure, [(math.log10(x), f"{x:,}") for x in places],
                    powers(values))
        for kind, points in found.items():
            plot.curve(kind, [(math.log10(x), math.log10(y)) for x, y in sorted(points)])
        yield plot.write(target / f"{name}.svg")


def title_of(path):
    """Of a plot that is there already."""
    match = re.search(r"<title>(.*?)</title>", path.read_text(encoding="utf-8"))
    return match[1] if match else path.stem
