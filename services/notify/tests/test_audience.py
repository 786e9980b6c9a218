"""Whom a notice is for: the conditions, their schema, and the one function that preview and sending share."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify import store as kept
from services.notify.domain import audience
from services.notify.domain.audience import AudienceError, Contact, Family, Town, due_line, is_everyone, matches, reach
from services.notify.subscribers import child_moved, child_registered, merged_away
from shared.documents import Document
from shared.events import records as r

TOWN, TODAY = "131016", date(2026, 11, 23)
SCHEMA = json.loads(Path(audience.__file__).parents[1].joinpath("audience.schema.json").read_text(encoding="utf-8"))
BY = r.Actor(subject="nurse-1", role="staff", organisation="139912")
FACTS = r.ChildFacts(
    birth_date=date(2026, 5, 1),
    sex="F",
    name=r.PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ"),
    municipality="139912",
    district="みどり台",
)
VALID = jsonschema.Draft202012Validator(SCHEMA)


def child(birth: str, *, district: str | None = None, due: dict[str, str] | None = None) -> Family:
    return Family("c", date.fromisoformat(birth), district, ("g",), due_line(due or {}))


# A child is under six until the day before its sixth birthday; one born on 29 February has it on 1 March (満年齢 by completed days).
@pytest.mark.parametrize(
    ("birth", "condition", "holds"),
    [
        ("2020-11-24", {"age_years": {"under": 6}}, True),
        ("2020-11-23", {"age_years": {"under": 6}}, False),
        ("2020-11-23", {"age_years": {"from": 6}}, True),
        ("2026-11-23", {"age_days": {"under": 1}}, True),
        ("2026-11-22", {"age_days": {"from": 1, "under": 2}}, True),
        ("2026-05-24", {"age_months": {"from": 6}}, False),
        ("2026-05-23", {"age_months": {"from": 6}}, True),
        ("2026-11-24", {"age_days": {"from": 0}}, False),
    ],
)
def test_ages(birth: str, condition: dict[str, Any], *, holds: bool) -> None:
    assert matches(condition, child(birth), TODAY) is holds


def test_a_birthday_on_29_february() -> None:
    born = child("2024-02-29")
    assert matches({"age_years": {"under": 1}}, born, date(2025, 2, 28))
    assert matches({"age_years": {"from": 1}}, born, date(2025, 3, 1))


@given(
    st.sampled_from(audience.AGES),
    st.dates(date(2024, 1, 1), date(2026, 12, 31)),
    st.dates(date(2008, 1, 1), date(2026, 12, 31)),
    st.integers(0, 250),
)
def test_an_age_is_a_range_of_birth_dates(name: str, on: date, birth: date, bound: int) -> None:
    """What is found once for all children is what counting each child's age says."""
    age = audience._age(name, birth, on)
    family = Family("c", birth, None, ())
    assert matches({name: {"from": bound}}, family, on) is (age >= bound)
    assert matches({name: {"under": bound}}, family, on) is (0 <= age < bound)


# 280 days from the last period to the expected date: on the day itself a pregnancy is 40 completed weeks old.
@pytest.mark.parametrize(
    ("expected", "week"),
    [("2026-11-23", 40), ("2026-11-24", 39), ("2027-08-30", 0), ("2027-08-23", 1), ("2026-11-16", 41)],
)
def test_weeks_of_pregnancy(expected: str, week: int) -> None:
    woman = Family("p", None, None, ("g",), expected=date.fromisoformat(expected))
    assert matches({"pregnancy_week": {"from": week, "under": week + 1}}, woman, TODAY)
    assert not matches({"pregnancy_week": {"from": week + 1}}, woman, TODAY)
    assert week == 0 or not matches({"pregnancy_week": {"under": week}}, woman, TODAY)
    assert not matches({"age_days": {"from": 0}}, woman, TODAY)
    assert not matches({"pregnancy_week": {"from": 0}}, child("2026-01-01"), TODAY)


def test_a_language_is_a_guardians() -> None:
    """Of one child's two guardians only the one who reads Vietnamese is reached."""
    one = Family("c", date(2025, 1, 1), None, ("mother", "father"))
    town = Town((one,), {"mother": Contact("vi", ("web_push", "line")), "father": Contact("ja", ())})
    found = reach({"language": "vi"}, town, TODAY)
    assert (found.guardians, found.children) == (["mother"], 1)
    everyone = reach({}, town, TODAY)
    assert everyone.by_language(town) == {"ja": 1, "vi": 1}
    assert everyone.by_channel(town) == {"inbox": 2, "line": 1, "web_push": 1}
    assert reach({"not": {"language": "vi"}}, town, TODAY).guardians == ["father"]


