// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.common.serialization.StringDeserializer;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** GroupMember ADDRESS GROUP TOPIC KEY=VALUE…: reads and commits until it is killed, and says what it does. */
public class GroupMember {
    private static synchronized void say(String what, int partition, long offset) {
        System.out.println(what + " " + partition + " " + offset);
        System.out.flush();
    }

    private static void all(String what, Collection<TopicPartition> partitions) {
        for (TopicPartition each : partitions)
            say(what, each.partition(), 0);
    }

    public static void main(String[] arguments) {
        Map<String, Object> properties = new HashMap<>(Map.of("bootstrap.servers", arguments[0], "group.id",
            arguments[1], "auto.offset.reset", "earliest", "enable.auto.commit", "false", "max.poll.records", "20"));
        for (int i = 3; i < arguments.length; i++)
            properties.put(arguments[i].split("=", 2)[0], arguments[i].split("=", 2)[1]);
        try (KafkaConsumer<String, String> consumer =
                 new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(arguments[2]), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    all("revoked", partitions);
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    all("assigned", partitions);
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> partitions) {
                    all("revoked", partitions);
                }
            });
            while (true) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
                    say("record", record.partition(), record.offset());
                try {
                    consumer.commitSync(Duration.ofSeconds(5));
                } catch (CommitFailedException | RebalanceInProgressException thrown) {
                    say("uncommitted", -1, 0);
                } catch (org.apache.kafka.common.errors.TimeoutException thrown) {
                    say("uncommitted", -1, 1);
                }
            }
        }
    }
}
