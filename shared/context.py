"""What caused the work at hand: carried beside the call, written into every event that it commits."""

from contextvars import ContextVar
from typing import NamedTuple

from shared.ids import new_id


class Cause(NamedTuple):
    """The request that started it all, and the event that led here, if one did."""

    correlation: str
    causation: str = ""


_cause: ContextVar[Cause | None] = ContextVar("hagukumi_cause", default=None)


def cause() -> Cause:
    """The cause at hand; work that nobody asked for (a timer) is its own."""
    return _cause.get() or Cause(correlation=new_id())


def set_cause(value: Cause) -> None:
    """From here on, in this task, this is the cause."""
    _cause.set(value)
