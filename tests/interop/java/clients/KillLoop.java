// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/**
 * KillLoop ADDRESS TOPIC PARTITIONS SECONDS: an idempotent producer numbers its records, one partition
 * after the other, while a consumer with assigned partitions reads them; meanwhile others may kill the
 * node again and again. All must come, each once, in order, at the offset that the producer was told.
 */
public class KillLoop {
    private static final int LIMIT_SECONDS = 60;

    public static void main(String[] arguments) throws Exception {
        int partitions = Integer.parseInt(arguments[2]);
        AtomicLong total = new AtomicLong(Long.MAX_VALUE);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread reader = new Thread(() -> {
            try {
                read(arguments[0], arguments[1], partitions, total);
            } catch (Throwable thrown) {
                failure.set(thrown);
            }
        });
        reader.start();
        List<Future<RecordMetadata>> sent = send(arguments[0], arguments[1], partitions,
            Integer.parseInt(arguments[3]), failure);
        for (int i = 0; i < sent.size(); i++) {
            RecordMetadata told = sent.get(i).get(LIMIT_SECONDS, TimeUnit.SECONDS);
            Check.equal(i % partitions, told.partition());
            Check.equal((long) (i / partitions), told.offset());
        }
        total.set(sent.size());
        reader.join(LIMIT_SECONDS * 1000L);
        if (failure.get() != null)
            throw new AssertionError("the consumer failed", failure.get());
        Check.holds(!reader.isAlive(), "not all records came to the consumer");
        System.out.println(sent.size());
    }

    private static List<Future<RecordMetadata>> send(String address, String topic, int partitions, int seconds,
                                                     AtomicReference<Throwable> failure) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        Map<String, Object> properties = Map.of("bootstrap.servers", address, "acks", "all",
            "enable.idempotence", true, "batch.size", 2000, "linger.ms", 1, "request.timeout.ms", 5000,
            "delivery.timeout.ms", 60000, "max.block.ms", 60000, "reconnect.backoff.max.ms", 200);
        try (KafkaProducer<Long, Long> producer = new KafkaProducer<>(properties, new LongSerializer(),
                new LongSerializer())) {
            while (System.nanoTime() < end && failure.get() == null) {
                long number = sent.size();
                sent.add(producer.send(new ProducerRecord<>(topic, (int) (number % partitions), number, number)));
                if (number % 20 == 19)
                    Thread.sleep(1);
            }
            producer.flush();
        }
        return sent;
    }

    private static void read(String address, String topic, int partitions, AtomicLong total) {
        Map<String, Object> properties = new HashMap<>(Map.of("bootstrap.servers", address,
            "enable.auto.commit", false, "auto.offset.reset", "none", "check.crcs", true,
            "reconnect.backoff.max.ms", 200, "request.timeout.ms", 5000));
        List<TopicPartition> places = new ArrayList<>();
        long[] next = new long[partitions];
        long seen = 0;
        for (int i = 0; i < partitions; i++)
            places.add(new TopicPartition(topic, i));
        try (KafkaConsumer<Long, Long> consumer = new KafkaConsumer<>(properties, new LongDeserializer(),
                new LongDeserializer())) {
            consumer.assign(places);
            for (TopicPartition place : places)
                consumer.seek(place, 0);
            long quiet = 0;
            while (seen < total.get() || quiet < 5) { /* a little longer: nothing may come twice */
                quiet = seen < total.get() ? 0 : quiet + 1;
                for (ConsumerRecord<Long, Long> record : consumer.poll(Duration.ofMillis(100))) {
                    Check.equal(next[record.partition()], record.offset());
                    Check.equal(next[record.partition()] * partitions + record.partition(), record.value());
                    Check.equal(record.value(), record.key());
                    next[record.partition()]++;
                    seen++;
                }
                if (Thread.interrupted())
                    return;
            }
            Check.equal(total.get(), seen);
        }
    }
}
