// SPDX-License-Identifier: Apache-2.0
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Kafka's admin client: the cluster, its quorum, directories, leaders, quotas and users. */
public class ClusterChecks {
    static void theClusterTellsItsNodes(Check check) throws Exception {
        DescribeClusterResult told = check.admin.describeCluster(
            new DescribeClusterOptions().includeAuthorizedOperations(true));
        Collection<Node> nodes = Check.await(told.nodes());
        Check.equal(1, nodes.size());
        Node node = nodes.iterator().next();
        Check.equal(check.address, node.host() + ":" + node.port());
        Check.equal(1, node.id());
        Check.equal(1, Check.await(told.controller()).id());
        Check.equal(22, Check.await(told.clusterId()).length());
    }

    static void theQuorumTellsItsLeaderAndVoters(Check check) throws Exception {
        QuorumInfo quorum = Check.await(check.admin.describeMetadataQuorum().quorumInfo());
        Check.equal(1, quorum.leaderId());
        Check.equal(1, quorum.voters().size());
        Check.equal(0, quorum.observers().size());
        Check.equal(1, quorum.voters().get(0).replicaId());
        Check.holds(quorum.voters().get(0).logEndOffset() >= quorum.highWatermark(), quorum);
        Check.equal("CONTROLLER", quorum.nodes().get(1).endpoints().get(0).listener());
    }

    static void featuresAreDescribedAndAWrongUpdateIsRefused(Check check) throws Exception {
        FeatureMetadata features = Check.await(check.admin.describeFeatures().featureMetadata());
        Check.equal((short) 33, features.finalizedFeatures().get("metadata.version").maxVersionLevel());
        Check.equal((short) 7, features.supportedFeatures().get("metadata.version").minVersion());
        Check.holds(features.finalizedFeaturesEpoch().isPresent(), features);
        FeatureUpdate wrong = new FeatureUpdate((short) 99, FeatureUpdate.UpgradeType.UPGRADE);
        Check.fails(check.admin.updateFeatures(Map.of("group.version", wrong),
            new UpdateFeaturesOptions().validateOnly(true)).all(), InvalidUpdateVersionException.class);
    }

