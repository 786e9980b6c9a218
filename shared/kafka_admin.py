"""Topics, users and rights on Kafka, while the platform runs: what opening a municipality or a clinic needs.

aiokafka's admin client has no calls for rights and SCRAM users, so this one module uses confluent-kafka's. Everything here
may be repeated: what is there already stays as it is. A call returns when what it made can be used.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from shared.settings import Settings

Operation = Literal["read", "write", "create", "describe", "describe_configs", "alter", "delete", "all"]
Resource = Literal["topic", "group", "cluster", "transactional_id"]
Pattern = Literal["literal", "prefixed"]

MAX_RECORD_BYTES = 1_048_576
SCRAM_ITERATIONS = 8_192
DAY_MS = 86_400_000
_CODE = re.compile(r"\d{6}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with everything said that Kafka would otherwise choose. `retention_ms` -1 keeps for ever."""

    name: str
    partitions: int = 1
    retention_ms: int = -1
    cleanup: Literal["delete", "compact"] = "delete"
    config: Mapping[str, str] = field(default_factory=dict)

    def settings(self, min_insync: int) -> dict[str, str]:
        """The topic's configuration, whole."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "min.insync.replicas": str(min_insync),
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.type": "CreateTime",
            "unclean.leader.election.enable": "false",
            **self.config,
        }


@dataclass(frozen=True, slots=True)
class Right:
    """One user's right on one resource, or on all whose names begin with `name` (pattern `prefixed`)."""

    user: str
    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = "literal"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A Kafka user and its password, told once."""

    user: str
    password: str = field(repr=False)


def municipality_rights(code: str) -> list[Right]:
    """A municipal system writes only its own topic and reads only its own replies."""
    user = municipality_user(code)
    return [
        Right(user, "write", "topic", f"municipal.{code}.v1"),
        Right(user, "read", "topic", f"municipal.{code}.replies.v1"),
        Right(user, "read", "group", f"{user}.", "prefixed"),
    ]


def clinic_rights(clinic: str) -> list[Right]:
    """A clinic's system reads only its own topic."""
    user = clinic_user(clinic)
    return [
        Right(user, "read", "topic", f"clinic.{clinic}.v1"),
        Right(user, "read", "group", f"{user}.", "prefixed"),
    ]


def municipality_user(code: str) -> str:
    """The Kafka user of a municipality; raises ValueError unless `code` has six digits."""
    if not _CODE.fullmatch(code):
        raise ValueError("a municipality code has six digits")
    return f"municipality-{code}"


def clinic_user(clinic: str) -> str:
    """The Kafka user of a clinic; raises ValueError unless the id is made of letters, digits, `-` and `_`."""
    if not _ID.fullmatch(clinic):
        raise ValueError("a clinic id is made of letters, digits, '-' and '_'")
    return f"clinic-{clinic}"


