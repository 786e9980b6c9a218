"""Growth against published facts: the WHO's percentile tables, the Japanese survey of 2023, and what a slip looks like."""

import json
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from services.records.commands.growth import charts, sets
from services.records.domain import growth, growth_report, growth_sets, growth_svg
from services.records.domain.access import Caller
from services.records.domain.growth_sets import MEASURES, GrowthSet
from services.records.tests.families import BORN, CLINIC, MOTHER, NURSE, STRANGER, TODAY, Child, family
from shared.events.records import GrowthCorrected, GrowthMeasured
from shared.problems import Conflict, Forbidden, Invalid, NotFound
from shared.testing.plugin import cases

SVG = "{http://www.w3.org/2000/svg}"


def the_set(name: str) -> GrowthSet:
    return next(one for one in sets() if one.id == name)


def measured(child: Child, on: date, **values: float) -> list[str]:
    """Measure; the codes of what is unlikely in it."""
    wish = growth.GrowthWish(measured_on=on, **values)
    event = growth.measure(child.record, wish, NURSE, measurement_id=f"m{len(child.record.growth)}", today=TODAY)
    found = [one.code for one in growth_report.warnings(child.record, event)]
    child.happens([event])
    return found


@pytest.mark.parametrize(
    ("sex", "measure", "age_days", "published"),
    [
        # WHO Child Growth Standards, tables "percentiles" by month: P3, P15, P50, P85, P97.
        ("M", "weight_kg", 0, (2.5, 2.9, 3.3, 3.9, 4.3)),
        ("F", "weight_kg", 365, (7.1, 7.9, 8.9, 10.2, 11.3)),
        ("M", "length_cm", 365, (71.3, 73.3, 75.7, 78.2, 80.2)),
        ("F", "length_cm", 0, (45.6, 47.2, 49.1, 51.1, 52.7)),
    ],
)
def test_the_whos_lines_are_those_it_published(
    sex: str, measure: Any, age_days: int, published: tuple[float, ...]
) -> None:
    lines = the_set("who_2006").of(sex, measure)
    assert lines is not None
    there = lines.at(age_days)
    assert there is not None
    assert there == pytest.approx(published, abs=0.06)
    median = the_set("who_2006").standing(sex, measure, age_days, there[2])
    assert median is not None
    assert median.z == pytest.approx(0, abs=0.02)


def test_the_survey_is_held_as_it_was_published() -> None:
    facts = json.loads(cases("japan/growth-2023-p3-p50-p97.json").read_text(encoding="utf-8"))
    for sex, name in (("M", "male"), ("F", "female")):
        for measure, column in (("weight_kg", "weight_kg"), ("length_cm", "height_cm")):
            lines = the_set("japan_2023").of(sex, measure)  # type: ignore[arg-type]
            assert lines is not None
            ours = dict(zip(lines.ages, lines.values, strict=True))
            for band in facts[name]:
                start, values = band["age_months_band_start"], band[column]
                middle = 0 if start == 0 else start + (0.5 if start < 12 else 3)
                assert ours[middle * growth_sets.DAYS_PER_MONTH] == (values["p3"], values["p50"], values["p97"])


def test_a_value_stands_between_the_surveys_lines() -> None:
    survey, middle = the_set("japan_2023"), round(1.5 * growth_sets.DAYS_PER_MONTH)
    bands = {value: survey.standing("M", "weight_kg", middle, value) for value in (3.7, 4.0, 5.0, 5.9)}
    assert [one.band for one in bands.values() if one] == ["below_p3", "p3_to_p50", "p50_to_p97", "above_p97"]
    # Three percentiles give no z-score that could be stood up for.
    assert all(one is not None and one.z is None and one.percentile is None for one in bands.values())
    assert survey.standing("M", "head_cm", middle, 38.0) is None
    assert survey.standing("U", "weight_kg", middle, 4.0) is None


def test_both_the_curves_of_that_day_and_todays_are_named() -> None:
    child = Child(birth_date=date(2024, 5, 1))
    measured(child, date(2024, 8, 1), weight_kg=6.1)
    (row,) = growth_report.report("c", child.record, sets(), TODAY)["measurements"]
    said = {one["set"]: one for one in row["values"]["weight_kg"]["standings"]}
    assert {name: (one["in_use_then"], one["in_use_now"], one["values_held"]) for name, one in said.items()} == {
        "who_2006": (True, True, True),
        "japan_2010": (True, False, False),
        "japan_2023": (False, True, True),
    }


def test_a_preterm_child_is_compared_at_its_corrected_age_until_two() -> None:
    # 32 weeks and 0 days: eight weeks early.
    child = Child(birth_date=date(2024, 2, 29), gestation_days=224)
    assert growth_report.corrected_by(child.record.facts, date(2026, 2, 28)) == 56
    assert growth_report.corrected_by(child.record.facts, date(2026, 3, 1)) == 0
    measured(child, date(2024, 8, 29), weight_kg=6.4)
    (row,) = growth_report.report("c", child.record, sets(), TODAY)["measurements"]
    assert (row["age_days"], row["corrected_age_days"]) == (182, 126)
    who = row["values"]["weight_kg"]["standings"][0]
    assert who["z"] == growth_sets.who_z("F", "weight_kg", 126, 6.4) != growth_sets.who_z("F", "weight_kg", 182, 6.4)


