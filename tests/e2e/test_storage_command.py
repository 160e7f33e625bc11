# SPDX-License-Identifier: Apache-2.0
"""`barnabas storage`: words and statuses, which are kafka-storage's."""
import subprocess

import pytest

from node import BINARY

CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
LATEST = "4.4-IV2"


def storage(*words, status=0):
    answer = subprocess.run([BINARY, "storage", *map(str, words)], text=True, timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert answer.returncode == status, answer.stdout + answer.stderr
    return answer.stdout if status == 0 else answer.stdout + answer.stderr


def format(node, *words, status=0):
    return storage("format", "-t", CLUSTER, "-c", node.file, "--standalone", *words, status=status)


def test_format_says_what_it_makes(make_node):
    node = make_node(directories=2, formatted=False)
    lines = format(node).splitlines()
    assert lines[0].startswith("Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion("
                               "FeatureLevelRecord(name='metadata.version', featureLevel=33) at version 0)")
    assert set(lines[1:]) == {
        f"Formatting dynamic metadata voter directory {node.data[0]} with metadata.version {LATEST}.",
        f"Formatting data directory {node.data[1]} with metadata.version {LATEST}."}
    assert (f"Log directory {node.data[0]} is already formatted. Use --ignore-formatted to ignore this directory "
            "and format the others.") in format(node, status=1)
    assert format(node, "-g") == "All of the log directories are already formatted.\n"
    other = storage("format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", node.file, "-s", "-g", status=1)
    assert f"Invalid cluster.id in: {node.data[0]}/meta.properties. Expected 4L6g3nShT-eMCtK--X86sw" in other


def test_a_directory_that_cannot_be_read_is_passed_over(make_node):
    node = make_node(directories=2, formatted=False)
    (node.data[1] / "meta.properties").mkdir(parents=True)  # every read of it fails
    told = (f"I/O error trying to read log directory {node.data[1]}. Ignoring...\n"
            f"  cannot read {node.data[1]}/meta.properties\n")
    text = format(node)
    assert text.startswith(told) and f"directory {node.data[0]} with" in text
    assert format(node, "-g") == told + "All of the log directories are already formatted.\n"
    assert "Found problem:" in storage("info", "-c", node.file, status=1)
    node.start()
    assert "directory_offline" in node.text()
    assert node.client().create_topic("t") == 0


def test_a_directory_whose_file_is_broken_is_passed_over_but_for_metadata(make_node):
    node = make_node(directories=2, formatted=False)
    broken = node.data[1] / "meta.properties"
    broken.parent.mkdir()
    broken.write_text("version=7\n")
    told = (f"I/O error trying to read log directory {node.data[1]}. Ignoring...\n"
            f"  {broken}, line 1 is not acceptable\n")
    text = format(node)
    assert text.startswith(told) and f"directory {node.data[0]} with" in text
    assert format(node, "-g") == told + "All of the log directories are already formatted.\n"
    assert broken.read_text() == "version=7\n"
    node.start()
    assert "directory_offline" in node.text() and f"{broken}, line 1 is not acceptable" in node.text()
    assert node.client().create_topic("t") == 0
    assert node.stop() == 0
    (node.data[0] / "meta.properties").rename(broken)
    (node.data[0] / "meta.properties").write_text("version=1\nnode.id=one\n")
    node.spawn()
    assert node.process.wait(60) == 1
    assert f"Encountered I/O error in metadata log directory {node.data[0]}. Cannot continue." in node.text()


def test_nothing_is_formatted_where_nothing_can_be_read(make_node):
    node = make_node(formatted=False)
    (node.data[0] / "meta.properties").mkdir(parents=True)
    assert "No available log directories to format." in format(node, status=1)


def test_info_tells_what_is_there(make_node):
    node = make_node(directories=2, formatted=False)
    text = storage("info", "-c", node.file, status=1)
    assert text.startswith("Found problems:\n") and f"  {node.data[0]} does not exist\n" in text
    format(node)
    (node.data[1] / "meta.properties").unlink()
    text = storage("info", "-c", node.file, status=1)
    assert text.startswith(f"Found log directories:\n  {node.data[0]}\n  {node.data[1]}\n\n"
                           f"Found metadata: {{cluster.id={CLUSTER}, directory.id=")
    assert text.endswith(f", node.id=1, version=1}}\n\nFound problem:\n  {node.data[1]} is not formatted.\n\n")


@pytest.mark.parametrize("release,level,kraft,transaction,group,elr,share,streams", [
    (None, 33, 1, 2, 1, 1, 2, 1), ("4.4", 33, 1, 2, 1, 1, 2, 1), ("4.4.1", 33, 1, 2, 1, 1, 2, 1),
    ("4.3", 30, 1, 2, 1, 1, 1, 1), ("4.0-IV1", 23, 1, 0, 1, 0, 0, 0), ("4.0", 25, 1, 2, 1, 0, 0, 0),
    ("3.8-IV0", 20, 0, 0, 0, 0, 0, 0), ("3.3", 7, 0, 0, 0, 0, 0, 0),
])
def test_a_release_has_its_levels(release, level, kraft, transaction, group, elr, share, streams):
    text = storage("version-mapping", *(["-r", release] if release else []))
    assert text == (f"metadata.version={level} ({release or LATEST})\nkraft.version={kraft}\n"
                    f"transaction.version={transaction}\ngroup.version={group}\n"
                    f"eligible.leader.replicas.version={elr}\nshare.version={share}\n"
                    f"streams.version={streams}\n")


def test_a_level_names_what_it_needs():
    text = storage("feature-dependencies", "-f", "metadata.version=25", "--feature=transaction.version=2",
                   "-feligible.leader.replicas.version=1")
    assert text == ("metadata.version=25 (4.0-IV3) has no dependencies.\ntransaction.version=2 has no dependencies.\n"
                    "eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n")


@pytest.mark.parametrize("words,status,told", [
    (["feature-dependencies", "-f", "group.version"], 1, "Invalid feature format: group.version. Expected format"),
    (["feature-dependencies", "-f", "group.version=x"], 1, "Invalid version format: x for feature group.version"),
    (["feature-dependencies", "-f", "group.version = x y"], 1, "Invalid version format: x y for feature group.version"),
    (["feature-dependencies", "-f", "group.version=7"], 1, "Feature level 7 is not supported for feature group.version"),
    (["feature-dependencies", "-f", "metadata.version=6"], 1, "Unknown metadata.version 6"),
    (["feature-dependencies", "-f", "no.version=1"], 1, "Unknown feature: no.version"),
    (["feature-dependencies"], 2, "--feature"),
    (["version-mapping", "-r", "2.8"], 1, "Unknown metadata.version '2.8'. Supported metadata.version are: 3.3-IV3, "),
    (["format", "-c", "none"], 2, "--cluster-id"),
    (["format", "-t", CLUSTER, "-c", "/no/such/file"], 1, "/no/such/file"),
    (["format", "-t", CLUSTER, "-c", "x", "-s", "-N"], 2, "only one of"),
    (["info"], 2, "--config"), (["explode"], 2, "no subcommand explode"), ([], 2, "subcommand"),
    (["random-uuid", "x"], 2, "unrecognized argument x"),
])
def test_what_is_refused_is_told(words, status, told):
    assert told in storage(*words, status=status)


def test_ids_can_be_typed_and_differ():
    ids = {storage("random-uuid").strip() for _ in range(20)}
    assert len(ids) == 20 and all(len(one) == 22 and one[0] != "-" for one in ids)
