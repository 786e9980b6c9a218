"""Facts about answered forms. Owner: questionnaire."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shared.events.base import Data, Event


class Answer(Data):
    """One answer: the item's linkId, its text as it was asked, and the value (FHIR QuestionnaireResponse item)."""

    link_id: str
    text: str = Field(description="In Japanese, as printed on the form")
    value: Any = None
    type: str | None = Field(default=None, description="boolean, choice, string, integer, decimal or date")
    display: str | None = Field(default=None, description="The value in Japanese words, with its unit")
    unit: str | None = Field(default=None, description="UCUM")
    asked_as: str | None = Field(default=None, description="The words that were shown, when not the Japanese ones")


class ResponseEvent(Event):
    """A fact about one response, keyed by the response."""

    stream = "questionnaire.response"
    readers = ("records", "schedule", "notify", "gateway")


class QuestionnaireSubmitted(ResponseEvent):
    """A guardian submitted a complete questionnaire for a child; carries the answers as they were asked."""

    child: str
    form: str
    form_version: str
    vaccine: str | None = None
    clinic: str | None = None
    answers: tuple[Answer, ...]
    flags: tuple[str, ...] = Field(default=(), description="Codes of the form: what the doctor must see at once")
    language: str | None = Field(default=None, description="The language in which it was asked")
    submitted_by: str
    submitted_at: datetime


class ConsentDecided(ResponseEvent):
    """The guardian agreed to the vaccination or refused it (同意・不同意)."""

    child: str
    vaccine: str
    consent: bool
    clinic: str | None = None
    decided_at: datetime


class TriageDecided(ResponseEvent):
    """The doctor decided on a submitted 予診票: go ahead, or not today."""

    child: str
    vaccine: str | None = None
    organisation: str
    decision: Literal["go_ahead", "postpone", "never"]
    explained: bool
    note_code: str | None = None
    temperature_c: float | None = Field(default=None, description="Measured again before the decision")
    decided_by: str
    decided_at: datetime


class ResponseWithdrawn(ResponseEvent):
    """The guardian withdrew a response; what followed from it no longer holds."""

    child: str
    reason: str
    clinic: str | None = None
