"""What every event is: a pydantic class with its topic, its CloudEvents type and a docstring that is its documentation."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

TYPE_PREFIX = "jp.hagukumi"


class Data(BaseModel):
    """A part of an event's data: strict where it is written, tolerant of added optional fields where it is read."""

    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="null", allow_inf_nan=False)


class Event(Data):
    """A fact in the past tense. Subclasses name their `stream`; major version 1 unless they say otherwise."""

    stream: ClassVar[str] = ""
    major: ClassVar[int] = 1
    readers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def topic(cls) -> str:
        """`<owner>.<family>.v<major>`."""
        return f"{cls.stream}.v{cls.major}"

    @classmethod
    def event_type(cls) -> str:
        """`jp.hagukumi.<owner>.<PastTense>.v<major>`."""
        return f"{TYPE_PREFIX}.{cls.stream.split('.', 1)[0]}.{cls.__name__}.v{cls.major}"

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # A family (ChildEvent) is the topic of its facts and never sent itself.
        if cls.stream and not cls.__name__.endswith("Event"):
            REGISTRY[cls.event_type()] = cls


REGISTRY: dict[str, type[Event]] = {}
"""Every event class by its CloudEvents type."""


@dataclass(slots=True, unsafe_hash=True)
class Envelope:
    """What CloudEvents says about one event, and its bytes.

    `from_archive`: the owner's archive holds it. What merely stands on a topic may be forged, and parks nobody (R6).
    Nobody changes one: `frozen` would double what making it costs, and one is made for every event that is read.
    """

    id: str
    type: str
    stream: str
    subject: str
    revision: int
    time: str
    tenant: str
    correlation: str
    causation: str
    traceparent: str
    source: str
    data: bytes
    from_archive: bool = False
