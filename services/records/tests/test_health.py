"""Adverse reactions, allergies, steps of development: whose word they are, what they cannot say."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.records.domain import allergies, milestones, reactions
from services.records.tests.families import (
    BORN,
    CLINIC,
    MOTHER,
    NOON,
    NURSE,
    OTHER_CLINIC,
    STRANGER,
    TODAY,
    Child,
    family,
)
from services.records.tests.test_children import places
from shared.events.records import AdverseReactionRecorded
from shared.problems import Conflict, Forbidden, Invalid, NotFound

DAY = BORN + timedelta(days=62)
AFTER = datetime(2026, 7, 2, 6, 0, tzinfo=UTC)


def seen(dose: str, **changes: Any) -> reactions.ReactionWish:
    return reactions.ReactionWish(**{"dose_id": dose, "symptom": "fever", "began_at": AFTER, **changes})


def record(child: Child, wish: reactions.ReactionWish, by: Any = CLINIC, key: str = "r") -> Any:
    return reactions.record_reaction(child.record, wish, by, reaction_id=key, today=TODAY, now=NOON)


def test_a_reaction_is_told_put_right_and_withdrawn_and_shows_whose_word_it_is() -> None:
    child = family()
    child.trusts(OTHER_CLINIC)
    dose = child.gets("08", DAY).id
    child.happens(record(child, seen(dose), MOTHER, "hers"))
    child.happens(record(child, seen(dose, symptom="anaphylaxis", serious=True), CLINIC, "theirs"))
    assert {key: one.provenance for key, one in child.record.reactions.items()} == {
        "hers": "guardian",
        "theirs": "clinic",
    }
    recovered = seen(dose, symptom="anaphylaxis", serious=True, outcome="resolved")
    for other in (MOTHER, OTHER_CLINIC):
        with pytest.raises(Forbidden):
            reactions.correct_reaction(child.record, "theirs", recovered, "x", other, today=TODAY, now=NOON)
    child.happens(
        reactions.correct_reaction(child.record, "theirs", recovered, "next day", NURSE, today=TODAY, now=NOON)
    )
    now = child.record.reactions["theirs"]
    assert (type(now), now.outcome, now.provenance, now.organisation) == (
        AdverseReactionRecorded,
        "resolved",
        "clinic",
        "clinic-1",
    )
    assert reactions.correct_reaction(child.record, "theirs", recovered, "x", CLINIC, today=TODAY, now=NOON) == []
    child.happens(reactions.retract_reaction(child.record, "hers", "the brother's", MOTHER, today=TODAY))
    assert list(child.record.retracted_reactions) == ["hers"]
    with pytest.raises(Conflict):
        reactions.retract_reaction(child.record, "hers", "x", MOTHER, today=TODAY)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"dose_id": "none"}, "/dose", "dose-unknown"),
        ({"symptom": "bad_mood"}, "/symptom", "reaction-unknown"),
        ({"began_at": AFTER - timedelta(days=1)}, "/began_at", "before-the-dose"),
        ({"began_at": NOON + timedelta(hours=1)}, "/began_at", "in-the-future"),
        ({"outcome": "fatal"}, "/serious", "fatal-is-serious"),
    ],
)
def test_what_a_reaction_cannot_say(changes: dict[str, Any], pointer: str, code: str) -> None:
    child = family()
    with pytest.raises(Invalid) as refused:
        record(child, seen(**{"dose": child.gets("08", DAY).id, **_dose(changes)}))
    assert places(refused.value) == {pointer: code}


def _dose(changes: dict[str, Any]) -> dict[str, Any]:
    return {("dose" if name == "dose_id" else name): value for name, value in changes.items()}


def test_an_allergy_is_recorded_once_by_each_author_and_withdrawn_by_its_author() -> None:
    child = family()
    egg = allergies.AllergyWish(substance="egg", criticality="high", since=DAY)
    for key, by in (("hers", MOTHER), ("theirs", CLINIC)):
        child.happens(allergies.record_allergy(child.record, egg, by, allergy_id=key, today=TODAY))
        with pytest.raises(Invalid) as refused:
            allergies.record_allergy(child.record, egg, by, allergy_id="x", today=TODAY)
        assert places(refused.value) == {"/substance": "already-recorded"}
    with pytest.raises(Forbidden):
        allergies.retract_allergy(child.record, "theirs", "outgrown", MOTHER, today=TODAY)
    child.happens(allergies.retract_allergy(child.record, "theirs", "outgrown", CLINIC, today=TODAY))
    assert (list(child.record.allergies), list(child.record.retracted_allergies)) == (["hers"], ["theirs"])
    with pytest.raises(NotFound):
        allergies.record_allergy(child.record, egg, STRANGER, allergy_id="x", today=TODAY)
    for wish, place, code in (
        (allergies.AllergyWish(substance="mondays"), "/substance", "allergen-unknown"),
        (allergies.AllergyWish(substance="milk", since=TODAY + timedelta(days=1)), "/since", "in-the-future"),
    ):
        with pytest.raises(Invalid) as refused:
            allergies.record_allergy(child.record, wish, CLINIC, allergy_id="x", today=TODAY)
        assert places(refused.value) == {place: code}


def test_a_step_is_recorded_once_with_the_age_at_which_it_was_reached() -> None:
    child = family()
    on = date(2026, 11, 3)

    def tell(step: str, day: date = on) -> Any:
        return milestones.record_milestone(child.record, step, day, MOTHER, about=True, milestone_id=step, today=TODAY)

    child.happens(tell("sit"))
    assert milestones.age_of(BORN, on) == (6, 2)
    for step, day, place, code in (
        ("sit", on, "/milestone", "already-recorded"),
        ("fly", on, "/milestone", "milestone-unknown"),
        ("crawl", BORN - timedelta(days=1), "/reached_on", "before-birth"),
    ):
        with pytest.raises(Invalid) as refused:
            tell(step, day)
        assert places(refused.value) == {place: code}
    child.happens(milestones.retract_milestone(child.record, "sit", "the brother's", MOTHER, today=TODAY))
    child.happens(tell("sit"))


@pytest.mark.parametrize(
    ("birth", "on", "age"),
    [
        (date(2026, 1, 31), date(2026, 2, 28), (1, 0)),
        (date(2026, 1, 31), date(2026, 3, 1), (1, 1)),
        (date(2024, 2, 29), date(2025, 2, 28), (12, 0)),
        (date(2026, 5, 1), date(2026, 5, 1), (0, 0)),
        (date(2026, 12, 31), date(2027, 1, 30), (0, 30)),
    ],
)
def test_an_age_in_months_and_days(birth: date, on: date, age: tuple[int, int]) -> None:
    assert milestones.age_of(birth, on) == age
