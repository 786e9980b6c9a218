"""Opening a child's record (出生の登録) and putting the child's own facts right."""

from dataclasses import dataclass
from datetime import date

from services.records.domain.access import Caller, check, check_role
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from services.records.domain.words import katakana
from shared.events.records import (
    ChildCorrected,
    ChildEvent,
    ChildFacts,
    ChildRegistered,
    GuardianAdded,
    PersonName,
    Sex,
)
from shared.ids import is_municipality_code

FIRST_BIRTH = date(1900, 1, 1)
GESTATION_DAYS = (140, 320)
BIRTH_WEIGHT_G = (200, 8_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildWish:
    """The facts of a child as somebody wishes to record them. Lengths in completed days, weights in grams."""

    birth_date: date
    sex: Sex
    family: str
    given: str
    family_kana: str
    given_kana: str
    municipality: str
    district: str | None = None
    gestation_days: int | None = None
    birth_weight_g: int | None = None
    twin_group: str | None = None


def register(wish: ChildWish, caller: Caller, today: date) -> list[ChildEvent]:
    """Open a record; the guardian who opens one is bound to it.

    Raises Forbidden, and Invalid with every broken rule; a municipality registers its own residents only.
    """
    check_role(caller, "register")
    findings = Findings()
    facts = _facts(wish, today, findings)
    if (
        caller.role != "guardian"
        and wish.municipality != caller.municipality
        and is_municipality_code(wish.municipality)
    ):
        findings.add(
            "/municipality",
            "municipality-foreign",
            "自分の市区町村の住民だけを登録できます。",
            "A municipality registers its own residents only.",
        )
    findings.refuse()
    if caller.role != "guardian":
        return [ChildRegistered(child=facts, by=caller.actor)]
    return [
        ChildRegistered(child=facts, guardians=(caller.subject,), by=caller.actor),
        GuardianAdded(guardian=caller.subject, proven_by="registration"),
    ]


def correct(record: Record, wish: ChildWish, reason: str, caller: Caller, today: date) -> list[ChildEvent]:
    """Put the child's facts right, all of them at once; the same facts change nothing.

    The residence changes by a move, not by a correction. Once the register (住民票) has confirmed birth date and sex,
    a guardian cannot change them. Raises Forbidden, NotFound, Invalid.
    """
    check(record, caller, "correct", today)
    findings = Findings()
    facts = _facts(wish, today, findings)
    if wish.municipality != record.facts.municipality:
        findings.add(
            "/municipality",
            "moves-are-moves",
            "住所地の変更は転居の手続きで行ってください。",
            "The residence changes by a move, not by a correction.",
        )
    if caller.role == "guardian" and record.confirmed_by_register:
        for name in ("birth_date", "sex"):
            if getattr(wish, name) != getattr(record.facts, name):
                findings.add(
                    f"/{name}",
                    "confirmed-by-register",
                    "市区町村が確認した内容です。変更は市区町村にお申し出ください。",
                    "The municipality has confirmed this; please ask it for the change.",
                )
    days = [dose.given_on for dose in record.doses.values()]
    days += [checkup.done_on for checkup in record.checkups.values()]
    days += [measured.measured_on for measured in record.growth.values()]
    if any(day < wish.birth_date for day in days):
        findings.add(
            "/birth_date",
            "entries-before-birth",
            "この生年月日より前の記録があります。",
            "There are entries from before this birth date.",
        )
    findings.refuse()
    if facts == record.facts:
        return []
    return [ChildCorrected(child=facts, reason=reason, by=caller.actor)]


def _facts(wish: ChildWish, today: date, findings: Findings) -> ChildFacts:
    if wish.birth_date > today:
        findings.add("/birth_date", "in-the-future", "生年月日が未来の日付です。", "The birth date is in the future.")
    if wish.birth_date < FIRST_BIRTH:
        findings.add("/birth_date", "too-long-ago", "生年月日が古すぎます。", "The birth date is before 1900.")
    if not is_municipality_code(wish.municipality):
        findings.add(
            "/municipality",
            "municipality-code",
            "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
            "This is no municipality code: 6 digits with check digit (JIS X 0402).",
        )
    _within(wish.gestation_days, GESTATION_DAYS, "/gestation_days", findings)
    _within(wish.birth_weight_g, BIRTH_WEIGHT_G, "/birth_weight_g", findings)
    return ChildFacts(
        birth_date=wish.birth_date,
        sex=wish.sex,
        name=PersonName(
            family=wish.family,
            given=wish.given,
            family_kana=_reading(wish.family_kana, "/name/family_kana", findings),
            given_kana=_reading(wish.given_kana, "/name/given_kana", findings),
        ),
        municipality=wish.municipality,
        district=wish.district,
        gestation_days=wish.gestation_days,
        birth_weight_g=wish.birth_weight_g,
        twin_group=wish.twin_group,
    )


def _within(value: int | None, bounds: tuple[int, int], pointer: str, findings: Findings) -> None:
    low, high = bounds
    if value is not None and not low <= value <= high:
        findings.add(
            pointer, "out-of-range", f"{low}から{high}の間で入力してください。", f"It must be from {low} to {high}."
        )


def _reading(text: str, pointer: str, findings: Findings) -> str:
    folded = katakana(text)
    if folded is None:
        findings.add(pointer, "kana", "フリガナはカタカナで入力してください。", "The reading must be written in kana.")
        return ""
    return folded
