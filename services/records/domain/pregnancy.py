"""A pregnancy (妊娠): notified, confirmed by the town, followed by checkups and doses, and ended once, by a birth or a loss.

The record is the woman's: a move changes which town reads it, and what she lends to a clinic or to the town of her
parents (里帰り) ends by itself.

Dates of delivery count 280 days (40 weeks and 0 days) from the last period.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

from services.records.domain.access import Caller, check_role
from services.records.domain.children import GESTATION_DAYS, ChildWish, register
from services.records.domain.findings import Findings
from services.records.domain.record import as_first
from shared.events.records import (
    ChildRegistered,
    Dose,
    GuardianAdded,
    MaternalDoseCorrected,
    MaternalDoseRecorded,
    MaternalDoseRetracted,
    PregnancyCheckupRecorded,
    PregnancyCheckupRetracted,
    PregnancyConsentGiven,
    PregnancyConsentWithdrawn,
    PregnancyCorrected,
    PregnancyEnded,
    PregnancyEvent,
    PregnancyLossRetracted,
    PregnancyMoved,
    PregnancyRegistered,
)
from shared.ids import derived_id, is_municipality_code
from shared.problems import Conflict, Forbidden, Invalid, NotFound

TERM_DAYS = 280
LATEST_DAYS = 21
MOST_CHILDREN = 8
LENT_DAYS = 365


@dataclass(slots=True)
class Pregnancy:
    """What is known of one pregnancy."""

    woman: str
    municipality: str
    expected: date
    confirmed: bool = False
    checkups: dict[str, PregnancyCheckupRecorded] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    ended: PregnancyEnded | None = None
    retracted_checkups: dict[str, PregnancyCheckupRecorded] = field(default_factory=dict)
    retracted_doses: dict[str, Dose] = field(default_factory=dict)
    consents: dict[str, PregnancyConsentGiven] = field(default_factory=dict)
    moving_to: str | None = None

    @property
    def began(self) -> date:
        """The first day of the last period."""
        return self.expected - timedelta(days=TERM_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWish:
    """How it ended, and the children of a birth."""

    outcome: Literal["birth", "loss"]
    ended_on: date
    children: tuple[ChildWish, ...] = ()


def apply(pregnancy: Pregnancy, event: PregnancyEvent) -> None:
    """Let one fact change the pregnancy."""
    match event:
        case PregnancyRegistered():
            pregnancy.confirmed = True
        case PregnancyCorrected():
            pregnancy.expected = event.expected_delivery
        case PregnancyCheckupRecorded():
            pregnancy.checkups[event.checkup_id] = as_first(PregnancyCheckupRecorded, event)
        case PregnancyCheckupRetracted():
            pregnancy.retracted_checkups[event.checkup_id] = pregnancy.checkups.pop(event.checkup_id)
        case MaternalDoseRecorded() | MaternalDoseCorrected():
            pregnancy.doses[event.dose.id] = event.dose
        case MaternalDoseRetracted():
            pregnancy.retracted_doses[event.dose_id] = pregnancy.doses.pop(event.dose_id)
        case PregnancyMoved():
            pregnancy.municipality, pregnancy.moving_to = event.to_municipality, None
        case PregnancyConsentGiven():
            pregnancy.consents[event.organisation] = event
        case PregnancyConsentWithdrawn():
            pregnancy.consents.pop(event.organisation, None)
        case PregnancyLossRetracted():
            pregnancy.ended = None
        case PregnancyEnded():
            pregnancy.ended = event


def check(pregnancy: Pregnancy, caller: Caller) -> None:
    """Raise Forbidden for the role, NotFound unless it is the woman herself or her town."""
    check_role(caller, "follow_pregnancy")
    if not governs(pregnancy, caller):
        raise NotFound


def check_treating(pregnancy: Pregnancy, caller: Caller, today: date) -> None:
    """Raise Forbidden for the role, NotFound unless it is hers, her town's, or lent to the caller today."""
    check_role(caller, "treat_pregnancy")
    if not governs(pregnancy, caller) and not is_lent(pregnancy, caller, today):
        raise NotFound


def is_lent(pregnancy: Pregnancy, caller: Caller, today: date) -> bool:
    """Whether the woman lends the record to the caller's clinic or town today."""
    given = pregnancy.consents.get(caller.acts_for or "")
    return given is not None and given.until >= today


def governs(pregnancy: Pregnancy, caller: Caller) -> bool:
    """Whether it is the caller's own pregnancy, or the town's where she lives."""
    if caller.role == "guardian":
        return caller.subject == pregnancy.woman
    return caller.role != "clinic" and caller.municipality == pregnancy.municipality


