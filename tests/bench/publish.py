# SPDX-License-Identifier: Apache-2.0
"""`./dev bench plots [RESULT...]`: writes docs/plots and the figures of docs/performance.md from results.

RESULT is a folder with bench.json and curves/ (default: build/bench), or a file of bench/results. Of several the
later ones count where they have the same figure, so that rows may be measured apart.
"""
import json
import pathlib
import re
import sys

import goals
import plots
import report

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE, PLOTS = ROOT / "docs/performance.md", ROOT / "docs/plots"


def read(words):
    """(row, case, figure) -> line over all results, the facts of each run, and folders with curves."""
    lines, runs, folders = {}, [], []
    for word in words or ["build/bench"]:
        path = pathlib.Path(word)
        if path.is_dir():
            folders.append(path / "curves")
            path = path / "bench.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        runs.append(found)
        for line in found["rows"]:
            lines[(line["row"], line["case"], line["figure"])] = line
    return list(lines.values()), runs, folders


def run_lines(runs):
    out = []
    for run in runs:
        facts = run["facts"]
        others = sorted(each["others_percent"] for each in run["disturbances"]) or [0]
        command = re.sub(r" --(output|folder) \S+", "", facts["command"])  # where it was written says nothing
        out.append(f"- `{command}`, {facts['date']}, commit {facts['commit']}; {facts['machine']}; "
                   f"{facts['java']}; others used {others[len(others) // 2]:.1f} % of the machine "
                   f"(most {others[-1]:.1f} %); {run['rejected']} pairs of a disturbed machine were replaced, "
                   f"{run['doubtful']} are shown; {len(run['failures'])} runs failed")
        out += [f"  - {name}: {value}" for name, value in facts.items()
                if name.startswith(("canary", "bare fdatasync"))]
        if run.get("left_out"):
            out.append(f"  - left out, for the time was over: {'; '.join(run['left_out'])}")
        out += [f"  - failed, and so no figure: {failure}" for failure in run["failures"]]
    return out


def figures(lines, runs):
    losses = sorted((line for line in lines if line.get("ratio", 2) < 1), key=lambda line: line["ratio"])
    others = [line for line in lines if line.get("ratio", 2) >= 1]
    out = [*run_lines(runs), ""]
    if losses:
        out += ["### Losses", "", *report.table(losses), ""]
    return [*out, "### Gains", "", *report.table(others)]


def fill(page, name, lines):
    """Puts lines between the two marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    assert found and found_end, f"{PAGE} has no marks of {name}"
    return "\n".join([before + begin, "", *lines, "", end]) + after


def main():
    lines, runs, folders = read(sys.argv[1:])
    PLOTS.mkdir(parents=True, exist_ok=True)
    drawn = [plot for folder in folders for plot in plots.latency(folder, PLOTS)]
    drawn += plots.series(lines, PLOTS)
    names = {path.name: title for path, title in drawn}
    names.update({path.name: plots.title_of(path) for path in sorted(PLOTS.glob("*.svg"))
                  if path.name not in names})
    page = PAGE.read_text(encoding="utf-8")
    page = fill(page, "goals", goals.table(lines))
    page = fill(page, "figures", figures(lines, runs))
    page = fill(page, "plots", [f"![{title}](plots/{name})" for name, title in names.items()])
    PAGE.write_text(page, encoding="utf-8")
    print(f"{len(drawn)} plots, {len(lines)} figures: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
