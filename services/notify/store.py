"""Documents and domain objects of notify; the only file that names its collections.

Primary (never rebuilt): `announcements`, `attachments`, `recipients`, `scheduled`, `inbox`, `mailboxes`, `pages`, `preferences`,
`proofs`, `ladders`, `calls`, `later`, `digests`,
`pushes` (what was sent by any channel), `subscriptions` (addresses of every channel), `waiting`, `calendars`, `days`,
`safety`, `shelters`, `rosters`, `alarms`, `completions`.
Views (rebuilt from the owners' history): `towns` (names), `families` and `pregnancies`, and what is derived from them: `audience` (a town's
families as lines, many to a document) and `bonds` (which children a guardian has). `contacts` is drawn from preferences and
devices; its lines stand in `audience` too.
"""

import asyncio
import functools
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson

from services.notify.domain.audience import Contact, Family, Town, due_line
from services.notify.domain.disaster import Subject
from shared.clock import wire_instant
from shared.documents import Document, from_store
from shared.ids import derived_id, new_id
from shared.store import IDS_PER_QUERY, Doc, Store
from shared.views import Derived, Packed, text_of

ANNOUNCEMENTS = "announcements"
RECIPIENTS = "recipients"
INBOX = "inbox"
MAILBOXES = "mailboxes"
PAGES = "pages"
SCHEDULED = "scheduled"
FAMILIES = "families"
PREGNANCIES = "pregnancies"
AUDIENCE = "audience"
BONDS = "bonds"
CONTACTS = "contacts"
SUBSCRIPTIONS = "subscriptions"
PUSHES = "pushes"
WAITING = "waiting"
ATTACHMENTS = "attachments"
TOWNS = "towns"
CALENDARS = "calendars"
PREFERENCES = "preferences"
DAYS = "days"
SAFETY = "safety"
COMPLETIONS = "completions"
ROSTERS = "rosters"
ALARMS = "alarms"
SHELTERS = "shelters"
PROOFS = "proofs"
LADDERS = "ladders"
CALLS = "calls"
LATER = "later"
DIGESTS = "digests"
PAGE_SIZE = 500


PACKS = 256
"""Documents that hold a town's lines: 200 families of 50,000 in each, so that a change rewrites little and a count reads few."""


def pack_of(town: str, subject: str) -> str:
    """Where the line of a child, a pregnancy or a guardian stands."""
    return f"{town}:{zlib.crc32(subject.encode()) % PACKS:02x}"


def pack_fields(pack: str) -> Doc:
    """What a pack is found by."""
    return {"municipality": pack.partition(":")[0]}


def audience_lines(doc: Document) -> dict[tuple[str, str], str]:
    """What audiences ask of a child or a pregnancy, in the town where it lives; nothing in those that it left."""
    state = doc.state
    lines = {(pack_of(town, doc.id), doc.id): "" for town in state.get("left", ())}
    facts = state.get("child") or state.get("pregnancy")
    if facts:
        kind = "c" if "child" in state else "p"
        line = [
            kind,
            facts["birth_date"] if kind == "c" else facts["expected"],
            facts.get("district"),
            sorted(state.get("guardians", {})),
            due_line(state.get("due", {})),
            " ".join(facts.get("attributes", ())),
        ]
        text = "" if state.get("silenced") else orjson.dumps(line).decode()
        lines[pack_of(facts["municipality"], doc.id), doc.id] = text
    return lines


def bond_rows(doc: Document) -> dict[str, Doc]:
    """Which children and pregnancies a guardian has, and in which town."""
    facts = doc.state.get("child") or doc.state.get("pregnancy")
    if not facts or doc.state.get("silenced"):
        return {}
    return {
        derived_id(doc.id, guardian): {"guardian": guardian, "municipality": facts["municipality"]}
        for guardian in doc.state.get("guardians", {})
    }


LINES = Packed(AUDIENCE, audience_lines, pack_fields, (("municipality",),))
FAMILY_DERIVED = (LINES, Derived(BONDS, bond_rows, (("guardian",),)))


