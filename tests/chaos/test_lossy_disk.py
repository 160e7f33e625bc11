# SPDX-License-Identifier: Apache-2.0
"""The lossy disk keeps what was synced, and loses, in every way that is allowed, what was not."""
import os
import random
import struct
import subprocess
import sys

import pytest

import records
from disk import Disk
from paths import LOSSY_DISK
from synced import kept_offsets

PYTHON = "/usr/bin/python3"
HEAD = """
import os
def put(name, data, at=0, flags=os.O_CREAT):
    fd = os.open(root + "/" + name, os.O_RDWR | flags)
    os.pwrite(fd, data, at)
    return fd
def sync(fd): os.fdatasync(fd)
def sync_root():
    fd = os.open(root, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def read(name):
    with open(root + "/" + name, "rb") as file: return file.read()
"""


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "root").mkdir()
    return Disk(tmp_path / "root", tmp_path / "side", LOSSY_DISK)


def run(disk, program, status=0):
    done = subprocess.run([PYTHON, "-c", f"root = {str(disk.root)!r}\n" + HEAD + program],
                          env={**os.environ, **disk.environment}, stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, done.stderr


def outcomes(tmp_path, program, seeds=60, begin=""):
    """Every state that power cuts left, as {name: content}."""
    found = set()
    for seed in range(seeds):
        root = tmp_path / f"{seed}"
        root.mkdir()
        disk = Disk(root, tmp_path / f"{seed}.side", LOSSY_DISK)
        run(disk, begin + program)
        disk.lose_unsynced(random.Random(seed))
        found.add(tuple(sorted((path.name, path.read_bytes()) for path in root.iterdir() if path.is_file())))
    return found


def test_what_was_synced_stays(tmp_path):
    program = "fd = put('a', b'x' * 3000); sync(fd); sync_root()"
    assert outcomes(tmp_path, program) == {(("a", b"x" * 3000),)}


def test_what_was_not_synced_is_kept_dropped_or_torn(tmp_path):
    program = "fd = put('a', b'x' * 1024); sync(fd); sync_root(); os.pwrite(fd, b'y' * 1024, 0)"
    found = [dict(state)["a"] for state in outcomes(tmp_path, program)]
    assert all(len(content) == 1024 and set(content) <= set(b"xy") for content in found)
    assert b"x" * 1024 in found and b"y" * 1024 in found
    assert any(b"x" in content[:512] and b"y" in content[512:] for content in found)  # out of order
    assert any(b"yx" in content[:512] for content in found)  # torn within a sector


def test_an_append_may_come_back_as_zeros_or_not_at_all(tmp_path):
    program = "fd = put('a', b'x' * 512); sync(fd); sync_root(); os.pwrite(fd, b'y' * 512, 512)"
    found = [dict(state)["a"] for state in outcomes(tmp_path, program)]
    assert all(content.startswith(b"x" * 512) for content in found)
    assert {b"x" * 512, b"x" * 512 + bytes(512), b"x" * 512 + b"y" * 512} <= set(found)


def test_a_sync_covers_only_its_file(tmp_path):
    program = ("one = put('one', b'1'); two = put('two', b'2'); sync_root(); sync(one)")
    found = [dict(state) for state in outcomes(tmp_path, program)]
    assert all(state["one"] == b"1" for state in found)
    assert any(state["two"] != b"2" for state in found)


def test_a_name_needs_the_sync_of_its_directory(tmp_path):
    found = [dict(state) for state in outcomes(tmp_path, "sync(put('a', b'1'))")]
    assert {} in found and {"a": b"1"} in found


def test_a_rename_is_done_or_undone_whole(tmp_path):
    program = ("sync(put('a', b'old')); sync_root(); sync(put('b', b'new')); "
               "os.rename(root + '/b', root + '/a')")
    found = [dict(state) for state in outcomes(tmp_path, program)]
    assert all(state in ({"a": b"old"}, {"a": b"new"}, {"a": b"old", "b": b"new"}) for state in found)
    assert {"a": b"old"} in found and {"a": b"new"} in found


def test_a_file_whose_removal_was_not_synced_may_be_back(tmp_path):
    program = "sync(put('a', b'1')); sync_root(); os.unlink(root + '/a')"
    assert outcomes(tmp_path, program) == {(), (("a", b"1"),)}


def test_what_stood_behind_a_truncation_never_comes_back_in_part(tmp_path):
    program = ("fd = put('a', b'x' * 2048); sync(fd); sync_root(); os.ftruncate(fd, 512); "
               "os.pwrite(fd, b'y' * 512, 1024)")
    found = [dict(state)["a"] for state in outcomes(tmp_path, program)]
    assert all(content == b"x" * 2048 or b"x" not in content[512:] for content in found)
    assert b"x" * 2048 in found and any(len(content) < 2048 for content in found)


def test_the_journal_outlives_the_process(disk):
    run(disk, "fd = put('a', b'x' * 512); sync(fd); sync_root()")
    run(disk, "put('a', b'y' * 512)")
    run(disk, "assert read('a') == b'y' * 512")  # a kill alone takes nothing
    for seed in range(100):
        disk.lose_unsynced(random.Random(seed))
        assert (disk.root / "a").read_bytes()[:1] in (b"x", b"y")


def test_a_failed_sync_gives_its_pages_up(disk):
    disk.set(sync_fail_count=1, match="/a")
    run(disk, "fd = put('a', b'x' * 512)\n"
              "try: sync(fd)\n"
              "except OSError: pass\n"
              "else: raise SystemExit(9)\n"
              "sync(fd); sync_root(); os.pwrite(fd, b'z' * 10, 600); sync(fd)")
    assert disk.get("syncs_failed") == 1
    disk.lose_unsynced(random.Random(1))
    assert (disk.root / "a").read_bytes() == bytes(600) + b"z" * 10


def test_writes_fail_and_come_short_and_space_ends(disk):
    disk.set(write_fail_skip=1, write_fail_count=1)
    run(disk, "import errno\n"
              "fd = put('a', b'1')\n"
              "try: os.pwrite(fd, b'2', 1); raise SystemExit(9)\n"
              "except OSError as error: assert error.errno == errno.EIO\n")
    disk.heal()
    disk.set(short_one_in=1)
    run(disk, "fd = put('b', b''); assert 0 < os.pwrite(fd, b'12345678', 0) < 8")
    disk.heal()
    disk.set(space_left=5)
    run(disk, "import errno\n"
              "fd = put('c', b''); assert os.pwrite(fd, b'12345678', 0) == 5\n"
              "assert os.pwrite(fd, b'abc', 0) == 3\n"
              "try: os.pwrite(fd, b'6', 5); raise SystemExit(9)\n"
              "except OSError as error: assert error.errno == errno.ENOSPC\n"
              "assert os.statvfs(root).f_bavail == 0\n")


def test_names_and_reads_fail(disk):
    run(disk, "put('a', b'1')")
    disk.set(name_fail_count=1, read_fail_count=1)
    run(disk, "import errno\n"
              "for call in (lambda: os.rename(root + '/a', root + '/b'), lambda: os.pread(fd, 1, 0)):\n"
              "    try: call(); raise SystemExit(9)\n"
              "    except OSError as error: assert error.errno == errno.EIO\n"
              "    fd = put('a', b'1')\n"
              "assert os.pread(fd, 1, 0) == b'1' and os.listdir(root) == ['a']")
    assert disk.get("names_failed") == disk.get("reads_failed") == 1


def test_a_lying_sync_covers_nothing(disk):
    disk.set(sync_lies=1)
    states = set()
    for seed in range(30):
        run(disk, "fd = put('a', b'x'); sync(fd); sync_root()")
        disk.lose_unsynced(random.Random(seed))
        states.add((disk.root / "a").exists())
        (disk.root / "a").unlink(missing_ok=True)
    assert states == {True, False}


@pytest.mark.parametrize("calls", range(1, 7))
def test_a_process_dies_in_the_call_that_was_chosen(disk, calls):
    disk.set(kill_after=calls)
    run(disk, "fd = put('a', b'x'); sync(fd); sync_root(); os.pwrite(fd, b'y', 1); "
              "os.rename(root + '/a', root + '/b'); os.unlink(root + '/b')", status=-9)
    disk.lose_unsynced(random.Random(calls))


def test_the_wall_clock_moves_and_the_other_does_not(disk):
    disk.set(wall_offset_ms=-86400000)
    run(disk, "import time; before = time.clock_gettime(time.CLOCK_MONOTONIC)\n"
              f"assert abs({__import__('time').time()} - 86400 - time.clock_gettime(time.CLOCK_REALTIME)) < 20\n"
              "assert 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) - before < 5")


def test_a_call_that_could_not_be_taken_back_ends_the_process(disk):
    run(disk, "put('a', b'x'); os.link(root + '/a', root + '/b')", status=-6)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))


