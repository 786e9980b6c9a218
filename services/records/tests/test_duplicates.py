"""Which records may be of one child, whichever way they came in (重複)."""

from datetime import date
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.records import store as kept
from services.records.commands.imports import work_on
from services.records.domain import duplicates
from services.records.domain.duplicates import Traits
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import (
    FATHER,
    NURSE,
    OTHER_NURSE,
    OTHER_TOWN,
    REGISTER,
    STRANGER,
    TOWN,
    Child,
)
from services.records.tests.merges import imported


def record(*guardians: str, **changes: Any) -> Traits:
    by = OTHER_NURSE if "municipality" in changes else NURSE
    return Traits.of(Child(by, **changes).record.facts, guardians)


@pytest.mark.parametrize(
    ("one", "two", "strength"),
    [
        pytest.param(record(), record(), "sure", id="registered twice"),
        pytest.param(record(given_kana="シュウジ"), record(given_kana="しゆうぢ"), "sure", id="heard, not read"),
        pytest.param(record(family_kana="オオノ"), record(family_kana="オーノ"), "sure", id="a long vowel"),
        pytest.param(record(family_kana="オオノ"), record(family_kana="オノ"), None, id="another family name"),
        pytest.param(record(), record(municipality=OTHER_TOWN), "likely", id="another town"),
        pytest.param(record(), record(sex="U"), "sure", id="sex unknown"),
        pytest.param(record(), record(sex="M"), None, id="another sex"),
        pytest.param(record(), record(birth_date=date(2026, 5, 2)), None, id="another birth date"),
        pytest.param(record(), record(given_kana="ノゾミ"), None, id="twins"),
        pytest.param(
            record("m", family_kana="サトウ"), record("m"), "likely", id="the same guardian, a new family name"
        ),
        pytest.param(record(family_kana="サトウ"), record(), None, id="a namesake"),
    ],
)
def test_who_may_be_one_child(one: Traits, two: Traits, strength: str | None) -> None:
    assert duplicates.alike(one, two) == strength
    assert duplicates.alike(two, one) == strength


# How a reading may be written: letter by letter what stands in the record, and in how many ways a desk writes it.
SPELLINGS = (
    *(("ヒ", "ひ", "ﾋ"), ("カ", "か", "ｶ"), ("ガ", "が", "ｶﾞ"), ("パ", "ぱ", "ﾊﾟ"), ("ン", "ん", "ﾝ")),
    *(("シュ", "しゅ", "ｼｭ", "シユ", "しゆ"), ("ジ", "ぢ", "ヂ", "ｼﾞ", "ﾁﾞ"), ("ズ", "づ", "ﾂﾞ"), ("ッ", "ツ", "っ", "ｯ")),
    *(("コウ", "コー", "こお", "ｺｰ", "コオ"), ("ユウ", "ゆー", "ﾕｰ", "ユウ"), ("ケイ", "けー", "ｹｴ", "ケエ"), ("キイ", "きー", "ｷｲ")),
    *(("ショウ", "しょー", "シヨオ", "ｼｮｳ"), ("スズ", "すゞ", "スヾ", "ｽｽﾞ"), ("ママ", "まゝ", "マヽ"), ("オ", "を", "ヲ", "ｦ")),
    *(("ワ", "ゎ", "ヮ"), ("イ", "ゐ"), ("エ", "ヱ"), ("ケ", "ヶ"), ("・ア", "　あ", "ア", " ｱ")),
)  # fmt: skip
WRITTEN_TWICE = st.lists(
    st.sampled_from(SPELLINGS).flatmap(lambda ways: st.tuples(st.sampled_from(ways), st.sampled_from(ways))),
    min_size=1,
    max_size=6,
).map(lambda parts: ("".join(one for one, _ in parts), "".join(two for _, two in parts)))
KANA = st.text(
    "アイウエオカガキコザジソタダチヂッツヅナノハパヒフブホマミモヤャユュヨョラリルレロワヲンーヽヾ・　",
    min_size=1,
    max_size=8,
)
TRAITS = st.builds(
    Traits,
    st.sampled_from([date(2026, 5, 1), date(2026, 5, 2)]),
    st.sampled_from(["F", "M", "U"]),
    st.sampled_from(["オオノ", "オノ", "オーノ"]),
    st.sampled_from(["ユウ", "ユー", "ユ", "ゆう"]),
    st.sampled_from([TOWN, OTHER_TOWN]),
    st.frozensets(st.sampled_from(["m", "f"])),
)


@given(WRITTEN_TWICE)
def test_however_a_reading_is_written_it_is_heard_alike(written: tuple[str, str]) -> None:
    one, two = written
    assert duplicates.folded(one) == duplicates.folded(two)


@given(KANA)
def test_a_folded_reading_is_folded(kana: str) -> None:
    once = duplicates.folded(kana)
    assert duplicates.folded(once) == once
    assert not set(once) & set("ーヽヾ・　ァィゥェォッャュョ")


