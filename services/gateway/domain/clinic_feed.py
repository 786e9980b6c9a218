"""Clinic feeds: what a clinic has to be told of a child, as the difference between what it may know and what it was told.

The difference is taken after each event of the child, so the feed does not depend on which of two streams came first
(protocol R5), and saying something twice is impossible: what was told stands in the same document (guarantee G12).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.gateway.domain.child_view import in_force, known
from services.gateway.domain.fhir_codes import FhirJson
from services.gateway.domain.fhir_questionnaire import consent_ended, questionnaire_response, triage_decision
from services.gateway.domain.fhir_record import immunization, patient
from shared.clock import wire_instant

State = dict[str, Any]

TYPES = (
    "PatientShared",
    "ImmunizationRecorded",
    "ImmunizationCorrected",
    "ImmunizationRetracted",
    "QuestionnaireSubmitted",
    "QuestionnaireWithdrawn",
    "TriageDecided",
    "ConsentEnded",
)


def type_of(happened: str) -> str:
    """The CloudEvents type of one of these."""
    return f"jp.hagukumi.clinic.{happened}.v1"


UNHURRIED = frozenset(type_of(happened) for happened in TYPES if happened != "ConsentEnded")
"""Nobody waits for these; the end of a consent is what its withdrawal waits for (D5)."""


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One record of a clinic's feed: which clinic, what happened, and the FHIR resource."""

    clinic: str
    happened: str
    resource: FhirJson

    @property
    def type(self) -> str:
        """Its CloudEvents type."""
        return type_of(self.happened)


def announce(state: State, child: str, *, today: date, now: datetime) -> list[FeedItem]:
    """What the clinics must be told now, in order; `state.feeds` remembers that they were.

    A clinic whose consent begins gets the whole; one whose consent ended gets the end marker and nothing after it.
    """
    if not known(state):
        return []
    entitled = {
        clinic
        for clinic, consent in state.get("consents", {}).items()
        if consent["kind"] == "clinic" and consent.get("feed") and in_force(consent, today)
    }
    feeds: dict[str, State] = state.setdefault("feeds", {})
    found: list[FeedItem] = []
    for clinic in sorted(entitled | {name for name, feed in feeds.items() if feed["open"]}):
        feed = feeds.setdefault(clinic, {"open": False, "sent": {}})
        if clinic not in entitled:
            feed["open"] = False
            found.append(FeedItem(clinic, "ConsentEnded", consent_ended(child, clinic, at=wire_instant(now))))
            continue
        beginning = not feed["open"]
        feed["open"] = True
        for thing, version, item in _everything(state, child, clinic, feed["sent"], beginning=beginning):
            feed["sent"][thing] = version
            found.append(item)
    _forget_answers(state)
    return found


def _everything(
    state: State, child: str, clinic: str, sent: dict[str, int], *, beginning: bool
) -> Iterator[tuple[str, int, FeedItem]]:
    """(thing, version, record) of all that this clinic does not know yet; patient and doses anew when a consent begins."""
    version = state["facts_revision"]
    if beginning or sent.get("patient") != version:
        resource = patient(child, state["facts"], version=version, died_on=state.get("died_on"))
        yield "patient", version, FeedItem(clinic, "PatientShared", resource)
    yield from _doses(state, child, clinic, sent, beginning=beginning)
    yield from _questionnaires(state, child, clinic, sent)


def _doses(
    state: State, child: str, clinic: str, sent: dict[str, int], *, beginning: bool
) -> Iterator[tuple[str, int, FeedItem]]:
    retracted = state.get("retracted_doses", {})
    every = [*state.get("doses", {}).values(), *retracted.values()]
    for dose in sorted(every, key=lambda one: (one["given_on"], one["id"])):
        thing = f"dose:{dose['id']}"
        gone = dose["id"] in retracted or bool(dose.get("superseded_by"))
        told = sent.get(thing)
        if (gone and told is None) or (told == dose["revision"] and (gone or not beginning)):
            continue
        happened = "Retracted" if gone else "Recorded" if told is None or told == dose["revision"] else "Corrected"
        resource = immunization(child, dose, entered_in_error=gone)
        yield thing, dose["revision"], FeedItem(clinic, f"Immunization{happened}", resource)


def _questionnaires(state: State, child: str, clinic: str, sent: dict[str, int]) -> Iterator[tuple[str, int, FeedItem]]:
    filed: dict[str, State] = state.get("questionnaires", {})
    for response, one in sorted(filed.items(), key=lambda pair: (pair[1].get("submitted_at", ""), pair[0])):
        thing = f"answers:{response}"
        told = sent.get(thing)
        if one["clinic"] == clinic and told != one["revision"]:
            if one["status"] == "withdrawn" and told is not None:
                resource = questionnaire_response(child, response, one, None, withdrawn=True)
                yield thing, one["revision"], FeedItem(clinic, "QuestionnaireWithdrawn", resource)
            answers = state.get("answers", {}).get(response)
            if one["status"] == "submitted" and answers is not None:
                resource = questionnaire_response(child, response, one, answers)
                yield thing, one["revision"], FeedItem(clinic, "QuestionnaireSubmitted", resource)
        decision = one.get("decision")
        thing = f"decision:{response}"
        if decision is not None and decision["organisation"] == clinic and sent.get(thing) != decision["revision"]:
            yield (
                thing,
                decision["revision"],
                FeedItem(clinic, "TriageDecided", triage_decision(child, response, decision)),
            )


def _forget_answers(state: State) -> None:
    """Answers are questionnaire's: here they wait for the clinic that they name, and no longer."""
    for response in list(state.get("answers", {})):
        filed = state["questionnaires"][response]
        feed = state["feeds"].get(filed["clinic"], {})
        if feed.get("sent", {}).get(f"answers:{response}") == filed["revision"]:
            del state["answers"][response]
