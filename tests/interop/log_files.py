# SPDX-License-Identifier: Apache-2.0
"""What kafka-dump-log makes of the files of a log directory."""
import re

# A gap between offsets is told as "3 is followed by 5"; "-1 is followed by 260" tells only that a
# file does not begin at 0.
COMPLAINT = re.compile(r"Found timestamp mismatch|Index timestamp|Found out of order timestamp|Mismatches in"
                       r"|^ *\d+ is followed by|isvalid: false|trailing|corrupt|Exception", re.I)


def dump(node, files, *options):
    files = sorted(map(str, files))
    assert files
    return node.tools.run("kafka-dump-log", "--files", ",".join(files), *options)


def checked(node, files, *options):
    """The dump of files that must be whole: batches valid, offsets without gaps, indexes that agree
    with the log."""
    result = dump(node, files, *options)
    wrong = [line for line in result.text.splitlines() if COMPLAINT.search(line)]
    assert not wrong, "\n".join(wrong[:20])
    return result.output


def files_of(node, suffix, topics="[!_]*"):
    return [path for folder in node.log_dirs for path in folder.glob(f"{topics}-*/*{suffix}")
            if re.fullmatch(r".+-\d+", path.parent.name)]  # none of deleted and of future replicas


def check_directories(node):
    """All logs, indexes and snapshots of producers of a node that stands still."""
    if files_of(node, ".log"):
        checked(node, files_of(node, ".log"), "--deep-iteration", "--skip-record-metadata")
    for suffix in (".index", ".timeindex") if files_of(node, ".log") else ():
        files = files_of(node, suffix)
        checked(node, files)
        sane = dump(node, files, "--index-sanity-check")
        told = re.findall(r"^(\S+) (?:passed sanity check|is empty)\.$", sane.output, re.M)
        assert sorted(set(told)) == sorted(map(str, files)), sane.text
    snapshots = files_of(node, ".snapshot")
    if snapshots:
        checked(node, snapshots)
    checked(node, node.log_dirs[0].glob("__cluster_metadata-0/*.log"), "--cluster-metadata-decoder")


def meta_properties(node):
    """The lines of each directory's meta.properties, without the comments that tell the time."""
    return {folder.name: sorted(line for line in (folder / "meta.properties").read_text().splitlines()
                                if not line.startswith("#")) for folder in node.log_dirs}
