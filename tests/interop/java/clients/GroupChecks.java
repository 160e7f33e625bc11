// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.function.BooleanSupplier;

/** Consumers of both protocols in groups, and the admin client's view of them. */
public class GroupChecks {
    private static KafkaConsumer<String, String> member(Check check, Map<String, Object> more) {
        Map<String, Object> properties = new HashMap<>(Map.of("group.id", check.topic, "auto.offset.reset",
            "earliest", "max.poll.records", 50));
        if (!"consumer".equals(more.get("group.protocol")))
            properties.putAll(Map.of("session.timeout.ms", 10000, "heartbeat.interval.ms", 500));
        properties.putAll(more);
        return check.consumer(properties);
    }

    private static final Map<String, Object> CONSUMER = Map.of("group.protocol", "consumer");

    private static Map<String, Object> classic(Class<?> assignor) {
        return Map.of("partition.assignment.strategy", assignor.getName());
    }

    private static void until(String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + 40_000_000_000L;
        while (!holds.getAsBoolean())
            Check.holds(System.nanoTime() < deadline, "not in time: " + what);
    }

    /** Polls all in turn until together they own every partition, each once, and none owns nothing. */
    private static void settle(int partitions, List<KafkaConsumer<String, String>> members,
                               Collection<String> values) {
        until("an assignment to " + members.size() + " members", () -> {
            int owned = 0;
            Set<TopicPartition> all = new HashSet<>();
            boolean idle = false;
            for (KafkaConsumer<String, String> member : members) {
                member.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
                owned += member.assignment().size();
                all.addAll(member.assignment());
                idle |= member.assignment().isEmpty();
            }
            return owned == partitions && all.size() == partitions && !idle;
        });
    }

    private static void send(Check check, int partitions, int from, int to) throws Exception {
        try (KafkaProducer<String, String> producer = check.producer(Map.of())) {
            for (int i = from; i < to; i++)
                producer.send(new ProducerRecord<>(check.topic, i % partitions, "k", "v" + i));
            producer.flush();
        }
    }

    private static void read(List<KafkaConsumer<String, String>> members, List<String> values, int count) {
        until(count + " records, not " + values.size(), () -> {
            for (KafkaConsumer<String, String> member : members)
                for (ConsumerRecord<String, String> record : member.poll(Duration.ofMillis(50)))
                    values.add(record.value());
            return values.size() >= count;
        });
    }

    private static void everyRecordOnce(List<String> values, int count) {
        Check.equal(count, values.size());
        Check.equal(count, new HashSet<>(values).size());
    }

    /** One member, then two, then the other alone: each record comes once, since all is committed. */
    private static void share(Check check, Map<String, Object> first, Map<String, Object> second) throws Exception {
        int partitions = 6;
        check.create(partitions);
        send(check, partitions, 0, 300);
        List<String> values = new ArrayList<>();
        KafkaConsumer<String, String> one = member(check, first);
        KafkaConsumer<String, String> two = member(check, second);
        one.subscribe(List.of(check.topic));
        read(List.of(one), values, 300);
        everyRecordOnce(values, 300);
        one.commitSync();
        two.subscribe(List.of(check.topic));
        settle(partitions, List.of(one, two), values);
        send(check, partitions, 300, 600);
        read(List.of(one, two), values, 600);
        everyRecordOnce(values, 600);
        one.commitSync();
        two.commitSync();
        one.close();
        settle(partitions, List.of(two), values);
        send(check, partitions, 600, 900);
        read(List.of(two), values, 900);
        everyRecordOnce(values, 900);
        two.commitSync();
        two.close();
        try (KafkaConsumer<String, String> three = member(check, first)) {
            three.subscribe(List.of(check.topic));
            settle(partitions, List.of(three), values);
            everyRecordOnce(values, 900);
        }
    }

    static void membersShareByRange(Check check) throws Exception {
        share(check, classic(RangeAssignor.class), classic(RangeAssignor.class));
    }

    static void membersShareByRoundRobin(Check check) throws Exception {
        share(check, classic(RoundRobinAssignor.class), classic(RoundRobinAssignor.class));
    }

    static void membersShareByTheStickyAssignor(Check check) throws Exception {
        share(check, classic(StickyAssignor.class), classic(StickyAssignor.class));
    }

    static void membersShareByTheCooperativeStickyAssignor(Check check) throws Exception {
        share(check, classic(CooperativeStickyAssignor.class), classic(CooperativeStickyAssignor.class));
    }

