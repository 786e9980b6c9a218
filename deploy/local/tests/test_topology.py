"""The rights on Kafka follow from who owns and who reads a topic, and from nothing else."""

from deploy.local.topology import FAMILIES, GATEWAY_ADMIN, OPERATOR, SERVICES, rights, topics, users
from shared.events import gateway, notify, questionnaire, records, schedule  # noqa: F401 - they register their events
from shared.events.base import REGISTRY


def test_every_event_class_has_its_topic_and_its_readers() -> None:
    known = {family.topic: family for family in FAMILIES}
    for event in REGISTRY.values():
        if event.stream.startswith(("municipal.", "clinic.")):
            continue
        family = known[event.topic()]
        assert family.owner == event.stream.split(".")[0]
        assert set(event.readers) <= {*family.readers, family.owner}, event.__name__


def test_only_the_owner_writes_a_topic() -> None:
    granted = rights()
    for family in FAMILIES:
        writers = {r.user for r in granted if r.operation == "write" and r.name == family.topic}
        assert writers == {family.owner}


def test_only_readers_and_the_operator_read_a_topic() -> None:
    granted = rights()
    for family in FAMILIES:
        readers = {r.user for r in granted if r.operation == "read" and r.name in {family.topic, "*"}}
        assert readers == {*family.readers, OPERATOR}


def test_groups_are_under_the_own_name_and_end_with_a_dot() -> None:
    for right in rights():
        if right.resource == "group" and right.operation == "read":
            assert right.name == f"{right.user}."


def test_nobody_but_the_gateways_administration_may_change_rights() -> None:
    assert {r.user for r in rights() if r.operation in {"alter", "create", "all", "delete"}} == {GATEWAY_ADMIN}


def test_production_has_no_clock_topic() -> None:
    assert not [topic for topic in topics(development=False) if "clock" in topic.name]
    assert not [right for right in rights(development=False) if "clock" in right.name]


def test_every_topic_has_dead_letters_and_says_its_settings() -> None:
    names = {topic.name for topic in topics()}
    assert {f"{family.topic}.dlt" for family in FAMILIES} <= names
    for topic in topics():
        assert {"retention.ms", "cleanup.policy", "min.insync.replicas", "max.message.bytes"} <= set(topic.settings(1))


def test_every_service_has_a_user() -> None:
    assert set(SERVICES) < set(users())
