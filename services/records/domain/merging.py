"""Two records of one child become one, and come apart again when that was a mistake (重複の統合と取消).

What the second record held is told anew as the first one's own facts, so that no reader has to know of merges to follow
one. The second record closes for ever: its id is never used again, not even by a separation, which opens a third record.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.records.domain.access import Caller, check
from services.records.domain.doses import settled
from services.records.domain.record import Record, apply, copy_of
from shared.events.records import (
    AccessRevoked,
    ChildEvent,
    ChildRegistered,
    ChildrenMerged,
    ChildrenUnmerged,
    ConsentWithdrawn,
    DoseCorrected,
    DoseRecorded,
    GuardianAdded,
    GuardianCutOff,
    GuardianRemoved,
    Residence,
    StayEnded,
    StayPlanned,
    StayStarted,
)
from shared.problems import Conflict, NotFound, invalid

OBSERVED = ("checkups", "growth", "conditions", "reactions", "allergies", "milestones", "questionnaires")
"""Entries that are kept as the events that told of them; retracted ones stay in the closed record."""

Carried = dict[str, list[str]]


def check_pair(first: Record, second: Record, caller: Caller, today: Any) -> None:
    """Raise Forbidden, NotFound unless both are the town's residents; Conflict while one of them is about to move."""
    check(first, caller, "merge", today)
    check(second, caller, "merge", today)
    if first.move is not None or second.move is not None:
        raise Conflict("A move is open.")


def check_own(record: Record, caller: Caller, today: Any) -> None:
    """Raise Forbidden, NotFound unless it is the town's resident."""
    check(record, caller, "merge", today)


def same_child() -> Exception:
    """A record is not merged with itself."""
    return invalid("/other", "same-child", "同じこどもの記録です。", "This is the same record.")


def merge(
    record: Record, other: Record, *, other_id: str, other_revision: int, reason: str, caller: Caller
) -> tuple[list[ChildEvent], Carried]:
    """(what the first record tells, what of it came from the second). The first one's own facts stand."""
    carried: Carried = {}
    told: list[ChildEvent] = []

    def carry(family: str, key: str, *events: ChildEvent) -> None:
        carried.setdefault(family, []).append(key)
        told.extend(events)

    for guardian, proof in other.guardians.items():
        if guardian not in record.guardians:
            carry("guardians", guardian, GuardianAdded(guardian=guardian, proven_by=proof))
    # From whom one of the two towns' desks hid the whereabouts, from them the merged record hides them.
    hidden = (other.cut_off | record.cut_off) - record.cut_off
    told += [GuardianCutOff(guardian=guardian, by=caller.actor) for guardian in sorted(hidden)]
    for family in OBSERVED:
        mine: Mapping[str, ChildEvent] = getattr(record, family)
        theirs: Mapping[str, ChildEvent] = getattr(other, family)
        for key, entry in theirs.items():
            if key not in mine:
                carry(family, key, entry)
    for organisation, consent in other.consents.items():
        if organisation not in record.consents:
            carry("consents", organisation, consent)
    for grant, granted in other.grants.items():
        if granted.relative not in {*record.guardians, *other.guardians}:
            carry("grants", grant, granted)
    for stay, planned in other.stays.items():
        if not any(_overlap(planned, mine) for mine in record.stays.values()):
            begun = StayStarted(stay_id=stay, municipality=planned.municipality, until=planned.until)
            carry("stays", stay, planned, *([begun] if stay in other.begun else []))
    told += _doses(record, other, carried, caller)
    if other.died_on is not None and record.died_on is None:
        raise Conflict("One of the two died.")
    merged = ChildrenMerged(
        other=other_id, other_revision=other_revision, carried=_frozen(carried), reason=reason, by=caller.actor
    )
    return [merged, *told], carried


def _doses(record: Record, other: Record, carried: Carried, caller: Caller) -> list[ChildEvent]:
    """The second one's doses; one that both records hold counts once, by the entry of the higher rank, or the first one's."""
    theirs = {key: dose for key, dose in other.doses.items() if key not in record.doses}
    carried.update({"doses": list(theirs)} if theirs else {})
    after = settled({**record.doses, **theirs}, first=frozenset(record.doses))
    return [
        *(DoseRecorded(dose=after[key], by=caller.actor) for key in theirs),
        *(
            DoseCorrected(dose=after[key], reason="merged", by=caller.actor)
            for key, dose in record.doses.items()
            if after[key] != dose
        ),
    ]


