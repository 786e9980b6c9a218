"""The invented child of docs/samples: a record with something in every section."""

from datetime import UTC, date, datetime
from typing import Any

from joserfc.jwk import ECKey

from services.records.commands.growth import charts
from services.records.commands.handbook import _template
from services.records.domain import (
    allergies,
    checkups,
    conditions,
    growth,
    handbook,
    handbook_pack,
    handbook_pdf,
    milestones,
    pregnancy,
    pregnancy_care,
    reactions,
)
from services.records.tests.families import CLINIC, MOTHER, NOON, NURSE, TODAY, TOWN, Child
from shared.events.records import CheckupFinding

NAMES = {TOWN: "若葉市", "clinic-1": "わかば小児科"}
_DOSES = (
    ("08", date(2026, 7, 2), "ビームゲン", "HB1001"),
    ("119", date(2026, 7, 2), "ロタリックス", "RV2002"),
    ("170", date(2026, 7, 2), "ゴービック", "GB3003"),
    ("216", date(2026, 7, 2), "プレベナー20", "PC4004"),
    ("08", date(2026, 7, 30), "ビームゲン", "HB1002"),
    ("119", date(2026, 7, 30), "ロタリックス", "RV2003"),
    ("170", date(2026, 7, 30), "ゴービック", "GB3004"),
    ("216", date(2026, 7, 30), "プレベナー20", "PC4005"),
    ("170", date(2026, 8, 27), "クイントバック", "QV5001"),
    ("216", date(2026, 8, 27), "プレベナー20", "PC4006"),
    ("19", date(2026, 10, 5), "乾燥BCGワクチン", "KH6001"),
)
_GROWTH = ((1, 3.0, 49.2), (32, 4.3, 54.0), (93, 6.2, 61.1), (185, 7.6, 66.8))
DIARY: list[dict[str, Any]] = [
    {
        "id": "e1",
        "on": "2026-06-20",
        "first": "smile",
        "text": "あやしたら、にっこり笑った。",
        "photos": [],
        "yours": True,
    },
    {
        "id": "e2",
        "on": "2026-10-11",
        "first": "roll_over",
        "text": "朝起きたら、うつぶせになっていた。\n本人がいちばん驚いた顔。",
        "photos": [],
        "yours": True,
    },
    {
        "id": "e3",
        "on": "2026-11-03",
        "first": "solid_food",
        "text": "おかゆをひとさじ。",
        "photos": [],
        "yours": False,
    },
]


def sample_child() -> Child:
    """An invented child with something of everything."""
    child = Child(
        family="髙橋", given="ひかり", family_kana="タカハシ", birth_weight_g=3_012, district="みどり台一丁目"
    )
    child.record.guardians["mother-1"] = "code"
    child.trusts(CLINIC)
    for cvx, day, product, lot in _DOSES:
        oral = cvx == "119"
        child.gets(
            cvx,
            day,
            product=product,
            lot=lot,
            site=None if oral else "LA",
            route={"119": "oral", "19": "percutaneous"}.get(cvx, "subcutaneous"),
            dose_ml=None if cvx == "19" else 1.5 if oral else 0.5,
            hot="123456789" if lot == "PC4004" else None,
        )
    child.gets("133", date(2026, 9, 24), by=MOTHER)
    for number, (age, weight, length) in enumerate(_GROWTH):
        wish = growth.GrowthWish(
            measured_on=date.fromordinal(date(2026, 5, 1).toordinal() + age),
            weight_kg=weight,
            length_cm=length,
            head_cm=34.0 + number * 2.5,
        )
        child.happens([growth.measure(child.record, wish, CLINIC, measurement_id=f"m{number}", today=TODAY)])
    for kind, day in (("checkup_1m", date(2026, 6, 2)), ("checkup_3m", date(2026, 8, 10))):
        done = checkups.CheckupWish(
            kind=kind,
            done_on=day,
            result="watch" if kind == "checkup_3m" else "normal",
            findings=(CheckupFinding(code="hip", text="右の開きがやや硬い"),) if kind == "checkup_3m" else (),
            follow_up="1か月後に再診" if kind == "checkup_3m" else None,
        )
        child.happens(checkups.record_checkup(child.record, done, CLINIC, checkup_id=kind, today=TODAY))
    had = conditions.ConditionWish(code="varicella_disease", since=date(2026, 11, 1))
    child.happens(conditions.record_condition(child.record, had, MOTHER, condition_id="c1", today=TODAY))
    prevenar = next(key for key, dose in child.record.doses.items() if dose.lot == "PC4004")
    swollen = reactions.ReactionWish(
        dose_id=prevenar, symptom="local", began_at=datetime(2026, 7, 3, 1, 0, tzinfo=UTC), outcome="resolved"
    )
    child.happens(reactions.record_reaction(child.record, swollen, MOTHER, reaction_id="r1", today=TODAY, now=NOON))
    egg = allergies.AllergyWish(
        substance="egg", criticality="high", since=date(2026, 11, 10), text="卵白で全身じんましん"
    )
    child.happens(allergies.record_allergy(child.record, egg, CLINIC, allergy_id="a1", today=TODAY))
    for step, on in (("head_control", date(2026, 8, 12)), ("roll_over", date(2026, 10, 11))):
        child.happens(
            milestones.record_milestone(child.record, step, on, MOTHER, about=False, milestone_id=step, today=TODAY)
        )
    return child


def sample_pregnancy() -> pregnancy.Pregnancy:
    """The pregnancy that it was born of, as its mother sees it."""
    found, events = pregnancy.notify("mother-1", TOWN, date(2026, 5, 6), NURSE, date(2025, 10, 1))
    for number, (day, weight, fundus) in enumerate(
        ((date(2025, 10, 20), 51.2, None), (date(2026, 2, 2), 55.0, 24.5), (date(2026, 4, 20), 59.4, 33.0))
    ):
        wish = pregnancy_care.CheckupWish(
            done_on=day,
            weight_kg=weight,
            systolic_mmhg=112 + number,
            diastolic_mmhg=68,
            fundal_height_cm=fundus,
            urine_protein="trace" if number == 2 else "negative",
            urine_sugar="negative",
            result="normal",
        )
        for event in events:
            pregnancy.apply(found, event)
        events = pregnancy_care.record_checkup(found, wish, NURSE, checkup_id=f"k{number}", today=TODAY)
    events += pregnancy_care.record_dose(
        found, date(2026, 3, 9), "アブリスボ", "RS3001", MOTHER, dose_id="d1", today=TODAY, now=NOON
    )
    for event in events:
        pregnancy.apply(found, event)
    return found


def sample() -> dict[str, Any]:
    """Its handbook, as its mother takes it home."""
    return handbook.handbook(
        "sample-child",
        sample_child().record,
        names=NAMES,
        diary=DIARY,
        issued_at=NOON,
        pregnancy=sample_pregnancy(),
    )


def sample_pdf(key: ECKey) -> bytes:
    """Its pages."""
    book = sample()
    curves = charts(sample_child().record, TODAY)
    return handbook_pdf.pages(book, _template(), handbook_pack.qr_text(book, key), curves)
