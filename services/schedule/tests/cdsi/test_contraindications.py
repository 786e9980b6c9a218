"""Contraindications (CDSi 4.6 §7.3)."""

from services.schedule.domain.contraindications import is_contraindicated
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Chart, Observed
from services.schedule.domain.rules import Antigen, Contraindication
from services.schedule.tests.cdsi.invented import day, patient, rules_of, target


def contraindicated(antigen: Antigen, vaccines: str, *observed: str, on: str = "2021-01-01") -> bool:
    person = patient(observations=tuple(Observed(code) for code in observed))
    return is_contraindicated(antigen, target(vaccines=vaccines), Chart(rules_of(antigen), person, day(on)))


def test_an_observation_forbids_the_antigen_between_its_ages() -> None:
    antigen = Antigen("redness", (), contraindications=(Contraindication("080", Offset(6, 0), Offset(12, 0)),))
    assert not contraindicated(antigen, "red", "080", on="2020-07-09")
    assert contraindicated(antigen, "red", "080", on="2020-07-10")
    assert contraindicated(antigen, "red", "080", on="2021-01-09")
    assert not contraindicated(antigen, "red", "080", on="2021-01-10")
    assert not contraindicated(antigen, "red", "081", on="2020-08-01")
    assert not contraindicated(antigen, "red", on="2020-08-01")


def test_a_dose_is_forbidden_when_no_preferred_vaccine_remains() -> None:
    forbidden = (Contraindication("091", vaccine="red"), Contraindication("092", vaccine="pink"))
    antigen = Antigen("redness", (), vaccine_contraindications=forbidden)
    assert contraindicated(antigen, "red", "091")
    assert not contraindicated(antigen, "red pink", "091")
    assert contraindicated(antigen, "red pink", "091", "092")
    assert not contraindicated(antigen, "", "091")
