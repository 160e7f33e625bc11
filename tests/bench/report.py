# SPDX-License-Identifier: Apache-2.0
"""Pairs of figures, their ratios with spread, and the page that shows them, losses first."""
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess

MORE_IS_BETTER = ("MB/s", "requests/s", "records/s", "heartbeats/s", "commits/s", "transactions/s")
UNSEEN = ", bytes unseen"  # ends the name of a floor's figure: what sending costs without a look at the bytes


class Results:
    def __init__(self):
        self.figures = {}  # (row, case, figure) -> [{"barnabas": value, "apache": value}, ...]
        self.floors = {}  # the same -> [value, ...]: what the machine allows
        self.disturbances, self.canaries = [], []
        self.failures, self.left_out = [], []
        self.facts, self.seconds = {}, {}
        self.rejected = 0  # pairs of a disturbed machine that others stand for
        self.doubtful = 0  # such pairs that are shown, for there were no others

    def add(self, row, case, pair):
        """pair: kind -> {figure: value}. Only what both have makes a ratio; all of it is kept."""
        names = dict.fromkeys(name for figures in pair.values() for name in figures)
        for name in names:
            self.figures.setdefault((row, case, name), []).append(
                {kind: figures[name] for kind, figures in pair.items() if name in figures})

    def add_floor(self, row, case, figures):
        for name, value in figures.items():
            self.floors.setdefault((row, case, name), []).append(value)

    def growth(self, row, case, first, last, figure):
        """A case more: how many times `first` the figure of `last` is, of each node and of the floor."""
        before, after = (self.figures.get((row, name, figure), []) for name in (first, last))
        floors = [self.floors.get((row, name, figure)) for name in (first, last)]
        name = f"times the {figure}"
        pairs = [{kind: b[kind] / a[kind] for kind in b if a.get(kind)} for a, b in zip(before, after)]
        if pairs:
            self.figures[(row, case, name)] = pairs
        if all(floors):
            self.floors[(row, case, name)] = [statistics.median(floors[1]) / statistics.median(floors[0])]

    def rows(self):
        for (row, case, figure), pairs in self.figures.items():
            line = {"row": row, "case": case, "figure": figure, "pairs": pairs}
            for kind in ("barnabas", "apache"):
                values = [pair[kind] for pair in pairs if kind in pair]
                line[kind] = statistics.median(values) if values else None
            ratios = [ratio(figure, pair) for pair in pairs if len(pair) == 2]
            ratios = [each for each in ratios if each is not None]
            if ratios:
                line["ratio"] = statistics.median(ratios)
                line["ratio_least"], line["ratio_most"] = min(ratios), max(ratios)
            floors = self.floors.get((row, case, figure))
            if floors:
                line["floor"] = statistics.median(floors)
            floors = self.floors.get((row, case, figure + UNSEEN))
            if floors:
                line["floor_unseen"] = statistics.median(floors)
            yield line


def is_more_better(figure):
    return figure.endswith(MORE_IS_BETTER)


def times_better(figure, value, other):
    """How many times better `value` is than `other`; None: nothing can be said."""
    if is_more_better(figure):
        value, other = other, value
    return other / value if value and other is not None and value > 0 else None


def ratio(figure, pair):
    """Above one: in our favour."""
    return times_better(figure, pair["barnabas"], pair["apache"])


def from_floor(line):
    """How many times worse ours is than the floor; None: there is none."""
    if not line.get("floor") or not line["barnabas"]:
        return None
    return times_better(line["figure"], line["floor"], line["barnabas"])


def possible(line):
    """The ratio that the floor would have: the lowest one, for there is one more that sends bytes nobody looked at,
    which ours never does."""
    floors = [line[name] for name in ("floor", "floor_unseen") if line.get(name)]
    if not floors or line["apache"] is None:
        return None
    return max(times_better(line["figure"], floor, line["apache"]) for floor in floors)


