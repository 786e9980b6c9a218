"""What all bodies and answers of the public API share: strictness, shapes of values, problems."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Municipality = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
First = Literal[
    "smile",
    "laugh",
    "head_up",
    "roll_over",
    "sit",
    "crawl",
    "stand_holding",
    "cruise",
    "walk",
    "tooth",
    "solid_food",
    "word",
    "name",
    "wave",
    "sleep_through",
    "haircut",
    "shoes",
    "nursery",
    "toilet",
    "weaned",
    "other",
]
Why500 = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name100 = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer: fields may be added in later releases."""

    model_config = ConfigDict(extra="allow")


class FieldProblem(Answer):
    """One broken rule at one place."""

    pointer: str = Field(description="JSON Pointer into the body, or /query/<name>")
    code: str
    detail: str


class ProblemAnswer(Answer):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem] | None = None
    trace_id: str | None = None


class Created(Answer):
    """What was made; later reads may wait for it with the header Hagukumi-Revision."""

    id: str


class Items(Answer):
    """A list."""

    items: list[dict[str, Any]]


class TokenAnswer(Answer):
    """An access token."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class Anything(Answer):
    """An object whose fields its owner describes."""
