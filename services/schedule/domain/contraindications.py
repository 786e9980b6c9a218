"""Is the antigen, or every vaccine that a target prefers, contraindicated? (CDSi 4.6 §7.3, Tables 7-5 to 7-7)"""

from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Antigen, Contraindication, TargetDose


def is_contraindicated(antigen: Antigen, target: TargetDose, chart: Chart) -> bool:
    """Contraindicated as a whole, or because no preferable vaccine of the target remains."""
    if not chart.active:
        return False
    if any(_applies(contraindication, chart) for contraindication in antigen.contraindications):
        return True
    if not target.preferable or not antigen.vaccine_contraindications:
        return False
    forbidden = {
        contraindication.vaccine
        for contraindication in antigen.vaccine_contraindications
        if _applies(contraindication, chart)
    }
    return all(preferred.vaccine in forbidden for preferred in target.preferable)


def _applies(contraindication: Contraindication, chart: Chart) -> bool:
    if contraindication.observation not in chart.active:
        return False
    begin, end = contraindication.begin, contraindication.end
    if begin is not None and chart.assessment < begin.date_ordinal(chart.birth):
        return False
    return end is None or chart.assessment < end.date_ordinal(chart.birth)
