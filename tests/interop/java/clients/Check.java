// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Check CLASS METHOD ADDRESS TOPIC runs one check, a static method that takes this object; what is
 * thrown there fails it. The topic is a name that nothing else uses.
 */
public class Check implements AutoCloseable {
    final String address;
    final String topic;
    final Admin admin;

    private Check(String address, String topic) {
        this.address = address;
        this.topic = topic;
        this.admin = Admin.create(Map.of("bootstrap.servers", address, "default.api.timeout.ms", 30000));
    }

    public static void main(String[] arguments) throws Throwable {
        try (Check check = new Check(arguments[2], arguments[3])) {
            Class.forName(arguments[0]).getDeclaredMethod(arguments[1], Check.class).invoke(null, check);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    @Override
    public void close() {
        admin.close();
    }

    KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> properties = new HashMap<>(more);
        properties.put("bootstrap.servers", address);
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, Object> more) {
        Map<String, Object> properties = new HashMap<>(more);
        properties.put("bootstrap.servers", address);
        properties.put("enable.auto.commit", false);
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    /** Creates the topic and waits until its partitions take records. These are old: retention is off. */
    void create(int partitions) throws Exception {
        await(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1)
            .configs(Map.of("retention.ms", "-1")))).all());
        Map<TopicPartition, OffsetSpec> places = new HashMap<>();
        for (int i = 0; i < partitions; i++)
            places.put(new TopicPartition(topic, i), OffsetSpec.latest());
        await(admin.listOffsets(places).all()); /* retried until every partition has its leader */
    }

    /** Sends values with the times 1000, 2000, … to partition 0. */
    void send(String... values) throws Exception {
        try (KafkaProducer<String, String> producer = producer(Map.of())) {
            for (int i = 0; i < values.length; i++)
                await(producer.send(new ProducerRecord<>(topic, 0, 1000L * (i + 1), "k" + i, values[i])));
        }
    }

    static <T> T await(Future<T> future) throws Exception {
        return future.get(30, TimeUnit.SECONDS);
    }

    static void equal(Object expected, Object found) {
        if (!Objects.equals(expected, found))
            throw new AssertionError("expected " + expected + ", found " + found);
    }

    static void holds(boolean condition, Object about) {
        if (!condition)
            throw new AssertionError("wrong: " + about);
    }

    static Throwable fails(KafkaFuture<?> future, Class<?> type) throws Exception {
        try {
            Object value = await(future);
            throw new AssertionError("expected " + type.getSimpleName() + ", found " + value);
        } catch (ExecutionException thrown) {
            if (!type.isInstance(thrown.getCause()))
                throw thrown;
            return thrown.getCause();
        }
    }
}
