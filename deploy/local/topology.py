"""Which topics there are, who writes them and who reads them (docs: contracts, section 1), and the rights that follow."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.kafka_admin import Right, Topic

SERVICES = ("records", "schedule", "questionnaire", "notify", "gateway")
GATEWAY_ADMIN = "gateway-admin"
OPERATOR = "operator"
PARTITIONS = 12


@dataclass(frozen=True, slots=True)
class Family:
    """One topic of a service. Its dead letters go to `<topic>.dlt`."""

    topic: str
    owner: str
    readers: tuple[str, ...]
    partitions: int | None = None
    development_only: bool = False


FAMILIES = (
    Family("records.child.v1", "records", ("schedule", "questionnaire", "notify", "gateway")),
    Family("records.pregnancy.v1", "records", ("schedule", "notify", "gateway")),
    Family("schedule.plan.v1", "schedule", ("notify", "gateway")),
    Family("schedule.appointment.v1", "schedule", ("records", "notify", "gateway")),
    Family("schedule.lot.v1", "schedule", ("records", "notify", "gateway")),
    Family("questionnaire.response.v1", "questionnaire", ("records", "schedule", "notify", "gateway")),
    Family("notify.announcement.v1", "notify", ("notify", "gateway")),
    Family("notify.fanout.v1", "notify", ("notify",)),
    Family("notify.urgent.v1", "notify", ("notify",)),
    Family("notify.delivery.v1", "notify", ("gateway",)),
    Family("gateway.directory.v1", "gateway", ("records", "schedule", "questionnaire", "notify", "gateway")),
    # One partition: everybody follows one clock, in one order.
    Family(
        "gateway.clock.v1",
        "gateway",
        ("records", "schedule", "questionnaire", "notify", "gateway"),
        partitions=1,
        development_only=True,
    ),
)


def topics(partitions: int = PARTITIONS, *, development: bool = True) -> list[Topic]:
    """Every topic of the services with its dead letters. Kept for ever here; production sets its own retention."""
    found: list[Topic] = []
    for family in _families(development):
        found.append(Topic(family.topic, family.partitions or partitions))
        found.append(Topic(f"{family.topic}.dlt"))
    return found


def rights(*, development: bool = True) -> list[Right]:
    """What each service, the gateway's administration and the operator may do; all else is refused."""
    return [
        *(right for service in SERVICES for right in _service_rights(service, development)),
        *_gateway_rights(),
        *_operator_rights(),
    ]


def users() -> tuple[str, ...]:
    """The Kafka users that exist from the start. Municipalities' and clinics' are made when those are opened."""
    return (*SERVICES, GATEWAY_ADMIN, OPERATOR)


def _families(development: bool) -> Iterable[Family]:
    return (family for family in FAMILIES if development or not family.development_only)


def _service_rights(service: str, development: bool) -> Iterable[Right]:
    """Write what it owns, read what it follows, put aside what it cannot use, all groups under its own name."""
    for family in _families(development):
        if family.owner == service:
            yield Right(service, "write", "topic", family.topic)
        if service in family.readers:
            yield Right(service, "read", "topic", family.topic)
            yield Right(service, "write", "topic", f"{family.topic}.dlt")
    yield Right(service, "read", "group", f"{service}.", "prefixed")


def _gateway_rights() -> Iterable[Right]:
    """The intake reads every municipality's topic; what it may write there is granted with each one that is opened."""
    yield Right("gateway", "read", "topic", "municipal.", "prefixed")
    # Opening a municipality or a clinic: its topics, its user, its rights. Kafka knows no smaller right for the latter
    # two than «alter» on the cluster, so this user is apart from the one that reads and writes.
    for prefix in ("municipal.", "clinic."):
        yield Right(GATEWAY_ADMIN, "create", "topic", prefix, "prefixed")
        yield Right(GATEWAY_ADMIN, "describe", "topic", prefix, "prefixed")
    yield Right(GATEWAY_ADMIN, "alter", "cluster", "")
    yield Right(GATEWAY_ADMIN, "describe", "cluster", "")


def _operator_rights() -> Iterable[Right]:
    """Looks at everything and changes nothing; repairs go through the services."""
    yield Right(OPERATOR, "read", "topic", "*")
    yield Right(OPERATOR, "describe_configs", "topic", "*")
    yield Right(OPERATOR, "describe", "group", "*")
    yield Right(OPERATOR, "describe", "cluster", "")
    yield Right(OPERATOR, "read", "group", f"{OPERATOR}.", "prefixed")