async def ensure_indexes(store: Store) -> None:
    """The indexes that notify's own queries ask for."""
    await store.ensure_index(INBOX, ["recipient"])
    await store.ensure_index(INBOX, ["announcement"])
    await store.ensure_index(SCHEDULED, ["at"])
    await store.ensure_index(WAITING, ["at"])
    await store.ensure_index(SUBSCRIPTIONS, ["recipient"])
    await store.ensure_index(SUBSCRIPTIONS, ["device"])
    await store.ensure_index(PROOFS, ["recipient"])
    await store.ensure_index(LADDERS, ["announcement"])
    await store.ensure_index(LADDERS, ["next_at"], where={"next_at": {"$gte": 0}})
    await store.ensure_index(CALLS, ["announcement"])
    await store.ensure_index(LATER, ["at"])
    await store.ensure_index(DIGESTS, ["at"])
    await store.ensure_index(PROOFS, ["device"])
    await store.ensure_index(PUSHES, ["announcement"])
    await store.ensure_index(CALENDARS, ["guardian"])
    await store.ensure_index(ALARMS, ["state.climbs_at"])
    await store.ensure_index(ALARMS, ["state.municipality"])
    await store.ensure_index(COMPLETIONS, ["staff"])
    await store.ensure_index(COMPLETIONS, ["municipality"])
    await store.ensure_index(SAFETY, ["announcement"])
    await store.ensure_index(SHELTERS, ["municipality"])
    await store.ensure_index(PUSHES, ["tell"], where={"tell": {"$gte": 0}})
    await store.ensure_index(ANNOUNCEMENTS, ["state.municipality"])
    await store.ensure_index(ANNOUNCEMENTS, ["state.as_of"])


async def town_of_code(store: Store, municipality: str) -> Town:
    """The families of a town and how their guardians are reached, as audiences see them."""
    families: list[Family] = []
    contacts: dict[str, Contact] = {}
    # Thousands share a day or a way to be reached: what is made once needs no second time, nor room.
    day, contact = functools.cache(date.fromisoformat), functools.cache(_contact)
    for pack in await store.find(AUDIENCE, {"municipality": municipality}):
        for key, text in _texts_in(pack):
            kind, first, *rest = orjson.loads(text)
            if kind == "g":
                contacts[first] = contact(*rest)
            else:
                families.append(_family(key, kind, day(first), rest))
        # A pack at a time: other work goes on between them.
        await asyncio.sleep(0)
    return Town(families, contacts)


def families_in(pack: Doc) -> Iterator[Family]:
    """The families of one pack of lines."""
    for key, text in _texts_in(pack):
        kind, first, *rest = orjson.loads(text)
        if kind != "g":
            yield _family(key, kind, date.fromisoformat(first), rest)


def _texts_in(pack: Doc) -> Iterator[tuple[str, str]]:
    return ((key, text) for key, line in pack["lines"].items() if (text := text_of(line)))


def _family(key: str, kind: str, day: date, rest: Sequence[Any]) -> Family:
    return Family(key, day, *rest) if kind == "c" else Family(key, None, *rest)._replace(expected=day)


def _contact(language: str, channels: str) -> Contact:
    return Contact(language, tuple(channels.split()))


async def bonds_of(store: Store, guardian: str) -> list[Doc]:
    """The children and pregnancies of a guardian (`of`), each with its town."""
    rows = await store.find(BONDS, {"guardian": guardian}, fields=["of", "municipality", "gone"])
    return [row for row in rows if not row["gone"]]


async def bonds_from(store: Store, guardians: Sequence[str]) -> list[Doc]:
    """The children and pregnancies of at most 50 guardians."""
    fields = ["of", "guardian", "municipality", "gone"]
    rows = await store.find(BONDS, {"guardian": {"$in": list(guardians)}}, fields=fields)
    return [row for row in rows if not row["gone"]]


async def bonds_to(store: Store, subjects: Sequence[str]) -> list[Doc]:
    """The guardians of at most 50 children and pregnancies."""
    rows = await store.find(BONDS, {"of": {"$in": list(subjects)}}, fields=["guardian", "municipality", "gone"])
    return [row for row in rows if not row["gone"]]


async def contact_of(store: Store, guardian: str) -> Contact:
    """How this guardian is reached now, from preferences and devices."""
    addresses = (await addresses_of(store, [guardian])).get(guardian, [])
    chosen = (await preferences_of(store, [guardian])).get(guardian, {})
    language = str(chosen.get("language", Contact().language))
    return Contact(language, tuple(sorted({channel_of(row) for row in addresses})))


async def language_of(store: Store, guardian: str) -> str:
    """The language that this guardian chose, or Japanese."""
    row = await store.get(CONTACTS, guardian, ["state.language"])
    return row["state"]["language"] if row is not None and "state" in row else Contact().language


