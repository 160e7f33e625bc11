# SPDX-License-Identifier: Apache-2.0
"""kafka-configs: settings of topics, brokers, groups and client metrics, quotas and SCRAM
credentials."""
import pytest


def configs(node, kind, name, *arguments, **options):
    entity = ("--entity-default",) if name is None else ("--entity-name", name)
    return node.tool("kafka-configs", "--entity-type", kind, *entity, *arguments, **options)


def alter(node, kind, name, change, **options):
    return configs(node, kind, name, "--alter", "--add-config", change, **options)


def described(node, kind, name, *arguments):
    """Every setting shown: name to value, and name to synonyms."""
    values, synonyms = {}, {}
    for line in configs(node, kind, name, "--describe", *arguments).lines():
        setting, separator, rest = line.strip().partition(" sensitive=")
        if separator:
            key, _, value = setting.partition("=")
            values[key] = value
            synonyms[key] = rest.split("synonyms={", 1)[1].removesuffix("}")
    return values, synonyms


@pytest.fixture
def made(node, topic):
    node.tool("kafka-topics", "--create", "--topic", topic)
    return topic


def test_a_topic_setting_is_set_shown_with_its_synonyms_and_taken_back(node, made):
    alter(node, "topics", made, "retention.ms=1234567,cleanup.policy=[compact,delete]")
    values, synonyms = described(node, "topics", made)
    assert values == {"retention.ms": "1234567", "cleanup.policy": "compact,delete"}
    assert synonyms["retention.ms"].startswith("DYNAMIC_TOPIC_CONFIG:retention.ms=1234567")
    assert synonyms["cleanup.policy"] == ("DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, "
                                          "DEFAULT_CONFIG:log.cleanup.policy=delete")
    configs(node, "topics", made, "--alter", "--delete-config", "retention.ms,cleanup.policy")
    assert described(node, "topics", made)[0] == {}


def test_all_settings_of_a_topic_are_shown_with_where_they_come_from(node, made):
    values, synonyms = described(node, "topics", made, "--all")
    assert len(values) >= 30
    assert values["segment.bytes"] == "1073741824"
    assert synonyms["segment.bytes"] == "DEFAULT_CONFIG:log.segment.bytes=1073741824"
    assert values["compression.type"] == "producer" and values["message.timestamp.type"] == "CreateTime"
    assert not [name for name in values if name.startswith("barnabas.")]


@pytest.mark.parametrize("change, text", [
    ("retention.ms=soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG"),
    ("no.such.setting=1", "Unknown topic config name: no.such.setting"),
    ("min.insync.replicas=0", "Invalid value 0 for configuration min.insync.replicas: "
                              "Value must be at least 1"),
    ("cleanup.policy=none", "Invalid value none for configuration cleanup.policy: "
                            "String must be one of: compact, delete"),
])
def test_a_wrong_topic_setting_is_refused(node, made, change, text):
    result = alter(node, "topics", made, change, check=False)
    assert result.exit == 1 and text in result.errors
    assert described(node, "topics", made)[0] == {}


def test_settings_of_a_topic_that_is_not_there_are_neither_changed_nor_shown(node, topic):
    result = alter(node, "topics", topic, "retention.ms=1", check=False)
    assert result.exit == 1 and f"The topic '{topic}' does not exist." in result.errors
    shown = configs(node, "topics", topic, "--describe")
    assert shown.output == f"The topic '{topic}' doesn't exist and doesn't have dynamic config.\n"


def test_a_default_for_all_brokers_yields_to_a_setting_of_one(node, made):
    alter(node, "brokers", None, "log.retention.ms=77000000")
    alter(node, "brokers", 1, "log.retention.ms=88000000")
    try:
        values, synonyms = described(node, "brokers", 1)
        assert values["log.retention.ms"] == "88000000"
        assert synonyms["log.retention.ms"] == (
            "DYNAMIC_BROKER_CONFIG:log.retention.ms=88000000, "
            "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=77000000, "
            "DEFAULT_CONFIG:log.retention.hours=168")
        assert described(node, "brokers", None)[0]["log.retention.ms"] == "77000000"
        assert described(node, "topics", made, "--all")[0]["retention.ms"] == "88000000"
    finally:
        for name in (1, None):
            configs(node, "brokers", name, "--alter", "--delete-config", "log.retention.ms")
    assert described(node, "topics", made, "--all")[0]["retention.ms"] == "604800000"


def test_all_settings_of_a_broker_are_shown_with_where_they_come_from(node):
    values, synonyms = described(node, "brokers", 1, "--all")
    assert len(values) > 200
    assert values["node.id"] == "1" and values["log.dirs"] == ",".join(map(str, node.log_dirs))
    assert synonyms["log.dirs"].startswith("STATIC_BROKER_CONFIG:log.dirs=")
    assert synonyms["num.partitions"] == (
        "STATIC_BROKER_CONFIG:num.partitions=1, DEFAULT_CONFIG:num.partitions=1")


