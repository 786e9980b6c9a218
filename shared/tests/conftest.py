"""What the tests of the backbone are built from: a toy family of events, real documents, a relay that only remembers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.records import Actor, GuardianAdded, GuardianRemoved
from shared.ids import new_id
from shared.store import Doc, Store
from shared.testing.plugin import STORE_WITHIN_MS

BY = Actor(subject="g1", role="guardian")


class RememberingRelay:
    """An announcer at the edge: keeps what was offered, publishes nothing."""

    def __init__(self, *, room: bool = True) -> None:
        self.offers: list[tuple[str, str, list[Doc] | None]] = []
        self.room = room

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        self.offers.append((collection, doc_id, entries))

    def has_room(self) -> bool:
        return self.room


@pytest.fixture(params=["pymongo", "motor"])
async def store(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Store]:
    """An empty database on the real store, by each driver in turn (ADR 1)."""
    found = Store.connect(store_url, f"t{new_id()[:12]}", driver=request.param, timeout_ms=STORE_WITHIN_MS)
    yield found
    await found.close()


@pytest.fixture
def relay() -> RememberingRelay:
    return RememberingRelay()


@pytest.fixture
async def owners(store: Store, relay: RememberingRelay) -> Documents:
    """A collection of aggregates."""
    documents = Documents(store, "owners", relay=relay, clock=Clock())
    await documents.ensure_indexes()
    return documents


@pytest.fixture
async def views(store: Store, relay: RememberingRelay) -> Documents:
    """A collection of views."""
    documents = Documents(store, "views", relay=relay, clock=Clock())
    await documents.ensure_indexes()
    return documents


def facts(subject: str, count: int, *, first: int = 1) -> list[Envelope]:
    """`count` events of one subject in order: guardians g1, g2, … are added, every third is removed again."""
    doc = Document(id=subject, heads={f"records/child:{subject}": first - 1})
    for number in range(first, first + count):
        event: Any = GuardianAdded(guardian=f"g{number}", proven_by="code")
        if number % 3 == 0:
            event = GuardianRemoved(guardian=f"g{number - 1}", reason="moved out")
        doc.emit(event, Clock().now())
    return [envelope_of(entry, "records") for entry in doc.outgoing]


def add_guardian(doc: Document, event: GuardianAdded, envelope: Envelope) -> None:
    doc.state.setdefault("guardians", {})[event.guardian] = envelope.revision


def remove_guardian(doc: Document, event: GuardianRemoved, envelope: Envelope) -> None:
    doc.state.get("guardians", {}).pop(event.guardian, None)


HANDLERS: dict[Any, Any] = {GuardianAdded: add_guardian, GuardianRemoved: remove_guardian}
