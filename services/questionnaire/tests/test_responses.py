"""From draft to decision: what may follow what, and what each step announces."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.questionnaire.domain import responses as rules
from services.questionnaire.domain.children import GivenDose, KnownChild
from services.questionnaire.domain.forms import Form
from services.questionnaire.domain.responses import Response
from services.questionnaire.domain.vaccines import asked_vaccines
from services.questionnaire.store import Library
from shared.events.questionnaire import ConsentDecided, QuestionnaireSubmitted, ResponseWithdrawn, TriageDecided
from shared.problems import Conflict, Invalid

from .conftest import BORN, FORM, NOON, TODAY, healthy

CHILD = KnownChild(BORN, "F", "育美 さくら", "イクミ サクラ", "131016", guardians={"mother-1"})


def draft(vaccine: str = "hepb", family: str | None = None, **changes: Any) -> Response:
    return Response(
        child="child-1",
        form=FORM,
        version="2026.1",
        language="ja",
        begun_on=NOON,
        begun_by="mother-1",
        vaccine=vaccine,
        family=family or vaccine,
        clinic="clinic-1",
        answers=healthy(**changes),
    )


def submit(response: Response, form: Form) -> list[Any]:
    return list(rules.submit(response, form, CHILD, by="mother-1", language="ja", now=NOON, today=TODAY))


def decide(response: Response, form: Form, **changes: Any) -> TriageDecided:
    wanted: dict[str, Any] = {"verdict": "go_ahead", "explained": True, "same_day": True, **changes}
    return rules.decide(response, form, organisation="clinic-1", by="doctor-1", now=NOON, **wanted)


def withdraw(response: Response, library: Library, *doses: GivenDose) -> ResponseWithdrawn:
    decided_on = TODAY if response.decision is not None else None
    return rules.withdraw(
        response, by="mother-1", reason="ill", now=NOON, doses=doses, vaccines=library.vaccines, decided_on=decided_on
    )


def test_a_complete_yoshinhyo_is_submitted_with_answers_as_asked_and_the_consent(yoshinhyo: Form) -> None:
    response = draft(temperature=37.8)
    submitted, consent = submit(response, yoshinhyo)
    assert isinstance(submitted, QuestionnaireSubmitted)
    assert (submitted.form, submitted.form_version, submitted.vaccine) == (FORM, "2026.1", "hepb")
    assert submitted.flags == ("fever",)
    by_id = {answer.link_id: answer for answer in submitted.answers}
    assert by_id["name"].value == "育美 さくら"
    assert by_id["birth_date"].value == BORN.isoformat()
    assert by_id["sex"].display == "女"
    assert isinstance(consent, ConsentDecided)
    assert consent.consent is True
    assert response.status == "submitted"


def test_refusing_is_an_answer_too(yoshinhyo: Form) -> None:
    _, consent = submit(draft(guardian_consent="refuse"), yoshinhyo)
    assert consent.consent is False


def test_an_incomplete_one_stays_a_draft(yoshinhyo: Form) -> None:
    response = draft(q8_seizure=None)
    with pytest.raises(Invalid) as refused:
        submit(response, yoshinhyo)
    assert [one.pointer for one in refused.value.errors] == ["/answers/q8_seizure"]
    assert (response.status, response.submission) == ("draft", None)


def test_an_answer_that_was_not_asked_in_the_end_is_not_kept(yoshinhyo: Form) -> None:
    response = draft(q3_symptoms="咳")
    submitted, _ = submit(response, yoshinhyo)
    assert "q3_symptoms" not in {answer.link_id for answer in submitted.answers}
    assert "q3_symptoms" not in response.answers


def test_the_doctor_decides_once(yoshinhyo: Form) -> None:
    response = draft()
    submit(response, yoshinhyo)
    event = decide(response, yoshinhyo, verdict="postpone", explained=True, note_code="cough")
    assert (event.decision, event.organisation, event.note_code) == ("postpone", "clinic-1", "cough")
    with pytest.raises(rules.AlreadyDecided):
        decide(response, yoshinhyo)


def test_no_go_ahead_without_the_guardians_consent(yoshinhyo: Form) -> None:
    response = draft(guardian_consent="refuse")
    submit(response, yoshinhyo)
    with pytest.raises(rules.ConsentRefused):
        decide(response, yoshinhyo)
    assert decide(response, yoshinhyo, verdict="never").decision == "never"


def test_no_go_ahead_without_an_explanation(yoshinhyo: Form) -> None:
    response = draft()
    submit(response, yoshinhyo)
    with pytest.raises(Invalid):
        decide(response, yoshinhyo, explained=False)
    assert decide(response, yoshinhyo, verdict="postpone", explained=False).explained is False


@pytest.mark.parametrize(
    ("said", "same_day", "again", "may"),
    [
        (36.6, True, None, True),
        (37.4, True, None, True),
        (37.5, True, None, False),
        (37.5, True, 37.4, True),
        (38.0, True, 37.5, False),
        (36.6, False, None, False),
        (36.6, False, 36.9, True),
        (36.6, True, 37.5, False),
    ],
)
def test_no_go_ahead_with_a_fever_or_without_a_temperature_of_today(
    yoshinhyo: Form, said: float, same_day: bool, again: float | None, may: bool
) -> None:
    response = draft(temperature=said)
    submit(response, yoshinhyo)
    if may:
        event = decide(response, yoshinhyo, same_day=same_day, temperature_c=again)
        assert event.temperature_c == again
    else:
        with pytest.raises(rules.MeasureAgain):
            decide(response, yoshinhyo, same_day=same_day, temperature_c=again)
        assert response.status == "submitted"


def test_withdrawing_ends_it(yoshinhyo: Form, library: Library) -> None:
    response = draft()
    submit(response, yoshinhyo)
    assert withdraw(response, library).reason == "ill"
    assert response.status == "withdrawn"
    with pytest.raises(rules.AlreadyWithdrawn):
        withdraw(response, library)
    with pytest.raises(rules.AlreadyWithdrawn):
        decide(response, yoshinhyo)


@pytest.mark.parametrize(
    ("dose", "too_late"),
    [
        (GivenDose(TODAY, "hepb", None), True),
        (GivenDose(TODAY + timedelta(days=1), "hepb", None), True),
        (GivenDose(TODAY, "locally-named", "08"), True),
        (GivenDose(TODAY, "nobody-knows-it", None), True),
        (GivenDose(TODAY - timedelta(days=1), "hepb", None), False),
        (GivenDose(TODAY, "bcg", None), False),
    ],
)
def test_too_late_to_withdraw_once_its_dose_was_given(
    yoshinhyo: Form, library: Library, dose: GivenDose, too_late: bool
) -> None:
    response = draft()
    submit(response, yoshinhyo)
    decide(response, yoshinhyo)
    if too_late:
        with pytest.raises(rules.DoseGiven):
            withdraw(response, library, dose)
    else:
        assert withdraw(response, library, dose).child == "child-1"


def take(step: str, response: Response, form: Form, library: Library) -> None:
    if step == "write":
        rules.write(response, healthy())
    elif step == "submit":
        submit(response, form)
    elif step == "decide":
        decide(response, form)
    else:
        withdraw(response, library)


STEPS = ("write", "submit", "decide", "withdraw")
LEADS_TO = {
    ("draft", "write"): "draft",
    ("draft", "submit"): "submitted",
    ("submitted", "decide"): "decided",
    ("submitted", "withdraw"): "withdrawn",
    ("decided", "withdraw"): "withdrawn",
}
PATHS: dict[str, list[str]] = {
    "draft": [],
    "submitted": ["submit"],
    "decided": ["submit", "decide"],
    "withdrawn": ["submit", "withdraw"],
}


@pytest.mark.parametrize("status", PATHS)
@pytest.mark.parametrize("step", STEPS)
def test_the_whole_table_of_transitions(yoshinhyo: Form, library: Library, status: str, step: str) -> None:
    response = draft()
    for earlier in PATHS[status]:
        take(earlier, response, yoshinhyo, library)
    assert response.status == status
    wanted = LEADS_TO.get((status, step))
    if wanted is None:
        with pytest.raises(Conflict) as refused:
            take(step, response, yoshinhyo, library)
        assert refused.value.status == 409
        assert response.status == status
    else:
        take(step, response, yoshinhyo, library)
        assert response.status == wanted


def test_what_seldom_changes_is_carried_over_and_nothing_of_the_day(yoshinhyo: Form) -> None:
    earlier = draft(
        q8_seizure=True, q8_seizure_age_months=1, q8_seizure_with_fever=True, q9_allergy=True, q9_allergy_cause="卵"
    )
    submit(earlier, yoshinhyo)
    carried = rules.carried_over(yoshinhyo, earlier, {"vaccine": "penta"}, today=TODAY, born=BORN)
    assert carried["q9_allergy_cause"] == "卵"
    assert carried["q2_birth_weight"] == 3012
    assert carried["q8_seizure_age_months"] == 1
    for of_the_day in ("temperature", "q3_unwell_today", "guardian_consent", "q1_explanation_read", "dose_number"):
        assert of_the_day not in carried
    assert "hepb_mother_to_child" not in carried


def test_a_carried_answer_that_is_changed_is_no_longer_marked(yoshinhyo: Form) -> None:
    response = draft()
    response.prefilled = {"phone", "address"}
    rules.write(response, healthy(phone="06-0000-0000"))
    assert response.prefilled == {"address"}


def test_vaccines_are_found_by_every_code_that_callers_use(library: Library) -> None:
    def family(*codes: str | None) -> str | None:
        found = library.vaccines.find(*codes)
        return found.family if found else None

    assert family("119") == family("RV1") == family("ロタリックス") == family("rota") == "rota"
    assert family("hpv") == family("165") == "hpv"
    assert family("8") == family("08") == "hepb"
    assert family("unknown", "19") == "bcg"
    assert family("yellow_fever") == "other"
    assert family("unknown") is None
    assert family("rsv_maternal") is None, "the mother's, not a child's"


def test_a_vaccine_keeps_its_code_and_a_family_stands_for_itself(library: Library) -> None:
    assert library.vaccines.find("216") == library.vaccines.find("pcv20")
    codes = [found.code for name in ("119", "rota", "170") if (found := library.vaccines.find(name))]
    assert codes == ["rv1", "rota", "penta"]
    with pytest.raises(ValueError, match="no such vaccines"):
        asked_vaccines({"a": ["b"]}, {"c": "c"})


def test_a_clinics_consent_ends_with_its_last_day() -> None:
    child = KnownChild(BORN, "F", "", "", "131016", consents={"clinic-1": date(2026, 11, 23), "clinic-2": None})
    assert child.lets_read("clinic-1", TODAY)
    assert not child.lets_read("clinic-1", TODAY + timedelta(days=1))
    assert child.lets_read("clinic-2", TODAY + timedelta(days=999))
    assert not child.lets_read("clinic-3", TODAY)
    assert not child.lets_read(None, TODAY)