    static void membersShareByTheConsumerProtocol(Check check) throws Exception {
        share(check, CONSUMER, CONSUMER);
    }

    static void membersShareByTheConsumerProtocolAndRange(Check check) throws Exception {
        Map<String, Object> range = Map.of("group.protocol", "consumer", "group.remote.assignor", "range");
        share(check, range, range);
    }

    static void aGroupGoesFromTheClassicToTheConsumerProtocol(Check check) throws Exception {
        share(check, classic(RangeAssignor.class), CONSUMER);
    }

    static void aGroupGoesFromTheConsumerToTheClassicProtocol(Check check) throws Exception {
        share(check, CONSUMER, classic(CooperativeStickyAssignor.class));
    }

    /** A static member that comes back within its session keeps its partitions: nobody rebalances. */
    private static void staticReturn(Check check, Map<String, Object> protocol) throws Exception {
        check.create(4);
        Map<String, Object> first = new HashMap<>(protocol), second = new HashMap<>(protocol);
        first.put("group.instance.id", "one");
        second.put("group.instance.id", "two");
        List<String> values = new ArrayList<>();
        KafkaConsumer<String, String> one = member(check, first);
        KafkaConsumer<String, String> two = member(check, second);
        one.subscribe(List.of(check.topic));
        two.subscribe(List.of(check.topic));
        settle(4, List.of(one, two), values);
        Set<TopicPartition> before = two.assignment();
        two.close();
        KafkaConsumer<String, String> again = member(check, second);
        again.subscribe(List.of(check.topic));
        until("the partitions of before", () -> {
            one.poll(Duration.ofMillis(50));
            again.poll(Duration.ofMillis(50));
            Check.equal(2, one.assignment().size());
            return again.assignment().equals(before);
        });
        one.close();
        again.close();
    }

    static void aStaticMemberComesBackToItsPartitions(Check check) throws Exception {
        staticReturn(check, classic(RangeAssignor.class));
    }

    static void aStaticMemberOfTheConsumerProtocolComesBack(Check check) throws Exception {
        staticReturn(check, CONSUMER);
    }

