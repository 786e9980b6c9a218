"""A client as any outsider could write it: HTTP through the gateway, plain aiokafka on the outer topics, no code of the services."""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

CVX = "http://hl7.org/fhir/sid/cvx"


class Untrue(AssertionError):
    """Something that the platform promised did not hold."""


def demand(holds: object, what: str) -> None:
    """Stop at the first untruth."""
    if not holds:
        raise Untrue(what)


@dataclass(frozen=True, slots=True)
class KafkaUser:
    """Where and as whom an outsider speaks to Kafka."""

    bootstrap: str
    user: str
    password: str
    topic: str
    replies_topic: str | None = None
    group_prefix: str = ""

    def options(self) -> dict[str, Any]:
        """Connection options of aiokafka."""
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }


@dataclass(slots=True)
class Caller:
    """Somebody signed in: calls the API, remembers the revisions of what they wrote."""

    http: httpx.AsyncClient
    subject: str
    role: str
    token: str
    renew: Callable[[], Awaitable[str]] | None = None
    wrote: dict[str, int] = field(default_factory=dict)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        fresh: bool = True,
    ) -> httpx.Response:
        """One call; a POST gets an Idempotency-Key, a GET waits for what this caller wrote before."""
        sent = {"Authorization": f"Bearer {self.token}", "Accept-Language": "en", **(headers or {})}
        if method == "POST":
            sent["Idempotency-Key"] = key or uuid.uuid4().hex
        if method == "GET" and fresh and self.wrote:
            sent["Hagukumi-Revision"] = ",".join(
                f"{place}={n}" for place, n in self.wrote.items() if _concerns(place, path)
            )
        sent = {name: value for name, value in sent.items() if value}
        answer = await self.http.request(method, path, json=body, headers=sent)
        if answer.status_code == 401 and self.renew is not None:
            self.token = await self.renew()
            answer = await self.http.request(
                method, path, json=body, headers={**sent, "Authorization": f"Bearer {self.token}"}
            )
        revision = answer.headers.get("Hagukumi-Revision", "")
        place, _, number = revision.rpartition("=")
        if place and answer.is_success:
            self.wrote[place] = max(self.wrote.get(place, 0), int(number))
        return answer

    async def get(self, path: str, **options: Any) -> Any:
        """The body of a GET that must succeed."""
        return _body(await self.call("GET", path, **options), 200)

    async def post(self, path: str, body: Any = None, *, expect: int | None = 201, **options: Any) -> Any:
        """The body of a POST that must answer so."""
        return _body(await self.call("POST", path, body, **options), expect)

    async def put(self, path: str, body: Any, *, expect: int | None = 200, **options: Any) -> Any:
        """The body of a PUT that must answer so."""
        return _body(await self.call("PUT", path, body, **options), expect)


def _concerns(place: str, path: str) -> bool:
    stream, _, subject = place.partition(":")
    return subject in path and stream == "records.child"


def _body(answer: httpx.Response, expect: int | None) -> Any:
    if expect is not None and answer.status_code != expect:
        raise Untrue(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:600]}"
        )
    return answer.json() if answer.content else None


