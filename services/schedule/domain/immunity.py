"""Does the patient have evidence of immunity? (CDSi 4.6 §7.2, Table 7-3)"""

from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Antigen


def is_immune(antigen: Antigen, chart: Chart) -> bool:
    """Immune by a finding on file, or by birth before a day in a country, unless an exclusion is on file.

    A country of birth that nobody noted is taken to be the rule's own.
    """
    if not antigen.immune_by.isdisjoint(chart.active):
        return True
    for born in antigen.born_before:
        same_country = born.country is None or chart.country is None or chart.country == born.country
        if chart.birth < born.day and same_country and born.exclusions.isdisjoint(chart.active):
            return True
    return False