async def put_contacts(store: Store, lines: Sequence[tuple[str, Document]]) -> None:
    """Write the lines of guardians (the town, the document of `contacts`): the newest version stays."""
    await LINES.put(
        store,
        {
            (pack_of(town, doc.id), derived_id(doc.id)): (
                doc.version,
                orjson.dumps(["g", doc.id, doc.state["language"], " ".join(doc.state["channels"])]).decode(),
            )
            for town, doc in lines
        },
    )


async def freeze(store: Store, guardians: Sequence[str], families: Sequence[Family] = ()) -> tuple[str, int]:
    """Keep a list of recipients before anything is announced (protocol D1): (its id, its number of pages).

    `families` are those whose safety is asked after.
    """
    frozen = new_id()
    pages = [guardians[start : start + PAGE_SIZE] for start in range(0, len(guardians), PAGE_SIZE)]
    await store.insert_many(
        RECIPIENTS, [{"_id": f"{frozen}:{number}", "ids": list(page)} for number, page in enumerate(pages)]
    )
    asked = [
        [one.child, "child" if one.birth_date is not None else "pregnancy", one.district, list(one.guardians)]
        for one in families
    ]
    await store.insert_many(
        RECIPIENTS,
        [
            {"_id": f"{frozen}:s{start // PAGE_SIZE}", "asked": asked[start : start + PAGE_SIZE]}
            for start in range(0, len(asked), PAGE_SIZE)
        ],
    )
    return frozen, len(pages)


async def staff_of(store: Store, municipality: str) -> list[str]:
    """Everybody who works for a town, as the directory told."""
    row = await store.get(TOWNS, municipality, ["state.staff"])
    return [one["subject"] for one in row["state"].get("staff", ())] if row is not None and "state" in row else []


async def completions_of(store: Store, whose: str, key: str) -> list[Doc]:
    """The courses completed by a member of staff (`staff`) or in a town (`municipality`)."""
    return await store.find(COMPLETIONS, {whose: key})


async def alarms_until(store: Store, milliseconds: int) -> list[str]:
    """Alarms that nobody took by then."""
    rows = await store.find(ALARMS, {"state.climbs_at": {"$gte": 0, "$lte": milliseconds}}, limit=500, fields=["_id"])
    return [row["_id"] for row in rows]


async def alarms_of(store: Store, municipality: str) -> list[Document]:
    """A town's alarms, the newest first."""
    rows = await store.find(ALARMS, {"state.municipality": municipality})
    return [from_store(row) for row in sorted(rows, key=lambda row: row["state"]["raised_at"], reverse=True)]


async def subjects_of(store: Store, frozen: str) -> list[Subject]:
    """The children and pregnancies whose safety a notice asked after."""
    found: list[Subject] = []
    page = 0
    while (row := await store.get(RECIPIENTS, f"{frozen}:s{page}")) is not None:
        found += [Subject(one, kind, district, tuple(guardians)) for one, kind, district, guardians in row["asked"]]
        page += 1
    return found


async def frozen_page(store: Store, frozen: str, page: int) -> list[str]:
    """One page of a frozen list."""
    row = await store.get(RECIPIENTS, f"{frozen}:{page}")
    return list(row["ids"]) if row is not None else []