@pytest.mark.parametrize("change, text", [
    ("node.id=9", "Cannot update these configs dynamically: [node.id]"),
    ("log.cleaner.threads=many", "Invalid value many for configuration log.cleaner.threads: "
                                 "Not a number of type INT"),
])
def test_a_wrong_broker_setting_is_refused(node, change, text):
    result = alter(node, "brokers", 1, change, check=False)
    assert result.exit == 1 and text in result.errors


def test_settings_of_groups_are_kept(node, topic):
    alter(node, "groups", topic, "consumer.session.timeout.ms=50000")
    shown = configs(node, "groups", topic, "--describe", check=False)
    if "does not support LIST_GROUPS" in shown.errors:
        pytest.skip("the tool lists groups first, and the node has none yet")
    assert described(node, "groups", topic)[0] == {"consumer.session.timeout.ms": "50000"}


def test_settings_of_client_metrics_are_kept(node, topic):
    alter(node, "client-metrics", topic, "interval.ms=1000,metrics=[org.apache.kafka.producer.]")
    assert described(node, "client-metrics", topic)[0] == {
        "interval.ms": "1000", "metrics": "org.apache.kafka.producer."}
    configs(node, "client-metrics", topic, "--alter", "--delete-config", "interval.ms,metrics")
    assert described(node, "client-metrics", topic)[0] == {}


@pytest.mark.parametrize("kind, word, quota, shown", [
    ("users", "user-principal", "consumer_byte_rate=1000000", "consumer_byte_rate=1000000.0"),
    ("clients", "client-id", "producer_byte_rate=1000000,request_percentage=200",
     "producer_byte_rate=1000000.0, request_percentage=200.0"),
])
def test_quotas_of_users_and_clients_are_set_shown_and_taken_back(node, topic, kind, word, quota, shown):
    alter(node, kind, topic, quota)
    line = configs(node, kind, topic, "--describe").output.strip()
    start, _, quotas = line.partition(" are ")
    assert start == f"Quota configs for {word} '{topic}'"
    assert sorted(quotas.split(", ")) == sorted(shown.split(", "))
    names = ",".join(each.split("=")[0] for each in quota.split(","))
    configs(node, kind, topic, "--alter", "--delete-config", names)
    assert configs(node, kind, topic, "--describe").output == ""


def test_quotas_of_addresses_and_of_the_default_client_are_set_shown_and_taken_back(node):
    alter(node, "ips", "127.0.0.9", "connection_creation_rate=7")
    assert configs(node, "ips", "127.0.0.9", "--describe").output == \
        "Quota configs for ip '127.0.0.9' are connection_creation_rate=7.0\n"
    configs(node, "ips", "127.0.0.9", "--alter", "--delete-config", "connection_creation_rate")
    assert configs(node, "ips", "127.0.0.9", "--describe").output == ""
    alter(node, "clients", None, "producer_byte_rate=90000000")
    assert configs(node, "clients", None, "--describe").output == \
        "Quota configs for the default client-id are producer_byte_rate=9.0E7\n"
    configs(node, "clients", None, "--alter", "--delete-config", "producer_byte_rate")


def test_a_quota_of_a_user_with_one_client_stands_apart(node, topic):
    both = ("--entity-type", "users", "--entity-name", topic,
            "--entity-type", "clients", "--entity-name", "c")
    node.tool("kafka-configs", *both, "--alter", "--add-config", "producer_byte_rate=5000000")
    assert node.tool("kafka-configs", *both, "--describe").output == \
        f"Quota configs for user-principal '{topic}', client-id 'c' are producer_byte_rate=5000000.0\n"
    node.tool("kafka-configs", *both, "--alter", "--delete-config", "producer_byte_rate")


def test_scram_credentials_are_kept_and_shown_without_their_secret(node, topic):
    alter(node, "users", topic, "SCRAM-SHA-256=[iterations=8192,password=secret]")
    alter(node, "users", topic, "SCRAM-SHA-512=[password=x]")
    line = configs(node, "users", topic, "--describe").output.strip()
    assert line.startswith(f"SCRAM credential configs for user-principal '{topic}' are ")
    assert sorted(line.partition(" are ")[2].split(", ")) == [
        "SCRAM-SHA-256=iterations=8192", "SCRAM-SHA-512=iterations=4096"]
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        configs(node, "users", topic, "--alter", "--delete-config", mechanism)
    assert configs(node, "users", topic, "--describe").output == ""


def test_a_scram_credential_that_is_not_there_is_not_deleted(node, topic):
    result = configs(node, "users", topic, "--alter", "--delete-config", "SCRAM-SHA-256", check=False)
    assert result.exit == 1 and "Attempt to delete a user credential that does not exist" in result.errors
