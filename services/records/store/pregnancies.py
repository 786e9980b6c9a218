"""What a pregnancy's document holds, and who finds it."""

from collections.abc import Mapping, Sequence
from datetime import date

from services.records.domain.pregnancy import Pregnancy
from services.records.store.children import plain, read_entries
from services.records.store.collections import LENT, PREGNANCIES
from shared.documents import Command, Document, from_store
from shared.events.base import Data
from shared.events.records import (
    ChildRegistered,
    Dose,
    GuardianAdded,
    PregnancyCheckupRecorded,
    PregnancyConsentGiven,
    PregnancyEnded,
)
from shared.store import Store


def pregnancy_of(doc: Document) -> Pregnancy:
    """The pregnancy that a document holds."""
    state = doc.state
    return Pregnancy(
        woman=state["woman"],
        municipality=state["municipality"],
        expected=date.fromisoformat(state["expected"]),
        confirmed=state["confirmed"],
        checkups=read_entries(PregnancyCheckupRecorded, state["checkups"]),
        doses=read_entries(Dose, state["doses"]),
        retracted_checkups=read_entries(PregnancyCheckupRecorded, state.get("retracted_checkups", {})),
        retracted_doses=read_entries(Dose, state.get("retracted_doses", {})),
        consents=read_entries(PregnancyConsentGiven, state.get("consents", {})),
        moving_to=state.get("moving_to"),
        ended=PregnancyEnded.model_validate(state["ended"]) if state.get("ended") else None,
    )


def keep_pregnancy(doc: Document, pregnancy: Pregnancy) -> None:
    """Put the pregnancy into its document, for the commit that is to come."""
    doc.state |= {
        "woman": pregnancy.woman,
        "municipality": pregnancy.municipality,
        "expected": pregnancy.expected.isoformat(),
        "confirmed": pregnancy.confirmed,
        "checkups": {key: plain(one) for key, one in pregnancy.checkups.items()},
        "doses": {key: plain(one) for key, one in pregnancy.doses.items()},
        "retracted_checkups": {key: plain(one) for key, one in pregnancy.retracted_checkups.items()},
        "retracted_doses": {key: plain(one) for key, one in pregnancy.retracted_doses.items()},
        "consents": {key: plain(one) for key, one in pregnancy.consents.items()},
        "moving_to": pregnancy.moving_to,
        "ended": plain(pregnancy.ended) if pregnancy.ended is not None else None,
    }


def begin_birth(doc: Document, children: Mapping[str, Sequence[Data]], ended: PregnancyEnded, command: Command) -> None:
    """From here on the birth only goes forward; whoever finds it half done has all that is needed."""
    doc.state["birth"] = {
        "children": {child: [plain(event) for event in events] for child, events in children.items()},
        "ended": plain(ended),
        "command": [command.id, command.digest],
    }


def birth_of(doc: Document) -> tuple[dict[str, tuple[ChildRegistered, GuardianAdded]], PregnancyEnded, Command] | None:
    """What is left of a birth that was begun: (the children's first facts, the end that is to be told, its command)."""
    birth = doc.state.get("birth")
    if birth is None:
        return None
    children = {
        child: (ChildRegistered.model_validate(first), GuardianAdded.model_validate(second))
        for child, (first, second) in birth["children"].items()
    }
    return children, PregnancyEnded.model_validate(birth["ended"]), Command(*birth["command"])


def end_birth(doc: Document) -> None:
    """Every child has its record."""
    del doc.state["birth"]


async def pregnancies_of(store: Store, field: str, whose: str) -> list[Document]:
    """A woman's pregnancies, a town's (`municipality`), or those that are to move to a town (`moving_to`)."""
    return [from_store(row) for row in await store.find(PREGNANCIES, {f"state.{field}": whose})]


async def name_reader(store: Store, organisation: str, pregnancy: str) -> None:
    """Say where an organisation finds what is lent to it, before the consent is committed: the consent alone lets it read."""
    await store.insert(
        LENT, {"_id": f"{organisation}:{pregnancy}", "organisation": organisation, "pregnancy": pregnancy}
    )


async def lent_pregnancies(store: Store, organisation: str) -> list[Document]:
    """The pregnancies that were ever lent to it."""
    rows = await store.find(LENT, {"organisation": organisation}, fields=["pregnancy"])
    found = await store.get_many(PREGNANCIES, [row["pregnancy"] for row in rows])
    return [from_store(row) for row in found.values()]
