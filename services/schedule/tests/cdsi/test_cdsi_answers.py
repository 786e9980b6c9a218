"""What cases ask beyond the specification: whose judgement of a dose is given."""

import pytest

from services.schedule.cdsi_answers import DoseAnswer, answer
from services.schedule.cdsi_cases import Case
from services.schedule.domain.rules import Antigen
from services.schedule.rule_files.cdsi_reading import offset
from services.schedule.tests.cdsi.invented import age, day, patient, rules_of, series, target

TOO_OLD = DoseAnswer("Extraneous", ("Age: Too Old",))
WRONG = DoseAnswer("Not Valid", ("Not a preferable or allowable vaccine",))


def judged(given: str, on: str, *, birth: str) -> DoseAnswer | None:
    """One dose where there is a series for children, and another that begins at 50 years and takes another vaccine."""
    children = series(target(ages=(age(maximum="5 years"),)), name="children")
    elders = series(
        target(vaccines="pink", ages=(age(absolute_minimum="19 years"),)),
        name="elders",
        group="2",
        min_age_to_start=offset("50 years"),
    )
    rules = rules_of(Antigen("redness", (children, elders)))
    case = Case("T-1", 2, patient(given, birth=day(birth)), rules.vaccine_groups["redness"], day(on), {})
    return answer(rules, case).doses[1][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("red 1964-12-31", DoseAnswer("Valid", ())),
        ("red 1965-01-01", TOO_OLD),
        ("red 2009-12-31", TOO_OLD),
        ("red 2010-01-01", WRONG),
        ("pink 2010-01-01", DoseAnswer("Valid", ())),
    ],
)
def test_a_series_for_which_a_dose_came_too_late_is_silent_where_another_had_begun(
    given: str, said: DoseAnswer
) -> None:
    for on in ("2010-01-01", "2025-11-10"):
        assert judged(given, on, birth="1960-01-01") == said
