# SPDX-License-Identifier: Apache-2.0
"""The other half of lossy_disk.c: its control page, and what a power cut makes of a disk. docs/design/chaos.md.

The rules are those of the simulated disk (docs/design/simulation.md, "Disk"): each unsynced sector is kept, dropped
or torn; a truncation is done or undone whole; a change of names is kept or undone, a later one of a name never
without the earlier ones; what a failed sync gave up is gone."""
import dataclasses
import mmap
import os
import pathlib
import random
import shutil
import struct

FIELDS = ("magic", "seed", "sync_fail_skip", "sync_fail_count", "write_fail_skip", "write_fail_count",
          "space_left", "short_one_in", "sync_delay_min", "sync_delay_max", "write_delay_one_in",
          "write_delay_max", "wall_offset_ms", "sync_lies", "kill_after", "sync_real",
          "name_fail_skip", "name_fail_count", "read_fail_skip", "read_fail_count",
          "writes", "syncs", "names", "syncs_failed", "writes_failed", "writes_short",
          "names_failed", "reads_failed")
MAGIC, MATCH_BYTES = 0x3179737369646B, 128
ENTRY = struct.Struct("=IIqqqqq")
ENTRY_MAGIC = 0x4C4F5353
START, WRITE, TRUNCATE, SYNC_OK, SYNC_FAIL, CREATE, MKDIR, RENAME, UNLINK, RMDIR = range(1, 11)
SECTOR = 512


class Disk:
    """One machine's disk: everything below `root`. Its journal and control page stand beside it in `side`."""

    def __init__(self, root, side, library, seed=1):
        self.root, self.side = pathlib.Path(root), pathlib.Path(side)
        (self.side / "kept").mkdir(parents=True, exist_ok=True)
        page = self.side / "control"
        page.write_bytes(bytes(len(FIELDS) * 8 + MATCH_BYTES))
        with open(page, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 0)
        self.set(magic=MAGIC, seed=seed, space_left=-1)
        self.files_before = {}  # the last cut: {path: (size, bytes that were synced)}
        self.environment = {"LD_PRELOAD": str(library), "LOSSY_ROOT": str(self.root),
                            "LOSSY_JOURNAL": str(self.side), "LOSSY_CONTROL": str(page)}

    def set(self, match=None, **values):
        for name, value in values.items():
            struct.pack_into("=q", self.page, FIELDS.index(name) * 8, value)
        if match is not None:
            at = len(FIELDS) * 8
            self.page[at:at + MATCH_BYTES] = match.encode().ljust(MATCH_BYTES, b"\0")

    def get(self, name):
        return struct.unpack_from("=q", self.page, FIELDS.index(name) * 8)[0]

    def heal(self):
        """No fault is on any more."""
        self.set(match="", sync_fail_skip=0, sync_fail_count=0, write_fail_skip=0, write_fail_count=0,
                 name_fail_skip=0, name_fail_count=0, read_fail_skip=0, read_fail_count=0,
                 space_left=-1, short_one_in=0, write_delay_one_in=0, kill_after=0)

    def lose_unsynced(self, stream):
        """The power is back: what a cut could have left. Nothing runs. Tells what was taken."""
        cut = PowerCut(self, stream)
        lost = cut.run()
        self.files_before = cut.files_before
        return lost


@dataclasses.dataclass
class Entry:
    position: int
    kind: int
    inode: int
    a: int
    b: int
    c: int
    data: bytes
    file: int = 0        # a number that no other file or directory has had
    directory: int = 0
    directory_to: int = 0
    is_synced: bool = False
    is_doomed: bool = False  # a failed sync gave it up
    new: bytes = b""

    def names(self):
        first, _, second = self.data.partition(b"\0")
        found = [(self.directory, os.fsdecode(first))]
        if self.kind == RENAME:
            found.append((self.directory_to, os.fsdecode(second)))
        return found


def entries_read(path):
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + ENTRY.size <= len(data):
        magic, kind, inode, a, b, c, size = ENTRY.unpack_from(data, at)
        assert magic == ENTRY_MAGIC, f"the journal is broken at {at}"
        if at + ENTRY.size + size > len(data):
            break  # the process died while it wrote this: the call itself was never made
        yield Entry(at, kind, inode, a, b, c, data[at + ENTRY.size:at + ENTRY.size + size])
        at += ENTRY.size + size


