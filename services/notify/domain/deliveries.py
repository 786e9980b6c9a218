"""What became of a message on its way to one address, in the words of the ledger."""

from collections.abc import Sequence

OUTCOMES = ("accepted", "unknown", "failed", "gone", "withdrawn", "none")
"""From the best evidence to none at all; each recipient of a notice counts once, under its best."""

REPEATABLE = frozenset({"refused", "not-sent", "provider-down", "off"})
"""Definitely not sent: staff may have it sent once more. What is unknown may have arrived, and is never sent again."""

_OF_STATE = {
    "accepted": "accepted",
    # Claimed and without an answer: on its way, or its sender died; nobody will ever know, and nobody sends it again.
    "claimed": "unknown",
    "unknown": "unknown",
    "gone": "gone",
    "withdrawn": "withdrawn",
    **dict.fromkeys(REPEATABLE, "failed"),
}


def outcome(states: Sequence[str]) -> str:
    """The outcome for a recipient whose messages (one per address) ended in these states."""
    return min((_OF_STATE[state] for state in states), key=OUTCOMES.index, default="none")
