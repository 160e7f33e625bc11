#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the source to src/LAYERS.

  check_layers.py includes          who includes whom, from the text of src/
  check_layers.py symbols BUILD     what the built archives need and keep, by nm

includes: a row names lower layers only; a file includes its own module and the modules of its row;
`*_internal.h` is seen inside its module only.
symbols: an archive of kind P leaves nothing undefined but what its row defines and what
tools/pure_symbols.txt allows, and keeps no state that can change; no archive calls a function that
nobody here may call, and system calls are made by `os` and by who is named in that file.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


class Module:
    def __init__(self, layer, kind, row):
        self.layer, self.pure, self.row = layer, kind == "P", row


def layers_read(problems):
    modules = {}
    for number, line in enumerate((SRC / "LAYERS").read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        match = re.fullmatch(r"(\d+)\s+(\w+)\s+([PE])\s*:(.*)", text)
        if not match:
            problems.append(f"src/LAYERS:{number}: not a row: {text}")
            continue
        layer, name, kind, row = match.groups()
        modules[name] = Module(int(layer), kind, row.split())
    for name, module in modules.items():
        for other in module.row:
            if other not in modules:
                problems.append(f"src/LAYERS: {name} names {other}, which has no row")
            elif modules[other].layer >= module.layer:
                problems.append(f"src/LAYERS: {name} names {other}, which is not in a lower layer")
    return modules


def includes_check(modules, problems):
    for path in sorted(SRC.rglob("*.[ch]")):
        place = path.relative_to(SRC)
        if len(place.parts) == 1:
            continue  # main.c stands above the layers
        name = place.parts[0]
        if name not in modules:
            problems.append(f"src/{place}: its folder has no row in src/LAYERS")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = pathlib.PurePosixPath(match.group(1))
            where = f"src/{place}:{number}: "
            if len(target.parts) < 2 or ".." in target.parts:
                problems.append(f'{where}"{target}" does not begin with its module')
                continue
            other = target.parts[0]
            if other == name:
                continue
            if other not in modules[name].row:
                problems.append(f'{where}{name} may not include "{target}"')
            elif target.name.endswith("_internal.h"):
                problems.append(f'{where}"{target}" is for {other} alone')


class Rules:
    """tools/pure_symbols.txt: `word owner : pattern…`, words allow, state, never, system."""

    def __init__(self, path):
        self.rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.split("#")[0].strip()
            if not text:
                continue
            head, _, patterns = text.partition(":")
            words = head.split()
            if len(words) != 2 or words[0] not in ("allow", "state", "never", "system"):
                sys.exit(f"{path.name}:{number}: not a rule: {text}")
            self.rows.append((words[0], words[1], patterns.split()))

    def names(self, word, module, member, symbol):
        """Whether a row of this word for `*`, the module or the file module/member has the symbol."""
        place = f"{module}/{member}"
        return any(row_word == word
                   and (owner in ("*", module) or fnmatch.fnmatchcase(place, owner))
                   and any(fnmatch.fnmatchcase(symbol, pattern) for pattern in patterns)
                   for row_word, owner, patterns in self.rows)


def plain(symbol):
    """The name as written in C: open64 and __memcpy_chk are open and memcpy."""
    symbol = symbol.split("@")[0]
    match = re.fullmatch(r"__(\w+)_chk", symbol)
    symbol = match.group(1) if match else symbol
    match = re.fullmatch(r"__isoc\d+_(\w+)", symbol)
    symbol = match.group(1) if match else symbol
    return symbol[:-2] if symbol.endswith("64") and symbol != "base64" else symbol


def archive_read(path):
    """[(source file, undefined symbols)], names defined for others, [(source file, state)]."""
    text = subprocess.run(["nm", "--format=sysv", path], check=True, capture_output=True,
                          text=True).stdout
    members, defined, state = {}, set(), []
    member = "?"
    for line in text.splitlines():
        match = re.search(r"\[(.+)\]:$", line) or re.match(r"^(\S+\.o):$", line)
        if match:
            member = match.group(1).rsplit("/", 1)[-1].removesuffix(".o")
            member = re.sub(r"^meson-generated_(\.\._)*", "", member)
            members.setdefault(member, set())
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 7 or fields[0] == "Name":
            continue
        name, kind, section = fields[0], fields[2], fields[6]
        if kind in ("U", "w", "v"):
            members.setdefault(member, set()).add(name)
            continue
        if kind.isupper():
            defined.add(name)
        writable = section.startswith((".data", ".bss", ".tdata", ".tbss", "*COM*"))
        if writable and not section.startswith(".data.rel.ro"):
            state.append((member, re.sub(r"\.\d+$", "", name)))
    return members, defined, state


def symbols_check(modules, build, problems):
    rules = Rules(ROOT / "tools/pure_symbols.txt")
    archives = {}
    for name in modules:
        path = build / "src" / name / f"lib{name}.a"
        if path.exists():
            archives[name] = archive_read(path)
    if not archives:
        problems.append(f"no archive below {build}/src")
    for name, module in modules.items():
        if name not in archives and (SRC / name / "meson.build").exists():
            problems.append(f"{build}/src/{name}/lib{name}.a is not built")
    for name, (members, defined, state) in archives.items():
        known = set(defined)
        for other in modules[name].row:
            if other in archives:
                known |= archives[other][1]
        for member, undefined in sorted(members.items()):
            for raw in sorted(undefined - known):
                symbol = plain(raw)
                where = f"{name}/{member}: "
                if rules.names("never", name, member, symbol):
                    problems.append(f"{where}{raw} is called nowhere in this project")
                elif modules[name].pure:
                    if not rules.names("allow", name, member, symbol):
                        problems.append(f"{where}{raw} has no place in a pure module")
                elif name != "os" and rules.names("system", name, member, symbol) \
                        and not rules.names("allow", name, member, symbol):
                    problems.append(f"{where}{raw} is for os alone")
        if modules[name].pure:
            for member, variable in sorted(set(state)):
                if not rules.names("state", name, member, variable):
                    problems.append(f"{name}/{member}: {variable} is state of the process")


def main():
    problems = []
    modules = layers_read(problems)
    if sys.argv[1:] == ["includes"]:
        includes_check(modules, problems)
    elif len(sys.argv) == 3 and sys.argv[1] == "symbols":
        symbols_check(modules, pathlib.Path(sys.argv[2]).resolve(), problems)
    else:
        sys.exit(__doc__)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
