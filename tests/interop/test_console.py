# SPDX-License-Identifier: Apache-2.0
"""kafka-console-producer, kafka-console-consumer and kafka-producer-perf-test: what goes in comes out,
in order and whole, under every compression and every acks."""
import re

import pytest

import kafka

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SHOW = ("--formatter-property", "print.offset=true", "--formatter-property", "print.key=true",
        "--formatter-property", "print.headers=true")


def produce(node, topic, text, *options):
    return node.tool("kafka-console-producer", "--topic", topic, *options, stdin=text)


def consume(node, topic, count, *options, offset="earliest"):
    return node.tool("kafka-console-consumer", "--topic", topic, "--partition", 0, "--offset", offset,
                     "--max-messages", count, "--timeout-ms", 20000, *options).lines()


@pytest.mark.parametrize("codec", CODECS)
def test_lines_come_back_in_order_under_each_compression(node, topic, codec):
    lines = [f"line {number} " + "x" * (number % 50) for number in range(500)]
    produce(node, topic, "\n".join(lines) + "\n", "--compression-codec", codec)
    assert consume(node, topic, len(lines)) == lines


@pytest.mark.parametrize("codec", CODECS)
def test_the_compression_of_a_topic_takes_the_place_of_the_producers(node, topic, codec):
    node.create_topic(topic, "--config",
                      f"compression.type={'uncompressed' if codec == 'none' else codec}")
    other = "gzip" if codec != "gzip" else "zstd"
    lines = [f"line {number}" for number in range(200)]
    produce(node, topic, "\n".join(lines) + "\n", "--compression-codec", other)
    assert consume(node, topic, len(lines)) == lines
    dump = node.tools.run("kafka-dump-log", "--files",
                          node.partition_folder(topic) / "00000000000000000000.log").output
    assert set(re.findall(r"compresscodec: (\w+)", dump)) == {codec}


def test_keys_headers_and_nulls_come_back(node, topic):
    produce(node, topic, "h1:v1,h2:v2\tkey\tvalue\nh1:\t\t\nNULL\tNULL\tNULL\n",
            "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
            "--reader-property", "null.marker=NULL")
    assert consume(node, topic, 3, *SHOW) == ["Offset:0\th1:v1,h2:v2\tkey\tvalue", "Offset:1\th1:\t\t",
                                              "Offset:2\tNO_HEADERS\tnull\tnull"]


def test_consuming_starts_at_the_offset_asked_for(node, topic):
    produce(node, topic, "".join(f"{number}\n" for number in range(20)))
    assert consume(node, topic, 3, *SHOW[:2], offset=17) == [
        "Offset:17\t17", "Offset:18\t18", "Offset:19\t19"]


def test_the_end_of_a_partition_ends_consuming_after_the_time_out(node, topic):
    produce(node, topic, "only\n")
    result = node.tool("kafka-console-consumer", "--topic", topic, "--partition", 0, "--offset",
                       "earliest", "--timeout-ms", 1000)
    assert result.output == "only\n" and "Processed a total of 1 messages" in result.errors


def test_producing_to_a_topic_that_is_not_there_makes_it(node, topic):
    produce(node, topic, "first\n")
    assert topic in node.tool("kafka-topics", "--list").lines()
    assert consume(node, topic, 1) == ["first"]


@pytest.mark.parametrize("properties", [
    ("acks=0", "enable.idempotence=false"),
    ("acks=1", "enable.idempotence=false"),
    ("acks=all", "enable.idempotence=false"),
    ("acks=all", "enable.idempotence=true"),
    ("acks=all", "enable.idempotence=true", "compression.type=lz4",
     "max.in.flight.requests.per.connection=5"),
], ids=["acks-0", "acks-1", "acks-all", "idempotent", "idempotent-lz4"])
def test_the_performance_tool_sends_all_its_records(node, topic, properties):
    node.create_topic(topic, "--partitions", 3)
    result = node.tool("kafka-producer-perf-test", "--topic", topic, "--num-records", 20000,
                       "--record-size", 100, "--throughput", -1, "--command-property",
                       "batch.size=4096", *properties)
    assert re.search(r"^20000 records sent, ", result.output, re.M), result.text

    def count():
        ends = node.tool("kafka-get-offsets", "--topic", topic).lines()
        return sum(int(line.rsplit(":", 1)[1]) for line in ends)

    kafka.wait_for(lambda: count() >= 20000)  # with acks 0 and 1 they may not be on the disk yet
    assert count() == 20000
