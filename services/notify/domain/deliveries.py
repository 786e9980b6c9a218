"""What became of a push, in the words of the ledger."""

from collections.abc import Sequence

OUTCOMES = ("accepted", "unknown", "failed", "gone", "withdrawn", "none")
"""From the best evidence to none at all; each recipient of a notice counts once, under its best."""

_OF_STATE = {
    "accepted": "accepted",
    # Claimed and without an answer: on its way, or its sender died; nobody will ever know, and nobody sends it again.
    "claimed": "unknown",
    "unknown": "unknown",
    "refused": "failed",
    "not-sent": "failed",
    "provider-down": "failed",
    "gone": "gone",
    "withdrawn": "withdrawn",
}


def outcome(states: Sequence[str]) -> str:
    """The outcome for a recipient whose pushes (one per browser) ended in these states."""
    return min((_OF_STATE[state] for state in states), key=OUTCOMES.index, default="none")