@pytest.mark.parametrize("gestation", [259, 275, None])
def test_a_child_of_term_is_not_corrected(gestation: int | None) -> None:
    assert growth_report.corrected_by(Child(gestation_days=gestation).record.facts, BORN) == 0


def test_what_may_be_a_slip_is_kept_and_said() -> None:
    child = Child()
    assert measured(child, date(2026, 8, 1), weight_kg=6.0, length_cm=61.0, head_cm=40.0) == []
    assert measured(child, date(2026, 8, 8), weight_kg=7.4) == ["sudden-change"]
    assert measured(child, date(2026, 9, 1), length_cm=59.5) == ["smaller-than-before"]
    assert measured(child, date(2026, 7, 1), length_cm=62.5) == ["smaller-than-before"]
    assert measured(child, date(2026, 10, 1), weight_kg=16.0) == ["unusual-for-age"]
    report = growth_report.report("c", child.record, sets(), TODAY)
    assert len(report["measurements"]) == 5


def test_a_slip_is_put_right_or_withdrawn_by_whose_word_it_is() -> None:
    child = family()
    slip = growth.GrowthWish(measured_on=date(2026, 8, 1), weight_kg=61.0)
    child.happens([growth.measure(child.record, slip, MOTHER, measurement_id="m", today=TODAY)])
    right = growth.GrowthWish(measured_on=date(2026, 8, 1), weight_kg=6.1)

    def corrects(by: Caller, wish: growth.GrowthWish = right) -> GrowthCorrected:
        return growth.correct_measurement(child.record, "m", wish, "decimal point", by, today=TODAY)

    with pytest.raises(Forbidden):
        corrects(CLINIC)
    with pytest.raises(NotFound):
        corrects(STRANGER)
    with pytest.raises(Invalid):
        corrects(MOTHER, growth.GrowthWish(measured_on=BORN - timedelta(days=1), weight_kg=6.1))
    told = corrects(NURSE)
    child.happens([told])
    kept = child.record.growth["m"]
    assert (kept.weight_kg, kept.provenance, told.by, told.reason) == (6.1, "guardian", NURSE.actor, "decimal point")
    assert type(kept) is GrowthMeasured
    assert [one.code for one in growth_report.warnings(child.record, kept)] == []

    child.happens(growth.retract_measurement(child.record, "m", "another child's", MOTHER, today=TODAY))
    assert growth_report.report("c", child.record, sets(), TODAY)["measurements"] == []
    assert child.record.retracted_growth["m"] == kept
    with pytest.raises(Conflict):
        growth.retract_measurement(child.record, "m", "again", MOTHER, today=TODAY)


def test_velocity_is_a_gain_a_month_over_two_weeks_at_least() -> None:
    child = Child()
    measured(child, date(2026, 6, 1), weight_kg=4.0)
    measured(child, date(2026, 6, 8), weight_kg=4.2)
    measured(child, date(2026, 7, 1), weight_kg=5.0)
    (pace,) = growth_report.report("c", child.record, sets(), TODAY)["velocity"]
    assert (pace["from"], pace["to"], pace["days"]) == ("2026-06-01", "2026-07-01", 30)
    assert pace["per_month"] == pytest.approx(1.0146, abs=0.001)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_chart_has_the_lines_and_every_point(measure: Any) -> None:
    child, twin = Child(given="<ひかり>"), Child(given="つばさ", gestation_days=240)
    values = {"weight_kg": 6.0, "length_cm": 61.0, "head_cm": 40.0}
    for each in (child, twin):
        measured(each, date(2026, 8, 1), **values)
        measured(each, date(2026, 9, 1), **{name: value * 1.04 for name, value in values.items()})
    who = the_set("who_2006")
    series = [growth_svg.series_of(each.record, measure) for each in (child, twin)]
    drawn = ET.fromstring(growth_svg.chart(who, who.of("F", measure), measure, series))  # noqa: S314 - what was just drawn
    words = [one.text for one in drawn.iter(f"{SVG}text")]
    assert {"<ひかり>", "つばさ", "3", "50", "97"} <= set(words)
    points = [one for one in drawn.iter(f"{SVG}circle") if one.find(f"{SVG}title") is not None]
    assert len(points) == 4
    for one in (*points, *drawn.iter(f"{SVG}text")):
        across, down = float(one.get("cx") or one.get("x") or 0), float(one.get("cy") or one.get("y") or 0)
        assert 0 <= across <= growth_svg.WIDTH
        assert 0 <= down <= growth_svg.HEIGHT
    assert not drawn.findall(".//*[@style]")
    (said,) = [one.text for one in drawn.iter(f"{SVG}desc")]
    assert said is not None
    assert "生後92日" in said


def test_a_chart_without_a_recorded_sex_has_the_points_alone() -> None:
    child = Child(sex="U")
    measured(child, date(2026, 8, 1), weight_kg=6.0)
    (chart,) = charts(child.record, TODAY)
    drawn = ET.fromstring(chart)  # noqa: S314 - what was just drawn
    assert not list(drawn.iter(f"{SVG}polygon"))
    assert len([one for one in drawn.iter(f"{SVG}circle") if one.find(f"{SVG}title") is not None]) == 1
