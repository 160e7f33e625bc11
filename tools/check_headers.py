#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles every header of src/ alone, so that each brings what it needs, and the fuzz harnesses, which no other
build of the checks has.

  check_headers.py BUILD [COMPILER]   BUILD has the generated headers
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror",
         "-Wno-unused-parameter", "-fsyntax-only", "-x", "c"]


def compile_alone(compiler, build, file):
    # Included from an empty unit: then a header may hold what a unit need not use.
    unit = f'#include "{file}"\n'
    command = [compiler, *FLAGS, f"-I{ROOT / 'src'}", f"-I{build / 'src'}", "-"]
    return subprocess.run(command, input=unit, capture_output=True, text=True)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    compiler = sys.argv[2] if len(sys.argv) == 3 else "cc"
    if not (build / "src/base/err_codes.h").exists():
        sys.exit(f"{build} has no generated headers: it is not built")
    files = sorted((ROOT / "src").rglob("*.h")) + sorted((ROOT / "tests/fuzz").glob("*.c"))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda file: compile_alone(compiler, build, file), files)
        for file, result in zip(files, results):
            if result.returncode:
                failed += 1
                print(f"{file.relative_to(ROOT)} does not compile alone:\n{result.stderr}")
    sys.exit(1 if failed or not files else 0)


if __name__ == "__main__":
    main()