def number(value):
    if value is None:
        return "–"
    if value and abs(value) < 10:
        return f"{value:.3g}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def table(lines):
    out = ["| Row | Case | Figure | Barnabas | Apache Kafka | Ratio | Least–most | Pairs | Floor | Ours : floor |",
           "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for line in lines:
        times = spread = distance = "–"
        if "ratio" in line:
            times = f"{number(line['ratio'])}×"
            spread = f"{number(line['ratio_least'])}–{number(line['ratio_most'])}"
        if from_floor(line) is not None:
            distance = f"{number(from_floor(line))}×"
        out.append(f"| {line['row']} | {line['case']} | {line['figure']} | {number(line['barnabas'])} "
                   f"| {number(line['apache'])} | {times} | {spread} | {len(line['pairs'])} "
                   f"| {number(line.get('floor'))} | {distance} |")
    return out


def machine_facts():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    root = pathlib.Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"machine": f"{os.cpu_count()} × {model}, {memory:.0f} GB, Linux {platform.release()}",
            "java": (java.stderr.splitlines() or ["none"])[0], "commit": commit or "unknown",
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")}


def keep(folder):
    """The results among those of other days, with their table."""
    root = pathlib.Path(__file__).resolve().parents[2]
    target = root / "bench/results"
    target.mkdir(parents=True, exist_ok=True)
    name = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d-%H%M")
    for ending in ("json", "md"):
        source = folder / f"bench.{ending}"
        (target / f"{name}.{ending}").write_bytes(source.read_bytes())


def canary_facts(canaries):
    """How far the machine itself moved during the run."""
    for name in canaries[0] if canaries else ():
        values = [each[name] for each in canaries]
        middle = statistics.median(values)
        yield (f"canary, {name}", f"{number(middle)} rounds/s, {(min(values) / middle - 1) * 100:+.0f} to "
               f"{(max(values) / middle - 1) * 100:+.0f} %")


def page_of(results, lines, facts):
    losses = [line for line in lines if line.get("ratio", 2) < 1]
    losses.sort(key=lambda line: line["ratio"])
    others = [line for line in lines if line not in losses]
    page = ["A ratio is the median of those of the pairs, above 1 in favour of Barnabas; the figures are",
            "medians of their own. The floor is what receiving, one CRC pass and appending take alone on the same",
            "machine in the same minutes (tests/bench/floor.c; floor_broker.c where what is appended has to be on the",
            "disk, goes to many files, or ends a transaction); of fetches what reading, one CRC pass and sending take",
            "(tests/bench/floor_fetch.c), of steady the same client beside floor_relay.c. \"Ours : floor\" is",
            "how many times worse ours is than the floor.", ""]
    page += [f"- {name}: {value}" for name, value in facts.items()]
    if results.disturbances:
        shares = sorted(each["others_percent"] for each in results.disturbances)
        steal = max(each["steal_percent"] for each in results.disturbances)
        page.append(f"- the rest of the machine used {statistics.median(shares):.1f} % of it while "
                    f"brokers were measured (most: {shares[-1]:.1f} %); steal at most {steal:.1f} %")
    page.append(f"- pairs thrown away because the machine was disturbed: {results.rejected}; shown although it was: "
                f"{results.doubtful}")
    if results.left_out:
        page.append(f"- left out, for the time was over: {'; '.join(results.left_out)}")
    if losses:
        page += ["", "### Losses", "", *table(losses)]
    page += ["", "### Gains" if losses else "### Figures", "", *table(others)]
    if results.failures:
        page += ["", "### Runs that failed, and so are no figures", ""]
        page += [f"- {failure}" for failure in results.failures]
    return page


def write(results, folder, words):
    folder.mkdir(parents=True, exist_ok=True)
    lines = list(results.rows())
    facts = {**machine_facts(), "command": " ".join(["./dev bench", *words]), **results.facts,
             **dict(canary_facts(results.canaries))}
    (folder / "bench.json").write_text(json.dumps(
        {"facts": facts, "rows": lines, "disturbances": results.disturbances,
         "canaries": results.canaries, "seconds": results.seconds, "rejected": results.rejected,
         "doubtful": results.doubtful, "left_out": results.left_out,
         "failures": results.failures}, indent=1), encoding="utf-8")
    page = page_of(results, lines, facts)
    (folder / "bench.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    return page