def test_what_is_known_to_be_synced_ends_at_the_first_change_that_is_not(disk):
    run(disk, "fd = put('a', b'x' * 1000); sync(fd); put('a', b'y' * 10, 990); put('b', b'z')\n"
              "fd = put('c', b'w' * 10); sync(fd)")
    disk.lose_unsynced(random.Random(1))
    assert {path.rsplit("/", 1)[1]: sizes for path, sizes in disk.files_before.items()} == \
        {"a": (1000, 990), "b": (1, 0), "c": (10, 10)}


def test_a_log_is_kept_for_certain_up_to_a_gap_or_what_was_not_synced(tmp_path):
    folder = tmp_path / "t-1"
    folder.mkdir()

    def batch(offset):
        return struct.pack(">q", offset) + records.batch([(None, b"v")] * 2, 1000)[8:]
    one = [batch(0), batch(2)]
    paths = [folder / f"{base:020}.log" for base in (0, 4, 6)]
    for path, content in zip(paths, (b"".join(one), batch(4), batch(6))):
        path.write_bytes(content)
    logs = {str(path): (path.stat().st_size,) * 2 for path in paths}
    assert kept_offsets(logs) == {("t", 1): 8}
    assert kept_offsets({**logs, str(paths[0]): (len(one[0]) * 2, len(one[0]) + 20)}) == {("t", 1): 2}
    paths[1].unlink()
    assert kept_offsets(logs) == {("t", 1): 4}
