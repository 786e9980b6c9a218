"""The whole handbook of one child as plain data: what the PDF, the JSON, the FHIR document and the signed pack all say."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.records.domain.growth_report import in_order
from services.records.domain.milestones import age_of
from services.records.domain.pregnancy import Pregnancy
from services.records.domain.record import Record
from shared.clock import tokyo_day, wire_instant
from shared.events.base import Data
from shared.vaccines import vaccines
from shared.value_sets import spoken_of, value_set

FORMAT = "hagukumi-handbook"
VERSION = 1
SEXES = {"F": "女", "M": "男", "U": "不明"}
PROVENANCES = {"clinic": "医療機関", "municipality": "市区町村", "guardian": "保護者"}
CHECKUPS = {
    "checkup_1m": "1か月児健診",
    "checkup_3m": "3～4か月児健診",
    "checkup_6m": "6～7か月児健診",
    "checkup_9m": "9～10か月児健診",
    "checkup_18m": "1歳6か月児健診",
    "checkup_3y": "3歳児健診",
    "checkup_5y": "5歳児健診",
}
CONDITIONS = {
    "anaphylaxis": "アナフィラキシー",
    "doctor_allows_20_days": "接種間隔の短縮（医師の判断）",
    "gi_malformation_untreated": "未治療の先天性消化管障害",
    "hbv_mother_to_child": "B型肝炎母子感染の予防対象",
    "immunodeficiency": "免疫不全",
    "immunoglobulin": "ガンマグロブリン製剤の投与",
    "immunoglobulin_high_dose": "ガンマグロブリン製剤の大量投与",
    "intussusception": "腸重積症",
    "long_illness_ended": "長期療養の特例",
    "measles_disease": "麻しん",
    "mr_shortage_certified": "MRワクチン不足の特例",
    "mumps_disease": "おたふくかぜ",
    "pregnant": "妊娠",
    "rubella_disease": "風しん",
    "scid": "重症複合免疫不全症",
    "supply_or_disaster_ended": "供給不足・災害の特例",
    "varicella_disease": "水痘（みずぼうそう）",
}
FIRSTS = {
    "smile": "はじめて笑った",
    "laugh": "はじめて声を出して笑った",
    "head_up": "首がすわった",
    "roll_over": "はじめての寝返り",
    "sit": "はじめてのおすわり",
    "crawl": "はじめてのはいはい",
    "stand_holding": "はじめてのつかまり立ち",
    "cruise": "はじめての伝い歩き",
    "walk": "はじめてのひとり歩き",
    "tooth": "はじめての歯",
    "solid_food": "離乳食のはじまり",
    "word": "はじめてのことば",
    "name": "はじめて名前を言えた",
    "wave": "はじめてのバイバイ",
    "sleep_through": "はじめて朝まで眠った",
    "haircut": "はじめての散髪",
    "shoes": "はじめての靴",
    "nursery": "はじめての登園",
    "toilet": "はじめてトイレでできた",
    "weaned": "卒乳",
    "other": "記念日",
}


URINE = {"negative": "－", "trace": "±", "1+": "＋", "2+": "＋＋", "3+": "＋＋＋"}
RESULTS = {"normal": "異常なし", "watch": "要観察", "treat": "要治療"}


def handbook(
    child: str,
    record: Record,
    *,
    names: Mapping[str, str],
    diary: Sequence[Mapping[str, Any]],
    issued_at: datetime,
    pregnancy: Pregnancy | None = None,
) -> dict[str, Any]:
    """All of it, oldest first; `names` are those of organisations, `diary` the entries that the reader sees.

    `pregnancy` is the one that the child was born of, where the reader is the woman: it is nobody else's to take home.
    """
    facts = record.facts
    return {
        "format": FORMAT,
        "version": VERSION,
        "issued_at": wire_instant(issued_at),
        "issued_on": tokyo_day(issued_at).isoformat(),
        "child": {
            "id": child,
            **facts.model_dump(mode="json", exclude_none=True),
            "municipality_name": names.get(facts.municipality, facts.municipality),
            **({"died_on": record.died_on.isoformat()} if record.died_on else {}),
        },
        **({"pregnancy": _pregnancy(pregnancy, names)} if pregnancy is not None else {}),
        "doses": [
            {
                **_plain(dose),
                "vaccine_name": _vaccine(dose.code),
                **_named("site", dose.site),
                **_named("route", dose.route),
                **_by(dose.organisation, names),
            }
            for dose in sorted(record.doses.values(), key=lambda one: (one.given_on, one.code, one.id))
            if dose.superseded_by is None
        ],
        "checkups": [
            {
                **_plain(one),
                "name": CHECKUPS.get(one.kind, one.kind),
                "findings": [
                    {**_plain(found), "name": value_set("checkup_finding")[found.code].ja} for found in one.findings
                ],
                **_named("result", one.result, "checkup_result"),
                **_by(one.organisation, names),
            }
            for one in sorted(record.checkups.values(), key=lambda one: (one.done_on, one.checkup_id))
        ],
        "growth": [_plain(one) for one in in_order(record)],
        "conditions": [
            {**_plain(one), "name": CONDITIONS.get(one.code, one.code)}
            for one in sorted(record.conditions.values(), key=lambda one: (str(one.since or ""), one.condition_id))
        ],
        "reactions": [
            {
                **_plain(one),
                "began_on": tokyo_day(one.began_at).isoformat(),
                **_named("symptom", one.symptom, "reaction"),
                **_named("outcome", one.outcome, "reaction_outcome"),
                **_of_dose(record, one.dose_id),
                **_by(one.organisation, names),
            }
            for one in sorted(record.reactions.values(), key=lambda one: (one.began_at, one.reaction_id))
        ],
        "allergies": [
            {**_plain(one), **_named("substance", one.substance, "allergen"), **_by(one.organisation, names)}
            for one in sorted(record.allergies.values(), key=lambda one: (one.substance, one.allergy_id))
        ],
        "milestones": [
            {
                **_plain(one),
                **_named("milestone", one.milestone),
                "age": "{}か月と{}日".format(*age_of(facts.birth_date, one.reached_on)),
            }
            for one in sorted(record.milestones.values(), key=lambda one: (one.reached_on, one.milestone))
        ],
        "diary": [
            {**entry, **({"first_name": FIRSTS[entry["first"]]} if "first" in entry else {})}
            for entry in sorted(diary, key=lambda one: (one["on"], one["id"]))
        ],
    }


def _pregnancy(pregnancy: Pregnancy, names: Mapping[str, str]) -> dict[str, Any]:
    """Its course (妊娠中の経過); weeks count from the first day of the last period, as the expected date has it."""
    return {
        "expected_delivery": pregnancy.expected.isoformat(),
        "checkups": [
            {
                **_plain(one),
                "week": "{}週{}日".format(*divmod((one.done_on - pregnancy.began).days, 7)),
                "results": [
                    {"name": name, "value": said}
                    for name, said in (
                        ("尿蛋白", URINE.get(one.urine_protein or "")),
                        ("尿糖", URINE.get(one.urine_sugar or "")),
                        ("判定", RESULTS.get(one.result or "")),
                    )
                    if said is not None
                ],
                **_by(one.organisation, names),
            }
            for one in sorted(pregnancy.checkups.values(), key=lambda one: (one.done_on, one.checkup_id))
        ],
        "doses": [
            {**_plain(dose), "vaccine_name": _vaccine(dose.code), **_by(dose.organisation, names)}
            for dose in sorted(pregnancy.doses.values(), key=lambda one: (one.given_on, one.id))
        ],
    }


def organisations_of(record: Record, pregnancy: Pregnancy | None = None) -> set[str]:
    """The organisations that the handbook names."""
    found = {record.facts.municipality}
    found |= {dose.organisation for dose in record.doses.values() if dose.organisation}
    for entries in (record.checkups, record.reactions, record.allergies, record.milestones):
        found |= {one.organisation for one in entries.values() if one.organisation}
    if pregnancy is not None:
        found |= {one.organisation for one in pregnancy.checkups.values() if one.organisation}
        found |= {one.organisation for one in pregnancy.doses.values() if one.organisation}
    return found


def _plain(value: Data) -> dict[str, Any]:
    """The fact without who entered it: people's ids are shown to nobody."""
    return value.model_dump(mode="json", exclude_none=True, exclude={"by"})


def _by(organisation: str | None, names: Mapping[str, str]) -> dict[str, str]:
    return {"organisation_name": names.get(organisation, organisation)} if organisation else {}


def _of_dose(record: Record, dose_id: str) -> dict[str, Any]:
    """Which vaccine it was; nothing more where the dose was withdrawn meanwhile."""
    dose = record.doses.get(dose_id)
    return {"vaccine_name": _vaccine(dose.code), "given_on": dose.given_on.isoformat()} if dose is not None else {}


def _named(field: str, said: str | None, name: str | None = None) -> dict[str, str]:
    """The choice's words beside its code; words that are no code stand as they were written."""
    if said is None:
        return {}
    known = spoken_of(name or field, said)
    return {f"{field}_name": known.ja if known is not None else said}


def _vaccine(code: str) -> str:
    known = vaccines().by_code.get(code)
    return known.ja if known is not None else code
