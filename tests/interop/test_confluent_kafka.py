# SPDX-License-Identifier: Apache-2.0
"""confluent-kafka for Python (librdkafka, newer than kcat's): producer, consumer without group calls,
admin."""
import pytest

confluent_kafka = pytest.importorskip("confluent_kafka")
admin = pytest.importorskip("confluent_kafka.admin")
WAIT = 20


def consumer(node):
    return confluent_kafka.Consumer({"bootstrap.servers": node.address, "group.id": "assigned",
                                     "enable.auto.commit": False, "enable.partition.eof": True,
                                     "auto.offset.reset": "error"})


def consume(node, topic, offset, partition=0):
    """All records from an offset to the end of the partition."""
    found = []
    reader = consumer(node)
    reader.assign([confluent_kafka.TopicPartition(topic, partition, offset)])
    while True:
        message = reader.poll(WAIT)
        assert message is not None, f"{len(found)} records, then nothing"
        if message.error():
            assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
            reader.close()
            return found
        found.append(message)


@pytest.fixture
def made(node, topic):
    node.create_topic(topic, "--config", "retention.ms=-1")
    return topic


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_records_come_back_whole_and_in_order(node, made, codec, idempotent):
    told = []
    producer = confluent_kafka.Producer({"bootstrap.servers": node.address, "compression.type": codec,
                                         "enable.idempotence": idempotent, "linger.ms": 5,
                                         "batch.num.messages": 100})
    for number in range(1000):
        producer.produce(made, b"v%d" % number, b"k%d" % number, 0, timestamp=1_700_000_000_000 + number,
                         headers=[("h", b"%d" % number), ("none", None)],
                         on_delivery=lambda error, message: told.append((error, message.offset())))
        producer.poll(0)
    assert producer.flush(WAIT) == 0
    assert told == [(None, number) for number in range(1000)]
    found = consume(node, made, confluent_kafka.OFFSET_BEGINNING)
    assert len(found) == 1000
    for number, message in enumerate(found):
        assert (message.offset(), message.key(), message.value()) == (
            number, b"k%d" % number, b"v%d" % number)
        assert message.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_000 + number)
        assert message.headers() == [("h", b"%d" % number), ("none", None)]


def test_consuming_starts_where_it_is_told(node, made):
    producer = confluent_kafka.Producer({"bootstrap.servers": node.address})
    for number in range(10):
        producer.produce(made, b"%d" % number, partition=0, timestamp=1000 * (number + 1))
    assert producer.flush(WAIT) == 0
    assert [each.value() for each in consume(node, made, 7)] == [b"7", b"8", b"9"]
    assert consume(node, made, confluent_kafka.OFFSET_END) == []
    reader = consumer(node)
    place = confluent_kafka.TopicPartition(made, 0, 4500)
    assert reader.offsets_for_times([place], timeout=WAIT)[0].offset == 4
    assert reader.get_watermark_offsets(confluent_kafka.TopicPartition(made, 0), timeout=WAIT) == (0, 10)
    reader.close()


def test_an_unknown_topic_is_made_by_producing(node, topic):
    producer = confluent_kafka.Producer({"bootstrap.servers": node.address})
    producer.produce(topic, b"first")
    assert producer.flush(WAIT) == 0
    assert [each.value() for each in consume(node, topic, 0)] == [b"first"]


def test_the_admin_client_makes_changes_and_deletes_topics(node, topic):
    client = admin.AdminClient({"bootstrap.servers": node.address})

    def done(futures):
        return {key: future.result(WAIT) for key, future in futures.items()}

    done(client.create_topics([admin.NewTopic(topic, 2, 1, config={"retention.ms": "9000"})]))
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        done(client.create_topics([admin.NewTopic(topic, 2, 1)]))
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
    done(client.create_partitions([admin.NewPartitions(topic, 4)]))
    assert len(client.list_topics(topic, timeout=WAIT).topics[topic].partitions) == 4
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic)
    (told,) = done(client.describe_configs([resource])).values()
    assert told["retention.ms"].value == "9000"
    change = admin.ConfigEntry("retention.ms", "8000",
                               incremental_operation=admin.AlterConfigOpType.SET)
    done(client.incremental_alter_configs([admin.ConfigResource(
        admin.ResourceType.TOPIC, topic, incremental_configs=[change])]))
    (told,) = done(client.describe_configs([resource])).values()
    assert told["retention.ms"].value == "8000"
    place = confluent_kafka.TopicPartition(topic, 0)
    (offset,) = done(client.list_offsets({place: admin.OffsetSpec.latest()})).values()
    assert offset.offset == 0
    done(client.delete_topics([topic]))
    assert topic not in client.list_topics(timeout=WAIT).topics
