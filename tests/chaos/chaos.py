# SPDX-License-Identifier: Apache-2.0
"""./dev chaos [SPEC...] [--seconds N] [--seed N] [--jobs N] [--keep] [--bugs]: real processes under faults.
docs/design/chaos.md.

Without --seconds each spec runs once, short, as every change does; with it the chosen specs take turns until the time
is over. A control passes when the judge complains. What a failure needs stays in build/chaos/."""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from paths import BUILD, HISTORY_CHECK, LOSSY_DISK
from run import Run, line_of
from specs import BUGS, CONTROLS, SPECS

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = BUILD / "chaos"
CONTROL_TRIES = 8


def folder_of(spec, seed):
    return FOLDER / "-".join([spec.name, str(seed)] + [spec.bug] * bool(spec.bug))


def one(spec, seed, seconds, keep):
    """Runs in a process of its own. Exit status 0: good."""
    folder = folder_of(spec, seed)
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    run = Run(spec, seed, seconds, folder)
    wrong, said = run.go()
    is_good = (wrong is not None) == spec.must_complain
    notes = ", ".join(f"{amount} {name}" for name, amount in run.notes.items())
    print(f"{time.monotonic() - began:.1f} s; {said}; {notes}" + (f"; {line_of(wrong)}" if wrong else ""), flush=True)
    if is_good and not keep:
        run.clean()
    os._exit(0 if is_good else 1)  # whatever thread still hangs


def in_process(spec, seed, arguments):
    command = [sys.executable, str(HERE / "chaos.py"), spec.name, "--seed", str(seed), "--one"]
    command += ["--seconds", str(arguments.round_seconds)] if arguments.round_seconds else []
    command += ["--keep"] if arguments.keep else []
    environment = {**os.environ, "BARNABAS_BUG": spec.bug} if spec.bug else None
    limit = (arguments.round_seconds or spec.seconds) + 180
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit,
                              env=environment)
        return done.returncode == 0, done.stdout.strip()
    except subprocess.TimeoutExpired as expired:
        return False, f"it hangs after {limit} s: {expired.stdout}"


def attempt(spec, seed, arguments):
    """A control may need some tries, each with another seed."""
    for number in range(CONTROL_TRIES if spec.must_complain else 1):
        is_good, text = in_process(spec, seed + number, arguments)
        if is_good:
            break
    lines = text.splitlines() or [""]
    told = [f"{'ok' if is_good else 'FAILED'}: {spec.name} (seed {seed + number}): {lines[-1]}"]
    if spec.bug:
        told[0] += f"; bug {spec.bug}, try {number + 1}"
    if not is_good:
        told += [f"    {line}" for line in lines[:-1]]
        told += [f"    {folder_of(spec, seed + number)} has history, log, disk; again: "
                 f"./dev chaos {spec.name} --seed {seed + number}"]
    print("\n".join(told), flush=True)
    return is_good


def own_tests():
    """Is the lossy disk itself to be believed?"""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                           str(HERE / "test_lossy_disk.py")], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    print(f"{'ok' if done.returncode == 0 else 'FAILED'}: the lossy disk's own tests: "
          f"{done.stdout if done.returncode else done.stdout.strip().splitlines()[-1]}", flush=True)
    return int(done.returncode == 0)


def main():
    every = {spec.name: spec for spec in SPECS + CONTROLS}
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Specs: " + "; ".join(
        f"{spec.name}: {spec.text}" for spec in every.values()))
    parser.add_argument("specs", nargs="*", metavar="SPEC")
    parser.add_argument("--seconds", type=float, default=0, help="go on for so long")
    parser.add_argument("--round", dest="round_seconds", type=float, default=0, help="faults of one run; seconds")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=max(2, 2 * (os.cpu_count() or 1)))
    parser.add_argument("--keep", action="store_true", help="keep the folders of good runs too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bugs", action="store_true", help="does each of specs.BUGS show? (-Dbugs=true)")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.specs if name not in every]
    if unknown:
        parser.error(f"no spec {unknown[0]}; there are: {' '.join(every)}")
    chosen = [every[name] for name in arguments.specs] or list(every.values())
    if arguments.bugs:
        chosen = [dataclasses.replace(every[name], bug=bug, must_complain=True) for bug, name in BUGS.items()
                  if not arguments.specs or name in arguments.specs]
    if arguments.list:
        for spec in chosen:
            print(f"{spec.name:14} {spec.text}")
        return 0
    missing = [path for path in (LOSSY_DISK, HISTORY_CHECK) if not path.exists()]
    if missing:
        parser.error(f"{missing[0]} is not built")
    seed = random.randrange(1 << 30) if arguments.seed is None else arguments.seed
    if arguments.one:
        bug = os.environ.get("BARNABAS_BUG", "")
        one(dataclasses.replace(chosen[0], bug=bug, must_complain=bool(bug) or chosen[0].must_complain), seed,
            arguments.seconds, arguments.keep)
    deadline = time.monotonic() + arguments.seconds
    passed = failed = rounds = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        own = []
        if not arguments.specs and not arguments.bugs and not arguments.seconds:
            own = [pool.submit(own_tests)]
        while rounds == 0 or time.monotonic() < deadline:
            for is_good in pool.map(lambda spec: attempt(spec, seed + rounds * 1000, arguments), chosen):
                passed, failed = passed + is_good, failed + (not is_good)
            rounds += 1
        passed += sum(each.result() for each in own)
        failed += sum(not each.result() for each in own)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
