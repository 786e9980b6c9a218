"""What caused the work at hand: carried beside the call, written into every event that it commits."""

from contextvars import ContextVar
from typing import NamedTuple

from shared.events.base import Envelope
from shared.ids import new_id


class Cause(NamedTuple):
    """The request that started it all, and the event that led here, if one did."""

    correlation: str
    causation: str = ""


_cause: ContextVar[Cause | Envelope | None] = ContextVar("hagukumi_cause", default=None)


def cause() -> Cause:
    """The cause at hand; work that nobody asked for (a timer) is its own."""
    found = _cause.get()
    if isinstance(found, Envelope):
        return Cause(found.correlation, found.id)
    return found or Cause(correlation=new_id())


def set_cause(value: Cause | Envelope) -> None:
    """From here on, in this task, this is the cause: a request, or the event that is being read."""
    _cause.set(value)
