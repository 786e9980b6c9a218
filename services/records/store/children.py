"""What a child's document holds, and the record that it means."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.records.domain.duplicates import Traits
from services.records.domain.record import GuardianCode, Record, Share
from shared.clock import read_instant, wire_instant
from shared.documents import Command, Document
from shared.events.base import Data
from shared.events.records import (
    AccessGranted,
    AdverseReactionRecorded,
    AllergyRecorded,
    CheckupRecorded,
    ChildDied,
    ChildFacts,
    ConditionRecorded,
    ConsentGiven,
    Dose,
    GrowthMeasured,
    MilestoneRecorded,
    MoveAnnounced,
    QuestionnaireFiled,
    Residence,
    StayPlanned,
)
from shared.problems import Conflict, KeyReused, NotFound
from shared.store import Doc

_PARTS: dict[str, type[Data]] = {
    "doses": Dose,
    "retracted_doses": Dose,
    "checkups": CheckupRecorded,
    "retracted_checkups": CheckupRecorded,
    "reactions": AdverseReactionRecorded,
    "retracted_reactions": AdverseReactionRecorded,
    "allergies": AllergyRecorded,
    "retracted_allergies": AllergyRecorded,
    "milestones": MilestoneRecorded,
    "retracted_milestones": MilestoneRecorded,
    "growth": GrowthMeasured,
    "retracted_growth": GrowthMeasured,
    "conditions": ConditionRecorded,
    "retracted_conditions": ConditionRecorded,
    "consents": ConsentGiven,
    "grants": AccessGranted,
    "stays": StayPlanned,
    "questionnaires": QuestionnaireFiled,
}


def record_of(doc: Document, *, even_frozen: bool = False) -> Record:
    """The record that a child's document holds.

    Raises NotFound for one that was taken back or became part of another, Conflict for one that is being merged: it refuses every write.
    """
    state = doc.state
    if "facts" not in state or (not even_frozen and state.get("merged_into")):
        raise NotFound
    if not even_frozen and state.get("frozen"):
        raise Conflict("This record is being merged.")
    return Record(
        facts=ChildFacts.model_validate(state["facts"]),
        confirmed_by_register=state.get("confirmed_by_register", False),
        # A list, not a map: a subject comes from outside and is no key for the store.
        guardians={one["guardian"]: one["proven_by"] for one in state.get("guardians", ())},
        cut_off={one["guardian"] for one in state.get("guardians", ()) if one.get("cut_off")},
        codes={key: _code(code) for key, code in state.get("codes", {}).items()},
        begun=set(state.get("begun", ())),
        move=MoveAnnounced.model_validate(state["move"]) if state.get("move") else None,
        move_confirmed=state.get("move_confirmed", False),
        death=ChildDied.model_validate(state["death"]) if state.get("death") else None,
        lived=[Residence.model_validate(one) for one in state.get("lived", ())],
        **{name: read_entries(cls, state.get(name, {})) for name, cls in _PARTS.items()},
    )


def keep(doc: Document, record: Record) -> None:
    """Put the record into its document, for the commit that is to come."""
    state = doc.state
    state["facts"] = plain(record.facts)
    state["match"] = Traits.of(record.facts).key
    state["confirmed_by_register"] = record.confirmed_by_register
    state["guardians"] = [
        {"guardian": guardian, "proven_by": proven_by, **({"cut_off": True} if guardian in record.cut_off else {})}
        for guardian, proven_by in record.guardians.items()
    ]
    state["codes"] = {key: _plain_code(code) for key, code in record.codes.items()}
    state["begun"] = sorted(record.begun)
    state["move"] = plain(record.move) if record.move is not None else None
    state["move_confirmed"] = record.move_confirmed
    state["death"] = plain(record.death) if record.death is not None else None
    state["lived"] = [plain(one) for one in record.lived]
    for name in _PARTS:
        state[name] = {key: plain(entry) for key, entry in getattr(record, name).items()}


def _code(kept: Doc) -> GuardianCode:
    share = kept.get("share")
    return GuardianCode(
        read_instant(kept["expires_at"]),
        kept.get("used_by"),
        kept.get("issued_by"),
        Share(share["relation"], tuple(share["sections"]), date.fromisoformat(share["until"])) if share else None,
    )


def _plain_code(code: GuardianCode) -> Doc:
    kept: Doc = {"expires_at": wire_instant(code.expires_at)}
    if code.used_by is not None:
        kept["used_by"] = code.used_by
    if code.issued_by is not None:
        kept["issued_by"] = code.issued_by
    if code.share is not None:
        share = code.share
        kept["share"] = {
            "relation": share.relation,
            "sections": list(share.sections),
            "until": share.until.isoformat(),
        }
    return kept


def read_entries(cls: type[Data], entries: Mapping[str, Any]) -> dict[str, Any]:
    """Entries as they were kept, by their ids."""
    return {key: cls.model_validate(entry) for key, entry in entries.items()}


def plain(value: Data) -> Doc:
    """As it is kept."""
    return value.model_dump(mode="json", exclude_none=True)


def made_before(doc: Document, command: Command) -> Doc | None:
    """The answer that this command got when it made an entry, however long ago; raises KeyReused for another body.

    A document remembers its last commands; that a key makes one entry must hold for the entry's whole life (W2).
    """
    known = doc.state.get("made", {}).get(command.id)
    if known is None:
        return None
    if known["digest"] != command.digest:
        raise KeyReused
    answer: Doc = known["answer"]
    return answer


def remember_made(doc: Document, command: Command, answer: Doc) -> None:
    """Keep what this command made and was told, with the entry."""
    doc.state.setdefault("made", {})[command.id] = {"digest": command.digest, "answer": answer}
