"""Open municipalities, register clinics, assign staff; topics, rights and users on Kafka come with it.

A Kafka password is told once, in the answer that made it, and is kept nowhere. Whoever lost that answer asks for a new
password (`POST …/credentials`), which ends the old one. Only if the telling itself failed (Kafka could not be reached),
the same request repeated with its key is told.
"""

import asyncio
from typing import Any, Literal

import structlog

from services.gateway import store as kept
from services.gateway.domain import directory
from shared.documents import Command, Document
from shared.ids import derived_id
from shared.kafka_admin import KafkaAdmin, clinic_user, municipality_user
from shared.problems import Busy, Conflict, NotFound
from shared.runtime import Runtime
from shared.store import Doc

log = structlog.get_logger(__name__)

Kind = Literal["municipality", "clinic"]
KINDS: dict[Kind, tuple[str, str]] = {"municipality": ("code", "municipal"), "clinic": ("id", "clinic")}
"""What names an organisation of each kind, and how its topic begins."""


class Directory:
    """The directory and the Kafka administration behind it."""

    def __init__(self, runtime: Runtime, admin: KafkaAdmin | None = None) -> None:
        self._runtime = runtime
        self._documents = runtime.documents(kept.DIRECTORY)
        self._connected = admin
        runtime.on_start.append(self._index)
        runtime.background.append(self._keep)

    async def open_municipality(self, code: str, name: str, command: Command) -> tuple[Doc, Document]:
        """A municipality joins; (what it is and how it reaches Kafka, document). Raises Invalid, Conflict, Busy."""
        directory.check_code(code)

        def decide(doc: Document) -> Doc:
            doc.tenant = code
            doc.emit(directory.open_municipality(doc.state, code, name), self._runtime.clock.now(), subject=code)
            return {"code": code, "name": name}

        return await self._join("municipality", code, decide, command)

    async def register_clinic(
        self, clinic: str | None, name: str, municipality: str, command: Command
    ) -> tuple[Doc, Document]:
        """A clinic joins, under this id or one of ours. Raises Invalid, Conflict, Busy."""
        home = await self._documents.load(municipality)
        if home is None or home.state["kind"] != "municipality":
            raise directory.unknown_municipality()
        clinic_id = clinic or derived_id("clinic", command.id)[:16]

        def decide(doc: Document) -> Doc:
            doc.tenant = municipality
            event = directory.register_clinic(doc.state, clinic_id, name, municipality)
            doc.emit(event, self._runtime.clock.now(), subject=clinic_id)
            return {"id": clinic_id, "name": name, "municipality": municipality}

        return await self._join("clinic", clinic_id, decide, command)

    async def assign_staff(
        self, subject: str, municipality: str, profession: str, command: Command
    ) -> tuple[Doc, Document]:
        """A person works for a municipality. Raises Invalid when that is not registered."""

        def decide(doc: Document) -> Doc:
            if doc.state["kind"] != "municipality":
                raise directory.unknown_municipality()
            event = directory.assign_staff(doc.state, subject, profession)
            if event is not None:
                doc.emit(event, self._runtime.clock.now(), subject=municipality)
            return {"subject": subject, "municipality": municipality, "profession": profession}

        try:
            return await self._documents.change(municipality, decide, command)
        except NotFound:
            raise directory.unknown_municipality() from None

    async def new_credentials(self, kind: Kind, key: str, command: Command) -> tuple[Doc, Document]:
        """Another password for an organisation's Kafka user; the old one ends. Raises NotFound, Busy."""
        fresh = False

        def decide(doc: Document) -> Doc:
            nonlocal fresh
            if doc.state.get("kind") != kind:
                raise NotFound
            fresh = True
            doc.state["credentials"] = "claimed"
            return directory.listed(doc.state)

        answer, doc = await self._documents.change(key, decide, command)
        return {**answer, "kafka": await self._kafka(kind, key, tell=fresh or await self._claimed_again(doc))}, doc

    async def listed(self, kind: Kind) -> list[dict[str, str]]:
        """Every organisation of this kind, by name."""
        states = await kept.organisations(self._documents.store, kind)
        return sorted(map(directory.listed, states), key=lambda one: (one["name"], *one.values()))

    async def restore(self) -> list[str]:
        """Give Kafka the topics and rights of organisations that it has no more (G8: a broker may come back empty); whose.

        A password is kept nowhere, so its user is not among them: `POST …/credentials` makes another.
        """
        there = await self._admin().topics()
        restored: list[str] = []
        for kind, (name, begins) in KINDS.items():
            for state in await kept.organisations(self._documents.store, kind):
                key = state[name]
                if f"{begins}.{key}.v1" not in there:
                    await self._allow(kind, key)
                    restored.append(key)
        if restored:
            log.warning("directory.restored", organisations=len(restored))
        return restored

    async def _keep(self) -> None:
        await asyncio.sleep(self._runtime.settings.reconcile_every_s)
        await self.restore()

    async def _join(self, kind: Kind, key: str, decide: Any, command: Command) -> tuple[Doc, Document]:
        known = await self._documents.load(key)
        if known is None:
            # Topics and rights first: once it is in the directory, others may write to them.
            await self._allow(kind, key)
        fresh = False

        def first(doc: Document) -> Doc:
            nonlocal fresh
            fresh = True
            answer: Doc = decide(doc)
            return answer

        answer, doc = await self._documents.create(key, first, command)
        return {**answer, "kafka": await self._kafka(kind, key, tell=fresh or await self._claimed_again(doc))}, doc

    async def _claimed_again(self, doc: Document) -> bool:
        """Whether an earlier telling failed and this caller is the one who may be told now."""
        if doc.state["credentials"] != "none":
            return False

        def claim(found: Document) -> Doc:
            if found.state["credentials"] != "none":
                raise Conflict
            found.state["credentials"] = "claimed"
            return {}

        try:
            await self._documents.change(doc.id, claim)
        except Conflict:
            return False
        return True

    async def _allow(self, kind: Kind, key: str) -> None:
        admin = self._admin()
        try:
            await (admin.allow_municipality(key) if kind == "municipality" else admin.allow_clinic(key))
        except Exception as error:
            log.warning("directory.kafka_failed", error=type(error).__name__)
            raise Busy from None

    async def _kafka(self, kind: Kind, key: str, *, tell: bool) -> Doc:
        password: str | None = None
        if tell:
            user = municipality_user(key) if kind == "municipality" else clinic_user(key)
            try:
                password = (await self._admin().create_scram_user(user)).password
            except Exception as error:
                log.warning("directory.kafka_failed", error=type(error).__name__)
                await self._documents.change(key, _not_told)
                raise Busy from None
        return directory.connection(kind, key, bootstrap=self._runtime.settings.kafka_bootstrap, password=password)

    async def _index(self) -> None:
        await self._documents.store.ensure_index(kept.DIRECTORY, ["state.kind"])

    def _admin(self) -> KafkaAdmin:
        if self._connected is None:
            self._connected = KafkaAdmin.of(self._runtime.settings)
        return self._connected


def _not_told(doc: Document) -> Doc:
    doc.state["credentials"] = "none"
    return {}
