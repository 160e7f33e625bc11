# SPDX-License-Identifier: Apache-2.0
"""kcat (librdkafka): listing, producing and consuming under each codec, offsets by time."""
import json
import shutil
import subprocess

import pytest

import records

pytestmark = pytest.mark.skipif(not shutil.which("kcat"), reason="needs kcat")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def kcat(node, *arguments, stdin=""):
    result = subprocess.run(["kcat", "-b", node.address, *map(str, arguments)], input=stdin,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def consume(node, topic, *options, show=r"%o %k %s\n"):
    return kcat(node, "-C", "-t", topic, "-p", 0, "-e", "-q", "-f", show, *options).splitlines()


@pytest.fixture
def made(node, topic):
    node.create_topic(topic, "--config", "retention.ms=-1")
    return topic


def test_the_cluster_is_listed(node, made):
    told = json.loads(kcat(node, "-L", "-J"))
    assert told["brokers"] == [{"id": 1, "name": node.address}] and told["controllerid"] == 1
    (found,) = [each for each in told["topics"] if each["topic"] == made]
    assert found["partitions"] == [{"partition": 0, "leader": 1, "replicas": [{"id": 1}],
                                    "isrs": [{"id": 1}]}]


@pytest.mark.parametrize("codec", CODECS)
def test_lines_come_back_under_each_codec(node, made, codec):
    text = "".join(f"k{number}:value {'x' * (number % 70)}\n" for number in range(400))
    kcat(node, "-P", "-t", made, "-p", 0, "-K:", "-z", codec, stdin=text)
    assert consume(node, made) == [f"{number} {line.replace(':', ' ')}"
                                   for number, line in enumerate(text.splitlines())]


def test_an_idempotent_producer_sends_all(node, made):
    text = "".join(f"{number}\n" for number in range(5000))
    kcat(node, "-P", "-t", made, "-p", 0, "-X", "enable.idempotence=true", "-X", "batch.num.messages=50",
         stdin=text)
    assert consume(node, made, show=r"%s\n") == text.splitlines()


@pytest.mark.parametrize("codec", CODECS)
def test_what_the_java_client_sends_kcat_reads(node, made, codec):
    records.send(node, [records.record(made, b"v%d" % number, b"k%d" % number, timestamp=1000 * number)
                        for number in range(100)], f"compression.type={codec}", "linger.ms=20")
    assert consume(node, made, show=r"%o %T %k %s\n") == [
        f"{number} {1000 * number} k{number} v{number}" for number in range(100)]


def test_headers_and_nulls_come_back(node, made):
    kcat(node, "-P", "-t", made, "-p", 0, "-H", "h=v", "-Z", "-K:", stdin="k:\n")
    (line,) = consume(node, made, show=r"%k %S %h\n")
    assert line == "k -1 h=v"


def test_offsets_are_found_by_time(node, made):
    records.send(node, [records.record(made, b"v", timestamp=time) for time in (1000, 2000, 3000)])
    for time, offset in ((1500, 1), (3000, 2), (3001, -1), (-1, 3), (-2, 0)):
        assert kcat(node, "-Q", "-t", f"{made}:0:{time}") == f"{made} [0] offset {offset}\n"
    assert consume(node, made, "-o", "s@2000", show=r"%o\n") == ["1", "2"]
    assert consume(node, made, "-o", -1, show=r"%o\n") == ["2"]
