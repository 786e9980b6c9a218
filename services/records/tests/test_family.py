"""Guardians and relatives by one-time code, what takes them out again, consent and its end."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.records.api.family import InvitationBody
from services.records.domain import consent, family
from services.records.domain.access import Caller, is_related
from services.records.domain.record import Share
from services.records.tests.families import (
    CLINIC,
    FATHER,
    MOTHER,
    NOON,
    NURSE,
    OTHER_NURSE,
    REGISTER,
    STRANGER,
    TODAY,
    Child,
)
from services.records.tests.families import family as a_family
from services.records.tests.test_children import places
from shared.events.records import (
    AccessGranted,
    AccessRevoked,
    ConsentGiven,
    ConsentWithdrawn,
    GuardianAdded,
    GuardianCutOff,
)
from shared.ids import binding_id
from shared.problems import Forbidden, Invalid, NotFound

SECRET = b"secret of the tests"


def issue(child: Child, count: int = 1, request: str = "r1") -> list[str]:
    codes = [family.code_of(SECRET, request, number) for number in range(count)]
    family.issue_codes(child.record, [family.code_hash(code) for code in codes], NURSE, today=TODAY, now=NOON)
    return codes


def link(child: Child, code: str, who: Any, at: Any = NOON) -> Any:
    return child.happens(family.link(child.record, family.code_hash(code), who, today=TODAY, now=at))


def test_codes_are_drawn_from_the_request_and_look_like_nothing_else() -> None:
    assert family.code_of(SECRET, "r1", 0) == family.code_of(SECRET, "r1", 0)
    others = {family.code_of(SECRET, "r1", 1), family.code_of(SECRET, "r2", 0), family.code_of(b"other", "r1", 0)}
    assert len(others | {family.code_of(SECRET, "r1", 0)}) == 4


def test_a_code_binds_a_guardian_once() -> None:
    child = Child()
    (code,) = issue(child)
    (event,) = link(child, code, MOTHER)
    assert isinstance(event, GuardianAdded)
    assert (event.guardian, event.proven_by) == ("mother-1", "code")
    with pytest.raises(Invalid) as refused:
        link(child, code, FATHER)
    assert places(refused.value) == {"/code": "code-not-valid"}
    assert "father-1" not in child.record.guardians


def test_the_record_holds_no_code_that_could_be_used() -> None:
    child = Child()
    (code,) = issue(child)
    assert code not in str(child.record)
    assert code.replace("-", "") not in str(child.record)


@pytest.mark.parametrize("written", [str.lower, lambda code: code.replace("-", " "), lambda code: f" {code} "])
def test_how_a_code_is_written_does_not_matter(written: Any) -> None:
    child = Child()
    (code,) = issue(child)
    assert link(child, written(code), MOTHER)


def test_a_code_ends_after_thirty_days() -> None:
    child = Child()
    first, second = issue(child, 2)
    assert link(child, first, MOTHER, NOON + timedelta(days=30, seconds=-1))
    with pytest.raises(Invalid):
        link(child, second, FATHER, NOON + timedelta(days=30))


def test_every_refusal_is_the_same() -> None:
    child = Child()
    used, late = issue(child, 2)
    link(child, used, MOTHER)
    bodies = []
    for code, at in ((used, NOON), (late, NOON + timedelta(days=31)), ("AAAA-AAAA-AAAA", NOON)):
        with pytest.raises(Invalid) as refused:
            link(child, code, STRANGER, at)
        bodies.append(refused.value.body("ja"))
    assert bodies[0] == bodies[1] == bodies[2] == family.code_refused().body("ja")


def test_a_bound_guardian_who_enters_another_code_stays_bound() -> None:
    child = Child()
    first, second = issue(child, 2)
    link(child, first, MOTHER)
    assert link(child, second, MOTHER) == []
    with pytest.raises(Invalid):
        link(child, second, FATHER)


def test_codes_are_the_municipalitys_to_issue_and_not_without_end() -> None:
    child = a_family()
    for caller, error in ((MOTHER, Forbidden), (CLINIC, Forbidden), (OTHER_NURSE, NotFound)):
        with pytest.raises(error):
            family.issue_codes(child.record, ["h"], caller, today=TODAY, now=NOON)
    issued = [f"h{number}" for number in range(family.MOST_OPEN_CODES)]
    family.issue_codes(child.record, issued, REGISTER, today=TODAY, now=NOON)
    with pytest.raises(Invalid) as refused:
        family.issue_codes(child.record, ["one more"], NURSE, today=TODAY, now=NOON)
    assert places(refused.value) == {"/count": "too-many"}
    much_later = NOON + timedelta(days=61)
    family.issue_codes(child.record, ["one more"], NURSE, today=TODAY, now=much_later)
    assert set(child.record.codes) == {"one more"}


# Invitations, grants, and taking them away ------------------------------------------------------------------------

GRANDMOTHER = Caller("grandmother-1", "guardian")
SHARE = Share("grandparent", ("plan", "growth"), TODAY + timedelta(days=30))


def invite(child: Child, share: Share | None = SHARE, by: Caller = MOTHER) -> str:
    code = family.code_of(SECRET, f"i{len(child.record.codes)}", 0)
    family.invite(child.record, family.code_hash(code), share, by, today=TODAY, now=NOON)
    return code


def with_father() -> tuple[Child, str]:
    """A family with a second guardian, and how he is named."""
    child = a_family()
    link(child, issue(child)[0], FATHER)
    return child, binding_id("c1", FATHER.subject)


def test_a_guardian_shares_sections_with_a_relative_for_a_time() -> None:
    child = a_family()
    (event,) = link(child, invite(child), GRANDMOTHER)
    assert isinstance(event, AccessGranted)
    assert (event.relative, event.sections, event.by.subject) == ("grandmother-1", ("plan", "growth"), "mother-1")
    assert not is_related(child.record, GRANDMOTHER, TODAY)
    (gone,) = child.happens(family.revoke_grant(child.record, event.grant_id, MOTHER, today=TODAY))
    assert isinstance(gone, AccessRevoked)
    with pytest.raises(NotFound):
        family.revoke_grant(child.record, event.grant_id, MOTHER, today=TODAY)


def test_a_guardian_invites_the_other_one_and_the_record_says_who_did() -> None:
    child = a_family()
    (event,) = link(child, invite(child, None), FATHER)
    assert isinstance(event, GuardianAdded)
    assert (event.proven_by, event.invited_by) == ("code", "mother-1")
    assert is_related(child.record, FATHER, TODAY)


@pytest.mark.parametrize("until", [TODAY - timedelta(days=1), TODAY + timedelta(days=367)])
def test_a_grant_has_a_last_day_within_a_year(until: date) -> None:
    with pytest.raises(Invalid) as refused:
        invite(a_family(), Share("friend", ("plan",), until))
    assert places(refused.value) == {"/until": "out-of-range"}


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"relation": "friend"}, {"/sections": "missing", "/until": "missing"}),
        ({"relation": "friend", "sections": ["plan"]}, {"/until": "missing"}),
        ({"relation": "guardian", "sections": ["plan"]}, {"/sections": "not-for-guardians"}),
        ({"relation": "guardian", "until": "2026-12-24"}, {"/until": "not-for-guardians"}),
    ],
)
def test_an_invitation_says_what_it_lacks(wish: dict[str, Any], found: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        InvitationBody.model_validate(wish).share()
    assert places(refused.value) == found


def test_an_invitation_ends_after_seven_days_and_is_refused_like_any_wrong_code() -> None:
    child = a_family()
    code = invite(child)
    with pytest.raises(Invalid) as refused:
        link(child, code, GRANDMOTHER, NOON + timedelta(days=7))
    assert refused.value.body("ja") == family.code_refused().body("ja")


def test_only_a_guardian_invites() -> None:
    child = a_family()
    for caller, error in ((NURSE, Forbidden), (CLINIC, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            invite(child, SHARE, caller)


def test_a_guardian_who_is_cut_off_has_no_say_and_nobody_stays_by_their_word() -> None:
    child, father = with_father()
    link(child, invite(child, SHARE, FATHER), GRANDMOTHER)
    open_code = invite(child, SHARE, FATHER)
    told = child.happens(family.cut_off(child.record, "c1", father, NURSE, today=TODAY))
    assert [type(event) for event in told] == [GuardianCutOff, AccessRevoked]
    assert not is_related(child.record, FATHER, TODAY)
    assert is_related(child.record, MOTHER, TODAY)
    with pytest.raises(Invalid):
        link(child, open_code, STRANGER)
    with pytest.raises(NotFound):
        invite(child, SHARE, FATHER)
    assert family.cut_off(child.record, "c1", father, NURSE, today=TODAY) == []
    child.happens(family.lift_cut_off(child.record, "c1", father, NURSE, today=TODAY))
    assert is_related(child.record, FATHER, TODAY)


def test_another_code_does_not_bring_back_one_who_is_cut_off() -> None:
    child, father = with_father()
    child.happens(family.cut_off(child.record, "c1", father, NURSE, today=TODAY))
    assert link(child, issue(child, request="r2")[0], FATHER) == []
    assert not is_related(child.record, FATHER, TODAY)


def test_a_removed_guardian_and_their_guests_are_out() -> None:
    child, father = with_father()
    link(child, invite(child, SHARE, FATHER), GRANDMOTHER)
    child.happens(family.remove_guardian(child.record, "c1", father, "親権者の変更", NURSE, today=TODAY))
    assert set(child.record.guardians) == {"mother-1"}
    assert not child.record.grants
    with pytest.raises(NotFound):
        family.remove_guardian(child.record, "c1", father, "again", NURSE, today=TODAY)


@pytest.mark.parametrize("measure", [family.cut_off, family.lift_cut_off])
def test_measures_are_the_towns_alone(measure: Any) -> None:
    child, father = with_father()
    for caller, error in ((MOTHER, Forbidden), (CLINIC, Forbidden), (REGISTER, Forbidden), (OTHER_NURSE, NotFound)):
        with pytest.raises(error):
            measure(child.record, "c1", father, caller, today=TODAY)


# Consent ----------------------------------------------------------------------------------------------------------


def trust(purpose: str = "care", until: date | None = None) -> consent.ConsentWish:
    return consent.ConsentWish(organisation="clinic-1", kind="clinic", purpose=purpose, until=until)


def test_a_clinic_reads_from_consent_to_withdrawal() -> None:
    child = Child(MOTHER)
    assert not is_related(child.record, CLINIC, TODAY)
    (given,) = child.happens(consent.give(child.record, trust(), MOTHER, TODAY))
    assert isinstance(given, ConsentGiven)
    assert is_related(child.record, CLINIC, TODAY)
    (withdrawn,) = child.happens(consent.withdraw(child.record, "clinic-1", MOTHER, TODAY))
    assert isinstance(withdrawn, ConsentWithdrawn)
    assert not is_related(child.record, CLINIC, TODAY)


def test_the_same_consent_again_is_no_fact_but_another_end_is() -> None:
    child = Child(MOTHER)
    child.happens(consent.give(child.record, trust(), MOTHER, TODAY))
    assert consent.give(child.record, trust(), MOTHER, TODAY) == []
    assert consent.give(child.record, trust(until=TODAY), MOTHER, TODAY)


def test_consent_is_a_guardians_alone_and_never_for_the_past() -> None:
    child = a_family()
    for caller, error in ((NURSE, Forbidden), (CLINIC, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            consent.give(child.record, trust(), caller, TODAY)
    with pytest.raises(Invalid) as refused:
        consent.give(child.record, trust(until=TODAY - timedelta(days=1)), MOTHER, TODAY)
    assert places(refused.value) == {"/until": "in-the-past"}


def test_what_was_never_given_cannot_be_withdrawn() -> None:
    with pytest.raises(NotFound):
        consent.withdraw(Child(MOTHER).record, "clinic-1", MOTHER, TODAY)
