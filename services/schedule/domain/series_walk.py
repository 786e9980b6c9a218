"""What is known while a patient's doses are walked along one series (CDSi 4.6 §4.4, Figure 4-6)."""

from collections.abc import Mapping
from typing import Final

from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Series, TargetDose
from services.schedule.domain.statuses import DoseStatus, Reason

NONE_COMPLETE: Final[Mapping[int, frozenset[str]]] = {}


class Walk:
    """A series and how far the doses came in it.

    `statuses` and `reasons` go by a dose's place in the chart; a dose that is not of this antigen has no status here.
    `judged` says against which target each was judged; an extraneous dose found none.
    `position` is the target that the next dose meets. `satisfied` lists (target, place of the dose), in order.
    `complete_groups` says by a dose's place which series groups of the antigen were complete before it, and by the
    number of doses which are complete now; it is filled only for series that ask.
    """

    __slots__ = (
        "chart",
        "complete_groups",
        "inadvertent",
        "judged",
        "last_day",
        "last_inadvertent_day",
        "places",
        "position",
        "previous_day",
        "reasons",
        "satisfied",
        "series",
        "statuses",
    )

    def __init__(
        self, series: Series, chart: Chart, complete_groups: Mapping[int, frozenset[str]] = NONE_COMPLETE
    ) -> None:
        self.series = series
        self.chart = chart
        self.complete_groups = complete_groups
        self.places: list[int] = chart.of_antigen.get(series.antigen, [])
        self.position = 0
        self.statuses: dict[int, DoseStatus] = {}
        self.judged: dict[int, TargetDose] = {}
        self.reasons: dict[int, tuple[Reason, ...]] = {}
        self.satisfied: list[tuple[TargetDose, int]] = []
        self.inadvertent: set[int] = set()
        self.previous_day: int | None = None
        self.last_day: int | None = None
        self.last_inadvertent_day: int | None = None

    def satisfied_day(self, number: int) -> int | None:
        """The day of the dose that satisfied the target of this number; of a recurring one, the last."""
        for target, place in reversed(self.satisfied):
            if target.number == number:
                return self.chart.doses[place].day
        return None