    private static void grows(Check check, Map<String, Object> protocol) throws Exception {
        check.create(2);
        Map<String, Object> properties = new HashMap<>(protocol);
        properties.put("metadata.max.age.ms", 500);
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> one = member(check, properties)) {
            one.subscribe(List.of(check.topic));
            settle(2, List.of(one), values);
            Check.await(check.admin.createPartitions(Map.of(check.topic, NewPartitions.increaseTo(5))).all());
            settle(5, List.of(one), values);
        }
    }

    static void newPartitionsAreAssigned(Check check) throws Exception {
        grows(check, classic(RangeAssignor.class));
    }

    static void newPartitionsAreAssignedByTheConsumerProtocol(Check check) throws Exception {
        grows(check, CONSUMER);
    }

    static void aPatternOfTheBrokerFindsTopicsAlsoLater(Check check) throws Exception {
        List<String> values = new ArrayList<>();
        try (KafkaConsumer<String, String> one = member(check, CONSUMER)) {
            one.subscribe(new SubscriptionPattern(check.topic.replace(".", "\\.") + "(-x)?"));
            one.poll(Duration.ofMillis(300));
            check.create(3);
            settle(3, List.of(one), values);
        }
    }

    static void committedOffsetsHaveTheirMetadata(Check check) throws Exception {
        check.create(2);
        TopicPartition place = new TopicPartition(check.topic, 0), other = new TopicPartition(check.topic, 1);
        try (KafkaConsumer<String, String> consumer = member(check, Map.of())) {
            consumer.assign(List.of(place, other));
            consumer.commitSync(Map.of(place, new OffsetAndMetadata(17, Optional.of(0), "words ü")));
            Map<TopicPartition, OffsetAndMetadata> told = consumer.committed(Set.of(place, other));
            Check.equal(new OffsetAndMetadata(17, Optional.of(0), "words ü"), told.get(place));
            Check.equal(null, told.get(other));
        }
    }

    private static ConsumerGroupDescription describe(Check check) throws Exception {
        return Check.await(check.admin.describeConsumerGroups(List.of(check.topic)).describedGroups()
            .get(check.topic));
    }

    private static void administer(Check check, Map<String, Object> protocol, GroupType type) throws Exception {
        check.create(2);
        send(check, 2, 0, 10);
        TopicPartition place = new TopicPartition(check.topic, 0), other = new TopicPartition(check.topic, 1);
        KafkaConsumer<String, String> one = member(check, protocol);
        one.subscribe(List.of(check.topic));
        List<String> values = new ArrayList<>();
        read(List.of(one), values, 10);
        one.commitSync();
        ConsumerGroupDescription told = describe(check);
        Check.equal(GroupState.STABLE, told.groupState());
        Check.equal(type, told.type());
        Check.equal(1, told.members().size());
        Check.equal(Set.of(place, other), told.members().iterator().next().assignment().topicPartitions());
        Check.equal("/127.0.0.1", told.members().iterator().next().host());
        GroupListing listed = Check.await(check.admin.listGroups().all()).stream()
            .filter(group -> group.groupId().equals(check.topic)).findAny().orElseThrow();
        Check.equal(Optional.of(type), listed.type());
        Check.equal(Optional.of(GroupState.STABLE), listed.groupState());
        Check.equal("consumer", listed.protocol());
        try {
            Check.await(check.admin.deleteConsumerGroups(List.of(check.topic)).all());
            throw new AssertionError("a group with a member was deleted");
        } catch (ExecutionException thrown) {
            Check.holds(thrown.getCause() instanceof GroupNotEmptyException, thrown.getCause());
        }
        one.close();
        until("an empty group", () -> {
            try {
                return describe(check).groupState() == GroupState.EMPTY;
            } catch (Exception thrown) {
                throw new AssertionError(thrown);
            }
        });
        Check.await(check.admin.alterConsumerGroupOffsets(check.topic,
            Map.of(place, new OffsetAndMetadata(2))).all());
        Map<TopicPartition, OffsetAndMetadata> offsets = Check.await(
            check.admin.listConsumerGroupOffsets(check.topic).partitionsToOffsetAndMetadata());
        Check.equal(2L, offsets.get(place).offset());
        Check.equal(5L, offsets.get(other).offset());
        Check.await(check.admin.deleteConsumerGroupOffsets(check.topic, Set.of(other)).all());
        Check.equal(Set.of(place), Check.await(
            check.admin.listConsumerGroupOffsets(check.topic).partitionsToOffsetAndMetadata()).keySet());
        Check.await(check.admin.deleteConsumerGroups(List.of(check.topic)).all());
        try {
            describe(check);
            throw new AssertionError("the group is still there");
        } catch (ExecutionException thrown) {
            Check.holds(thrown.getCause() instanceof GroupIdNotFoundException, thrown.getCause());
        }
    }

    static void theAdminClientSeesAndChangesAClassicGroup(Check check) throws Exception {
        administer(check, classic(RangeAssignor.class), GroupType.CLASSIC);
    }

    static void theAdminClientSeesAndChangesAConsumerGroup(Check check) throws Exception {
        administer(check, CONSUMER, GroupType.CONSUMER);
    }

    static void theAdminClientRemovesAStaticMember(Check check) throws Exception {
        check.create(1);
        Map<String, Object> properties = new HashMap<>(classic(RangeAssignor.class));
        properties.put("group.instance.id", "static");
        KafkaConsumer<String, String> one = member(check, properties);
        one.subscribe(List.of(check.topic));
        settle(1, List.of(one), new TreeSet<>());
        one.close();
        Check.equal(1, describe(check).members().size());
        Check.await(check.admin.removeMembersFromConsumerGroup(check.topic,
            new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("static")))).all());
        Check.equal(GroupState.EMPTY, describe(check).groupState());
    }

    static void aGroupHasConfigsOfItsOwn(Check check) throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, check.topic);
        Check.await(check.admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.heartbeat.interval.ms", "7000"), AlterConfigOp.OpType.SET)))).all());
        until("the new value", () -> {
            try {
                return "7000".equals(Check.await(check.admin.describeConfigs(List.of(group)).all()).get(group)
                    .get("consumer.heartbeat.interval.ms").value());
            } catch (Exception thrown) {
                throw new AssertionError(thrown);
            }
        });
        Check.holds(Check.await(check.admin.listConfigResources(Set.of(ConfigResource.Type.GROUP),
            new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all()).contains(group), "not listed");
        try {
            Check.await(check.admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(
                new ConfigEntry("consumer.session.timeout.ms", "1"), AlterConfigOp.OpType.SET)))).all());
            throw new AssertionError("a session timeout below the broker's minimum was taken");
        } catch (ExecutionException thrown) {
            Check.holds(thrown.getCause() instanceof InvalidConfigurationException, thrown.getCause());
        }
        Check.await(check.admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.heartbeat.interval.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
    }
}
