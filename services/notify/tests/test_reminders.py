"""Reminders that schedule fired: told to the child's guardians in words, to their lock screens without any."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
import yaml

from services.notify import store as kept
from services.notify.app import TEXTS
from services.notify.commands.reminders import deliver_late, deliver_reminders
from services.notify.commands.words import WORDS as SHORT
from services.notify.domain.notices import LANGUAGES
from services.notify.domain.reminder_texts import reminder_text
from services.notify.tests.test_pushing import subscribes
from services.notify.tests.town import FATHER, MOTHER, NOON, TODAY, Town
from shared.documents import Document
from shared.events.schedule import ArmedReminder
from shared.testing.push_service import PushService
from shared.vaccines import vaccines

RULES = TEXTS.parents[2] / "schedule" / "rules" / "jp"
WORDS: dict[str, Any] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
KINDS = ArmedReminder.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]


@pytest.mark.parametrize("series", ["penta", "mr1", "checkup_18m", "mumps"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_in_every_language(kind: str, series: str) -> None:
    title, body = reminder_text(WORDS, kind, series, 1, TODAY, None if series == "mumps" else TODAY)
    assert title.keys() == body.keys() == set(LANGUAGES)
    assert ("1回目" in title["ja"]) is (series in {"penta", "mumps"})
    for text in (*title.values(), *body.values()):
        assert text.strip()
        assert "{" not in text


def test_a_series_without_words_is_called_by_its_code() -> None:
    title, _ = reminder_text(WORDS, "eve", "new_vaccine", 2, TODAY, TODAY)
    assert "new_vaccine" in title["ja"]


def test_a_day_that_is_not_known_is_a_dash() -> None:
    _, body = reminder_text(WORDS, "eve", "mr1", 1, None, TODAY)
    assert "2026年11月23日" in body["ja"]
    assert "—" in body["ja"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_dose_of_which_no_day_is_known_nobody_says_that_it_costs(kind: str) -> None:
    _, body = reminder_text(WORDS, kind, "mr1", 1, None, None)
    assert "費用" not in body["ja"]


@pytest.mark.parametrize("kind", ["eve", "morning", "overdue"])
def test_a_voluntary_dose_is_never_called_free(kind: str) -> None:
    _, body = reminder_text(WORDS, kind, "mumps", 1, TODAY, None)
    assert "費用がかかります" in body["ja"]
    assert "not free of charge" in body["en"]
    assert not any(word in text for text in body.values() for word in ("無料", "いらない", "免费", "Miễn phí", "—"))


def test_the_words_know_every_vaccine_that_is_given_once() -> None:
    """A course of one dose in the rules of schedule has no number in a reminder (BCG, 第2期)."""
    lines = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yaml"))]
    once = {
        line["courses"][0]["series"]
        for line in lines
        if line["kind"] == "line" and all(len(course["doses"]) == 1 for course in line["courses"])
    }
    assert set(WORDS["once"]) == once


@pytest.mark.integration
async def test_each_guardian_is_told_once_with_the_vaccines_name(town: Town) -> None:
    child = await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await town.plans(child, mr1="overdue")
    fired = town.fires(child)
    for _ in range(2):
        assert await town.reminded(fired) == []
    for guardian in (MOTHER, FATHER):
        [item] = await town.inbox(guardian)
        assert (item["child"], item["state"], item["urgency"]) == (child, "current", "info")
        assert "麻しん風しん1期" in item["title"]["ja"]
        assert "2027年3月31日" in item["body"]["ja"]
    told = await town.told(kept.MAILBOXES)
    assert sorted((name, data["child"]) for name, data in told) == [("MessageDelivered", child)] * 2


@pytest.mark.integration
async def test_the_push_says_nothing_about_health(town: Town, push: PushService) -> None:
    child = await town.born()
    await town.plans(child, mr1="overdue")
    receiver = await subscribes(town, push)
    await town.reminded(town.fires(child))
    [request] = push.requests
    text = receiver.decrypt(request.body)
    [item] = await town.inbox()
    assert json.loads(text) == {"item": item["id"], "title": SHORT["reminder"]["ja"], "urgency": "info"}
    names = {name for words in WORDS["series"].values() for name in words.values()}
    assert not any(name in text for name in names | vaccines().by_code.keys() | {child, "接種", "予防"})


@pytest.mark.integration
async def test_nothing_after_a_death(town: Town, push: PushService) -> None:
    child = await town.born()
    await subscribes(town, push)
    await town.plans(child, mr1="overdue")
    fired = town.fires(child)
    await town.dies(child)
    assert await town.reminded(fired) == []
    assert await town.inbox() == []
    assert push.requests == []
    assert await deliver_late(town.reminders) == 0


@pytest.mark.integration
async def test_nothing_for_a_guardian_who_is_none_any_more(town: Town) -> None:
    child = await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await town.plans(child, mr1="overdue")
    await town.loses(child, FATHER.subject)
    await town.reminded(town.fires(child))
    assert len(await town.inbox(MOTHER)) == 1
    assert await town.inbox(FATHER) == []


@pytest.mark.integration
async def test_nothing_when_the_dose_was_given_between_firing_and_telling(town: Town, push: PushService) -> None:
    """D3: the plan that notify has read is newer than the reminder and has the dose done."""
    child = await town.born()
    await subscribes(town, push)
    await town.plans(child, mr1="overdue", bcg="due")
    fired = town.fires(child)
    await town.families.apply([fired])
    await town.plans(child, mr1="done", bcg="due")
    await town.reminded(fired)
    assert await town.inbox() == []
    assert push.requests == []
    await town.reminded(town.fires(child, series="bcg"))
    assert len(await town.inbox()) == 1


@pytest.mark.integration
async def test_a_plan_that_was_not_read_so_far_holds_no_reminder_back(town: Town) -> None:
    """The pushing group may be ahead of the view: what an older plan lacks is no reason."""
    child = await town.born()
    await town.plans(child, bcg="due")
    fired = town.fires(child, series="mr1")
    later = dataclasses.replace(fired, revision=fired.revision + 5)
    await deliver_reminders(town.reminders, [later])
    assert len(await town.inbox()) == 1


@pytest.mark.integration
async def test_a_reminder_that_overtakes_its_child_waits_for_it(town: Town, push: PushService) -> None:
    """R5: two topics have no common order."""
    child = await town.born()
    await subscribes(town, push)
    fired = town.fires("c-new")
    assert await town.reminded(fired) == []
    assert await deliver_late(town.reminders) == 0
    doc = await town.reminders.families.load(child)
    assert doc is not None
    known = {**doc.state}

    def arrives(new: Document) -> dict[str, Any]:
        new.state.update(known)
        return {}

    await town.reminders.families.upsert("c-new", arrives)
    assert await deliver_late(town.reminders) == 1
    assert await deliver_late(town.reminders) == 0
    assert [item["child"] for item in await town.inbox()] == ["c-new"]
    assert len(push.requests) == 1


@pytest.mark.integration
async def test_a_reminder_of_a_child_that_never_comes_is_given_up(town: Town) -> None:
    await town.reminded(town.fires("nobody"))
    town.runtime.clock.move_to(NOON + timedelta(days=2))
    assert await deliver_late(town.reminders) == 0
    assert await town.runtime.store.count(kept.WAITING, {}) == 0


@pytest.mark.integration
async def test_a_kind_without_words_and_broken_data_are_set_aside_alone(town: Town) -> None:
    child = await town.born()
    odd, good = town.fires(child, kind="festival"), town.fires(child)
    broken = dataclasses.replace(town.fires(child), data=b"[]")
    rejected = await deliver_reminders(town.reminders, [odd, broken, good])
    assert [code for _, code in rejected] == ["reminder-kind-unknown", "schema-broken"]
    assert len(await town.inbox()) == 1


@pytest.mark.integration
async def test_a_word_that_was_lost_in_a_crash_is_said_at_the_repeat(town: Town) -> None:
    """Killed after the item and before the fact of it."""
    child = await town.born()
    fired = town.fires(child)
    item = kept.inbox_item(
        fired.id, MOTHER.subject, NOON, reminder="r", child=child, municipality="131016", title={}, body={}
    )
    await town.runtime.store.insert(kept.INBOX, item)
    await town.reminded(fired)
    assert [name for name, _ in await town.told(kept.MAILBOXES)] == ["MessageDelivered"]
    assert len(await town.inbox()) == 1
