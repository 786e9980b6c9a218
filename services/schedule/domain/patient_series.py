"""Which series are relevant for a patient, and each of them evaluated and forecast (CDSi 4.6 §5, §4.4)."""

from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.forecast import Forecast, forecast
from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Antigen, Indication, Series, SeriesKind, TargetDose
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus, SeriesStatus


class PatientSeries:
    """A relevant series of one patient: the walked doses and the forecast made from them."""

    __slots__ = ("antigen", "forecast", "series", "walk")

    def __init__(self, antigen: Antigen, walk: Walk, made: Forecast) -> None:
        self.antigen = antigen
        self.series = walk.series
        self.walk = walk
        self.forecast = made

    @property
    def status(self) -> SeriesStatus:
        """The status of the series."""
        return self.forecast.status

    @property
    def valid_doses(self) -> int:
        """SELECTB-21: how many targets are satisfied."""
        return len(self.walk.satisfied)

    @property
    def in_process(self) -> bool:
        """SELECTB-16: begun and not complete."""
        return self.status is SeriesStatus.NOT_COMPLETE and bool(self.walk.satisfied)

    @property
    def all_valid(self) -> bool:
        """SELECTB-2: every dose that was judged in the series is valid."""
        return all(status is DoseStatus.VALID for status in self.walk.statuses.values())

    @property
    def first_valid_day(self) -> int | None:
        """The day of the first valid dose."""
        return self.walk.chart.doses[self.walk.satisfied[0][1]].day if self.walk.satisfied else None

    @property
    def remaining(self) -> tuple[TargetDose, ...]:
        """The targets neither satisfied nor skipped; the first is the one that is forecast."""
        return self.series.doses[self.forecast.position :]


def patient_series(antigen: Antigen, chart: Chart) -> list[PatientSeries]:
    """Every relevant series of the antigen, evaluated and forecast.

    A skip may ask whether a series group is complete, which only the forecasts of this antigen tell. For a dose they
    are those of its own day, from the doses before it: so they are made for each dose in turn, the last time for today.
    """
    complete: dict[int, frozenset[str]] = {}
    if any(series.asks_for_complete_groups and is_relevant(series, chart) for series in antigen.series):
        for place in chart.of_antigen.get(antigen.name, ()):
            _settled(antigen, chart.before(place), complete)
    return _settled(antigen, chart, complete)


def is_relevant(series: Series, chart: Chart) -> bool:
    """Table 5-5: of the patient's gender, and for a risk series with an indication that applies."""
    if series.genders and chart.gender not in series.genders:
        return False
    if series.kind is not SeriesKind.RISK:
        return True
    return bool(chart.active) and any(_applies(indication, chart) for indication in series.indications)


def _applies(indication: Indication, chart: Chart) -> bool:
    """Table 5-4."""
    if indication.observation not in chart.active:
        return False
    if indication.begin is not None and chart.assessment < indication.begin.date_ordinal(chart.birth):
        return False
    return indication.end is None or chart.assessment < indication.end.date_ordinal(chart.birth)


def _settled(antigen: Antigen, chart: Chart, complete: dict[int, frozenset[str]]) -> list[PatientSeries]:
    """The series as they stand on the chart's day, and noted in `complete` the groups that they complete.

    Series that ask for complete groups are forecast again until no group changes.
    """
    now = len(chart.doses)
    complete[now] = frozenset()
    made = [_make(antigen, series, chart, complete) for series in antigen.series if is_relevant(series, chart)]
    for _ in made:
        found = frozenset(each.series.group for each in made if each.status is SeriesStatus.COMPLETE)
        if found == complete[now]:
            break
        complete[now] = found
        made = [
            PatientSeries(antigen, each.walk, forecast(each.walk, antigen))
            if each.series.asks_for_complete_groups
            else each
            for each in made
        ]
    return made


def _make(antigen: Antigen, series: Series, chart: Chart, complete: dict[int, frozenset[str]]) -> PatientSeries:
    walk = Walk(series, chart, complete)
    evaluate_series(walk)
    return PatientSeries(antigen, walk, forecast(walk, antigen))