class Api:
    """The gateway's door."""

    def __init__(self, base: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=base,
            timeout=30.0,
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def sign_in(self, subject: str, role: str, **claims: str) -> Caller:
        """Somebody with a token of the development issuer."""

        async def token() -> str:
            answer = await self.http.post("/dev/token", json={"subject": subject, "role": role, **claims})
            found: str = _body(answer, answer.status_code if answer.is_success else 200)["access_token"]
            return found

        return Caller(self.http, subject, role, await token(), token)


# Kafka ------------------------------------------------------------------------------------------------------------


def cloud_event(
    kind: str, source: str, event_id: str, data: Any, *, structured: bool = False
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of an event as a municipal system writes it: binary mode, or structured mode."""
    if structured:
        envelope = {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": kind,
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(envelope, ensure_ascii=False).encode(), [
            ("content-type", b"application/cloudevents+json; charset=UTF-8")
        ]
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": kind,
        "content-type": "application/json",
    }
    return json.dumps(data, ensure_ascii=False).encode(), [(name, value.encode()) for name, value in headers.items()]


class MunicipalSystem:
    """A municipality's own system: writes its topic, reads its replies."""

    def __init__(self, code: str, kafka: KafkaUser) -> None:
        self.code = code
        self.kafka = kafka
        self.source = f"/municipality/{code}/juki"
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._replies: dict[str, tuple[str, dict[str, Any]]] = {}

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self.kafka.options(), acks="all")
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(**self.kafka.options(), enable_auto_commit=False, auto_offset_reset="latest")
        await self._consumer.start()
        place = TopicPartition(self.kafka.replies_topic or "", 0)
        self._consumer.assign([place])
        await self._consumer.seek_to_end(place)
        await self._consumer.position(place)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()
        if self._consumer is not None:
            await self._consumer.stop()

    async def send(
        self, kind: str, data: Any, *, event_id: str | None = None, structured: bool = False, raw: bytes | None = None
    ) -> str:
        """Publish one message; its id."""
        event_id = event_id or uuid.uuid4().hex
        value, headers = cloud_event(
            f"jp.hagukumi.municipal.{kind}.v1", self.source, event_id, data, structured=structured
        )
        demand(self._producer is not None, "the municipal system is not connected")
        await self._producer.send_and_wait(  # type: ignore[union-attr]
            self.kafka.topic, value=raw if raw is not None else value, key=event_id.encode(), headers=headers
        )
        return event_id

    async def reply(self, message_id: str, *, within: float = 30.0) -> tuple[str, dict[str, Any]]:
        """(reply type, data) for one message."""
        deadline = time.monotonic() + within
        while message_id not in self._replies:
            demand(time.monotonic() < deadline, f"no reply to municipal message {message_id} within {within:.0f} s")
            batches = await self._consumer.getmany(timeout_ms=200)  # type: ignore[union-attr]
            for records in batches.values():
                for record in records:
                    headers = {name: raw.decode() for name, raw in record.headers}
                    data = json.loads(record.value)
                    self._replies[data["message_id"]] = (headers["ce_type"].split(".")[-2], data)
        return self._replies[message_id]


class ClinicFeed:
    """A clinic's EHR: a plain Kafka client with a group of its own that reads its own topic."""

    def __init__(self, kafka: KafkaUser, group: str = "ehr") -> None:
        self._kafka = kafka
        self._group = f"{kafka.group_prefix}{group}"

    async def read(
        self, enough: Callable[[Sequence["FeedRecord"]], bool], *, within: float = 20.0
    ) -> list["FeedRecord"]:
        """Read on from where the group stands until there is enough, commit, and stop."""
        consumer = AIOKafkaConsumer(
            self._kafka.topic,
            **self._kafka.options(),
            group_id=self._group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        found: list[FeedRecord] = []
        try:
            deadline = time.monotonic() + within
            while not enough(found):
                demand(
                    time.monotonic() < deadline,
                    f"the feed {self._kafka.topic} gave {len(found)} records within {within:.0f} s, not enough",
                )
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = {name: raw.decode() for name, raw in record.headers}
                        found.append(
                            FeedRecord(
                                record.key.decode(),
                                int(headers["ce_sequence"]),
                                headers["ce_type"],
                                json.loads(record.value),
                            )
                        )
            await consumer.commit()
        finally:
            await consumer.stop()
        return found


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One record of a clinic's feed."""

    child: str
    sequence: int
    type: str
    resource: dict[str, Any]


async def until(holds: Callable[[], Awaitable[Any]], what: str, *, within: float = 20.0) -> Any:
    """Ask again until it holds; the value that held. Stops with the last answer when it does not come."""
    deadline = time.monotonic() + within
    pause = 0.05
    while True:
        found = await holds()
        if found:
            return found
        demand(time.monotonic() < deadline, f"{what} (waited {within:.0f} s)")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)
