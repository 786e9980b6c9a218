"""The ladder of an emergency: by which channel to try next, and what is known of each recipient at the end."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from services.notify.domain.preferences import PUSH

RUNGS: tuple[tuple[str, ...], ...] = (PUSH, ("line",), ("sms",), ("mail",))
"""From the fastest to the slowest; after them a person calls."""
WAIT = timedelta(minutes=2)
"""How long a message that may have arrived is given to be read."""
OPEN = frozenset({"accepted", "unknown", "claimed"})
"""It may have arrived, which is no evidence: a provider takes what a phone in a drawer never shows."""
CALL_OUTCOMES = ("reached", "no-answer", "wrong-number")
STANDINGS = ("reached", "waiting", "to_call")


def next_rung(addresses: Collection[str], tried: Mapping[str, Collection[str]]) -> tuple[str, ...] | None:
    """The channels to try next: the first rung with an address that was not tried yet; None at the top.

    `addresses` are the channels where the recipient has one, `tried` the states by channel.
    """
    for rung in RUNGS:
        if any(channel in addresses for channel in rung) and not any(channel in tried for channel in rung):
            return rung
    return None


def is_open(tried: Mapping[str, Collection[str]]) -> bool:
    """Whether any message may still be read."""
    return any(state in OPEN for states in tried.values() for state in states)


def standing(*, read: bool, call: str | None, at_the_top: bool) -> str:
    """Reached with evidence (read, or spoken to), waiting on a rung, or to be called: one of the three, always."""
    if read or call == "reached":
        return "reached"
    return "to_call" if at_the_top else "waiting"
