"""The types of request bodies: strict, bounded, free of what does not belong into text."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Depends
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.records.commands.records import caller_of
from services.records.domain.access import Caller
from shared import web

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
# Control characters, bidirectional overrides and invisible joiners, lone surrogates, line and paragraph separators.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Body(BaseModel):
    """A request body: no unknown field, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _day(value: Any) -> Any:
    """A civil day exactly as YYYY-MM-DD; a number or an instant is none."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("date_parsing", "A civil day is written YYYY-MM-DD")


def _words(value: str) -> str:
    if any(unicodedata.category(letter) in _UNWANTED for letter in value):
        raise PydanticCustomError("text_characters", "Control and invisible characters are not accepted")
    return value


def _text(value: str) -> str:
    """Words over several lines; the joiner that holds an emoji of several people together is part of them."""
    _words(value.replace("\n", " ").replace("\u200d", ""))
    return value


def _instant(value: Any) -> Any:
    """An instant with its zone, as RFC 3339 writes it; kept in UTC."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError("datetime_parsing", "An instant is written as RFC 3339 has it, with its zone")


Instant = Annotated[datetime, BeforeValidator(_instant)]
Day = Annotated[date, BeforeValidator(_day)]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_words)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_words)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_words)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000), AfterValidator(_text)]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_words)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
Municipality = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class WithReason(Body):
    """Why something is withdrawn."""

    reason: Reason = Field(description="Why; kept in the history")


class Asked(web.Asked):
    """One call, and who asks in the record's own words."""

    @property
    def caller(self) -> Caller:
        """For whom the gateway acts."""
        return caller_of(self.principal)


Asking = Annotated[Asked, Depends(Asked.of)]
