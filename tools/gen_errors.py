#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes err_codes.h (enum err and the table behind base/err.h) from schema/errors."""
import sys


def rows(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        code, name, kind, rest = line.split(" ", 3)
        wire = int(code)
        if kind == "wire":
            wire_text, rest = rest.split(" ", 1)
            wire = int(wire_text)
        elif kind not in ("retriable", "final"):
            sys.exit(f"{path}:{number}: unknown class {kind}")
        yield int(code), name, wire, kind == "retriable", rest


def main():
    source, target = sys.argv[1:]
    table = list(rows(source))
    out = ["/* Written by tools/gen_errors.py from schema/errors; do not edit. */",
           "#ifndef BASE_ERR_CODES_H", "#define BASE_ERR_CODES_H", "", "enum err {"]
    for code, name, _, _, text in table:
        symbol = "OK" if code == 0 else f"ERR_{name}"
        out.append(f"    {symbol} = {code}, /* {text} */")
    out += ["};", "", "/* X(symbol, name, wire code, retriable, text) */", "#define ERR_TABLE(X) \\"]
    for code, name, wire, retriable, text in table:
        symbol = "OK" if code == 0 else f"ERR_{name}"
        quoted = text.replace('"', '\\"')
        out.append(f'    X({symbol}, "{name}", {wire}, {int(retriable)}, "{quoted}") \\')
    out += ["", "#endif", ""]
    with open(target, "w", encoding="utf-8") as f:
        f.write("\n".join(out))


if __name__ == "__main__":
    main()
