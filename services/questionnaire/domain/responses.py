"""A response (記入された予診票・問診票) from draft to decision: draft → submitted → decided | withdrawn, and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from services.questionnaire.domain import answers as given
from services.questionnaire.domain.children import GivenDose, KnownChild, heading
from services.questionnaire.domain.forms import Form, Scalar
from services.questionnaire.domain.vaccines import AskedVaccines
from shared.events.questionnaire import (
    Answer,
    ConsentDecided,
    QuestionnaireSubmitted,
    ResponseEvent,
    ResponseWithdrawn,
    TriageDecided,
)
from shared.problems import Conflict, Invalid, invalid

Status = Literal["draft", "submitted", "decided", "withdrawn"]
Verdict = Literal["go_ahead", "postpone", "never"]
FEVER_FROM = 37.5  # degrees Celsius: 明らかな発熱, a reason not to vaccinate today


class NotADraft(Conflict):
    """Answers of a submitted response do not change."""

    code = "response-not-a-draft"
    ja = "提出済みのため変更できません。変えたいときは取り下げて、新しく記入してください。"
    en = "It was submitted and cannot be changed. To change it, withdraw it and begin a new one."


class NotSubmitted(Conflict):
    """There is nothing to decide on, or to withdraw, before the submission."""

    code = "response-not-submitted"
    ja = "まだ提出されていません。"
    en = "It has not been submitted yet."


class AlreadyDecided(Conflict):
    """One response, one decision; another day needs another response."""

    code = "response-already-decided"
    ja = "すでに医師の判断が記録されています。別の日には新しい予診票が必要です。"
    en = "The doctor's decision is recorded already. Another day needs a new questionnaire."


class AlreadyWithdrawn(Conflict):
    """What was withdrawn stays withdrawn."""

    code = "response-withdrawn"
    ja = "取り下げられています。"
    en = "It was withdrawn."


class DoseGiven(Conflict):
    """The vaccination that it was for has been done."""

    code = "response-dose-given"
    ja = "この予診票にもとづく接種が行われたため、取り下げられません。"
    en = "The vaccination that it was for has been done; it cannot be withdrawn."


class ConsentRefused(Conflict):
    """Without the guardian's consent there is no vaccination."""

    code = "consent-refused"
    ja = "保護者が同意していないため、接種可能とすることはできません。"
    en = "The guardian did not agree; the vaccination cannot go ahead."


class MeasureAgain(Conflict):
    """A fever, or a temperature of another day: going ahead needs a new measurement."""

    code = "temperature-needed"
    ja = "体温が37.5℃以上、または今日測ったものではありません。測りなおした体温 (temperature_c) を添えてください。"
    en = "The temperature was 37.5 degrees or more, or not taken today. Send one measured again (temperature_c)."


@dataclass(frozen=True, slots=True)
class Submission:
    """What was handed in: the answers as they were asked, the flags, the guardian's consent if the form asks for it."""

    at: datetime
    by: str
    answers: tuple[Answer, ...]
    flags: tuple[str, ...]
    consent: bool | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the doctor decided (接種の可否), and whether it was explained to the guardian."""

    verdict: Verdict
    explained: bool
    organisation: str
    by: str
    at: datetime
    note_code: str | None = None
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The guardian took it back."""

    at: datetime
    by: str
    reason: str


@dataclass(slots=True)
class Response:
    """One form answered for one child. `begun_at` is the clinic that began it, if a clinic did."""

    child: str
    form: str
    version: str
    language: str
    begun_on: datetime
    begun_by: str
    begun_at: str | None = None
    vaccine: str | None = None
    family: str | None = None
    clinic: str | None = None
    status: Status = "draft"
    answers: dict[str, Scalar] = field(default_factory=dict)
    prefilled: set[str] = field(default_factory=set)
    submission: Submission | None = None
    decision: Decision | None = None
    withdrawal: Withdrawal | None = None

    def filled(self, form: Form, child: KnownChild) -> dict[str, Scalar]:
        """The answers that the house knows itself: the child's head data, and which vaccine it is."""
        known = {**heading(child), "response.vaccine": self.family}
        return {
            item.link_id: known[item.filled_from]
            for item in form.questions()
            if item.filled_from is not None and known.get(item.filled_from) is not None
        }

    def all_answers(self, form: Form, child: KnownChild) -> dict[str, Scalar]:
        """What the family answered and what the house filled in."""
        return {**self.answers, **self.filled(form, child)}


def carried_over(
    form: Form, earlier: Response, filled: Mapping[str, Scalar], *, today: date, born: date
) -> dict[str, Scalar]:
    """The answers of an earlier response that seldom change, fit this version, and are asked this time («anything changed?»)."""
    carried: dict[str, Scalar] = {}
    for item in form.questions():
        value = earlier.answers.get(item.link_id)
        if item.carry_over and value is not None:
            try:
                carried.update(given.read_answers(form, [(item.link_id, value)], today=today, born=born))
            except Invalid:
                continue
    asked = {item.link_id for item in form.enabled({**carried, **filled})}
    return {link_id: value for link_id, value in carried.items() if link_id in asked}


