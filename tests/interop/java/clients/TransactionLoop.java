// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * TransactionLoop ADDRESS TOPIC COUNT: consumes COUNT values from partition 0, which it writes first, and produces
 * one of each to partition 1, in transactions of a few. Every third is aborted or left without an end by a producer
 * that is gone; what was read for it is read again. At the end partition 1 must have each value once, in order.
 * It uses nothing that clients since 3.0 do not have.
 */
public class TransactionLoop {
    private final String address;
    private final String topic;
    private final TopicPartition from;
    private final TopicPartition to;

    private TransactionLoop(String address, String topic) {
        this.address = address;
        this.topic = topic;
        from = new TopicPartition(topic, 0);
        to = new TopicPartition(topic, 1);
    }

    public static void main(String[] arguments) throws Exception {
        new TransactionLoop(arguments[0], arguments[1]).run(Integer.parseInt(arguments[2]));
    }

    private KafkaProducer<String, String> producer(boolean transactional) {
        Map<String, Object> properties = new HashMap<>(Map.of("bootstrap.servers", address));
        if (transactional)
            properties.putAll(Map.of("transactional.id", topic, "linger.ms", 0));
        KafkaProducer<String, String> producer =
            new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
        if (transactional)
            producer.initTransactions();
        return producer;
    }

    private KafkaConsumer<String, String> consumer(TopicPartition place) {
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", address, "group.id", topic,
            "enable.auto.commit", false, "isolation.level", "read_committed", "auto.offset.reset", "earliest",
            "max.poll.records", 7), new StringDeserializer(), new StringDeserializer());
        consumer.assign(Set.of(place));
        return consumer;
    }

    private void run(int count) throws Exception {
        List<String> values = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer(false)) {
            for (int i = 0; i < count; i++) {
                values.add("v" + i);
                producer.send(new ProducerRecord<>(topic, 0, "k", "v" + i));
            }
        }
        for (int round = 0; !move(round, count); round++)
            continue;
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer(to)) {
            consumer.seekToBeginning(Set.of(to));
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (found.size() < count && System.nanoTime() < deadline)
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
                    found.add(record.value());
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200)))
                found.add(record.value());
        }
        if (!found.equals(values))
            throw new AssertionError("found " + found);
    }

    /** Transactions of one producer; whether all has been moved. What it leaves open the next one aborts first. */
    private boolean move(int round, int count) throws Exception {
        KafkaProducer<String, String> producer = producer(true);
        try (KafkaConsumer<String, String> consumer = consumer(from)) {
            for (int i = 0; consumer.position(from) < count; i++) {
                long before = consumer.position(from);
                producer.beginTransaction();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(5)))
                    producer.send(new ProducerRecord<>(topic, 1, "k", record.value()));
                producer.sendOffsetsToTransaction(Map.of(from, new OffsetAndMetadata(consumer.position(from))),
                    new ConsumerGroupMetadata(topic));
                if (i % 3 == 1) {
                    producer.abortTransaction();
                    consumer.seek(from, before);
                } else if (i % 3 == 2 && round < 2) {
                    producer.flush();
                    return false; /* gone without an end */
                } else {
                    producer.commitTransaction();
                }
            }
            return true;
        } finally {
            producer.close(Duration.ZERO);
        }
    }
}
