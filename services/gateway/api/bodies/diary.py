"""The diary and its photos."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from services.gateway.api.bodies.common import Answer, Body, First


class DiaryEntryBody(Body):
    """A day of the diary (育児日記): words, a first (できたよ記念日), and who of the family may read it."""

    on: date
    text: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = None
    first: First | None = None
    shared_with: Literal["author", "guardians", "family"] = "family"


class PhotoShown(Answer):
    """A photo of an entry; width and height in pixels."""

    id: str
    width: int
    height: int
    bytes: int


class DiaryEntry(Answer):
    """An entry of the diary; `yours`: whether the reader wrote it."""

    id: str
    on: date
    text: str | None = None
    first: First | None = None
    shared_with: Literal["author", "guardians", "family"]
    yours: bool
    written_at: datetime
    changed_at: datetime
    photos: list[PhotoShown]


class Diary(Answer):
    """Entries, newest first."""

    items: list[DiaryEntry]
    next: str | None
