"""How guardians are reached, beside their families in the audience's lines: so that a preview counts channels and languages."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.notify import store as kept
from shared.documents import Document, Documents
from shared.events import records as r
from shared.events.base import Envelope
from shared.store import IDS_PER_QUERY, Doc, Store

BONDS_CHANGE = frozenset(
    event.event_type()
    for event in (
        *(r.ChildRegistered, r.ChildCorrected, r.ChildMoved, r.GuardianAdded),
        *(r.PregnancyRegistered, r.PregnancyMoved),
    )
)


@dataclass(frozen=True, slots=True)
class Contacts:
    """What is known of guardians' channels and languages, one document each."""

    store: Store
    documents: Documents


async def refresh(contacts: Contacts, guardian: str) -> None:
    """Bring this guardian's line up to date in each town where it has a child; called after every change of preference or device.

    What it reads is read again if somebody else committed meanwhile, so the last one to commit has seen the last change.
    """

    async def decide(doc: Document) -> Doc:
        contact = await kept.contact_of(contacts.store, guardian)
        doc.state.update({"language": contact.language, "channels": list(contact.channels)})
        return {}

    _, doc = await contacts.documents.upsert(guardian, decide)
    towns = {row["municipality"] for row in await kept.bonds_of(contacts.store, guardian)}
    await kept.put_contacts(contacts.store, [(town, doc) for town in sorted(towns)])


async def recount(contacts: Contacts) -> int:
    """Once a day: bring lines up to date whose devices went away by themselves (a token that is gone, a phone handed on); how many."""
    today = contacts.documents.clock.today().isoformat()
    last = await contacts.store.get(kept.DAYS, "contacts")
    if last is not None and last["day"] >= today:
        return 0
    changed = 0
    async for row in contacts.store.each(kept.CONTACTS, {}):
        found = await kept.contact_of(contacts.store, row["_id"])
        if (found.language, list(found.channels)) != (row["state"]["language"], row["state"]["channels"]):
            await refresh(contacts, row["_id"])
            changed += 1
    await contacts.store.update(kept.DAYS, {"_id": "contacts"}, {"$max": {"day": today}}, upsert=True)
    return changed


async def follow_families(contacts: Contacts, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Write the lines of guardians who have a child in another town than before; most have told no channel yet."""
    subjects = sorted({envelope.subject for envelope in batch if envelope.type in BONDS_CHANGE})
    bonds: list[Doc] = []
    for start in range(0, len(subjects), IDS_PER_QUERY):
        bonds += await kept.bonds_to(contacts.store, subjects[start : start + IDS_PER_QUERY])
    known = await contacts.documents.load_many({row["guardian"] for row in bonds})
    places = [(row["municipality"], known[row["guardian"]]) for row in bonds if row["guardian"] in known]
    await kept.put_contacts(contacts.store, places)
    return []