def write(response: Response, answers: dict[str, Scalar]) -> None:
    """Replace the draft's answers; an answer that stays as it was prefilled stays marked so."""
    _must_be_draft(response)
    response.prefilled = {
        link_id for link_id in response.prefilled if answers.get(link_id) == response.answers.get(link_id)
    }
    response.answers = answers


def _must_be_draft(response: Response) -> None:
    if response.status == "withdrawn":
        raise AlreadyWithdrawn
    if response.status != "draft":
        raise NotADraft


def submit(
    response: Response, form: Form, child: KnownChild, *, by: str, language: str, now: datetime, today: date
) -> list[ResponseEvent]:
    """Hand it in. Raises Invalid with the place of every required answer that is missing."""
    _must_be_draft(response)
    answers = response.all_answers(form, child)
    missing = given.missing(form, answers)
    if missing:
        raise Invalid(errors=missing)
    consent = answers[form.consent.item] == form.consent.agree if form.consent is not None else None
    response.language = language
    response.submission = Submission(
        at=now,
        by=by,
        answers=given.as_asked(form, answers, language),
        flags=given.raised_flags(form, answers, today=today, born=child.birth_date),
        consent=consent,
    )
    asked = {item.link_id for item in form.enabled(answers)}
    response.answers = {link_id: value for link_id, value in response.answers.items() if link_id in asked}
    response.status = "submitted"
    events: list[ResponseEvent] = [
        QuestionnaireSubmitted(
            child=response.child,
            form=response.form,
            form_version=response.version,
            vaccine=response.vaccine,
            clinic=response.clinic,
            answers=response.submission.answers,
            flags=response.submission.flags,
            language=language,
            submitted_by=by,
            submitted_at=now,
        )
    ]
    if consent is not None and response.vaccine is not None:
        events.append(
            ConsentDecided(
                child=response.child, vaccine=response.vaccine, consent=consent, clinic=response.clinic, decided_at=now
            )
        )
    return events


def decide(
    response: Response,
    form: Form,
    *,
    verdict: Verdict,
    explained: bool,
    organisation: str,
    by: str,
    now: datetime,
    same_day: bool,
    note_code: str | None = None,
    temperature_c: float | None = None,
) -> TriageDecided:
    """The doctor's decision. Going ahead needs the guardian's consent, an explanation, and no fever today.

    `same_day`: the submission was today, so its temperature is today's. Raises Conflicts and Invalid.
    """
    submission = response.submission
    if response.status == "withdrawn":
        raise AlreadyWithdrawn
    if response.status == "decided":
        raise AlreadyDecided
    if submission is None:
        raise NotSubmitted
    if verdict == "go_ahead":
        if submission.consent is False:
            raise ConsentRefused
        if not explained:
            raise invalid(
                "/explained",
                "needed",
                "接種可能とするには、保護者への説明が必要です。",
                "Going ahead needs an explanation to the guardian.",
            )
        stopped = any(flag.stops and flag.code in submission.flags for flag in form.flags)
        if form.temperature is not None and temperature_c is None and (stopped or not same_day):
            raise MeasureAgain
        if temperature_c is not None and temperature_c >= FEVER_FROM:
            raise MeasureAgain
    response.decision = Decision(verdict, explained, organisation, by, now, note_code, temperature_c)
    response.status = "decided"
    return TriageDecided(
        child=response.child,
        vaccine=response.vaccine,
        organisation=organisation,
        decision=verdict,
        explained=explained,
        note_code=note_code,
        temperature_c=temperature_c,
        decided_by=by,
        decided_at=now,
    )


def withdraw(
    response: Response,
    *,
    by: str,
    reason: str,
    now: datetime,
    doses: Iterable[GivenDose],
    vaccines: AskedVaccines,
    decided_on: date | None,
) -> ResponseWithdrawn:
    """The guardian takes it back; what followed no longer holds. Too late once the dose was given."""
    if response.status == "withdrawn":
        raise AlreadyWithdrawn
    if response.status == "draft":
        raise NotSubmitted
    if response.decision is not None and response.decision.verdict == "go_ahead" and decided_on is not None:
        for dose in doses:
            # A dose that no form knows is taken for the one that was decided on: a given dose cannot be untold.
            given_vaccine = vaccines.find(dose.code, dose.cvx)
            same = given_vaccine is None or given_vaccine.family == response.family
            if same and dose.given_on >= decided_on:
                raise DoseGiven
    response.withdrawal = Withdrawal(now, by, reason)
    response.status = "withdrawn"
    return ResponseWithdrawn(child=response.child, reason=reason, clinic=response.clinic)
