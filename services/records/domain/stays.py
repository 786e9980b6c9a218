"""A stay elsewhere (里帰り): the record is lent to another municipality and its clinics, to read and to write, for a time.

It begins and ends by itself on its days. Until then it is a plan; what lends is the consents that begin with it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from services.records.domain.access import Caller, check
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import (
    Actor,
    ChildEvent,
    ConsentGiven,
    ConsentWithdrawn,
    StayEnded,
    StayPlanned,
    StayStarted,
)
from shared.ids import is_municipality_code
from shared.problems import NotFound

LONGEST = timedelta(days=366)
PURPOSE = "里帰り"


@dataclass(frozen=True, slots=True, kw_only=True)
class StayWish:
    """A stay as a guardian wishes it; first and last day are part of it."""

    municipality: str
    clinics: tuple[str, ...]
    since: date
    until: date


def plan(record: Record, wish: StayWish, caller: Caller, *, stay: str, today: date) -> list[ChildEvent]:
    """Lend the record from `since` to `until`. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "stay", today)
    findings = Findings()
    if not is_municipality_code(wish.municipality):
        findings.add(
            "/municipality",
            "municipality-code",
            "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
            "This is no municipality code: 6 digits with check digit (JIS X 0402).",
        )
    if wish.municipality == record.facts.municipality:
        findings.add("/municipality", "same-municipality", "現在の住所地と同じです。", "The child lives there already.")
    if wish.since < today:
        findings.add("/since", "in-the-past", "過去の日付です。", "This day has passed.")
    if not wish.since <= wish.until <= wish.since + LONGEST:
        findings.add(
            "/until",
            "out-of-range",
            "開始日から1年以内の日付にしてください。",
            "It must be within a year from its first day.",
        )
    if any(wish.since <= other.until and other.since <= wish.until for other in record.stays.values()):
        findings.add(
            "/since", "overlapping-stay", "別の里帰り期間と重なっています。", "Another stay covers some of these days."
        )
    findings.refuse()
    planned = StayPlanned(
        stay_id=stay,
        municipality=wish.municipality,
        clinics=wish.clinics,
        since=wish.since,
        until=wish.until,
        by=caller.actor,
    )
    return [planned, *(_begin(record, planned) if wish.since <= today else [])]


def end(record: Record, stay: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """End a stay before its last day. Raises Forbidden, NotFound."""
    check(record, caller, "stay", today)
    if stay not in record.stays:
        raise NotFound
    return _over(record, record.stays[stay], "ended", today, caller.actor)


def on_day(record: Record, today: date) -> list[ChildEvent]:
    """What begins or ends by itself on this day."""
    told: list[ChildEvent] = []
    for stay, planned in record.stays.items():
        if planned.until < today:
            told += _over(record, planned, "over", today, planned.by)
        elif planned.since <= today and stay not in record.begun:
            told += _begin(record, planned)
    return told


def ended_by_move(record: Record, town: str, today: date, by: Actor) -> list[ChildEvent]:
    """A stay in the town that the child now lives in is none any more."""
    return [
        event
        for planned in record.stays.values()
        if planned.municipality == town
        for event in _over(record, planned, "moved", today, by)
    ]


def _begin(record: Record, planned: StayPlanned) -> list[ChildEvent]:
    lent: list[tuple[str, str]] = [
        (planned.municipality, "municipality"),
        *((one, "clinic") for one in planned.clinics),
    ]
    return [
        StayStarted(stay_id=planned.stay_id, municipality=planned.municipality, until=planned.until),
        *(
            ConsentGiven(
                organisation=organisation,
                kind="municipality" if kind == "municipality" else "clinic",
                purpose=PURPOSE,
                until=planned.until,
                stay=planned.stay_id,
                by=planned.by,
            )
            for organisation, kind in lent
            if kind == "municipality" or not _longer(record, organisation, planned.until)
        ),
    ]


def _longer(record: Record, clinic: str, until: date) -> bool:
    """Whether the guardian trusts this clinic for at least as long by a consent of its own."""
    known = record.consents.get(clinic)
    return known is not None and known.stay is None and (known.until is None or known.until >= until)


def _over(record: Record, planned: StayPlanned, why: str, today: date, by: Actor) -> list[ChildEvent]:
    reason = "over" if why == "over" else "moved" if why == "moved" else "ended"
    return [
        StayEnded(stay_id=planned.stay_id, municipality=planned.municipality, ended_on=today, reason=reason),
        *(
            ConsentWithdrawn(organisation=organisation, by=by)
            for organisation, given in record.consents.items()
            if given.stay == planned.stay_id
        ),
    ]
