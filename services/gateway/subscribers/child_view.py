"""Children as the gateway reads them, and the clinics' feeds that follow from them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from services.gateway import store as kept
from services.gateway.domain import child_view, clinic_feed
from shared.documents import Document, mark
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Envelope, Event
from shared.runtime import Runtime
from shared.views import View, decode

R4 = "http://hl7.org/fhir/StructureDefinition/"
LOOK_FOR_ENDED_EVERY_S = 60.0


class ChildView(View):
    """The view of records.child and questionnaire.response: one document per child, one order per child and clinic."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clinics: set[str] = set()
        super().__init__(
            runtime.documents(kept.CHILDREN),
            {
                **dict.fromkeys(child_view.RECORD, self._on_record),
                **dict.fromkeys(child_view.RESPONSES, self._on_response),
            },
            target=target_of,
            derived=kept.CHILD_DERIVED,
            owns="what each clinic was told (`feeds`) and the streams of the clinics' topics",
        )

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Learn first which of the clinics that are given consent have a topic, then apply."""
        await self._learn_clinics(batch)
        rejected = await super().apply(batch)
        given = {
            event.dose.id: envelope.subject
            for envelope in batch
            if envelope.type == r.DoseRecorded.event_type() and isinstance(event := _read(envelope), r.DoseRecorded)
        }
        await kept.name_doses(self.documents.store, given)
        for closed in sorted(await kept.closed_among(self.documents.store, _may_be_closed(batch))):
            await self._carry(closed)
        return rejected

    async def _carry(self, closed: str) -> None:
        """Bring the questionnaires of a closed record to the one that stands for it now; again changes nothing.

        They are told of under the record that they were begun for, whenever that closed. The tombstone keeps them, so
        that none of the two topics has to be ahead of the other, and answers only until they are handed on.
        """
        record = await self.documents.load(closed)
        if record is None or not record.state.get("questionnaires"):
            return
        bearer, came_with = await kept.bearer_of(self.documents, record)
        if bearer is None or not child_view.known(bearer.state):
            return

        def decide(doc: Document) -> dict[str, Any]:
            if child_view.take_over(doc.state, record.state, came_with):
                self.tell(doc)
                self.mark_derived(doc)
            return {}

        def hand_on(doc: Document) -> dict[str, Any]:
            doc.state.pop("answers", None)
            return {}

        await self.documents.change(bearer.id, decide)
        if record.state.get("answers"):
            await self.documents.change(closed, hand_on)

    async def end_expired(self) -> None:
        """Send the end marker of every feed whose consent's last day has passed."""

        def decide(doc: Document) -> dict[str, Any]:
            self.tell(doc)
            self.mark_derived(doc)
            return {}

        for child in await kept.children_with_ended_consent(self.documents.store, self._runtime.clock.today()):
            await self.documents.change(child, decide)

    def tell(self, doc: Document) -> None:
        """Emit what the clinics do not know yet, each in its own dense sequence."""
        clock = self._runtime.clock
        for item in clinic_feed.announce(doc.state, doc.id, today=clock.today(), now=clock.now()):
            stream = f"clinic.{item.clinic}"
            doc.emit_raw(
                json.dumps(item.resource, ensure_ascii=False, separators=(",", ":")),
                clock.now(),
                type_=item.type,
                stream=stream,
                topic=f"{stream}.v1",
                # The town of residence is none of the clinic's business.
                tenant="",
                headers={
                    "ce_sequence": str(doc.heads.get(mark(stream, doc.id), 0) + 1),
                    "ce_dataschema": R4 + item.resource["resourceType"],
                    "content-type": "application/fhir+json",
                },
            )

    def _on_record(self, doc: Document, event: Event, envelope: Envelope) -> None:
        child_view.apply_record(doc.state, event, envelope.revision)
        if isinstance(event, r.ConsentGiven) and event.kind == "clinic":
            # A clinic without a topic has no feed: its records would hold up those of all others.
            doc.state["consents"][event.organisation]["feed"] = event.organisation in self._clinics
        doc.tenant = doc.state.get("municipality", "")
        self.tell(doc)
        if isinstance(event, r.MergedAway):
            child_view.close(doc.state)

    def _on_response(self, doc: Document, event: Event, envelope: Envelope) -> None:
        child_view.apply_response(doc.state, event, envelope.revision, envelope.subject)
        self.tell(doc)

    async def _learn_clinics(self, batch: Sequence[Envelope]) -> None:
        given = {
            event.organisation
            for envelope in batch
            if envelope.type == r.ConsentGiven.event_type() and isinstance(event := _read(envelope), r.ConsentGiven)
        }
        if unknown := given - self._clinics:
            self._clinics |= await kept.registered_clinics(self.documents.store, unknown)


def _may_be_closed(batch: Sequence[Envelope]) -> set[str]:
    """The records that some event of the batch closed, made stand alone again, or says something of by their old id."""
    found: set[str] = set()
    for envelope in batch:
        if envelope.type in _RESPONSE_TYPES:
            found.add(target_of(envelope))
        elif envelope.type == r.MergedAway.event_type():
            found.add(envelope.subject)
        elif envelope.type in _SEPARATING and (event := _read(envelope)) is not None:
            found.add(str(getattr(event, "other", None) or getattr(event, "restored_from", None) or ""))
    return found - {""}


_SEPARATING = frozenset({r.ChildrenUnmerged.event_type(), r.ChildRegistered.event_type()})


def target_of(envelope: Envelope) -> str:
    """The child that an event is about. What says no child stays under its own subject and holds up nobody else."""
    if envelope.stream == r.ChildEvent.stream:
        return envelope.subject
    if envelope.type in _RESPONSE_TYPES:
        event = _read(envelope)
        return str(getattr(event, "child", "")) or envelope.subject
    try:
        child = json.loads(envelope.data).get("child")
    except (ValueError, AttributeError):
        child = None
    return child if isinstance(child, str) and child else envelope.subject


_RESPONSE_TYPES = frozenset(cls.event_type() for cls in child_view.RESPONSES)


def _read(envelope: Envelope) -> Event | None:
    try:
        return decode(envelope)
    except ValidationError:
        return None


def follow_children(runtime: Runtime) -> ChildView:
    """Subscribe to records and questionnaires, and end feeds when a consent's last day has passed."""
    view = ChildView(runtime)
    runtime.relay.unhurried |= clinic_feed.UNHURRIED

    async def every_minute() -> None:
        await view.end_expired()
        await asyncio.sleep(LOOK_FOR_ENDED_EVERY_S)

    runtime.follow(r.ChildEvent.topic(), view)
    runtime.follow(q.ResponseEvent.topic(), view)
    runtime.background.append(every_minute)
    runtime.on_clock.append(view.end_expired)
    return view
