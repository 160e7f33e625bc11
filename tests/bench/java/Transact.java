// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Transact ADDRESS TOPIC PARTITIONS PRODUCERS WARM_UP_SECONDS SECONDS RECORDS: what transact_wire.c does, by Kafka's
 * producers, each with a thread of its own in one JVM, linger.ms=0 and otherwise as they come.
 */
public class Transact {
    private static final int VALUE_SIZE = 100;
    private static final int TEXT_SIZE = 4 * 1024 * 1024;
    private static final int TEXT_MORE = 65536;

    private final String address;
    private final String topic;
    private final int partitions;
    private final int records;
    private final byte[] text = text();
    private final AtomicLong sequence = new AtomicLong();

    private Transact(String[] arguments) {
        address = arguments[0];
        topic = arguments[1];
        partitions = Integer.parseInt(arguments[2]);
        records = Integer.parseInt(arguments[6]);
    }

    /** Nanoseconds of transactions and of their commits. */
    private static class Times {
        private long[] whole = new long[1024];
        private long[] commits = new long[1024];
        private int count;

        private void add(long wholeNs, long commitNs) {
            if (count == whole.length) {
                whole = Arrays.copyOf(whole, count * 2);
                commits = Arrays.copyOf(commits, count * 2);
            }
            whole[count] = wholeNs;
            commits[count++] = commitNs;
        }

        private void addAll(Times other) {
            for (int i = 0; i < other.count; i++)
                add(other.whole[i], other.commits[i]);
        }

        private void sort() {
            Arrays.sort(whole, 0, count);
            Arrays.sort(commits, 0, count);
        }
    }

    /* ---- values: those of payload.c ---- */

    private static long mix(long x) {
        x = (x ^ (x >>> 30)) * 0xbf58476d1ce4e5b9L;
        x = (x ^ (x >>> 27)) * 0x94d049bb133111ebL;
        return x ^ (x >>> 31);
    }

    private static byte[] text() {
        String[] words = {"GET", "POST", "order", "customer", "payment", "accepted", "shipped", "region=eu",
            "level=I", "status", "basket", "checkout", "retry", "upstream", "latency", "trace="};
        StringBuilder out = new StringBuilder(TEXT_SIZE + TEXT_MORE + 64);
        for (long state = 43; out.length() < TEXT_SIZE + TEXT_MORE; state++) {
            long draw = mix(state);
            String number = Integer.toHexString((int) (draw >>> 32));
            out.append(words[(int) (draw & 15)]).append(' ').append(words[(int) ((draw >>> 4) & 15)]).append(' ')
                .append("0".repeat(8 - number.length())).append(number).append(' ');
        }
        return out.toString().getBytes(StandardCharsets.US_ASCII);
    }

    private byte[] value(long number) {
        byte[] value = new byte[VALUE_SIZE];
        ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).putLong(number);
        System.arraycopy(text, (int) Long.remainderUnsigned(mix(number), TEXT_SIZE), value, 8, VALUE_SIZE - 8);
        return value;
    }

    /* ---- transactions ---- */

    private KafkaProducer<byte[], byte[]> producer(int index) {
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(Map.of("bootstrap.servers", address,
            "transactional.id", "java-" + index + "-" + System.nanoTime(), "linger.ms", 0),
            new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        return producer;
    }

    private void transaction(KafkaProducer<byte[], byte[]> producer, Times times) throws Exception {
        long first = sequence.getAndAdd(records);
        long begun = System.nanoTime();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        producer.beginTransaction();
        for (long number = first; number < first + records; number++)
            sent.add(producer.send(new ProducerRecord<>(topic, (int) (number % partitions), null, value(number))));
        /* As commitTransaction would: so that the time of the end is known apart. */
        producer.flush();
        long ending = System.nanoTime();
        producer.commitTransaction();
        long ended = System.nanoTime();
        for (Future<RecordMetadata> each : sent)
            each.get();
        times.add(ended - begun, ended - ending);
    }

    /** Transactions are begun for so long; all are over when it returns. */
    private Times run(List<KafkaProducer<byte[], byte[]>> producers, double seconds) throws Exception {
        long end = System.nanoTime() + (long) (seconds * 1e9);
        Times all = new Times();
        List<Thread> threads = new ArrayList<>();
        List<Throwable> failures = new ArrayList<>();
        for (KafkaProducer<byte[], byte[]> producer : producers) {
            Thread thread = new Thread(() -> {
                Times own = new Times();
                try {
                    while (System.nanoTime() < end)
                        transaction(producer, own);
                } catch (Throwable failure) {
                    synchronized (all) {
                        failures.add(failure);
                    }
                }
                synchronized (all) {
                    all.addAll(own);
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads)
            thread.join();
        if (!failures.isEmpty())
            throw new AssertionError("a transaction failed", failures.get(0));
        return all;
    }

    private static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime() / 1e9;
    }

    /** CONCURRENT_TRANSACTIONS and whatever else made a producer send a batch again. */
    private static double retries(List<KafkaProducer<byte[], byte[]>> producers) {
        return producers.stream().flatMap(producer -> producer.metrics().values().stream())
            .filter(metric -> metric.metricName().name().equals("record-retry-total")
                && metric.metricName().group().equals("producer-metrics"))
            .mapToDouble(metric -> ((Number) metric.metricValue()).doubleValue()).sum();
    }

    public static void main(String[] arguments) throws Exception {
        Transact work = new Transact(arguments);
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(arguments[3]); i++)
            producers.add(work.producer(i));
        work.run(producers, Double.parseDouble(arguments[4]));
        System.out.println("measure");
        if (new BufferedReader(new InputStreamReader(System.in)).readLine() == null)
            System.exit(1);
        double retries = retries(producers);
        double cpu = cpuSeconds();
        long start = System.nanoTime();
        Times times = work.run(producers, Double.parseDouble(arguments[5]));
        double seconds = (System.nanoTime() - start) / 1e9;
        cpu = cpuSeconds() - cpu;
        retries = retries(producers) - retries;
        times.sort();
        System.out.printf(Locale.ROOT, "{\"count\": %d, \"seconds\": %.6f, \"client_cpu\": %.6f, \"p50_us\": %.1f, "
            + "\"p99_us\": %.1f, \"commit_p50_us\": %.1f, \"commit_p99_us\": %.1f, \"retries\": %.0f, \"records\": %d}%n",
            times.count, seconds, cpu, times.whole[times.count / 2] / 1e3, times.whole[times.count * 99 / 100] / 1e3,
            times.commits[times.count / 2] / 1e3, times.commits[times.count * 99 / 100] / 1e3, retries,
            work.sequence.get());
        System.exit(0);
    }
}