@pytest.mark.parametrize(("one", "two"), [("ユウ", "ユ"), ("ショウ", "ショ"), ("ハナ", "ハンナ"), ("ヒロ", "ヒオ")])
def test_what_is_heard_as_another_name_is_another_name(one: str, two: str) -> None:
    assert duplicates.folded(one) != duplicates.folded(two)


@given(TRAITS, TRAITS)
def test_the_matcher_is_symmetric_and_its_key_misses_nobody_in_a_town(one: Traits, two: Traits) -> None:
    found = duplicates.alike(one, two)
    assert duplicates.alike(two, one) == found
    if found and one.municipality == two.municipality:
        assert one.key == two.key
    if one == two:
        assert found == "sure"


@given(st.lists(TRAITS, max_size=12), st.randoms(use_true_random=False))
def test_pairs_are_what_comparing_everybody_finds_in_any_order(traits: list[Traits], dice: Any) -> None:
    known = [(f"c{number:02}", one) for number, one in enumerate(traits)]
    expected = {
        (one[0], two[0], strength)
        for place, one in enumerate(known)
        for two in known[place + 1 :]
        if (strength := duplicates.alike(one[1], two[1]))
    }
    dice.shuffle(known)
    assert {(pair.first, pair.second, pair.strength) for pair in duplicates.pairs(known)} == expected


def test_pairs_come_surest_first_and_once() -> None:
    found = duplicates.pairs([("c", record(municipality=OTHER_TOWN)), ("b", record()), ("a", record())])
    assert [(pair.first, pair.second, pair.strength) for pair in found] == [
        ("a", "b", "sure"),
        ("a", "c", "likely"),
        ("b", "c", "likely"),
    ]


# Through the service ------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.integration


async def listed(door: Door) -> list[tuple[set[str], str]]:
    found = await door.does(NURSE, "GET", "/v1/municipalities/139912/duplicates")
    return [(set(one["children"]), one["strength"]) for one in found["items"]]


async def test_the_town_sees_who_may_be_one_child_whichever_way_they_came_in(door: Door) -> None:
    """A guardian, staff, the town's own system and an import: one matcher, and only those who work there are told."""
    name = BODY["name"]
    staff = await door.does(NURSE, "POST", "/v1/children", BODY)
    guardian = await door.does(STRANGER, "POST", "/v1/children", {**BODY, "name": {**name, "given_kana": "ひかり"}})
    assert staff.keys() == guardian.keys() == {"id", "revision"}
    system = await door.does(REGISTER, "POST", "/v1/children", {**BODY, "name": {**name, "family_kana": "ﾜｶﾊﾞ"}})
    everybody = sorted([staff["id"], guardian["id"]])
    assert system["similar"] == [{"child": child, "strength": "sure"} for child in everybody]
    row = await imported(door, "17", BODY["birth_date"], "不明", "若葉", "光", "わかば", "ヒカリ")
    everybody = sorted([*everybody, system["id"]])
    assert row["outcome"] == "new"
    assert row["similar"] == [{"child": child, "strength": "sure"} for child in everybody]
    await door.born(STRANGER, municipality=OTHER_TOWN)
    everybody.append(row["child"])
    found = await listed(door)
    assert sorted(sorted(pair) for pair, _ in found) == sorted(sorted(pair) for pair in combinations(everybody, 2))
    assert {strength for _, strength in found} == {"sure"}


async def test_a_pair_of_whom_somebody_said_that_they_are_two_is_not_shown_again(door: Door) -> None:
    first, second = await door.born(), await door.born(STRANGER)
    (pair,) = (await door.does(NURSE, "GET", "/v1/municipalities/139912/duplicates"))["items"]
    await door.does(NURSE, "POST", f"/v1/municipalities/139912/duplicates/{pair['id']}/dismissal")
    assert await listed(door) == []
    # Nor are those who were merged and taken apart again; a closed or retracted record is nobody's namesake.
    third = await door.born(FATHER)
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": third, "reason": "二重登録"})
    assert await listed(door) == []
    undone = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{third}/undo", {"reason": "双子だった"})
    assert await listed(door) == [({second, undone["restored"]}, "sure")]
    row = await imported(door, "17", "2026-05-02", "女", "若葉", "光", "わかば", "ヒカリ")
    batch = (await door.does(NURSE, "GET", f"/v1/municipalities/{TOWN}/imports"))["items"][0]["id"]
    await door.does(NURSE, "POST", f"/v1/municipalities/{TOWN}/imports/{batch}/undo")
    await work_on(door.app.state.records, batch)
    assert "facts" not in (await door.document(row["child"]))["state"]
    await door.born(birth_date="2026-05-02")
    assert await listed(door) == [({second, undone["restored"]}, "sure")]


async def test_asking_for_namesakes_uses_an_index(door: Door) -> None:
    await door.born()
    for where in ({"state.match": {"$gte": "139912:", "$lt": "139912;"}}, {"state.match": {"$in": ["a", "b"]}}):
        assert "IXSCAN" in str(await door.runtime.store.explain(kept.collections.CHILDREN, where))
