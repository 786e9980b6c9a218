"""What an answer may be, what is missing, what the doctor must see: the checks of a 予診票."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.questionnaire.domain.answers import as_asked, missing, raised_flags, read_answers, shown
from services.questionnaire.domain.forms import Form
from services.questionnaire.store import load_library
from shared.problems import Invalid

from .conftest import BORN, TODAY, healthy


def problems(form: Form, *pairs: tuple[str, Any]) -> list[tuple[str, str]]:
    try:
        read_answers(form, pairs, today=TODAY, born=BORN)
    except Invalid as error:
        return [(one.pointer, one.code) for one in error.errors]
    return []


@pytest.mark.parametrize(
    ("link_id", "value", "code"),
    [
        ("q3_unwell_today", "yes", "type"),
        ("q3_unwell_today", 1, "type"),
        ("q3_unwell_today", {"$gt": ""}, "type"),
        ("q3_unwell_today", [True], "type"),
        ("temperature", "36.5", "type"),
        ("temperature", True, "type"),
        ("temperature", 32.9, "too-small"),
        ("temperature", 43.1, "too-large"),
        ("temperature", 10**400, "too-large"),
        ("temperature", 36.55, "decimals"),
        ("q2_birth_weight", 3000.5, "type"),
        ("q2_birth_weight", 199, "too-small"),
        ("q2_birth_weight", 7001, "too-large"),
        ("dose_number", 0, "too-small"),
        ("guardian_consent", "yes", "not-an-option"),
        ("guardian_consent", True, "type"),
        ("phone", 3_000_000, "type"),
        ("phone", "0" * 31, "too-long"),
        ("phone", "03\x00", "characters"),
        ("phone", "03\u202e00", "characters"),
        ("q6_vaccinated_on", "2026-11-24", "in-the-future"),
        ("q6_vaccinated_on", "2026-09-19", "before-birth"),
        ("q6_vaccinated_on", "2026-02-30", "impossible-date"),
        ("q6_vaccinated_on", "20261101", "type"),
        ("q6_vaccinated_on", "令和8年11月1日", "type"),
        ("q6_vaccinated_on", 20261101, "type"),
    ],
)
def test_a_wrong_answer_is_refused_at_its_place(yoshinhyo: Form, link_id: str, value: Any, code: str) -> None:
    assert problems(yoshinhyo, ("q1_explanation_read", True), (link_id, value)) == [("/answers/1/value", code)]


@pytest.mark.parametrize(
    ("link_id", "value"),
    [
        ("temperature", 33.0),
        ("temperature", 43),
        ("temperature", 36.6),
        ("q2_birth_weight", 200),
        ("q6_vaccinated_on", TODAY.isoformat()),
        ("q6_vaccinated_on", BORN.isoformat()),
        ("address", "東京都\n千代田区"),
        ("phone", "0" * 30),
    ],
)
def test_bounds_are_inclusive(yoshinhyo: Form, link_id: str, value: Any) -> None:
    assert problems(yoshinhyo, (link_id, value)) == []


def test_every_wrong_answer_is_named_at_once(yoshinhyo: Form) -> None:
    found = problems(yoshinhyo, ("phone", 1), ("nowhere", True), ("q8_seizure", False), ("q8_seizure", True))
    assert found == [
        ("/answers/0/value", "type"),
        ("/answers/1/link_id", "unknown"),
        ("/answers/3/link_id", "duplicate"),
    ]


def test_nothing_is_no_answer_and_a_group_cannot_be_answered(yoshinhyo: Form) -> None:
    assert read_answers(yoshinhyo, [("phone", "  "), ("q8_seizure", None)], today=TODAY, born=BORN) == {}
    assert problems(yoshinhyo, ("header", "x")) == [("/answers/0/link_id", "unknown")]


def test_the_records_own_data_cannot_be_overwritten(yoshinhyo: Form) -> None:
    pairs = [("vaccine", "bcg"), ("birth_date", "2020-01-01"), ("name", "だれか")]
    assert read_answers(yoshinhyo, pairs, today=TODAY, born=BORN) == {}


def test_each_missing_required_answer_is_named(yoshinhyo: Form) -> None:
    answers = {"vaccine": "hepb", **healthy(q12_family_reaction=None, temperature=None, q9_allergy=True)}
    found = missing(yoshinhyo, answers)
    assert [(one.pointer, one.code) for one in found] == [
        ("/answers/temperature", "required"),
        ("/answers/q9_allergy_cause", "required"),
        ("/answers/q12_family_reaction", "required"),
    ]
    assert "診察前の体温" in found[0].ja
    assert "temperature" in found[0].en


def test_healthy_and_complete(yoshinhyo: Form) -> None:
    answers = {"vaccine": "hepb", **healthy()}
    assert missing(yoshinhyo, answers) == ()
    assert raised_flags(yoshinhyo, answers, today=TODAY, born=BORN) == ()


@pytest.mark.parametrize(("temperature", "flags"), [(37.4, ()), (37.5, ("fever",)), (39.2, ("fever",))])
def test_fever_begins_at_37_5_degrees(yoshinhyo: Form, temperature: float, flags: tuple[str, ...]) -> None:
    answers = {"vaccine": "hepb", **healthy(temperature=temperature)}
    assert raised_flags(yoshinhyo, answers, today=TODAY, born=BORN) == flags


def test_what_matters_to_the_doctor_is_flagged(yoshinhyo: Form) -> None:
    answers = {
        "vaccine": "rota",
        **healthy(
            q7_special_disease=True,
            q7_disease="心室中隔欠損症",
            q7_doctor_agrees=False,
            rota_first_dose_in_time=True,
            rota_intussusception=True,
            rota_bowel_anomaly=False,
        ),
    }
    found = raised_flags(yoshinhyo, answers, today=TODAY, born=BORN)
    assert found == ("special-disease", "treating-doctor-disagrees", "intussusception")


def test_a_flag_looks_only_at_what_was_asked(yoshinhyo: Form) -> None:
    answers = {"vaccine": "hepb", **healthy(rota_intussusception=True, q7_doctor_agrees=False)}
    assert raised_flags(yoshinhyo, answers, today=TODAY, born=BORN) == ()


@pytest.mark.parametrize(
    ("age_days", "dose_number", "late"), [(104, 1, False), (105, 1, True), (105, 2, False), (200, 1, True)]
)
def test_the_first_rota_dose_is_late_from_the_day_after_14_weeks_6_days(
    yoshinhyo: Form, age_days: int, dose_number: int, late: bool
) -> None:
    """出生14週6日後 is day 104 (the day of birth is day 0), inclusive."""
    answers: dict[str, Any] = {"vaccine": "rota", "dose_number": dose_number}
    found = raised_flags(yoshinhyo, answers, today=BORN + timedelta(days=age_days), born=BORN)
    assert ("rota-first-dose-late" in found) is late


def test_an_answer_is_kept_with_its_words_and_only_where_it_was_asked(yoshinhyo: Form) -> None:
    kept = as_asked(yoshinhyo, {"vaccine": "hepb", **healthy(q3_symptoms="咳")}, "en")
    by_id = {answer.link_id: answer for answer in kept}
    assert "q3_symptoms" not in by_id
    assert (by_id["temperature"].text, by_id["temperature"].display) == ("診察前の体温", "36.6℃")
    assert by_id["temperature"].asked_as == "Temperature before the examination"
    assert by_id["guardian_consent"].display == "同意します"
    assert next(answer.link_id for answer in kept) == "vaccine"


def test_answers_in_words(yoshinhyo: Form) -> None:
    temperature, weight = yoshinhyo.question("temperature"), yoshinhyo.question("q2_birth_weight")
    seizure = yoshinhyo.question("q8_seizure")
    assert temperature is not None
    assert weight is not None
    assert seizure is not None
    assert shown(temperature, 38, "ja") == "38℃"
    assert shown(weight, 3012, "en") == "3012 g"
    assert (shown(seizure, value=True, language="ja"), shown(seizure, value=False, language="en")) == ("はい", "No")


_LIBRARY = load_library()
_FORM = next(form for form in _LIBRARY.forms if form.kind == "pre_vaccination")
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.dates(date(2000, 1, 1), date(2030, 1, 1)).map(date.isoformat),
    st.lists(st.booleans(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.booleans(), max_size=2),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from([i.link_id for i in _FORM.questions()]), _VALUES), max_size=12))
def test_whatever_is_sent_is_read_or_refused_at_a_place(pairs: list[tuple[str, Any]]) -> None:
    if problems(_FORM, *pairs):
        assert all(pointer.startswith("/answers/") for pointer, _ in problems(_FORM, *pairs))
        return
    kept = read_answers(_FORM, pairs, today=TODAY, born=BORN)
    assert set(kept) <= {link_id for link_id, _ in pairs}
    again = read_answers(_FORM, list(kept.items()), today=TODAY, born=BORN)
    assert again == kept
    assert all(problem.code == "required" for problem in missing(_FORM, kept))