class KafkaAdmin:
    """Administers one Kafka cluster as one user; every call is bounded by `timeout_s`.

    `replication` and `min_insync` are 1 on one machine, 3 and 2 in production.
    """

    def __init__(
        self,
        bootstrap: str,
        user: str,
        password: str,
        *,
        partitions: int = 12,
        replication: int = 1,
        min_insync: int = 1,
        timeout_s: float = 20.0,
        gateway_user: str = "gateway",
    ) -> None:
        self._partitions = partitions
        self._replication = replication
        self._min_insync = min_insync
        self._timeout = timeout_s
        self._gateway_user = gateway_user
        self._bootstrap = bootstrap
        self._client = _client(bootstrap, user, password, timeout_s)

    @classmethod
    def of(cls, settings: Settings) -> "KafkaAdmin":
        """The admin that this service's settings name (only the gateway's do)."""
        password = settings.secret(settings.kafka_admin_password_file)
        return cls(
            settings.kafka_bootstrap,
            settings.kafka_admin_user,
            password,
            partitions=settings.partitions,
            gateway_user=settings.kafka_user or "gateway",
        )

    async def ping(self, timeout_s: float = 1.0) -> bool:
        """Whether an authenticated call succeeds in this time."""
        return await asyncio.to_thread(self.answers, timeout_s)

    def answers(self, timeout_s: float = 1.0) -> bool:
        """The same, for a caller without an event loop."""
        try:
            return bool(self._client.list_topics(timeout=timeout_s).brokers)
        except KafkaException:
            return False

    async def topics(self) -> dict[str, int]:
        """The partitions of every topic that this user may see."""
        found = await asyncio.to_thread(self._client.list_topics, timeout=self._timeout)
        return {name: len(topic.partitions) for name, topic in found.topics.items()}

    async def ensure_topic(
        self, name: str, *, partitions: int | None = None, retention_ms: int = -1, **config: str
    ) -> None:
        """Create the topic unless it is there. `config` in Kafka's names with `_` for `.`."""
        named = {key.replace("_", "."): value for key, value in config.items()}
        await self.ensure_topics([Topic(name, partitions or self._partitions, retention_ms, config=named)])

    async def ensure_topics(self, topics: Iterable[Topic]) -> None:
        """Create what is missing, and give a topic that has fewer partitions the ones that it lacks."""
        wanted = {topic.name: topic for topic in topics}
        there = await self.topics()
        missing = [
            NewTopic(topic.name, topic.partitions, self._replication, config=topic.settings(self._min_insync))
            for name, topic in wanted.items()
            if name not in there
        ]
        if missing:
            created = self._client.create_topics(
                missing, operation_timeout=self._timeout, request_timeout=self._timeout
            )
            await self._all(created.values(), accept=KafkaError.TOPIC_ALREADY_EXISTS)
            await self._until(lambda: self._all_led({topic.topic for topic in missing}))
        small = [
            NewPartitions(name, topic.partitions)
            for name, topic in wanted.items()
            if there.get(name, topic.partitions) < topic.partitions
        ]
        if small:
            await self._all(self._client.create_partitions(small, request_timeout=self._timeout).values())

    async def delete_topics(self, names: Sequence[str]) -> None:
        """Delete these topics; those that are not there are left out. After it the broker shows none of them."""
        if names:
            deleted = self._client.delete_topics(list(names), operation_timeout=self._timeout)
            await self._all(deleted.values(), accept=KafkaError.UNKNOWN_TOPIC_OR_PART)
            await self._until(lambda: not set(names) & self._client.list_topics(timeout=self._timeout).topics.keys())

    async def create_scram_user(self, name: str, password: str | None = None) -> Credentials:
        """Create the user, or give it this password; without one a random one is made."""
        made = Credentials(name, password or secrets.token_urlsafe(24))
        await self.create_scram_users([made])
        return made

    async def create_scram_users(self, users: Iterable[Credentials]) -> None:
        """Create these users, or give them these passwords."""
        mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, SCRAM_ITERATIONS)
        changes_of = list(users)
        changes: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(one.user, mechanism, one.password.encode()) for one in changes_of
        ]
        if changes:
            done = self._client.alter_user_scram_credentials(changes, request_timeout=self._timeout)
            await self._all(done.values())
            await self._until(lambda: self._can_sign_in(changes_of[-1]))

    async def allow(
        self, user: str, operations: Iterable[Operation], resource: Resource, name: str, pattern: Pattern = "literal"
    ) -> None:
        """Let the user do these things with this resource."""
        await self.allow_all(Right(user, operation, resource, name, pattern) for operation in operations)

    async def allow_all(self, rights: Iterable[Right]) -> None:
        """Grant these rights."""
        bindings = [_binding(right) for right in rights]
        if bindings:
            await self._all(self._client.create_acls(bindings, request_timeout=self._timeout).values())
            await self._until(lambda: self._is_granted(bindings[-1]))

    async def allow_municipality(self, code: str) -> None:
        """Topics of a municipality, its rights on them, and the gateway's right to answer. The user is made apart."""
        topic, replies = f"municipal.{code}.v1", f"municipal.{code}.replies.v1"
        rights = municipality_rights(code)
        await self.ensure_topics([Topic(topic), Topic(replies), Topic(f"{topic}.dlt")])
        gateway = [Right(self._gateway_user, "write", "topic", name) for name in (replies, f"{topic}.dlt")]
        await self.allow_all([*rights, *gateway])

    async def allow_clinic(self, clinic: str) -> None:
        """The topic of a clinic, its rights on it, and the gateway's right to write it. The user is made apart."""
        rights = clinic_rights(clinic)
        topic = f"clinic.{clinic}.v1"
        await self.ensure_topics([Topic(topic)])
        await self.allow_all([*rights, Right(self._gateway_user, "write", "topic", topic)])

    async def open_municipality(self, code: str) -> Credentials:
        """Everything that a municipal system needs; its password is told here and nowhere else. A repeat changes it."""
        await self.allow_municipality(code)
        return await self.create_scram_user(municipality_user(code))

    async def open_clinic(self, clinic: str) -> Credentials:
        """Everything that a clinic's system needs; its password is told here and nowhere else. A repeat changes it."""
        await self.allow_clinic(clinic)
        return await self.create_scram_user(clinic_user(clinic))

    async def _all(self, futures: Iterable["Future[Any]"], accept: int | None = None) -> None:
        """Wait for every answer; raises the first KafkaException that is not the accepted one."""
        waiting = [asyncio.wrap_future(future) for future in futures]
        async with asyncio.timeout(self._timeout + 5.0):
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, KafkaException) and outcome.args[0].code() == accept:
                continue
            if isinstance(outcome, BaseException):
                raise outcome

    async def _until(self, true: Callable[[], bool]) -> None:
        """Wait until the broker knows what the controller has accepted; changes reach it in order, so the last will do."""
        deadline = time.monotonic() + self._timeout
        while not await asyncio.to_thread(true):
            if time.monotonic() > deadline:
                raise TimeoutError("Kafka accepted a change and does not show it")
            await asyncio.sleep(0.02)

    def _all_led(self, names: set[str]) -> bool:
        found = self._client.list_topics(timeout=self._timeout).topics
        return all(
            name in found and all(partition.leader >= 0 for partition in found[name].partitions.values())
            for name in names
        )

    def _can_sign_in(self, who: Credentials) -> bool:
        try:
            return bool(_client(self._bootstrap, who.user, who.password, 1.0).list_topics(timeout=1.0).brokers)
        except KafkaException:
            return False

    def _is_granted(self, binding: AclBinding) -> bool:
        same = AclBindingFilter(
            binding.restype,
            binding.name,
            binding.resource_pattern_type,
            binding.principal,
            binding.host,
            binding.operation,
            binding.permission_type,
        )
        return bool(self._client.describe_acls(same, request_timeout=self._timeout).result(self._timeout))


def _client(bootstrap: str, user: str, password: str, timeout_s: float) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": user,
            "sasl.password": password,
            "client.id": f"hagukumi-admin-{user}",
            "socket.timeout.ms": int(timeout_s * 1000),
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 250,
            "log_level": 0,
        }
    )


def _binding(right: Right) -> AclBinding:
    name = "kafka-cluster" if right.resource == "cluster" else right.name
    return AclBinding(
        _RESOURCES[right.resource],
        name,
        ResourcePatternType.PREFIXED if right.pattern == "prefixed" else ResourcePatternType.LITERAL,
        f"User:{right.user}",
        "*",
        getattr(AclOperation, right.operation.upper()),
        AclPermissionType.ALLOW,
    )
