# SPDX-License-Identifier: Apache-2.0
"""What a power cut in flush mode os left of each log for certain: batches without a gap, from the log's beginning on,
in bytes that a sync had covered. It is told to the history (the mark `synced`): below that nothing may be missing."""
import collections
import pathlib
import re

import records

SEGMENT = re.compile(r"\d{20}\.log")
PARTITION = re.compile(r"(.+)-(\d+)")


def kept_offsets(logs):
    """logs: {path: (size, bytes that were synced)} before the cut; their files as they are behind it.
    {(topic, partition): offset}"""
    partitions = collections.defaultdict(list)
    for path in map(pathlib.Path, logs):
        if SEGMENT.fullmatch(path.name) and PARTITION.fullmatch(path.parent.name):
            partitions[path.parent].append(path)
    found = {}
    for folder, paths in partitions.items():
        topic, number = PARTITION.fullmatch(folder.name).groups()
        place = topic, int(number)
        offset = kept_offset(sorted(paths), logs)
        found[place] = min(offset, found.get(place, offset))  # in two directories: only one of them counts
    return found


def kept_offset(paths, logs):
    offset = int(paths[0].stem)
    for path in paths:
        if int(path.stem) != offset or not path.exists():
            break
        size, stable = logs[str(path)]
        passed = 0
        for fields, _, is_valid, batch_bytes in records.batches_of(path.read_bytes()[:stable]):
            if not is_valid or fields[0] != offset:
                break
            offset, passed = fields[0] + fields[6] + 1, passed + batch_bytes
        if passed != size:
            break
    return offset
