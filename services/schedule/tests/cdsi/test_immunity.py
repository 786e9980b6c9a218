"""Evidence of immunity (CDSi 4.6 §7.2)."""

import pytest

from services.schedule.domain.immunity import is_immune
from services.schedule.domain.patient import Chart, Observed
from services.schedule.domain.rules import Antigen, BornBefore
from services.schedule.tests.cdsi.invented import day, patient, rules_of

ANTIGEN = Antigen(
    "redness",
    (),
    immune_by=frozenset({"020"}),
    born_before=(BornBefore(day("1957-01-01"), "Utopia", frozenset({"055"})),),
)


@pytest.mark.parametrize(
    ("born", "country", "observed", "immune"),
    [
        ("2000-01-01", None, "020", True),
        ("2000-01-01", None, "021", False),
        ("1956-12-31", None, "021", True),
        ("1957-01-01", None, "021", False),
        ("1956-12-31", "Utopia", "021", True),
        ("1956-12-31", "Erewhon", "021", False),
        ("1956-12-31", "Utopia", "055", False),
    ],
)
def test_a_finding_or_an_early_birth_makes_immune(born: str, country: str | None, observed: str, immune: bool) -> None:
    person = patient(birth=day(born), country=country, observations=(Observed(observed),))
    assert is_immune(ANTIGEN, Chart(rules_of(ANTIGEN), person, day("2025-01-01"))) is immune