def notify(
    woman: str, municipality: str, expected: date, caller: Caller, today: date
) -> tuple[Pregnancy, list[PregnancyEvent]]:
    """Notify a pregnancy: at the town's desk it is confirmed at once, a woman's own word waits for the town.

    Raises Forbidden, and Invalid with every broken rule.
    """
    check_role(caller, "notify_pregnancy")
    findings = Findings()
    _plausible(expected, today, findings)
    if not is_municipality_code(municipality):
        findings.add(
            "/municipality",
            "municipality-code",
            "全国地方公共団体コードではありません。",
            "This is no municipality code.",
        )
    elif caller.role != "guardian" and caller.municipality != municipality:
        findings.add(
            "/municipality",
            "municipality-foreign",
            "自分の市区町村の住民だけを登録できます。",
            "A municipality registers its own residents only.",
        )
    if caller.role == "guardian" and woman != caller.subject:
        findings.add("/guardian", "not-yourself", "本人だけが届け出できます。", "Only the woman herself may notify it.")
    findings.refuse()
    pregnancy = Pregnancy(woman, municipality, expected)
    return pregnancy, [] if caller.role == "guardian" else confirm(pregnancy, caller)


def confirm(pregnancy: Pregnancy, caller: Caller) -> list[PregnancyEvent]:
    """The town confirms what the woman notified, or, as the new one, that she lives there now.

    Raises Forbidden, NotFound, Conflict when it has done so.
    """
    check_role(caller, "confirm_pregnancy")
    if pregnancy.moving_to is not None and caller.municipality == pregnancy.moving_to:
        return [
            PregnancyMoved(
                from_municipality=pregnancy.municipality, to_municipality=pregnancy.moving_to, by=caller.actor
            )
        ]
    check(pregnancy, caller)
    if pregnancy.confirmed:
        raise Conflict("It is confirmed already.")
    return [
        PregnancyRegistered(
            guardian=pregnancy.woman,
            municipality=pregnancy.municipality,
            expected_delivery=pregnancy.expected,
            by=caller.actor,
        )
    ]


def announce_move(pregnancy: Pregnancy, town: str, caller: Caller) -> list[PregnancyEvent]:
    """The woman, or her town, says where she lives from now on; nothing changes before the new town confirms it.

    What no town has confirmed yet goes to the other one at once. Raises Forbidden, NotFound, Conflict after the end,
    Invalid for a town that is none, or the one where she lives.
    """
    check(pregnancy, caller)
    if pregnancy.ended is not None:
        raise Conflict("It has ended.")
    findings = Findings()
    if not is_municipality_code(town):
        findings.add(
            "/to_municipality",
            "municipality-code",
            "全国地方公共団体コードではありません。",
            "This is no municipality code.",
        )
    elif town == pregnancy.municipality:
        findings.add("/to_municipality", "same-municipality", "すでにお住まいです。", "She lives there already.")
    findings.refuse()
    if pregnancy.confirmed:
        pregnancy.moving_to = town
    else:
        pregnancy.municipality = town
    return []


def cancel_move(pregnancy: Pregnancy, caller: Caller) -> list[PregnancyEvent]:
    """The woman or one of the two towns takes the move back. Raises Forbidden, NotFound; Conflict when there is none."""
    if caller.municipality is None or caller.municipality != pregnancy.moving_to:
        check(pregnancy, caller)
    if pregnancy.moving_to is None:
        raise Conflict("No move is open.")
    pregnancy.moving_to = None
    return []


def lend(
    pregnancy: Pregnancy,
    organisation: str,
    kind: Literal["clinic", "municipality"],
    until: date,
    caller: Caller,
    today: date,
) -> list[PregnancyEvent]:
    """The woman lends the record to a clinic or another town (里帰り) until a day. Raises Forbidden, NotFound, Conflict, Invalid."""
    check_role(caller, "lend_pregnancy")
    _open(pregnancy, caller)
    findings = Findings()
    if not today <= until <= today + timedelta(days=LENT_DAYS):
        findings.add(
            "/until",
            "out-of-range",
            "今日から1年以内の日付にしてください。",
            "It must be from today to a year from now.",
        )
    if organisation == pregnancy.municipality:
        findings.add(
            "/path/organisation", "same-municipality", "すでに閲覧できます。", "Her own town reads it already."
        )
    findings.refuse()
    before = pregnancy.consents.get(organisation)
    if before is not None and before.until == until:
        return []
    return [PregnancyConsentGiven(organisation=organisation, kind=kind, until=until, by=caller.actor)]


def take_back_consent(pregnancy: Pregnancy, organisation: str, caller: Caller) -> list[PregnancyEvent]:
    """The woman takes it back, also after the end. Raises Forbidden, NotFound when it was never given."""
    check_role(caller, "lend_pregnancy")
    check(pregnancy, caller)
    if organisation not in pregnancy.consents:
        raise NotFound
    return [PregnancyConsentWithdrawn(organisation=organisation, by=caller.actor)]


