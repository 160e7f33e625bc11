# SPDX-License-Identifier: Apache-2.0
"""group_member.py ADDRESS GROUP TOPIC KEY=VALUE…: as java/clients/GroupMember.java, on librdkafka."""
import sys

import confluent_kafka


def say(what, partition, offset):
    print(what, partition, offset, flush=True)


def main(address, group, topic, *settings):
    properties = {"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest",
                  "enable.auto.commit": False}
    properties.update(each.split("=", 1) for each in settings)
    consumer = confluent_kafka.Consumer(properties)
    consumer.subscribe([topic],
                       on_assign=lambda _, places: [say("assigned", each.partition, 0) for each in places],
                       on_revoke=lambda _, places: [say("revoked", each.partition, 0) for each in places],
                       on_lost=lambda _, places: [say("revoked", each.partition, 0) for each in places])
    while True:
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        say("record", message.partition(), message.offset())
        try:
            consumer.commit(message=message, asynchronous=False)
        except confluent_kafka.KafkaException:
            say("uncommitted", -1, 0)


main(*sys.argv[1:])
