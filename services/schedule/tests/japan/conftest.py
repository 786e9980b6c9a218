"""Japan's rule set, loaded once, and short words for histories."""

from collections.abc import Callable
from datetime import date

import pytest

from services.schedule.domain.history import DoseGiven, History, Observation
from services.schedule.rule_files import RuleSet, load_rule_set

_RULES = load_rule_set()


@pytest.fixture(scope="session")
def rules() -> RuleSet:
    """The packaged rule set."""
    return _RULES


@pytest.fixture(scope="session")
def child() -> Callable[..., History]:
    """Makes a history: child("2026-05-10", "mr@2027-05-10", …)."""

    def make(birth: str, *doses: str, sex: str = "F", observations: tuple[str, ...] = ()) -> History:
        given = tuple(
            DoseGiven(str(at), date.fromisoformat(text.partition("@")[2]), text.partition("@")[0])
            for at, text in enumerate(doses, 1)
        )
        seen = tuple(
            Observation(text.partition("@")[0], date.fromisoformat(day) if (day := text.partition("@")[2]) else None)
            for text in observations
        )
        return History(date.fromisoformat(birth), sex, given, seen)  # type: ignore[arg-type]

    return make