def correct(pregnancy: Pregnancy, expected: date, reason: str, caller: Caller, today: date) -> list[PregnancyEvent]:
    """Put the expected date of delivery right. Raises Forbidden, NotFound, Conflict, Invalid."""
    _open(pregnancy, caller)
    findings = Findings()
    _plausible(expected, today, findings)
    findings.refuse()
    if expected == pregnancy.expected:
        return []
    return [PregnancyCorrected(expected_delivery=expected, reason=reason, by=caller.actor)]


def take_back_loss(pregnancy: Pregnancy, reason: str, caller: Caller) -> list[PregnancyEvent]:
    """Say that a loss was told wrongly. What the town told, only the town takes back.

    Raises Forbidden; NotFound when no end is told; Conflict after a birth: the children have their own records.
    """
    check(pregnancy, caller)
    if pregnancy.ended is None:
        raise NotFound
    if caller.role == "guardian" and pregnancy.ended.by.role != "guardian":
        raise Forbidden
    if pregnancy.ended.outcome == "birth":
        raise Conflict("The children that were born have their own records.")
    return [PregnancyLossRetracted(reason=reason, by=caller.actor)]


def births(
    pregnancy: Pregnancy, wish: EndWish, caller: Caller, *, pregnancy_id: str, today: date
) -> dict[str, list[ChildRegistered | GuardianAdded]]:
    """The children of a birth and how their records open: ids follow from the pregnancy, so nobody is born twice.

    Raises Forbidden, NotFound, Conflict for a second outcome, Invalid with every broken rule of every child.
    """
    _open(pregnancy, caller)
    findings = Findings()
    born = wish.outcome == "birth"
    days = (wish.ended_on - pregnancy.began).days
    if wish.ended_on > today:
        findings.add("/ended_on", "in-the-future", "未来の日付です。", "The day is in the future.")
    if days < 0:
        findings.add("/ended_on", "before-the-pregnancy", "妊娠の前の日付です。", "The day is before the pregnancy.")
    elif born and not GESTATION_DAYS[0] <= days <= GESTATION_DAYS[1]:
        findings.add(
            "/ended_on",
            "implausible",
            "予定日から考えにくい日付です。予定日を確認してください。",
            "This does not fit the expected date; please look at that first.",
        )
    if born != bool(wish.children) or len(wish.children) > MOST_CHILDREN:
        findings.add(
            "/children", "how-many", "出生のときだけ、こどもを1人以上。", "A birth has children, a loss has none."
        )
    findings.refuse()
    group = derived_id("twins", pregnancy_id) if len(wish.children) > 1 else None
    found: dict[str, list[ChildRegistered | GuardianAdded]] = {}
    broken: list[Any] = []
    town = Caller(caller.subject, "system", municipality=pregnancy.municipality)
    for place, child in enumerate(wish.children):
        try:
            whole = replace(child, birth_date=wish.ended_on, gestation_days=days, twin_group=group)
            first, *_ = register(whole, town, today)
        except Invalid as refused:
            broken += [replace(one, pointer=f"/children/{place}{one.pointer}") for one in refused.errors]
            continue
        if isinstance(first, ChildRegistered):
            found[derived_id("born", pregnancy_id, str(place))] = [
                ChildRegistered(child=first.child, guardians=(pregnancy.woman,), by=caller.actor),
                GuardianAdded(guardian=pregnancy.woman, proven_by="registration"),
            ]
    if broken:
        raise Invalid(errors=tuple(broken))
    return found


def end(wish: EndWish, children: Sequence[str], caller: Caller) -> PregnancyEnded:
    """It ended so."""
    return PregnancyEnded(outcome=wish.outcome, ended_on=wish.ended_on, children=tuple(children), by=caller.actor)


def _open(pregnancy: Pregnancy, caller: Caller) -> None:
    check(pregnancy, caller)
    under_way(pregnancy)


def under_way(pregnancy: Pregnancy) -> None:
    """Raise Conflict before the town has confirmed it, and after its end."""
    if not pregnancy.confirmed:
        raise Conflict("The town has not confirmed it yet.")
    if pregnancy.ended is not None:
        raise Conflict("It has ended.")


def _plausible(expected: date, today: date, findings: Findings) -> None:
    if not today - timedelta(days=LATEST_DAYS) <= expected <= today + timedelta(days=TERM_DAYS):
        findings.add(
            "/expected_delivery",
            "implausible",
            "出産予定日として考えられない日付です。",
            "No pregnancy of today has this expected date of delivery.",
        )
