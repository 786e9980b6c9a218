"""The content library: its files, the day of each article, once to each guardian, and nothing after a loss or a death."""

import copy
from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notify import store as kept
from services.notify.commands.library import FOLDER, deliver_content, load_articles
from services.notify.domain import furigana
from services.notify.domain.audience import Family
from services.notify.domain.library import LibraryBroken, articles_of, due_on, in_force
from services.notify.domain.notices import LANGUAGES
from services.notify.tests.test_pushing import subscribes
from services.notify.tests.town import FATHER, MOTHER, NOON, OTHER_TOWN, TODAY, Town
from shared.clock import tokyo_time
from shared.testing.push_service import PushService

ARTICLES = load_articles()
FILE: dict[str, Any] = yaml.safe_load((FOLDER / "first_years.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("article", ARTICLES, ids=lambda one: one.id)
def test_every_article_has_words_and_a_source(article: Any) -> None:
    for texts in (article.texts["title"], article.texts["body"]):
        assert texts.keys() == set(LANGUAGES)
        assert not any(furigana.broken(text) or "<" in text or "{{" in text for text in texts.values())
    assert article.texts["source"]


def test_a_file_that_breaks_a_rule_stops_the_start(tmp_path: Any) -> None:
    (tmp_path / "content.schema.json").write_bytes((FOLDER / "content.schema.json").read_bytes())
    broken = copy.deepcopy(FILE)
    del broken["articles"][0]["source"]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(broken), encoding="utf-8")
    with pytest.raises(jsonschema.ValidationError):
        load_articles(tmp_path)
    with pytest.raises(LibraryBroken):
        articles_of([FILE, FILE])
    with pytest.raises(LibraryBroken):
        articles_of([FILE, {**FILE, "library": "another", "effective_from": "2027-04-01"}])


def test_a_newer_version_takes_over_whole_on_its_day() -> None:
    newer = {**FILE, "version": "2027-04", "effective_from": "2027-04-01", "articles": FILE["articles"][:1]}
    both = articles_of([FILE, newer])
    assert {one.version for one in in_force(both, date(2027, 3, 31))} == {"2026-11"}
    assert [one.version for one in in_force(both, date(2027, 4, 1))] == ["2027-04"]
    assert in_force(both, date(2026, 3, 31)) == ()


@settings(deadline=None)
@given(st.dates(date(2020, 1, 1), date(2026, 12, 31)))
def test_a_childhood_gets_each_article_once_and_in_order(born: date) -> None:
    child = Family("c", born, None, ("g",))
    days = [born + timedelta(days=number) for number in range(2300)]
    got = [(one.at, day) for day in days for one in due_on(ARTICLES, child, day)]
    expected = {one.at for one in ARTICLES if one.at[0] != "pregnancy_week"}
    assert {at for at, _ in got} == expected
    assert len(got) == len(expected)
    assert all((day - born).days == 7 * number for (kind, number), day in got if kind == "week")


def test_a_month_is_complete_on_the_day_after_where_its_day_is_missing() -> None:
    """Born on 31 August: three months are complete on 1 December, since November has no 31st."""
    child = Family("c", date(2026, 8, 31), None, ())
    three = [one for one in ARTICLES if one.at == ("month", 3)]
    assert [day for day in range(1, 31) if due_on(three, child, date(2026, 11, day))] == []
    assert due_on(three, child, date(2026, 12, 1)) == three


@pytest.mark.integration
async def test_each_guardian_has_it_once_on_its_day(town: Town) -> None:
    """TODAY is 2026-11-23: a week after 16 November; week 20 of a pregnancy that is due 140 days later."""
    child = await town.born("2026-11-16", [MOTHER.subject, FATHER.subject])
    pregnancy = await town.expects(MOTHER.subject, (TODAY + timedelta(days=140)).isoformat())
    await town.born("2026-11-15", ["other"])
    assert await deliver_content(town.library) == 3
    assert await deliver_content(town.library) == 0
    await town.runtime.store.delete(kept.DAYS, {"_id": "content"})
    assert await deliver_content(town.library) == 0
    found = {item["article"]: item for item in await town.inbox()}
    assert {one: found[one]["child"] for one in found} == {"week-01": child, "pregnancy-20": pregnancy}
    assert found["week-01"]["source"]
    assert "仰向け" in found["week-01"]["title"]["ja"]
    assert found["pregnancy-20"]["readings"]["body"]["ja-Hrkt"]
    assert [item["article"] for item in await town.inbox(FATHER)] == ["week-01"]
    told = [data["article"] for name, data in await town.told(kept.MAILBOXES) if name == "MessageDelivered"]
    assert sorted(told) == ["pregnancy-20", "week-01", "week-01"]


@pytest.mark.integration
async def test_who_wants_it_pushed_is_told_by_day_that_there_is_something_and_not_what(
    town: Town, push: PushService
) -> None:
    """A push for the mother, once; none for the father, who reads the library in the inbox only; none by night."""
    phone = await subscribes(town, push)
    await subscribes(town, push, "fathers", FATHER)
    await town.does(FATHER, "PUT", "/v1/preferences", {"language": "ja", "topics": {"library": []}})
    await town.born("2026-11-16", [MOTHER.subject, FATHER.subject])
    await deliver_content(town.library)
    await town.runtime.store.delete(kept.DAYS, {"_id": "content"})
    await deliver_content(town.library)
    [sent] = push.requests
    assert sent.path == phone.path
    shown = phone.decrypt(sent.body)
    assert "新しい読みもの" in shown
    assert "生後1週" not in shown
    await town.born("2026-11-16", [MOTHER.subject])
    await town.runtime.store.delete(kept.DAYS, {"_id": "content"})
    town.runtime.clock.move_to(tokyo_time(TODAY, 23))
    assert await deliver_content(town.library) == 1
    assert len(push.requests) == 1


@pytest.mark.integration
async def test_nothing_after_a_loss_or_a_death(town: Town) -> None:
    child = await town.born("2026-11-16")
    pregnancy = await town.expects(FATHER.subject, (TODAY + timedelta(days=140)).isoformat())
    late = {row["_id"]: row for row in await town.runtime.store.find(kept.AUDIENCE, {})}
    await town.dies(child)
    await town.ends(pregnancy, "loss")
    await town.runtime.store.delete(kept.AUDIENCE, {})
    # The lines of a moment ago, as another replica may still read them.
    await town.runtime.store.insert_many(kept.AUDIENCE, list(late.values()))
    assert await deliver_content(town.library) == 0
    assert await town.inbox() == await town.inbox(FATHER) == []


@pytest.mark.integration
async def test_a_death_told_wrongly_gives_everything_back(town: Town) -> None:
    child = await town.born("2026-11-16")
    await town.dies(child)
    assert await town.runtime.store.find(kept.BONDS, {"gone": False}) == []
    await town.lives_after_all(child)
    assert await deliver_content(town.library) == 1
    assert [item["child"] for item in await town.inbox()] == [child]


@pytest.mark.integration
async def test_a_loss_told_wrongly_gives_everything_back(town: Town) -> None:
    pregnancy = await town.expects(FATHER.subject, (TODAY + timedelta(days=140)).isoformat())
    await town.ends(pregnancy, "loss")
    assert await town.runtime.store.find(kept.BONDS, {"gone": False}) == []
    await town.goes_on(pregnancy)
    assert await deliver_content(town.library) == 1
    assert len(await town.inbox(FATHER)) == 1


@pytest.mark.integration
async def test_it_waits_for_the_morning_and_makes_up_for_a_few_days(town: Town) -> None:
    town.runtime.clock.move_to(tokyo_time(TODAY, 8))
    assert await deliver_content(town.library) == 0
    await town.born("2026-11-16", ["first"])
    await town.born("2026-11-19", ["second"], town=OTHER_TOWN)
    await town.born("2026-12-01", ["third"])
    town.runtime.clock.move_to(NOON + timedelta(days=4))
    assert await deliver_content(town.library) == 2
    town.runtime.clock.move_to(NOON + timedelta(days=40))
    assert await deliver_content(town.library) == 3
    rows = await town.runtime.store.find(kept.INBOX, {})
    # What fell on a day more than a week ago is not sent: the third child's first week.
    assert {(row["recipient"], row["article"]) for row in rows} == {
        *(("first", "week-01"), ("first", "week-06")),
        *(("second", "week-01"), ("second", "week-06")),
        ("third", "week-04"),
    }


@pytest.mark.integration
async def test_the_library_can_be_looked_up(town: Town) -> None:
    found = await town.does(MOTHER, "GET", "/v1/library")
    assert [one["id"] for one in found["items"]][:2] == ["pregnancy-08", "pregnancy-12"]
    one = await town.does(MOTHER, "GET", "/v1/library/month-05")
    assert (one["month"], "はちみつ" in one["body"]["ja"], bool(one["source"])) == (5, True, True)
    assert (await town.call(MOTHER, "GET", "/v1/library/nothing")).status_code == 404