    static void logDirectoriesAreDescribed(Check check) throws Exception {
        check.create(2);
        check.send("a", "b");
        Map<String, LogDirDescription> told =
            Check.await(check.admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
        Check.equal(2, told.size());
        int found = 0;
        for (LogDirDescription directory : told.values()) {
            Check.equal(null, directory.error());
            Check.holds(directory.totalBytes().getAsLong() >= directory.usableBytes().getAsLong(), directory);
            ReplicaInfo replica = directory.replicaInfos().get(new TopicPartition(check.topic, 0));
            if (replica != null) {
                found++;
                Check.holds(replica.size() > 0 && replica.offsetLag() == 0 && !replica.isFuture(), replica);
            }
        }
        Check.equal(1, found);
    }

    static void aReplicaMovesToAnotherDirectory(Check check) throws Exception {
        check.create(1);
        check.send("a", "b");
        TopicPartitionReplica replica = new TopicPartitionReplica(check.topic, 0, 1);
        String from = directoryOf(check, replica);
        List<String> others = new ArrayList<>(Check.await(check.admin.describeLogDirs(List.of(1))
            .allDescriptions()).get(1).keySet());
        others.remove(from);
        Check.await(check.admin.alterReplicaLogDirs(Map.of(replica, others.get(0))).all());
        long deadline = System.nanoTime() + 30_000_000_000L;
        while (!directoryOf(check, replica).equals(others.get(0))) {
            Check.holds(System.nanoTime() < deadline, "the replica did not move");
            Thread.sleep(100);
        }
        check.send("c");
        Check.fails(check.admin.alterReplicaLogDirs(Map.of(replica, "/nowhere")).all(),
            LogDirNotFoundException.class);
    }

    private static String directoryOf(Check check, TopicPartitionReplica replica) throws Exception {
        return Check.await(check.admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica)
            .getCurrentReplicaLogDir();
    }

    static void leadersThatNeedNoElectionAreToldSo(Check check) throws Exception {
        check.create(1);
        TopicPartition there = new TopicPartition(check.topic, 0);
        TopicPartition missing = new TopicPartition(check.topic + "-missing", 0);
        Map<TopicPartition, Optional<Throwable>> told = Check.await(check.admin
            .electLeaders(ElectionType.PREFERRED, Set.of(there, missing)).partitions());
        Check.holds(told.get(there).get() instanceof ElectionNotNeededException, told);
        Check.holds(told.get(missing).get() instanceof UnknownTopicOrPartitionException, told);
    }

    static void noReassignmentsAreInProgress(Check check) throws Exception {
        check.create(1);
        TopicPartition place = new TopicPartition(check.topic, 0);
        Check.equal(Map.of(), Check.await(check.admin.listPartitionReassignments().reassignments()));
        Check.fails(check.admin.alterPartitionReassignments(Map.of(place, Optional.empty())).all(),
            NoReassignmentInProgressException.class);
        Check.fails(check.admin.alterPartitionReassignments(Map.of(place,
            Optional.of(new NewPartitionReassignment(List.of(1, 2))))).all(),
            InvalidReplicaAssignmentException.class);
        Check.await(check.admin.alterPartitionReassignments(Map.of(place,
            Optional.of(new NewPartitionReassignment(List.of(1))))).all());
    }

    static void clientQuotasAreSetFilteredAndTakenBack(Check check) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, check.topic,
            ClientQuotaEntity.CLIENT_ID, "c"));
        ClientQuotaFilter exact = ClientQuotaFilter.containsOnly(List.of(
            ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, check.topic),
            ClientQuotaFilterComponent.ofEntityType(ClientQuotaEntity.CLIENT_ID)));
        alterQuota(check, entity, "consumer_byte_rate", 5e6);
        alterQuota(check, entity, "request_percentage", 150.0);
        Check.equal(Map.of(entity, Map.of("consumer_byte_rate", 5e6, "request_percentage", 150.0)),
            Check.await(check.admin.describeClientQuotas(exact).entities()));
        ClientQuotaFilter user = ClientQuotaFilter.contains(List.of(
            ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, check.topic)));
        Check.equal(1, Check.await(check.admin.describeClientQuotas(user).entities()).size());
        alterQuota(check, entity, "consumer_byte_rate", null);
        alterQuota(check, entity, "request_percentage", null);
        Check.equal(Map.of(), Check.await(check.admin.describeClientQuotas(exact).entities()));
    }

    static void wrongClientQuotasAreRefused(Check check) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, check.topic));
        for (Map.Entry<String, Double> wrong : Map.of("no_such_rate", 1.0, "consumer_byte_rate", -1.0,
                "producer_byte_rate", 1.5, "connection_creation_rate", 1.0).entrySet())
            Check.fails(check.admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(
                new ClientQuotaAlteration.Op(wrong.getKey(), wrong.getValue()))))).all(),
                InvalidRequestException.class);
    }

    private static void alterQuota(Check check, ClientQuotaEntity entity, String key, Double value)
            throws Exception {
        Check.await(check.admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
            List.of(new ClientQuotaAlteration.Op(key, value))))).all());
    }

    static void scramCredentialsAreKeptDescribedAndDeleted(Check check) throws Exception {
        ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);
        Check.await(check.admin.alterUserScramCredentials(List.of(
            new UserScramCredentialUpsertion(check.topic, info, "secret"))).all());
        Check.equal(List.of(info), Check.await(check.admin.describeUserScramCredentials(
            List.of(check.topic)).description(check.topic)).credentialInfos());
        Check.holds(Check.await(check.admin.describeUserScramCredentials().users()).contains(check.topic),
            "the user is not listed");
        Check.await(check.admin.alterUserScramCredentials(List.of(
            new UserScramCredentialDeletion(check.topic, ScramMechanism.SCRAM_SHA_512))).all());
        Check.fails(check.admin.describeUserScramCredentials(List.of(check.topic))
            .description(check.topic), ResourceNotFoundException.class);
        Check.fails(check.admin.alterUserScramCredentials(List.of(
            new UserScramCredentialDeletion(check.topic, ScramMechanism.SCRAM_SHA_512))).all(),
            ResourceNotFoundException.class);
    }

    static void withoutAnAuthorizerThereAreNoAcls(Check check) throws Exception {
        Check.fails(check.admin.describeAcls(AclBindingFilter.ANY).values(), SecurityDisabledException.class);
        Check.fails(check.admin.deleteAcls(List.of(AclBindingFilter.ANY)).all(),
            SecurityDisabledException.class);
    }

    static void aBrokerThatNeverWasIsNotUnregistered(Check check) throws Exception {
        Check.fails(check.admin.unregisterBroker(77).all(), BrokerIdNotRegisteredException.class);
    }
}