def test_district_plan_and_composition() -> None:
    one = child("2025-01-01", district="一丁目", due={"mr1": "overdue"})
    other = child("2025-01-01", district="二丁目", due={"mr1": "done"})
    assert matches({"district": "一丁目"}, one, TODAY)
    assert not matches({"district": "一丁目"}, other, TODAY)
    assert matches({"due": {"series": "mr1"}}, one, TODAY)
    assert not matches({"due": {"series": "mr1"}}, other, TODAY)
    assert matches({"due": {"series": "mr1", "status": ["done"]}}, other, TODAY)
    assert matches({"any": [{"district": "一丁目"}, {"due": {"series": "mr1", "status": ["done"]}}]}, other, TODAY)
    assert not matches({"all": [{"district": "一丁目"}, {"not": {"due": {"series": "mr1"}}}]}, one, TODAY)


@pytest.mark.parametrize(
    ("given_audience", "pointer", "code"),
    [
        ({"municipality": "131024"}, "/municipality", "municipality-foreign"),
        ({"any": [{"municipality": TOWN}, {"municipality": "131024"}]}, "/any/1/municipality", "municipality-foreign"),
        ({"$where": "1"}, "/$where", "predicate-unknown"),
        ({"a/b": 1}, "/a~1b", "predicate-unknown"),
        ([], "", "object-needed"),
        ({"all": []}, "/all", "list-needed"),
        ({"all": [{"age_years": {"under": "6"}}]}, "/all/0/age_years/under", "number-needed"),
        ({"age_years": {"under": True}}, "/age_years/under", "number-needed"),
        ({"age_years": {"under": 6.5}}, "/age_years/under", "number-needed"),
        ({"age_years": {"under": -1}}, "/age_years/under", "number-needed"),
        ({"age_years": {}}, "/age_years", "from-or-under-needed"),
        ({"age_years": {"to": 6}}, "/age_years", "from-or-under-needed"),
        ({"age_years": {"from": 6, "under": 6}}, "/age_years/under", "range-empty"),
        ({"due": {"status": ["due"]}}, "/due", "series-needed"),
        ({"due": {"series": "mr1", "status": ["late"]}}, "/due/status", "status-unknown"),
        ({"district": ""}, "/district", "text-needed"),
        ({"language": "tlh"}, "/language", "language-unknown"),
        ({"language": {}}, "/language", "language-unknown"),
        ({"attribute": "poor"}, "/attribute", "attribute-unknown"),
        ({"pregnancy_week": 20}, "/pregnancy_week", "from-or-under-needed"),
        ({"pregnancy_week": {"from": 20, "under": 12}}, "/pregnancy_week/under", "range-empty"),
        ({"not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}, "/not/not/not/not/not/not", "too-deep"),
    ],
)
def test_what_is_not_understood_is_named(given_audience: Any, pointer: str, code: str) -> None:
    with pytest.raises(AudienceError) as refused:
        audience.check(given_audience, TOWN)
    assert (refused.value.pointer, refused.value.code) == (pointer, code)


ranges = st.one_of(
    st.fixed_dictionaries({"from": st.integers(0, 20)}),
    st.fixed_dictionaries({"under": st.integers(1, 20)}),
    st.integers(0, 9).flatmap(
        lambda first: st.fixed_dictionaries({"from": st.just(first), "under": st.integers(first + 1, 20)})
    ),
)
leaves = st.one_of(
    st.just({}),
    st.builds(lambda name, bounds: {name: bounds}, st.sampled_from(audience.AGES), ranges),
    st.builds(lambda name: {"district": name}, st.sampled_from(["一丁目", "二丁目"])),
    st.builds(lambda series: {"due": {"series": series}}, st.sampled_from(["mr1", "bcg"])),
    st.just({"municipality": TOWN}),
    st.builds(lambda name: {"attribute": name}, st.sampled_from(sorted(audience.ATTRIBUTES))),
    st.builds(
        lambda first, weeks: {"pregnancy_week": {"from": first, "under": first + weeks}},
        st.integers(0, 40),
        st.integers(1, 42),
    ),
)
audiences = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=6,
)
pregnancies = st.builds(
    Family,
    child=st.uuids().map(str),
    birth_date=st.none(),
    district=st.none(),
    guardians=st.sampled_from(["g1", "g2", "g3"]).map(lambda guardian: (guardian,)),
    expected=st.dates(date(2026, 10, 1), date(2027, 9, 1)),
)
families = st.lists(
    pregnancies
    | st.builds(
        Family,
        child=st.uuids().map(str),
        birth_date=st.dates(date(2008, 1, 1), date(2026, 11, 23)),
        district=st.sampled_from([None, "一丁目", "二丁目"]),
        guardians=st.lists(st.sampled_from(["g1", "g2", "g3"]), max_size=2, unique=True).map(tuple),
        due=st.dictionaries(st.sampled_from(["mr1", "bcg"]), st.sampled_from(sorted(audience.DUE_STATUSES))).map(
            due_line
        ),
        attributes=st.sets(st.sampled_from(sorted(audience.ATTRIBUTES))).map(" ".join),
        expected=st.none(),
    ),
    max_size=8,
)


@given(audiences, families)
def test_recipients_are_each_guardian_of_a_matching_child_once_in_one_order(
    wanted: dict[str, Any], town: list[Family]
) -> None:
    found = reach(wanted, Town(tuple(town)), TODAY)
    matching = [family for family in town if matches(wanted, family, TODAY)]
    assert found.children == sum(1 for family in matching if family.birth_date is not None)
    assert found.pregnancies == sum(1 for family in matching if family.expected is not None)
    assert found.guardians == sorted({guardian for family in matching for guardian in family.guardians})
    assert reach(wanted, Town(tuple(reversed(town))), TODAY).guardians == found.guardians


@given(audiences, families)
def test_not_splits_the_town_in_two(wanted: dict[str, Any], town: list[Family]) -> None:
    inside = reach(wanted, Town(tuple(town)), TODAY)
    outside = reach({"not": wanted}, Town(tuple(town)), TODAY)
    assert inside.children + inside.pregnancies + outside.children + outside.pregnancies == len(town)


@given(audiences)
def test_what_the_schema_allows_is_understood(wanted: dict[str, Any]) -> None:
    """Up to the depth that nobody needs, which a schema cannot say."""
    VALID.validate(wanted)
    if _depth(wanted) <= audience.MAX_DEPTH:
        audience.check(wanted, TOWN)


def _depth(part: dict[str, Any]) -> int:
    inner = [*part.get("all", ()), *part.get("any", ()), *([part["not"]] if "not" in part else ())]
    return 1 + max(map(_depth, inner), default=0)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 20), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from([*sorted(audience.PREDICATES), "from", "under", "series", "x"]), inner),
    ),
    max_leaves=5,
)


