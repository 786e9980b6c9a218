"""Questionnaires: answers, withdrawal, the doctor's decision."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from services.gateway.api.bodies.child import Coding
from services.gateway.api.bodies.common import Body, Token


class AnswerBody(Body):
    """One answer of a form."""

    link_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    value: Any = None


class ResponseBody(Body):
    """A response to begin. `vaccine`: Hagukumi's code, a CVX code, or a coding."""

    child: Token
    form: Token
    version: Annotated[str, StringConstraints(max_length=20)] | None = None
    vaccine: Annotated[str, StringConstraints(min_length=1, max_length=40)] | Coding | None = None
    clinic: Token | None = None
    answers: list[AnswerBody] | None = None


class AnswersBody(Body):
    """All answers of a draft."""

    answers: list[AnswerBody]


class NothingBody(Body):
    """No fields."""


class WithdrawalBody(Body):
    """Why the guardian takes it back: a code."""

    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "withdrawn-by-guardian"


class DecisionBody(Body):
    """The doctor's decision (接種の可否)."""

    decision: Literal["go_ahead", "postpone", "never"]
    explained: bool
    note_code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] | None = None
    temperature_c: float | None = Field(default=None, ge=33.0, le=43.0)
