"""A child's record as it stood at an instant, folded from its owner's archive by the code that builds today's view.

Only what was recorded comes from the past. Who may read it, and what is hidden from whom, is today's.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.gateway.domain import child_view
from shared.clock import TOKYO, read_instant
from shared.events.base import Event
from shared.problems import FieldProblem, Malformed, NotFound

State = dict[str, Any]
Told = tuple[int, str, Event | None]
"""(revision, instant, the fact or None for one that this build does not know), in order."""
PRESENT = ("guardians", "cut_off", "proofs", "grants", "held", "questionnaires")
"""What binds people to the child, or decides what they are shown: taken from today's record."""


def instant_of(text: str, now: datetime) -> datetime:
    """The instant that a reader names, in Tokyo's time. Raises Malformed without a zone, or when it has not come yet."""
    try:
        # In a query, a plus that was not encoded arrives as a space.
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise _refused(
            "instant-with-zone", "日時はタイムゾーン付きで指定してください。", "Name an instant with its zone."
        )
    if at > now:
        raise _refused("in-the-future", "まだ来ていない日時です。", "This instant has not come yet.")
    return at.astimezone(TOKYO)


def _refused(code: str, ja: str, en: str) -> Malformed:
    return Malformed(errors=(FieldProblem("/query/at", code, ja, en),))


def as_it_was(history: Iterable[Told], at: datetime) -> State:
    """What had been recorded by then; raises NotFound before the record was opened.

    Up to the last event told by then: the order is the revisions', a clock that went wrong tears no hole into it.
    """
    told = list(history)
    last = max((revision for revision, time, _ in told if read_instant(time) <= at), default=0)
    state: State = {}
    for revision, _, event in told:
        if event is not None and revision <= last and type(event) in child_view.RECORD:
            child_view.apply_record(state, event, revision)
    if not child_view.known(state):
        raise NotFound
    return state


def seen_today(was: State, present: State) -> State:
    """What was recorded then, with those who may read it now."""
    return {
        **{name: value for name, value in was.items() if name not in PRESENT},
        **{name: present[name] for name in PRESENT if name in present},
    }
