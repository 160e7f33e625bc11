// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Kafka's producer, and its consumer without a group. */
public class RecordChecks {
    private static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer,
                                                             int count) {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        long deadline = System.nanoTime() + 30_000_000_000L;
        while (records.size() < count) {
            Check.holds(System.nanoTime() < deadline, records.size() + " of " + count + " records came");
            ConsumerRecords<String, String> some = consumer.poll(Duration.ofMillis(200));
            some.forEach(records::add);
        }
        Check.equal(count, records.size());
        return records;
    }

    static void anIdempotentProducerCallsBackInOrderWithRisingOffsets(Check check) throws Exception {
        check.create(1);
        List<Long> offsets = Collections.synchronizedList(new ArrayList<>());
        AtomicInteger failures = new AtomicInteger();
        try (KafkaProducer<String, String> producer = check.producer(Map.of("enable.idempotence", true,
                "acks", "all", "linger.ms", 0, "batch.size", 512))) {
            for (int i = 0; i < 3000; i++)
                producer.send(new ProducerRecord<>(check.topic, "k", "value " + i), (metadata, error) -> {
                    if (error == null)
                        offsets.add(metadata.offset());
                    else
                        failures.incrementAndGet();
                });
            producer.flush();
        }
        Check.equal(0, failures.get());
        Check.equal(3000, offsets.size());
        for (int i = 0; i < 3000; i++)
            Check.equal((long) i, offsets.get(i));
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of())) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            List<ConsumerRecord<String, String>> records = read(consumer, 3000);
            for (int i = 0; i < 3000; i++)
                Check.equal("value " + i, records.get(i).value());
        }
    }

    static void metadataOfASentRecordTellsPlaceTimeAndSizes(Check check) throws Exception {
        check.create(2);
        try (KafkaProducer<String, String> producer = check.producer(Map.of())) {
            RecordMetadata told = Check.await(producer.send(
                new ProducerRecord<>(check.topic, 1, 123456L, "key", "value")));
            Check.equal(check.topic + "-1@0", told.toString());
            Check.equal(123456L, told.timestamp());
        }
    }

    static void withAcksZeroNoOffsetIsTold(Check check) throws Exception {
        check.create(1);
        try (KafkaProducer<String, String> producer = check.producer(Map.of("acks", "0",
                "enable.idempotence", false))) {
            Check.equal(-1L, Check.await(producer.send(new ProducerRecord<>(check.topic, "v"))).offset());
        }
    }

    static void aRecordLargerThanTheTopicAllowsIsRefusedAlone(Check check) throws Exception {
        check.create(1);
        AdminChecks.alterTopic(check, "max.message.bytes", "2000");
        try (KafkaProducer<String, String> producer = check.producer(Map.of("linger.ms", 0))) {
            Future<RecordMetadata> large = producer.send(new ProducerRecord<>(check.topic, "x".repeat(5000)));
            try {
                Check.await(large);
                throw new AssertionError("the large record was taken");
            } catch (ExecutionException thrown) {
                Check.holds(thrown.getCause() instanceof RecordTooLargeException, thrown.getCause());
            }
            Check.equal(0L, Check.await(producer.send(new ProducerRecord<>(check.topic, "small"))).offset());
        }
    }

    static void aConsumerSeeksByOffsetAndToBothEnds(Check check) throws Exception {
        check.create(2);
        check.send("a", "b", "c", "d", "e");
        TopicPartition place = new TopicPartition(check.topic, 0);
        TopicPartition empty = new TopicPartition(check.topic, 1);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of())) {
            consumer.assign(List.of(place, empty));
            Check.equal(Map.of(place, 0L, empty, 0L), consumer.beginningOffsets(List.of(place, empty)));
            Check.equal(Map.of(place, 5L, empty, 0L), consumer.endOffsets(List.of(place, empty)));
            consumer.seekToEnd(List.of(empty));
            consumer.seek(place, 3);
            List<ConsumerRecord<String, String>> records = read(consumer, 2);
            Check.equal("d", records.get(0).value());
            Check.equal(3L, records.get(0).offset());
            Check.equal(4000L, records.get(0).timestamp());
            Check.equal("k3", records.get(0).key());
            consumer.seekToBeginning(List.of(place));
            Check.equal("a", read(consumer, 5).get(0).value());
            Check.equal(5L, consumer.position(place));
            Check.equal(0L, consumer.currentLag(place).orElse(-1));
        }
    }

    static void offsetsAreFoundByTime(Check check) throws Exception {
        check.create(2);
        check.send("a", "b", "c");
        TopicPartition place = new TopicPartition(check.topic, 0);
        TopicPartition empty = new TopicPartition(check.topic, 1);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of())) {
            Map<TopicPartition, OffsetAndTimestamp> found =
                consumer.offsetsForTimes(Map.of(place, 1001L, empty, 0L));
            Check.equal(1L, found.get(place).offset());
            Check.equal(2000L, found.get(place).timestamp());
            Check.equal(null, found.get(empty));
            Check.equal(null, consumer.offsetsForTimes(Map.of(place, 3001L)).get(place));
        }
    }

    static void anOffsetOutOfRangeIsToldOrReset(Check check) throws Exception {
        check.create(1);
        check.send("a", "b");
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of("auto.offset.reset", "none"))) {
            consumer.assign(List.of(place));
            consumer.seek(place, 9);
            try {
                read(consumer, 1);
                throw new AssertionError("records beyond the end");
            } catch (OffsetOutOfRangeException thrown) {
                Check.equal(Map.of(place, 9L), thrown.offsetOutOfRangePartitions());
            }
        }
        try (KafkaConsumer<String, String> consumer =
                check.consumer(Map.of("auto.offset.reset", "earliest"))) {
            consumer.assign(List.of(place));
            consumer.seek(place, 9);
            Check.equal("a", read(consumer, 2).get(0).value());
        }
    }

    static void aConsumerAtTheEndIsWokenByTheNextRecord(Check check) throws Exception {
        check.create(1);
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of("fetch.max.wait.ms", 4000,
                "request.timeout.ms", 30000))) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            Check.equal(0, consumer.poll(Duration.ofMillis(300)).count()); /* a fetch now waits */
            check.send("late");
            long start = System.nanoTime();
            Check.equal("late", read(consumer, 1).get(0).value());
            Check.holds(System.nanoTime() - start < 2_000_000_000L, "the waiting fetch was not woken");
        }
    }

    static void severalPartitionsAreReadAtOnceWithinTheFetchLimits(Check check) throws Exception {
        check.create(8);
        try (KafkaProducer<String, String> producer = check.producer(Map.of("compression.type", "zstd"))) {
            for (int i = 0; i < 4000; i++)
                producer.send(new ProducerRecord<>(check.topic, i % 8, "k" + i, "x".repeat(i % 300)));
            producer.flush();
        }
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of("fetch.max.bytes", 20000,
                "max.partition.fetch.bytes", 3000))) {
            List<TopicPartition> places = new ArrayList<>();
            for (int i = 0; i < 8; i++)
                places.add(new TopicPartition(check.topic, i));
            consumer.assign(places);
            consumer.seekToBeginning(places);
            long[] next = new long[8];
            for (ConsumerRecord<String, String> record : read(consumer, 4000)) {
                Check.equal(next[record.partition()]++, record.offset());
                Check.equal("k" + (record.offset() * 8 + record.partition()), record.key());
            }
        }
    }

    static void readCommittedSeesPlainRecords(Check check) throws Exception {
        check.create(1);
        check.send("a", "b");
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaConsumer<String, String> consumer =
                check.consumer(Map.of("isolation.level", "read_committed"))) {
            consumer.assign(List.of(place));
            consumer.seekToBeginning(List.of(place));
            read(consumer, 2);
            Check.equal(2L, consumer.endOffsets(List.of(place)).get(place));
        }
    }

    static void topicsAndPartitionsAreListed(Check check) throws Exception {
        check.create(3);
        try (KafkaConsumer<String, String> consumer = check.consumer(Map.of())) {
            Check.equal(3, consumer.partitionsFor(check.topic).size());
            Check.equal(3, consumer.listTopics().get(check.topic).size());
            Check.equal(1, consumer.partitionsFor(check.topic).get(0).leader().id());
        }
    }
}
