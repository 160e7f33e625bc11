// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeProducersResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Kafka's admin client: topics, their partitions, records and settings. */
public class AdminChecks {
    static ConfigResource resource(Check check) {
        return new ConfigResource(ConfigResource.Type.TOPIC, check.topic);
    }

    static void alterTopic(Check check, String name, String value) throws Exception {
        AlterConfigOp.OpType operation = value == null ? AlterConfigOp.OpType.DELETE
            : AlterConfigOp.OpType.SET;
        alter(check, new AlterConfigOp(new ConfigEntry(name, value), operation));
    }

    private static void alter(Check check, AlterConfigOp operation) throws Exception {
        Check.await(check.admin.incrementalAlterConfigs(Map.of(resource(check), List.of(operation))).all());
    }

    private static ConfigEntry described(Check check, String name) throws Exception {
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true)
            .includeDocumentation(true);
        Config config = Check.await(check.admin.describeConfigs(List.of(resource(check)), options).all())
            .get(resource(check));
        return config.get(name);
    }

    private static TopicDescription description(Check check) throws Exception {
        return Check.await(check.admin.describeTopics(List.of(check.topic)).allTopicNames())
            .get(check.topic);
    }

    static void topicsAreCreatedWithTheBrokersDefaultsAndTellThem(Check check) throws Exception {
        NewTopic topic = new NewTopic(check.topic, Optional.empty(), Optional.empty())
            .configs(Map.of("retention.ms", "5000"));
        CreateTopicsResult made = check.admin.createTopics(List.of(topic));
        Check.equal(1, Check.await(made.numPartitions(check.topic)));
        Check.equal(1, Check.await(made.replicationFactor(check.topic)));
        Config config = Check.await(made.config(check.topic));
        Check.equal("5000", config.get("retention.ms").value());
        Check.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, config.get("retention.ms").source());
        Check.equal(description(check).topicId(), Check.await(made.topicId(check.topic)));
    }

    static void validatingATopicDoesNotCreateIt(Check check) throws Exception {
        NewTopic topic = new NewTopic(check.topic, 4, (short) 1);
        CreateTopicsOptions only = new CreateTopicsOptions().validateOnly(true);
        Check.equal(4, Check.await(check.admin.createTopics(List.of(topic), only)
            .numPartitions(check.topic)));
        Check.fails(check.admin.describeTopics(List.of(check.topic)).allTopicNames(),
            UnknownTopicOrPartitionException.class);
    }

    static void wrongTopicsAreRefusedEachByItself(Check check) throws Exception {
        NewTopic good = new NewTopic(check.topic, 1, (short) 1);
        NewTopic none = new NewTopic(check.topic + "-none", 0, (short) 1);
        NewTopic assigned = new NewTopic(check.topic + "-assigned", Map.of(0, List.of(1), 2, List.of(1)));
        CreateTopicsResult made = check.admin.createTopics(List.of(good, none, assigned));
        Check.await(made.values().get(check.topic));
        Check.fails(made.values().get(none.name()), InvalidPartitionsException.class);
        Check.fails(made.values().get(assigned.name()), InvalidReplicaAssignmentException.class);
        Check.fails(check.admin.createTopics(List.of(good)).all(), TopicExistsException.class);
    }

    static void topicsAreDescribedPageByPageAndByTheirIds(Check check) throws Exception {
        check.create(9);
        DescribeTopicsOptions pages = new DescribeTopicsOptions().partitionSizeLimitPerResponse(2);
        TopicDescription told = Check.await(check.admin.describeTopics(List.of(check.topic), pages)
            .allTopicNames()).get(check.topic);
        Check.equal(9, told.partitions().size());
        for (int i = 0; i < 9; i++) {
            Check.equal(i, told.partitions().get(i).partition());
            Check.equal(1, told.partitions().get(i).leader().id());
            Check.equal(List.of(), told.partitions().get(i).elr());
        }
        Uuid id = told.topicId();
        TopicDescription byId = Check.await(check.admin
            .describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id);
        Check.equal(check.topic, byId.name());
        Check.fails(check.admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid())))
            .allTopicIds(), UnknownTopicIdException.class);
    }

    static void topicsAreDeletedByNameAndById(Check check) throws Exception {
        check.create(1);
        Uuid first = description(check).topicId();
        Check.await(check.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(first))).all());
        Check.holds(!Check.await(check.admin.listTopics().names()).contains(check.topic), "still listed");
        check.create(1);
        Check.holds(!first.equals(description(check).topicId()), "the id of the first topic");
        Check.await(check.admin.deleteTopics(List.of(check.topic)).all());
        Check.fails(check.admin.deleteTopics(List.of(check.topic)).all(),
            UnknownTopicOrPartitionException.class);
        Check.fails(check.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(first))).all(),
            UnknownTopicIdException.class);
    }

    static void partitionsAreAddedAndNeverTakenAway(Check check) throws Exception {
        check.create(1);
        Check.await(check.admin.createPartitions(Map.of(check.topic, NewPartitions.increaseTo(3))).all());
        Check.await(check.admin.createPartitions(Map.of(check.topic,
            NewPartitions.increaseTo(4, List.of(List.of(1))))).all());
        Check.equal(4, description(check).partitions().size());
        Check.fails(check.admin.createPartitions(Map.of(check.topic, NewPartitions.increaseTo(2))).all(),
            InvalidPartitionsException.class);
        Check.fails(check.admin.createPartitions(Map.of(check.topic,
            NewPartitions.increaseTo(6, List.of(List.of(1))))).all(),
            InvalidReplicaAssignmentException.class);
    }

    static void settingsTellTheirSourceTypeAndDocumentation(Check check) throws Exception {
        check.create(1);
        ConfigEntry before = described(check, "cleanup.policy");
        Check.equal("delete", before.value());
        Check.equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, before.source());
        Check.equal(ConfigEntry.ConfigType.LIST, before.type());
        Check.holds(before.isDefault() && !before.isReadOnly() && !before.isSensitive(), before);
        Check.holds(before.documentation() != null && before.documentation().length() > 20, before);
        alterTopic(check, "cleanup.policy", "compact");
        ConfigEntry after = described(check, "cleanup.policy");
        Check.equal("compact", after.value());
        Check.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, after.source());
        Check.equal(List.of("cleanup.policy", "log.cleanup.policy"),
            after.synonyms().stream().map(ConfigEntry.ConfigSynonym::name).toList());
        alterTopic(check, "cleanup.policy", null);
        Check.equal("delete", described(check, "cleanup.policy").value());
    }

    static void listsInSettingsGrowAndShrink(Check check) throws Exception {
        check.create(1);
        ConfigEntry compact = new ConfigEntry("cleanup.policy", "compact");
        alter(check, new AlterConfigOp(compact, AlterConfigOp.OpType.APPEND));
        Check.equal("delete,compact", described(check, "cleanup.policy").value());
        alter(check, new AlterConfigOp(compact, AlterConfigOp.OpType.APPEND));
        Check.equal("delete,compact", described(check, "cleanup.policy").value());
        alter(check, new AlterConfigOp(new ConfigEntry("cleanup.policy", "delete"),
            AlterConfigOp.OpType.SUBTRACT));
        Check.equal("compact", described(check, "cleanup.policy").value());
        Check.fails(check.admin.incrementalAlterConfigs(Map.of(resource(check), List.of(new AlterConfigOp(
            new ConfigEntry("retention.ms", "1"), AlterConfigOp.OpType.APPEND)))).all(),
            InvalidConfigurationException.class);
    }

    static void settingsOfATopicThatIsNotThereAreNotDescribed(Check check) throws Exception {
        Check.fails(check.admin.describeConfigs(List.of(resource(check))).all(),
            UnknownTopicOrPartitionException.class);
    }

    static void resourcesThatHaveSettingsAreListed(Check check) throws Exception {
        check.create(1);
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, check.topic);
        Check.await(check.admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(
            new ConfigEntry("consumer.heartbeat.interval.ms", "6000"), AlterConfigOp.OpType.SET)))).all());
        Check.holds(Check.await(check.admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC),
            new ListConfigResourcesOptions()).all()).contains(resource(check)), "the topic is not listed");
        Check.holds(Check.await(check.admin.listConfigResources(Set.of(ConfigResource.Type.GROUP),
            new ListConfigResourcesOptions()).all()).contains(group), "the group is not listed");
        Check.holds(Check.await(check.admin.listConfigResources(Set.of(ConfigResource.Type.BROKER),
            new ListConfigResourcesOptions()).all()).contains(
                new ConfigResource(ConfigResource.Type.BROKER, "1")), "the broker is not listed");
    }

    static void recordsAreDeletedUpToAnOffset(Check check) throws Exception {
        check.create(1);
        check.send("a", "b", "c");
        TopicPartition place = new TopicPartition(check.topic, 0);
        Map<TopicPartition, DeletedRecords> low = new HashMap<>();
        for (Map.Entry<TopicPartition, org.apache.kafka.common.KafkaFuture<DeletedRecords>> entry :
                check.admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(2)))
                    .lowWatermarks().entrySet())
            low.put(entry.getKey(), Check.await(entry.getValue()));
        Check.equal(2L, low.get(place).lowWatermark());
        Check.equal(2L, offset(check, place, OffsetSpec.earliest()).offset());
        Check.fails(check.admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(4))).all(),
            OffsetOutOfRangeException.class);
    }

    private static ListOffsetsResultInfo offset(Check check, TopicPartition place, OffsetSpec spec)
            throws Exception {
        return Check.await(check.admin.listOffsets(Map.of(place, spec)).all()).get(place);
    }

    static void offsetsAreListedByEachSpec(Check check) throws Exception {
        check.create(1);
        check.send("a", "b", "c");
        TopicPartition place = new TopicPartition(check.topic, 0);
        Check.equal(0L, offset(check, place, OffsetSpec.earliest()).offset());
        Check.equal(3L, offset(check, place, OffsetSpec.latest()).offset());
        Check.equal(2L, offset(check, place, OffsetSpec.maxTimestamp()).offset());
        Check.equal(3000L, offset(check, place, OffsetSpec.maxTimestamp()).timestamp());
        Check.equal(1L, offset(check, place, OffsetSpec.forTimestamp(1500)).offset());
        Check.equal(2000L, offset(check, place, OffsetSpec.forTimestamp(1500)).timestamp());
        Check.equal(-1L, offset(check, place, OffsetSpec.forTimestamp(9000)).offset());
        Check.equal(0L, offset(check, place, OffsetSpec.earliestLocal()).offset());
        Check.equal(-1L, offset(check, place, OffsetSpec.latestTiered()).offset());
    }

    static void activeProducersAreDescribed(Check check) throws Exception {
        check.create(1);
        TopicPartition place = new TopicPartition(check.topic, 0);
        try (KafkaProducer<String, String> producer = check.producer(Map.of("linger.ms", 0))) {
            for (int i = 0; i < 3; i++)
                Check.await(producer.send(new ProducerRecord<>(check.topic, 0, 1000L + i, "k", "v")));
            DescribeProducersResult.PartitionProducerState state =
                Check.await(check.admin.describeProducers(List.of(place)).all()).get(place);
            Check.equal(1, state.activeProducers().size());
            ProducerState only = state.activeProducers().get(0);
            Check.equal(0, only.producerEpoch());
            Check.equal(2, only.lastSequence());
            Check.equal(1002L, only.lastTimestamp());
            Check.holds(only.currentTransactionStartOffset().isEmpty(), only);
        }
    }
}