async def frozen_range(store: Store, frozen: str, first: int, limit: int) -> list[str]:
    """Recipients of a frozen list from place `first` on, in their order."""
    found: list[str] = []
    for page in range(first // PAGE_SIZE, (first + limit - 1) // PAGE_SIZE + 1):
        found += await frozen_page(store, frozen, page)
    start = first % PAGE_SIZE
    return found[start : start + limit]


async def announcements_of(store: Store, municipality: str) -> list[Document]:
    """A town's notices, the newest first."""
    rows = await store.find(ANNOUNCEMENTS, {"state.municipality": municipality})
    return [from_store(row) for row in sorted(rows, key=lambda row: row["state"].get("made_at", ""), reverse=True)]


async def name_of_town(store: Store, municipality: str) -> str:
    """Its name as the directory told it; its code where it did not."""
    row = await store.get(TOWNS, municipality, ["state.name"])
    return str(row["state"].get("name", municipality)) if row is not None and "state" in row else municipality


async def schedule(store: Store, announcement: str, at: datetime) -> None:
    """Remember when a notice is to be published; a repeat keeps the first."""
    await store.insert(SCHEDULED, {"_id": announcement, "at": at.timestamp()})


async def scheduled_until(store: Store, now: datetime) -> list[tuple[str, datetime]]:
    """Notices whose time has come."""
    rows = await store.find(SCHEDULED, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=100)
    return [(row["_id"], datetime.fromtimestamp(row["at"], UTC)) for row in rows]


async def unschedule(store: Store, announcement: str) -> None:
    """It was published, or never will be."""
    await store.delete(SCHEDULED, {"_id": announcement})


async def published_between(store: Store, since: datetime, until: datetime) -> list[str]:
    """Notices whose recipients were frozen within this time."""
    where = {"state.as_of": {"$gte": wire_instant(since), "$lte": wire_instant(until)}}
    return [row["_id"] for row in await store.find(ANNOUNCEMENTS, where, fields=["_id"])]


async def pages_worked(store: Store, announcement: str, pages: Sequence[int]) -> dict[int, int]:
    """Which of these pages are in their inboxes, each with the last change that is told there."""
    places = {f"{announcement}:{page}": page for page in pages}
    found = await store.get_many(PAGES, places, ["state.change"])
    return {places[key]: row["state"].get("change", 0) for key, row in found.items()}


async def pages_climbed(store: Store, announcement: str) -> set[int]:
    """The pages of an emergency whose ladder was begun."""
    return {row["page"] for row in await store.find(LADDERS, {"announcement": announcement}, fields=["page"])}


async def counts_of(store: Store, announcement: str) -> tuple[int, int]:
    """(inbox items of a notice, how many of them were read)."""
    rows = await store.find(INBOX, {"announcement": announcement}, fields=["read_at"])
    return len(rows), sum(1 for row in rows if row["read_at"] is not None)


async def pushes_of(store: Store, announcement: str) -> list[Doc]:
    """Every push of a notice that was ever claimed."""
    fields = [
        "item",
        "recipient",
        "address",
        "channel",
        "change",
        "state",
        "status",
        "reason",
        "at",
        "attempts",
        "tries",
    ]
    return await store.find(PUSHES, {"announcement": announcement}, fields=fields)


async def calls_of(store: Store, announcement: str) -> list[Doc]:
    """Every call that was noted for a notice."""
    return await store.find(CALLS, {"announcement": announcement})


async def put_later(store: Store, name: str, at: datetime, fields: Doc) -> None:
    """Remember what is to be sent at a time; a repeat keeps the first."""
    await store.insert(LATER, {"_id": name, "at": at.timestamp(), **fields})


async def later_until(store: Store, now: datetime) -> list[Doc]:
    """What has waited long enough."""
    return await store.find(LATER, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=100)


async def done_later(store: Store, row: Doc) -> None:
    """It was sent."""
    await store.delete(LATER, {"_id": row["_id"]})


async def put_in_digest(store: Store, rows: Sequence[Doc]) -> None:
    """Leave items to the next daily digest."""
    await store.insert_many(DIGESTS, rows)


async def digests_until(store: Store, now: datetime) -> list[Doc]:
    """The items whose digest is due."""
    return await store.find(DIGESTS, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=2_000)


def channel_of(address: Doc) -> str:
    """The channel of a registered address."""
    return str(address.get("channel", "web_push"))


async def addresses_of(store: Store, recipients: Sequence[str]) -> dict[str, list[Doc]]:
    """The addresses that were registered and, where that is asked, proven: by recipient."""
    found: dict[str, list[Doc]] = {}
    for start in range(0, len(recipients), IDS_PER_QUERY):
        chunk = recipients[start : start + IDS_PER_QUERY]
        query = {"recipient": chunk[0]} if len(chunk) == 1 else {"recipient": {"$in": list(chunk)}}
        for row in await store.find(SUBSCRIPTIONS, query):
            found.setdefault(row["recipient"], []).append(row)
    return found


async def preferences_of(store: Store, recipients: Sequence[str]) -> dict[str, Doc]:
    """What these guardians chose, as far as they chose."""
    return await store.get_many(PREFERENCES, recipients)


def inbox_item(source: str, recipient: str, at: datetime, **fields: Any) -> Doc:
    """An inbox item; the same source and recipient always make the same one."""
    return {
        "_id": derived_id(source, recipient, "inbox"),
        "recipient": recipient,
        "at": at.astimezone(UTC).timestamp(),
        "read_at": None,
        **fields,
    }


def instant(seconds: float) -> str:
    """An instant as answers carry it."""
    return wire_instant(datetime.fromtimestamp(seconds, UTC))


async def inbox_of(store: Store, recipient: str) -> list[Doc]:
    """The items of one recipient, newest first; the id decides between items of one instant."""
    rows = await store.find(INBOX, {"recipient": recipient})
    return sorted(rows, key=lambda row: (-row["at"], row["_id"]))