@given(json_values)
def test_what_the_schema_refuses_is_refused(anything: Any) -> None:
    """The code may refuse more: an empty range, another town, too deep a nesting."""
    if VALID.is_valid(anything):
        return
    with pytest.raises(AudienceError):
        audience.check(anything, TOWN)


@pytest.mark.parametrize(
    ("wanted", "everyone"),
    [
        ({}, True),
        ({"not": {"not": {}}}, True),
        ({"municipality": TOWN}, True),
        ({"age_years": {"under": 100}}, True),
        ({"age_days": {"from": 0}}, True),
        ({"not": {"district": "三丁目"}}, True),
        ({"age_years": {"under": 6}}, False),
        ({"age_days": {"from": 5}}, False),
        ({"district": "一丁目"}, False),
        ({"not": {"district": "一丁目"}}, False),
        ({"not": {}}, False),
        ({"language": "ja"}, False),
        ({"not": {"pregnancy_week": {"from": 0}}}, True),
    ],
)
def test_everyone_is_nobody_left_out_now_or_later(wanted: dict[str, Any], *, everyone: bool) -> None:
    town = (child("2025-01-01", district="一丁目"), child("2024-01-01", district="一丁目"))
    assert is_everyone(wanted, Town(town), TODAY) is everyone


@pytest.mark.parametrize("end", [r.MergedAway(into="a" * 32, by=BY), r.ChildRetracted(reason="undone", by=BY)])
def test_of_a_closed_record_nothing_is_left_but_lines_to_empty(end: r.MergedAway | r.ChildRetracted) -> None:
    """Its guardians are told as those of the record that stands for it, once; a late plan brings nothing back."""
    doc = Document(id="c" * 32)
    registered = r.ChildRegistered(child=FACTS, guardians=("mother-1",), by=BY)
    moved = r.ChildMoved(from_municipality="139912", to_municipality="139921", effective_on=FACTS.birth_date, by=BY)
    nothing: Any = None
    child_registered(doc, registered, nothing)
    child_moved(doc, moved, nothing)
    merged_away(doc, end, nothing)
    assert doc.state == {"silenced": True, "left": ["139912", "139921"]}
    assert set(kept.audience_lines(doc).values()) == {""}
    assert {pack.partition(":")[0] for pack, _ in kept.audience_lines(doc)} == {"139912", "139921"}
    assert kept.bond_rows(doc) == {}