def restore(
    record: Record,
    other: Record,
    carried: Carried,
    *,
    other_id: str,
    caller: Caller,
    moved_since: Sequence[Residence] = (),
) -> list[ChildEvent]:
    """What the third record tells: the second as it was, without what was taken away from it meanwhile.

    It lived where the second had lived, and since the merge where the first one did.
    """
    mine = {family: set(keys) for family, keys in carried.items()}
    facts = other.facts.model_copy(update={"municipality": record.facts.municipality})
    told: list[ChildEvent] = [
        ChildRegistered(child=facts, restored_from=other_id, residences=(*other.lived, *moved_since), by=caller.actor)
    ]
    for guardian, proof in other.guardians.items():
        if guardian in record.guardians:
            told.append(GuardianAdded(guardian=guardian, proven_by=proof))
            if guardian in record.cut_off:
                told.append(GuardianCutOff(guardian=guardian, by=caller.actor))
    for family in OBSERVED:
        here: Mapping[str, ChildEvent] = getattr(record, family)
        told += [entry for key, entry in here.items() if key in mine.get(family, ())]
    told += [consent for organisation, consent in other.consents.items() if organisation in record.consents]
    # What did not come along, because the other record had its like, was taken away by nobody.
    came = {*mine.get("grants", ()), *mine.get("stays", ())}
    told += [granted for grant, granted in other.grants.items() if grant in record.grants or grant not in came]
    for stay, planned in other.stays.items():
        if stay in record.stays or stay not in came:
            told.append(planned)
            if stay in record.begun or (stay not in came and stay in other.begun):
                told.append(StayStarted(stay_id=stay, municipality=planned.municipality, until=planned.until))
    doses = {key: dose for key, dose in record.doses.items() if key in mine.get("doses", ())}
    told += [DoseRecorded(dose=dose, by=caller.actor) for dose in settled(doses).values()]
    return told


def separate(
    record: Record, carried: Carried, *, other_id: str, restored_as: str, reason: str, caller: Caller
) -> list[ChildEvent]:
    """What the first record tells when that which came with the second leaves it."""
    gone = {family: [key for key in keys if key in getattr(record, family)] for family, keys in carried.items()}
    told: list[ChildEvent] = [
        ChildrenUnmerged(
            other=other_id,
            restored_as=restored_as,
            removed=_frozen({family: gone[family] for family in ("doses", *OBSERVED) if gone.get(family)}),
            reason=reason,
            by=caller.actor,
        )
    ]
    told += [GuardianRemoved(guardian=guardian, reason="unmerged") for guardian in gone.get("guardians", ())]
    told += [
        AccessRevoked(grant_id=grant, relative=record.grants[grant].relative, by=caller.actor)
        for grant in gone.get("grants", ())
    ]
    told += [ConsentWithdrawn(organisation=organisation, by=caller.actor) for organisation in gone.get("consents", ())]
    told += [
        StayEnded(
            stay_id=stay,
            municipality=record.stays[stay].municipality,
            ended_on=record.stays[stay].since,
            reason="ended",
        )
        for stay in gone.get("stays", ())
    ]
    after = copy_of(record)
    for event in told:
        apply(after, event)
    settle = settled(after.doses)
    told += [
        DoseCorrected(dose=settle[key], reason="unmerged", by=caller.actor)
        for key, dose in after.doses.items()
        if settle[key] != dose
    ]
    return told


def carried_of(made: Mapping[str, Any], other: str) -> Carried:
    """What came with that record; raises NotFound when it is not part of this one."""
    known = made.get(other)
    if known is None:
        raise NotFound
    return {family: list(keys) for family, keys in known["carried"].items()}


def _overlap(one: StayPlanned, other: StayPlanned) -> bool:
    return one.since <= other.until and other.since <= one.until


def _frozen(carried: Carried) -> dict[str, tuple[str, ...]]:
    return {family: tuple(keys) for family, keys in carried.items() if family != "guardians"}