class PowerCut:
    def __init__(self, disk, stream):
        self.disk, self.stream = disk, stream
        self.content = {}  # file: [Entry], what may be lost
        self.changes = []  # [Entry] of names, in order
        self.numbers = {}  # inode: file
        self.next_number = 0
        self.lost = {"sectors": 0, "torn": 0, "names": 0, "files": 0}
        weights = stream.choice(((1, 0, 0), (0, 1, 0), (20, 1, 1), (1, 1, 1), (1, 1, 1), (1, 5, 1)))
        self.weights = weights

    # ---- what the journal says ----

    def number_of(self, inode, is_new=False):
        if is_new or inode not in self.numbers:
            self.next_number += 1
            self.numbers[inode] = self.next_number
        return self.numbers[inode]

    def replay(self):
        for entry in entries_read(self.disk.side / "journal"):
            if entry.kind == START:
                continue
            entry.file = self.number_of(entry.inode, entry.kind in (CREATE, MKDIR))
            if entry.kind in (WRITE, TRUNCATE):
                self.content.setdefault(entry.file, []).append(entry)
            elif entry.kind in (SYNC_OK, SYNC_FAIL):
                self.synced(entry)
            else:
                entry.directory = self.number_of(entry.a)
                entry.directory_to = self.number_of(entry.b) if entry.kind == RENAME else 0
                self.changes.append(entry)

    def synced(self, sync):
        own = self.content.get(sync.file, [])
        for entry in own:
            if entry.position < sync.a and not entry.is_synced:
                entry.is_synced = sync.kind == SYNC_OK and not entry.is_doomed
                entry.is_doomed |= sync.kind == SYNC_FAIL
        if not any(entry.is_doomed for entry in own):
            self.content[sync.file] = [entry for entry in own if not entry.is_synced]
        if sync.kind == SYNC_OK:
            # A file's own sync makes no name stable, a directory's all that happened in it.
            self.changes = [entry for entry in self.changes if entry.position >= sync.a or
                            sync.file not in (entry.directory, entry.directory_to)]

    # ---- names ----

    def walk(self):
        """Where everything is now: {number: path}; directories and files, also those that are kept only."""
        self.paths = {}
        for top in (self.disk.side / "kept", self.disk.root):
            for folder, _, files in os.walk(top):
                for name in [""] + files:
                    path = os.path.join(folder, name) if name else folder
                    number = self.numbers.get(os.lstat(path).st_ino)
                    if number is not None:
                        self.paths[number] = path

    def names_undo(self):
        tainted, undone = set(), []
        keep_share = self.stream.choice((0, 0, 0.5, 0.9, 1))
        for entry in self.changes:
            names = set(entry.names())
            # What is below a name that never came to be is not there either.
            parents = {entry.directory, entry.directory_to}
            if names & tainted or parents & {own for own in tainted if isinstance(own, int)} or \
                    self.stream.random() >= keep_share:
                tainted |= names
                if entry.kind == MKDIR:
                    tainted.add(entry.file)
                undone.append(entry)
        for entry in reversed(undone):
            self.name_undo(entry)
        self.lost["names"] = len(undone)

    def name_undo(self, entry):
        places = [os.path.join(self.paths[directory], name) if directory in self.paths else None
                  for directory, name in entry.names()]
        kept = str(self.disk.side / "kept" / str(entry.position))
        path = places[0]
        if path is None:
            return  # its directory is gone, and stays so
        if entry.kind in (CREATE, MKDIR):
            if self.is_at(entry, path):
                (shutil.rmtree if entry.kind == MKDIR else os.unlink)(path)
        elif entry.kind == RMDIR:
            if not os.path.exists(path):
                os.mkdir(path)
                self.paths[entry.file] = path
        elif entry.kind == UNLINK:
            if not os.path.exists(path) and os.path.exists(kept):
                os.link(kept, path)
        elif places[1] is not None and self.is_at(entry, places[1]):
            os.rename(places[1], path)
            self.moved(places[1], path)
            if entry.c and os.path.exists(kept):
                os.link(kept, places[1])

    def is_at(self, entry, path):
        try:
            return os.lstat(path).st_ino == entry.inode and self.numbers[entry.inode] == entry.file
        except FileNotFoundError:
            return False  # the process died before the call

    def moved(self, source, target):
        for number, path in self.paths.items():
            if path == source or path.startswith(source + "/"):
                self.paths[number] = target + path[len(source):]

    # ---- content ----

    def files_look(self):
        """What stood in front of the first change that may be lost."""
        dirty = {}
        for number, entries in self.content.items():
            places = [entry.a if entry.kind == WRITE else min(entry.a, entry.c)
                      for entry in entries if not entry.is_synced]
            if places and number in self.paths:
                dirty[self.paths[number]] = min(places)
        self.files_before = {}
        for folder, _, names in os.walk(self.disk.root):
            for path in (os.path.join(folder, name) for name in names):
                size = os.path.getsize(path)
                self.files_before[path] = size, min(dirty.get(path, size), size)

    def contents_lose(self):
        for number, entries in self.content.items():
            path = self.paths.get(number)
            if path and entries:
                self.content_lose(path, entries)

    def content_lose(self, path, entries):
        live = bytearray(pathlib.Path(path).read_bytes())
        cuts = [at for at, entry in enumerate(entries)
                if entry.kind == TRUNCATE and entry.a < entry.c and not entry.is_synced]
        image = bytearray(live)
        if cuts and self.stream.random() < 0.5:
            # This truncation was not done: nothing behind it came to be either.
            for entry in reversed(entries[cuts[0]:]):
                undo(image, entry)
            entries, live = entries[:cuts[0]], bytearray(image)
        for entry in reversed(entries):
            entry.new = bytes(image[entry.a:entry.a + entry.b]) if entry.kind == WRITE else b""
            undo(image, entry)
        for entry in entries:
            if entry.is_synced:
                redo(image, entry)
            elif entry.kind == TRUNCATE and entry.a < entry.c:
                del image[entry.a:]  # done; what stood behind it does not come back
        out = self.sectors_mix(image, live, [entry for entry in entries if not entry.is_synced])
        if out != pathlib.Path(path).read_bytes():
            self.lost["files"] += 1
            with open(path, "r+b") as file:
                file.write(out)
                file.truncate(len(out))

    def sectors_mix(self, stable, live, entries):
        stream = self.stream
        doomed = {sector for entry in entries if entry.is_doomed for sector in sectors_of(entry)}
        dirty = sorted({sector for entry in entries for sector in sectors_of(entry)})
        low, high = sorted((len(stable), len(live)))
        size = stream.choice((low, high, stream.randint(low, high)))
        out = bytearray(stable[:size].ljust(size, b"\0"))
        for sector in dirty:
            begin, end = sector * SECTOR, (sector + 1) * SECTOR
            fate = 1 if sector in doomed else stream.choices((0, 1, 2), self.weights)[0]
            if fate == 1:
                self.lost["sectors"] += 1
                continue
            if fate == 2:
                self.lost["torn"] += 1
                end = begin + stream.randrange(SECTOR)
            piece = live[begin:min(end, size)]
            if begin < size:
                out[begin:begin + len(piece)] = piece
        return bytes(out[:size])

    def run(self):
        self.replay()
        self.walk()
        self.files_look()
        self.contents_lose()
        self.names_undo()
        shutil.rmtree(self.disk.side / "kept")
        (self.disk.side / "kept").mkdir()
        (self.disk.side / "journal").write_bytes(b"")
        return self.lost


def sectors_of(entry):
    return range(entry.a // SECTOR, (entry.a + entry.b - 1) // SECTOR + 1) if entry.kind == WRITE else ()


def undo(image, entry):
    """Takes one change back."""
    if entry.kind == WRITE:
        image[entry.a:entry.a + len(entry.data)] = entry.data
        if entry.c < entry.a + entry.b:
            del image[entry.c:]
    else:
        del image[min(entry.a, entry.c):]
        image += entry.data
        image += bytes(max(entry.c - len(image), 0))


def redo(image, entry):
    if entry.kind == WRITE:
        image += bytes(max(entry.a - len(image), 0))
        image[entry.a:entry.a + len(entry.new)] = entry.new
    else:
        del image[entry.a:]
        image += bytes(max(entry.a - len(image), 0))
