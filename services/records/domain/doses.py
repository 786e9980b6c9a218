"""Doses (予防接種の記録): recorded, put right, withdrawn; and which of two entries of one dose counts.

Rule of precedence. Two entries are one dose when they have the same day and the same antigens (a guardian who writes
13-valent where the clinic gave 20-valent means that dose). The clinic's word takes the place of the municipality's, and
both take the place of a guardian's. Both entries are kept, the one that stepped back says for which (`superseded_by`),
and events tell it. When the standing entry is withdrawn or moves to another day, the other one counts again. A second
entry of the same kind of author is refused: it is the same dose entered twice.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from services.records.domain.access import Caller, check, check_author
from services.records.domain.days import check_day
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from services.records.domain.words import lot_number
from shared.events.records import (
    ChildEvent,
    Dose,
    DoseCorrected,
    DoseRecorded,
    DoseRetracted,
    Provenance,
    VaccineCode,
)
from shared.problems import Conflict, NotFound
from shared.vaccines import CVX, HOT9, HOT13, SYSTEMS, Vaccine, vaccines
from shared.value_sets import spoken_of, value_set

MOST_DOSES = 500
MOST_DOSE_ML = 5.0
_CODE = re.compile(r"[A-Z]{2,4}")
"""A site that is written as a code of HL7 v3-ActSite; anything else is JAMI's code or words."""
_HOT = re.compile(r"[0-9]{9}(?:[0-9]{4})?")
_RANK: dict[Provenance, int] = {"guardian": 1, "municipality": 2, "clinic": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseWish:
    """A dose as somebody wishes to record it: either `vaccine` or `cvx` names the vaccine. Volume in mL."""

    given_on: date
    vaccine: VaccineCode | None = None
    cvx: str | None = None
    product: str | None = None
    lot: str | None = None
    expires_on: date | None = None
    site: str | None = None
    route: str | None = None
    dose_ml: float | None = None
    hot: str | None = None
    performer: str | None = None


def record_dose(
    record: Record, wish: DoseWish, caller: Caller, *, dose_id: str, today: date, now: datetime
) -> list[ChildEvent]:
    """Record a dose. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_dose", today)
    findings = Findings()
    if len(record.doses) + len(record.retracted_doses) >= MOST_DOSES:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_DOSES} doses.")
    dose = _dose(
        wish,
        findings,
        record=record,
        today=today,
        dose_id=dose_id,
        provenance=caller.provenance,
        organisation=caller.acts_for,
        recorded_at=now,
    )
    findings.refuse()
    after = settled({**record.doses, dose.id: dose})
    return [
        *_stepping_back(record.doses, after, caller),
        DoseRecorded(dose=after[dose.id], by=caller.actor),
    ]


def correct_dose(
    record: Record, dose_id: str, wish: DoseWish, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """Put a recorded dose right; who recorded it, and when, stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    check(record, caller, "change_dose", today)
    before = _own(record, dose_id, caller)
    findings = Findings()
    dose = _dose(
        wish,
        findings,
        record=record,
        today=today,
        dose_id=dose_id,
        provenance=before.provenance,
        organisation=before.organisation,
        recorded_at=before.recorded_at,
    )
    findings.refuse()
    after = settled({**record.doses, dose_id: dose})
    if after == record.doses:
        return []
    others = {key: one for key, one in record.doses.items() if key != dose_id}
    return [
        *_stepping_back(others, after, caller),
        DoseCorrected(dose=after[dose_id], reason=reason, by=caller.actor),
        *_counting_again(others, after, caller),
    ]


def retract_dose(record: Record, dose_id: str, reason: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Withdraw a dose that was entered in error; it stays to be seen. Raises Forbidden, NotFound, Conflict."""
    check(record, caller, "change_dose", today)
    _own(record, dose_id, caller)
    return take_back(record, dose_id, reason, caller)


def take_back(record: Record, dose_id: str, reason: str, caller: Caller) -> list[ChildEvent]:
    """Take a dose out of the record; what had stepped back for it counts again."""
    others = {key: one for key, one in record.doses.items() if key != dose_id}
    after = settled(others)
    return [
        DoseRetracted(dose_id=dose_id, reason=reason, by=caller.actor),
        *_stepping_back(others, after, caller),
        *_counting_again(others, after, caller),
    ]


def _own(record: Record, dose_id: str, caller: Caller) -> Dose:
    """The dose, if it is the caller's to change."""
    retracted = record.retracted_doses.get(dose_id)
    dose = record.doses.get(dose_id) or retracted
    if dose is None:
        raise NotFound
    check_author(record, caller, dose.provenance, dose.organisation)
    if retracted is not None:
        raise Conflict("This dose has been withdrawn.")
    return dose


def _dose(
    wish: DoseWish,
    findings: Findings,
    *,
    record: Record,
    today: date,
    dose_id: str,
    provenance: Provenance,
    organisation: str | None,
    recorded_at: datetime,
) -> Dose:
    check_day(wish.given_on, record, today, "/given_on", findings)
    vaccine = _vaccine(wish, findings)
    if vaccine is not None:
        _check_product(wish, vaccine, findings)
        for other in record.doses.values():
            if other.id != dose_id and other.provenance == provenance and _same(other, wish.given_on, vaccine):
                findings.add(
                    "/given_on",
                    "already-recorded",
                    "同じ日の同じワクチンがすでに記録されています。",
                    "This vaccine is already recorded for this day.",
                )
    lot = lot_number(wish.lot) if wish.lot is not None else None
    if wish.lot is not None and lot is None:
        findings.add(
            "/lot",
            "lot-characters",
            "製造番号は英数字とハイフンで入力してください。",
            "A lot number has letters, digits, - and / only.",
        )
    if wish.site is not None and _CODE.fullmatch(wish.site) and spoken_of("site", wish.site) is None:
        findings.add(
            "/site", "site-unknown", "この接種部位のコードは登録されていません。", "This code of a site is not known."
        )
    if wish.hot is not None and not _HOT.fullmatch(wish.hot):
        findings.add("/hot", "hot-unknown", "HOTコードは9桁または13桁の数字です。", "A HOT code has 9 digits, or 13.")
    if wish.route is not None and wish.route not in value_set("route"):
        findings.add(
            "/route",
            "route-unknown",
            "この接種経路は登録されていません。",
            f"Use one of {', '.join(value_set('route'))}.",
        )
    if wish.dose_ml is not None and not 0 < wish.dose_ml <= MOST_DOSE_ML:
        findings.add(
            "/dose_ml",
            "out-of-range",
            "接種量は0より大きく5mL以下で入力してください。",
            "A dose is more than 0 and at most 5 mL.",
        )
    if wish.expires_on is not None and abs(wish.expires_on.year - wish.given_on.year) > 20:
        findings.add(
            "/expires_on", "out-of-range", "有効期限を確認してください。", "Please look at the expiry date again."
        )
    return Dose(
        id=dose_id,
        given_on=wish.given_on,
        code=vaccine.code if vaccine is not None else "",
        cvx=vaccine.cvx if vaccine is not None else None,
        vaccine=wish.vaccine or VaccineCode(system=CVX, code=wish.cvx or ""),
        product=wish.product,
        lot=lot,
        expires_on=wish.expires_on,
        site=wish.site,
        route=wish.route,
        dose_ml=wish.dose_ml,
        hot=_hot(wish),
        performer=wish.performer,
        provenance=provenance,
        organisation=organisation,
        recorded_at=recorded_at,
    )


def _hot(wish: DoseWish) -> str | None:
    """MEDIS' code of the product: as its recorder gave it, or as the table has it for the product that was named."""
    if wish.hot is not None:
        return wish.hot
    if wish.vaccine is not None and wish.vaccine.system in {HOT9, HOT13}:
        return wish.vaccine.code
    product = vaccines().product(wish.product) if wish.product is not None else None
    return product.hot9 if product is not None else None


def _vaccine(wish: DoseWish, findings: Findings) -> Vaccine | None:
    if (wish.vaccine is None) == (wish.cvx is None):
        findings.add(
            "/vaccine",
            "vaccine-missing",
            "vaccine か cvx のどちらか一方が必要です。",
            "Give either vaccine or cvx.",
        )
        return None
    system, code = (wish.vaccine.system, wish.vaccine.code) if wish.vaccine else (CVX, wish.cvx or "")
    if system not in SYSTEMS:
        findings.add(
            "/vaccine/system",
            "system-unknown",
            "このコード体系は使えません。",
            f"Use one of {', '.join(SYSTEMS)}.",
        )
        return None
    pointer = "/vaccine/code" if wish.vaccine else "/cvx"
    found = vaccines().find(system, code)
    if found is None:
        findings.add(
            pointer, "vaccine-unknown", "このワクチンコードは登録されていません。", "This vaccine code is not known."
        )
    elif found.recipient == "mother":
        findings.add(
            pointer,
            "vaccine-of-pregnancy",
            "妊婦が受けるワクチンです。妊娠の記録に登録してください。",
            "This vaccine is given in pregnancy and belongs to the pregnancy's record.",
        )
        return None
    return found


def _check_product(wish: DoseWish, vaccine: Vaccine, findings: Findings) -> None:
    """A known product of another vaccine means that one of the two is wrong."""
    made_for = vaccines().of_product(wish.product) if wish.product is not None else None
    if made_for is not None and made_for != vaccine:
        findings.add(
            "/product",
            "product-of-other-vaccine",
            "この製品は別のワクチンです。",
            "This product is another vaccine.",
        )


# Precedence -------------------------------------------------------------------------------------------------------


def _same(dose: Dose, day: date, vaccine: Vaccine) -> bool:
    known = vaccines().by_code.get(dose.code)
    return dose.given_on == day and known is not None and known.antigens == vaccine.antigens


def settled(doses: Mapping[str, Dose], first: frozenset[str] = frozenset()) -> dict[str, Dose]:
    """The doses with `superseded_by` as the rule of precedence has it; of equals, those that are `first` stand."""
    found: dict[str, Dose] = {}
    for dose in doses.values():
        vaccine = vaccines().by_code[dose.code]
        rivals = [
            other
            for other in doses.values()
            if (_RANK[other.provenance], other.id in first) > (_RANK[dose.provenance], not first or dose.id in first)
            and _same(other, dose.given_on, vaccine)
        ]
        standing = max(rivals, key=lambda one: _RANK[one.provenance], default=None)
        superseded_by = standing.id if standing is not None else _by_an_equal(dose, doses, vaccine)
        found[dose.id] = (
            dose if dose.superseded_by == superseded_by else dose.model_copy(update={"superseded_by": superseded_by})
        )
    return found


def _by_an_equal(dose: Dose, doses: Mapping[str, Dose], vaccine: Vaccine) -> str | None:
    """The entry of the same rank for which this one stepped back when two records were merged, while that one stands."""
    other = doses.get(dose.superseded_by or "")
    if other is None or _RANK[other.provenance] != _RANK[dose.provenance] or not _same(other, dose.given_on, vaccine):
        return None
    return other.id


def _stepping_back(before: Mapping[str, Dose], after: Mapping[str, Dose], caller: Caller) -> list[ChildEvent]:
    """What is told before the new entry: a reader never sees both of them standing."""
    return [
        DoseCorrected(dose=after[key], reason=f"superseded-by-{_winner(after, key)}", by=caller.actor)
        for key, dose in before.items()
        if after[key].superseded_by is not None and after[key].superseded_by != dose.superseded_by
    ]


def _counting_again(before: Mapping[str, Dose], after: Mapping[str, Dose], caller: Caller) -> list[ChildEvent]:
    """What is told after the entry that stood is gone."""
    return [
        DoseCorrected(dose=after[key], reason="counts-again", by=caller.actor)
        for key, dose in before.items()
        if after[key].superseded_by is None and dose.superseded_by is not None
    ]


def _winner(after: Mapping[str, Dose], key: str) -> str:
    return after[after[key].superseded_by or ""].provenance
