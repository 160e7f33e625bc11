// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.DescribeProducersResult;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/** Transactional producers, readers of committed records, and the admin client's view of transactions. */
public class TransactionChecks {
    private static KafkaProducer<String, String> producer(Check check, String id) {
        KafkaProducer<String, String> producer =
            check.producer(Map.of("transactional.id", id, "transaction.timeout.ms", 60000));
        producer.initTransactions();
        return producer;
    }

    private static void send(Check check, KafkaProducer<String, String> producer, int partition,
                             String... values) throws Exception {
        for (String value : values)
            Check.await(producer.send(new ProducerRecord<>(check.topic, partition, "k", value)));
    }

    private static void until(String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!holds.getAsBoolean())
            Check.holds(System.nanoTime() < deadline, "not in time: " + what);
    }

    /** As many committed records as expected, and then none for a while. */
    private static void committed(Check check, int partition, String... expected) {
        TopicPartition place = new TopicPartition(check.topic, partition);
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer =
                 check.consumer(Map.of("isolation.level", "read_committed", "auto.offset.reset", "earliest"))) {
            consumer.assign(Set.of(place));
            until(expected.length + " committed records", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
                    values.add(record.value());
                return values.size() >= expected.length;
            });
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(300)))
                values.add(record.value());
        }
        Check.equal(List.of(expected), values);
    }

    static void recordsOfCommittedTransactionsAlone(Check check) throws Exception {
        check.create(2);
        try (KafkaProducer<String, String> producer = producer(check, check.topic)) {
            for (int i = 0; i < 6; i++) {
                producer.beginTransaction();
                send(check, producer, 0, "a" + i);
                send(check, producer, 1, "b" + i, "c" + i);
                if (i % 2 == 0)
                    producer.commitTransaction();
                else
                    producer.abortTransaction();
            }
            producer.beginTransaction();
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
        }
        committed(check, 0, "a0", "a2", "a4");
        committed(check, 1, "b0", "c0", "b2", "c2", "b4", "c4");
    }

    static void offsetsThatBelongToTheirTransaction(Check check) throws Exception {
        check.create(1);
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaProducer<String, String> producer = producer(check, check.topic);
             KafkaConsumer<String, String> consumer = check.consumer(Map.of("group.id", check.topic))) {
            for (int i = 1; i <= 4; i++) {
                producer.beginTransaction();
                send(check, producer, 0, "v" + i);
                producer.sendOffsetsToTransaction(Map.of(place, new OffsetAndMetadata(i)),
                    new ConsumerGroupMetadata(check.topic));
                if (i % 2 == 1)
                    producer.commitTransaction();
                else
                    producer.abortTransaction();
            }
            Check.equal(3L, consumer.committed(Set.of(place)).get(place).offset());
        }
        committed(check, 0, "v1", "v3");
    }

    static void thatAnOldProducerIsFenced(Check check) throws Exception {
        check.create(1);
        KafkaProducer<String, String> old = producer(check, check.topic);
        old.beginTransaction();
        send(check, old, 0, "old");
        try (KafkaProducer<String, String> fresh = producer(check, check.topic)) {
            fresh.beginTransaction();
            send(check, fresh, 0, "new");
            fresh.commitTransaction();
        }
        try {
            send(check, old, 0, "late");
            old.commitTransaction();
            Check.holds(false, "the old producer was not fenced");
        } catch (ExecutionException thrown) {
            Check.holds(thrown.getCause() instanceof InvalidProducerEpochException
                || thrown.getCause() instanceof ProducerFencedException, thrown.toString());
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            /* as it should be */
        }
        old.close(Duration.ZERO);
        committed(check, 0, "new");
    }

    static void thatAConsumeTransformProduceLoopIsExact(Check check) throws Exception {
        check.create(2);
        String[] values = new String[60];
        for (int i = 0; i < values.length; i++)
            values[i] = "v" + i;
        check.send(values);
        TopicPartition from = new TopicPartition(check.topic, 0);
        int round = 0;
        long position = 0;
        while (position < values.length) {
            try (KafkaProducer<String, String> producer = producer(check, check.topic);
                 KafkaConsumer<String, String> consumer = check.consumer(Map.of("group.id", check.topic,
                     "max.poll.records", 7, "auto.offset.reset", "earliest"))) {
                consumer.assign(Set.of(from));
                for (int i = 0; i < 3; i++) {
                    producer.beginTransaction();
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(5)))
                        producer.send(new ProducerRecord<>(check.topic, 1, "k", record.value() + "!"));
                    producer.sendOffsetsToTransaction(
                        Map.of(from, new OffsetAndMetadata(consumer.position(from))),
                        consumer.groupMetadata());
                    if (round++ % 3 == 2)
                        break; /* gone without an end: the next producer of the id aborts it */
                    producer.commitTransaction();
                    position = consumer.position(from);
                }
                producer.close(Duration.ZERO);
            }
        }
        for (int i = 0; i < values.length; i++)
            values[i] += "!";
        committed(check, 1, values);
    }

    static void transactionsByTheAdminClient(Check check) throws Exception {
        check.create(2);
        try (KafkaProducer<String, String> producer = producer(check, check.topic)) {
            producer.beginTransaction();
            send(check, producer, 1, "v");
            TransactionDescription told =
                Check.await(check.admin.describeTransactions(Set.of(check.topic)).description(check.topic));
            Check.equal(TransactionState.ONGOING, told.state());
            Check.equal(60000L, told.transactionTimeoutMs());
            Check.equal(Set.of(new TopicPartition(check.topic, 1)), told.topicPartitions());
            Check.holds(told.transactionStartTimeMs().isPresent(), "a start");
            Collection<TransactionListing> listed = Check.await(check.admin.listTransactions(
                new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all());
            Check.holds(listed.stream().anyMatch(each -> each.transactionalId().equals(check.topic)
                && each.producerId() == told.producerId()), "listed: " + listed);
            Collection<TransactionListing> named = Check.await(check.admin.listTransactions(
                new ListTransactionsOptions().filterOnTransactionalIdPattern(check.topic + ".*")).all());
            Check.equal(Set.of(check.topic), named.stream().map(TransactionListing::transactionalId)
                .collect(Collectors.toSet()));
            producer.commitTransaction();
            until("the end", () -> {
                try {
                    return Check.await(check.admin.describeTransactions(Set.of(check.topic))
                        .description(check.topic)).state() == TransactionState.COMPLETE_COMMIT;
                } catch (Exception thrown) {
                    throw new RuntimeException(thrown);
                }
            });
        }
        try {
            Check.await(check.admin.describeTransactions(Set.of("no-" + check.topic))
                .description("no-" + check.topic));
            Check.holds(false, "an id that nobody used");
        } catch (ExecutionException thrown) {
            Check.holds(thrown.getCause() instanceof TransactionalIdNotFoundException, thrown.toString());
        }
    }

    static void thatTheAdminClientFencesAndAborts(Check check) throws Exception {
        check.create(1);
        TopicPartition place = new TopicPartition(check.topic, 0);
        KafkaProducer<String, String> producer = producer(check, check.topic);
        producer.beginTransaction();
        send(check, producer, 0, "gone");
        DescribeProducersResult.PartitionProducerState state =
            Check.await(check.admin.describeProducers(Set.of(place)).partitionResult(place));
        ProducerState open = state.activeProducers().get(0);
        Check.equal(0L, open.currentTransactionStartOffset().getAsLong());
        Check.await(check.admin.abortTransaction(new AbortTransactionSpec(place, open.producerId(),
            (short) open.producerEpoch(), Math.max(open.coordinatorEpoch().orElse(0), 0))).all());
        state = Check.await(check.admin.describeProducers(Set.of(place)).partitionResult(place));
        Check.holds(state.activeProducers().get(0).currentTransactionStartOffset().isEmpty(), "aborted");
        Check.await(check.admin.fenceProducers(Set.of(check.topic)).all());
        try {
            producer.commitTransaction();
            Check.holds(false, "a fenced producer commits");
        } catch (KafkaException expected) {
            /* as it should be */
        }
        producer.close(Duration.ZERO);
        committed(check, 0);
    }

    static void theProtocolOfTheCluster(Check check) throws Exception {
        Check.equal((short) 2, Check.await(check.admin.describeFeatures().featureMetadata())
            .finalizedFeatures().get("transaction.version").maxVersionLevel());
    }
}
