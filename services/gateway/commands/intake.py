"""Municipal intake: read one message, do what it asks at the owners, keep the reply, answer.

Every step may be repeated: effects have keys derived from (topic, ce_source, ce_id), the reply has a derived id, and the
record's offset is committed only after the reply was acknowledged. One-time codes are not kept here at all: records draws
the same ones again for the same key, so a repeated message is answered like the first time.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog

from services.gateway import store as kept
from services.gateway.domain import intake
from services.gateway.domain.intake import Message, Received, Refused
from shared.audit import Access
from shared.auth import Principal
from shared.bus import Message as Record
from shared.clock import wire_instant
from shared.context import Cause, cause, set_cause
from shared.documents import Document
from shared.events.municipal import (
    BirthNotified,
    ClosureReported,
    Inbound,
    MessageAccepted,
    MessageRefused,
    MoveNotified,
    NoticeRequested,
    PastDosesReported,
)
from shared.ids import new_id
from shared.native.envelopes import event_id
from shared.problems import Busy, Conflict
from shared.runtime import Runtime
from shared.store import Doc

log = structlog.get_logger(__name__)

PATIENCE_WITH_CONFLICTS = 10
_LATER = frozenset({401, 425, 429})


@dataclass(frozen=True, slots=True)
class Done:
    """What a message came to: the subject of the reply, and codes for the guardians (kept nowhere)."""

    subject: str
    codes: tuple[str, ...] = ()


Effect = Callable[[Message, Any, Principal], Awaitable[Done]]
Keep = Callable[[Access], Awaitable[None]]
"""Keeps one access; durable when it returns (`Audit.write`)."""


class Intake:
    """Settles messages one by one; the caller keeps their order."""

    def __init__(self, runtime: Runtime, keep: Keep) -> None:
        self._runtime = runtime
        self._keep_access = keep
        self._documents = runtime.documents(kept.INTAKE)
        self._effects: dict[type[Inbound], Effect] = {
            BirthNotified: self._birth,
            PastDosesReported: self._past_doses,
            MoveNotified: self._move,
            NoticeRequested: self._notice,
            ClosureReported: self._closure,
        }

    async def settle(self, received: Received, *, attempt: int = 1) -> MessageAccepted | MessageRefused:
        """Take or refuse one message, durably, and answer it. Raises Busy: nothing is decided, come again."""
        message = intake.read(received, max_bytes=self._runtime.settings.max_body_bytes)
        set_cause(Cause(correlation=new_id()))
        doc = await self._documents.load(message.document)
        codes: tuple[str, ...] | None = None
        if doc is None:
            reply, codes = await self._decide(message, attempt)
            doc = await self._keep(message, reply, codes)
        place = 1
        if doc.state["digest"] != message.digest:
            reply, place = intake.id_reused(message), 1 + int(message.digest[:12], 16)
        else:
            reply = await self._reply_of(doc, message, codes)
        await self._keep_access(_access(message, reply, doc.state.get("child")))
        await self._publish(message, reply, place)
        return reply

    async def _decide(self, message: Message, attempt: int) -> tuple[MessageAccepted | MessageRefused, tuple[str, ...]]:
        """Do what the message asks; the reply without its codes, and the codes."""
        principal = _principal(message.received)
        try:
            if message.body is None:
                raise Refused(message.errors)
            done = await self._effects[type(message.body)](message, message.body, principal)
        except Refused as refused:
            return MessageRefused(message_id=message.message_id, errors=refused.errors), ()
        except Conflict:
            if attempt < PATIENCE_WITH_CONFLICTS:
                raise Busy from None
            errors = (intake.error("", "conflict", "同時に変更されたため完了できませんでした。"),)
            return MessageRefused(message_id=message.message_id, errors=errors), ()
        return MessageAccepted(message_id=message.message_id, subject=done.subject), done.codes

    async def _keep(
        self, message: Message, reply: MessageAccepted | MessageRefused, codes: tuple[str, ...]
    ) -> Document:
        """Keep the message's digest and its reply; of its body and of codes nothing."""

        def decide(doc: Document) -> Doc:
            doc.tenant = message.received.municipality
            doc.state = {
                "municipality": message.received.municipality,
                "message_id": message.message_id,
                "type": message.type,
                "digest": message.digest,
                "received_at": wire_instant(self._runtime.clock.now()),
                "kind": type(reply).__name__,
                "reply": reply.model_dump(mode="json"),
                "codes": len(codes),
            }
            if isinstance(reply, MessageAccepted) and not isinstance(message.body, NoticeRequested | ClosureReported):
                doc.state["child"] = reply.subject
            return {}

        try:
            return (await self._documents.create(message.document, decide))[1]
        except Conflict:
            # Another process settled the same message between two rebalances; its keys were ours, so its outcome is.
            found = await self._documents.load(message.document)
            if found is None:
                raise Busy from None
            return found

    async def _reply_of(
        self, doc: Document, message: Message, codes: tuple[str, ...] | None
    ) -> MessageAccepted | MessageRefused:
        if doc.state["kind"] == MessageRefused.__name__:
            return MessageRefused.model_validate(doc.state["reply"])
        accepted = MessageAccepted.model_validate(doc.state["reply"])
        if codes is None and doc.state["codes"]:
            try:
                codes = await self._guardian_codes(
                    message, accepted.subject, doc.state["codes"], _principal(message.received)
                )
            except (Refused, Conflict):
                # The child has moved away meanwhile, or the codes are out of time: they are nobody's business now.
                codes = ()
        return accepted.model_copy(update={"guardian_codes": codes or ()})

    async def _publish(self, message: Message, reply: MessageAccepted | MessageRefused, place: int) -> None:
        received = message.received
        stream = f"municipal.{received.municipality}.replies"
        key = received.key or message.message_id.encode()
        headers = {
            "ce_specversion": "1.0",
            # The same reply has the same id however often the message is sent.
            "ce_id": event_id(stream, message.document, place),
            "ce_source": f"/hagukumi/{self._runtime.settings.service}",
            "ce_type": intake.reply_type(reply),
            "ce_subject": message.message_id,
            "ce_time": wire_instant(self._runtime.clock.now()),
            "ce_tenant": received.municipality,
            "ce_correlationid": cause().correlation,
            "content-type": "application/json",
        }
        record = Record(
            f"{stream}.v1",
            key,
            reply.model_dump_json().encode(),
            [(name, value.encode()) for name, value in headers.items()],
        )
        outcome = (await self._runtime.producer.send([record]))[0]
        if outcome is not None:
            raise Busy

    # What each kind of message does -------------------------------------------------------------------------------

    async def _birth(self, message: Message, body: BirthNotified, principal: Principal) -> Done:
        created = await self._ask(message, "child", principal, "records", "POST", "/v1/children", intake.birth(body))
        child = str(created["id"])
        codes: tuple[str, ...] = ()
        if body.guardian_codes:
            codes = await self._guardian_codes(message, child, body.guardian_codes, principal)
        return Done(child, codes)

    async def _guardian_codes(self, message: Message, child: str, count: int, principal: Principal) -> tuple[str, ...]:
        path = f"/v1/children/{child}/guardian-codes"
        given = await self._ask(message, "guardian-codes", principal, "records", "POST", path, {"count": count})
        return tuple(one["code"] for one in given["codes"])

    async def _past_doses(self, message: Message, body: PastDosesReported, principal: Principal) -> Done:
        born = await self._birth_date(body.child, principal)
        if errors := intake.broken_doses(body, birth_date=born, today=self._runtime.clock.today()):
            raise Refused(errors)
        path = f"/v1/children/{body.child}/doses"
        recorded: list[str] = []
        for number, dose in enumerate(body.doses):
            wish = dose.model_dump(mode="json", exclude_none=True)
            try:
                answer = await self._ask(message, f"dose-{number}", principal, "records", "POST", path, wish)
            except Refused as refused:
                await self._take_back(message, body.child, recorded, principal)
                raise Refused(intake.below(f"/doses/{number}", refused.errors)) from None
            recorded.append(str(answer["id"]))
        return Done(body.child)

    async def _birth_date(self, child: str, principal: Principal) -> date | None:
        """When one of its own children was born; of another municipality's nothing is told."""
        known = await self._runtime.documents(kept.CHILDREN).load(child)
        if known is None or "facts" not in known.state or known.tenant != principal.municipality:
            return None
        return date.fromisoformat(known.state["facts"]["birth_date"])

    async def _take_back(self, message: Message, child: str, doses: list[str], principal: Principal) -> None:
        """A refused message leaves nothing standing: the doses that were recorded before the refused one are withdrawn."""
        for dose in doses:
            path = f"/v1/children/{child}/doses/{dose}/retraction"
            reason = {"reason": "同じ報告の別の接種が登録できなかったため取り消し"}
            await self._ask(message, f"undo-{dose}", principal, "records", "POST", path, reason)

    async def _move(self, message: Message, body: MoveNotified, principal: Principal) -> Done:
        path = f"/v1/children/{body.child}/move"
        if body.to_municipality == principal.municipality:
            # The town that writes is the one that the child comes to.
            await self._ask(message, "move", principal, "records", "POST", f"{path}/confirmation", None)
            return Done(body.child)
        wish = body.model_dump(mode="json", exclude={"child"})
        await self._ask(message, "move", principal, "records", "POST", path, wish)
        return Done(body.child)

    async def _notice(self, message: Message, body: NoticeRequested, principal: Principal) -> Done:
        return await self._announce(message, body.model_dump(mode="json", exclude_none=True), principal)

    async def _closure(self, message: Message, body: ClosureReported, principal: Principal) -> Done:
        return await self._announce(message, intake.closure(body), principal)

    async def _announce(self, message: Message, notice: dict[str, Any], principal: Principal) -> Done:
        answer = await self._ask(message, "notice", principal, "notify", "POST", "/v1/announcements", notice)
        return Done(str(answer["id"]))

    async def _ask(
        self,
        message: Message,
        what: str,
        principal: Principal,
        service: str,
        method: str,
        path: str,
        body: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """One keyed call at an owner. Raises Refused for what can never work, Conflict, and Busy for what may later."""
        answer = await self._runtime.calls.act(
            service,
            method,
            path,
            principal,
            body=json.dumps(body, ensure_ascii=False).encode(),
            headers={"idempotency-key": message.key(what), "accept-language": "ja"},
        )
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code == 409:
            raise Conflict
        if answer.status_code >= 500 or answer.status_code in _LATER:
            log.warning("intake.owner_cannot", service=service, status=answer.status_code)
            raise Busy
        raise Refused(intake.refusal_of(answer.json(), at="/child" if answer.status_code == 404 else ""))


def _access(message: Message, reply: MessageAccepted | MessageRefused, child: str | None) -> Access:
    """Who did what with whose record: every message leaves one row, a refused one too."""
    accepted = isinstance(reply, MessageAccepted)
    return Access(
        who=_principal(message.received).subject,
        role="system",
        organisation=message.received.municipality,
        action=f"intake{type(message.body).__name__}" if message.body is not None else "intake",
        whose=(child,) if child and accepted else (),
        purpose="public-health",
        outcome="accepted" if accepted else "refused",
        status=202 if accepted else 422,
        route="municipal.{code}.v1",
        correlation=cause().correlation,
    )


def _principal(received: Received) -> Principal:
    """Whoever writes a municipality's topic is that municipality's system."""
    return Principal(subject=f"municipality-{received.municipality}", role="system", municipality=received.municipality)
