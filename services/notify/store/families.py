"""The families of a town as audiences see them, who their guardians are, and what the directory says of the town."""

import asyncio
import functools
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import orjson

from services.notify.domain.audience import Contact, Family, Town, due_line
from services.notify.store.names import AUDIENCE, BONDS, TOWNS
from shared.documents import Document
from shared.ids import derived_id
from shared.store import Doc, Store
from shared.views import Derived, Packed, text_of

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


async def town_of_code(store: Store, municipality: str) -> Town:
    """The families of a town and how their guardians are reached, as audiences see them."""
    families: list[Family] = []
    contacts: dict[str, Contact] = {}
    # Thousands share a day or a way to be reached: what is made once needs no second time, nor room.
    day, contact = functools.cache(date.fromisoformat), functools.cache(_contact)
    for pack in await store.find(AUDIENCE, {"municipality": municipality}):
        for key, (kind, first, *rest) in _rows_of(pack):
            if kind == "g":
                contacts[first] = contact(*rest)
            else:
                families.append(_family(key, kind, day(first), rest))
        # A pack at a time: other work goes on between them.
        await asyncio.sleep(0)
    return Town(families, contacts)


def families_in(pack: Doc) -> Iterator[Family]:
    """The families of one pack of lines."""
    for key, (kind, first, *rest) in _rows_of(pack):
        if kind != "g":
            yield _family(key, kind, date.fromisoformat(first), rest)


def _rows_of(pack: Doc) -> Iterator[tuple[str, list[Any]]]:
    """By key, what its lines say; read all at once, which takes a fifth less than one by one."""
    texts = {key: text for key, line in pack["lines"].items() if (text := text_of(line))}
    return zip(texts, orjson.loads(f"[{','.join(texts.values())}]"), strict=True)


def _family(key: str, kind: str, day: date, rest: Sequence[Any]) -> Family:
    if kind == "c":
        return Family(key, day, *rest)
    district, guardians, due, attributes = rest
    return Family(key, None, district, guardians, due, attributes, day)


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


async def staff_of(store: Store, municipality: str) -> list[str]:
    """Everybody who works for a town, as the directory told."""
    row = await store.get(TOWNS, municipality, ["state.staff"])
    return [one["subject"] for one in row["state"].get("staff", ())] if row is not None and "state" in row else []


async def name_of_town(store: Store, municipality: str) -> str:
    """Its name as the directory told it; its code where it did not."""
    row = await store.get(TOWNS, municipality, ["state.name"])
    return str(row["state"].get("name", municipality)) if row is not None and "state" in row else municipality
