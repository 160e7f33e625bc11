// SPDX-License-Identifier: Apache-2.0
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;

/**
 * Records between JSON and a node, byte for byte.
 *   RecordPipe produce ADDRESS [PROPERTY=VALUE…]  sends the records of standard input in order and
 *                                                 prints "partition offset" for each
 *   RecordPipe consume ADDRESS TOPIC              prints all records of the topic, partition by
 *                                                 partition, as one JSON value a line
 * A record is {"topic": …, "partition": …, "timestamp": …, "key": …, "value": …,
 * "headers": [[name, value], …]}; keys and values are base64 or null.
 */
public class RecordPipe {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("produce"))
            produce(arguments);
        else
            consume(arguments[1], arguments[2]);
    }

    private static void produce(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[1]);
        for (int i = 2; i < arguments.length; i++)
            properties.put(arguments[i].split("=", 2)[0], arguments[i].split("=", 2)[1]);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties,
                new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line = lines.readLine(); line != null; line = lines.readLine())
                sent.add(producer.send(record(MAPPER.readTree(line))));
            producer.flush();
        }
        StringBuilder answers = new StringBuilder();
        for (Future<RecordMetadata> each : sent)
            answers.append(each.get().partition()).append(' ').append(each.get().offset()).append('\n');
        System.out.print(answers);
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode json) throws Exception {
        List<Header> headers = new ArrayList<>();
        for (JsonNode header : json.path("headers"))
            headers.add(new RecordHeader(header.get(0).asText(), header.get(1).binaryValue()));
        return new ProducerRecord<>(json.get("topic").asText(), json.path("partition").asInt(),
            json.has("timestamp") ? json.get("timestamp").asLong() : null,
            json.path("key").binaryValue(), json.path("value").binaryValue(), headers);
    }

    private static void consume(String address, String topic) throws Exception {
        Map<String, Object> properties = Map.of("bootstrap.servers", address, "enable.auto.commit", false,
            "check.crcs", true, "fetch.max.wait.ms", 10); /* else each end of a partition costs 500 ms */
        StringBuilder out = new StringBuilder();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties,
                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (int partition = 0; partition < consumer.partitionsFor(topic).size(); partition++) {
                TopicPartition place = new TopicPartition(topic, partition);
                consumer.assign(List.of(place));
                consumer.seekToBeginning(List.of(place));
                long end = consumer.endOffsets(List.of(place)).get(place);
                while (consumer.position(place) < end)
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500)))
                        out.append(MAPPER.writeValueAsString(json(record))).append('\n');
            }
        }
        System.out.print(out);
    }

    private static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode json = MAPPER.createObjectNode();
        json.put("partition", record.partition()).put("offset", record.offset())
            .put("timestamp", record.timestamp()).put("key", record.key()).put("value", record.value());
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers())
            headers.addArray().add(header.key()).add(header.value());
        return json;
    }
}
