/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apache Kafka's side of the assignor tests: one answer line per question line of stdin, as
 * tests/unit/coordinator/assign_text.h tells them; and
 *   AssignorsPeer hash   "name = value" lines: metadata hashes of topics and groups that the unit tests keep
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.group.Utils;
import org.apache.kafka.coordinator.group.api.assignor.ConsumerGroupPartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.GroupAssignment;
import org.apache.kafka.coordinator.group.api.assignor.MemberAssignment;
import org.apache.kafka.coordinator.group.api.assignor.PartitionAssignorException;
import org.apache.kafka.coordinator.group.api.assignor.SubscribedTopicDescriber;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.GroupSpecImpl;
import org.apache.kafka.coordinator.group.modern.MemberSubscriptionAndAssignmentImpl;

public class AssignorsPeer {
    static Uuid id(String hex) {
        return new Uuid(new BigInteger(hex.substring(0, 16), 16).longValue(),
            new BigInteger(hex.substring(16), 16).longValue());
    }

    static String answer(String line) {
        String[] words = line.split(" ");
        List<Uuid> topics = new ArrayList<>();
        Map<Uuid, Integer> counts = new HashMap<>();
        if (!words[2].equals("-")) {
            for (String item : words[2].split(",")) {
                Uuid topic = id(item.substring(0, 32));
                topics.add(topic);
                counts.put(topic, Integer.parseInt(item.substring(33)));
            }
        }
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new HashMap<>();
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        List<String> order = new ArrayList<>();
        for (int i = 3; i < words.length; i++) {
            String[] fields = words[i].split("=");
            Set<Uuid> subscribed = new LinkedHashSet<>();
            if (!fields[2].equals("-"))
                for (String place : fields[2].split("\\."))
                    subscribed.add(topics.get(Integer.parseInt(place)));
            Map<Uuid, Set<Integer>> old = new HashMap<>();
            if (!fields[3].equals("-")) {
                for (String item : fields[3].split("/")) {
                    String[] parts = item.split(":");
                    Uuid topic = topics.get(Integer.parseInt(parts[0]));
                    List<Integer> partitions = new ArrayList<>();
                    for (String partition : parts[1].split("\\."))
                        partitions.add(Integer.parseInt(partition));
                    old.put(topic, new HashSet<>(partitions));
                    for (int partition : partitions)
                        inverted.computeIfAbsent(topic, __ -> new HashMap<>()).put(partition, fields[0]);
                }
            }
            order.add(fields[0]);
            members.put(fields[0], new MemberSubscriptionAndAssignmentImpl(
                Optional.empty(),
                fields[1].equals("-") ? Optional.empty() : Optional.of(fields[1]),
                subscribed,
                new Assignment(Collections.unmodifiableMap(old))));
        }
        ConsumerGroupPartitionAssignor assignor =
            words[0].equals("range") ? new RangeAssignor() : new UniformAssignor();
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            @Override
            public int numPartitions(Uuid topic) {
                return counts.getOrDefault(topic, -1);
            }

            @Override
            public Set<String> racksForPartition(Uuid topic, int partition) {
                return Set.of();
            }
        };
        GroupAssignment result;
        try {
            result = assignor.assign(new GroupSpecImpl(Collections.unmodifiableMap(members),
                words[1].equals("homogeneous") ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS,
                inverted), describer);
        } catch (PartitionAssignorException e) {
            return "UNKNOWN_SERVER_ERROR";
        }
        List<String> answers = new ArrayList<>();
        for (String member : order) {
            MemberAssignment assignment = result.members().get(member);
            Map<Integer, Set<Integer>> sorted = new TreeMap<>();
            if (assignment != null)
                assignment.partitions().forEach((topic, partitions) ->
                    sorted.put(topics.indexOf(topic), new TreeSet<>(partitions)));
            List<String> items = new ArrayList<>();
            sorted.forEach((place, partitions) -> {
                List<String> numbers = new ArrayList<>();
                partitions.forEach(partition -> numbers.add(partition.toString()));
                if (!numbers.isEmpty())
                    items.add(place + ":" + String.join(".", numbers));
            });
            answers.add(items.isEmpty() ? "-" : String.join("/", items));
        }
        return String.join(" ", answers);
    }

    /* A topic with partitions in racks. */
    record Topic(String name, Uuid id, List<List<String>> racks) implements CoordinatorMetadataImage.TopicMetadata {
        @Override
        public int partitionCount() {
            return racks.size();
        }

        @Override
        public List<String> partitionRacks(int partition) {
            return new ArrayList<>(racks.get(partition));
        }
    }

    record Image(Topic topic) implements CoordinatorMetadataImage {
        @Override
        public Set<Uuid> topicIds() {
            return Set.of(topic.id());
        }

        @Override
        public Set<String> topicNames() {
            return Set.of(topic.name());
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(String name) {
            return name.equals(topic.name()) ? Optional.of(topic) : Optional.empty();
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(Uuid id) {
            return id.equals(topic.id()) ? Optional.of(topic) : Optional.empty();
        }

        @Override
        public CoordinatorMetadataDelta emptyDelta() {
            throw new UnsupportedOperationException();
        }

        @Override
        public long version() {
            return 0;
        }

        @Override
        public boolean isEmpty() {
            return false;
        }
    }

    static void hashes() {
        Uuid id = id("0102030405060708090a0b0c0d0e0f01");
        List<List<String>> many = new ArrayList<>();
        for (int i = 0; i < 40; i++)
            many.add(List.of("rack-b", "rack-a"));
        Map<String, Long> all = new HashMap<>();
        for (Topic topic : List.of(
            new Topic("t1", id, List.of(List.of())),
            new Topic("racks", id, List.of(List.of("b", "a"), List.of("a", "a"))),
            new Topic("many", id, many))) {
            long hash = Utils.computeTopicHash(topic.name(), new Image(topic));
            all.put(topic.name(), hash);
            System.out.println(topic.name() + " = 0x" + Long.toHexString(hash));
        }
        System.out.println("group = 0x" + Long.toHexString(Utils.computeGroupHash(all)));
        System.out.println("nothing = 0x" + Long.toHexString(Utils.computeGroupHash(Map.of())));
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("hash")) {
            hashes();
            return;
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;)
            System.out.println(answer(line));
    }
}
