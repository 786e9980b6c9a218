"""Loading supporting data, and what is said of data that cannot be understood."""

from pathlib import Path

import pytest

from services.schedule.domain.offsets import Offset
from services.schedule.domain.rule_set import RuleError
from services.schedule.domain.rules import (
    Age,
    Association,
    BornBefore,
    Condition,
    ConditionKind,
    Conflict,
    Contraindication,
    CountLogic,
    Indication,
    Interval,
    Season,
    SeriesKind,
    VaccineGroup,
    VaccineRule,
)
from services.schedule.rule_files.cdsi_xml import load_supporting_data
from services.schedule.tests.cdsi.invented import day
from services.schedule.tests.cdsi.supporting_data import ANTIGEN, SCHEDULE, write


def test_a_schedule_becomes_typed_rules(tmp_path: Path) -> None:
    rules = load_supporting_data(write(tmp_path))
    assert rules.associations == {"07": (Association("Redness", None, Offset(600, 0)),)}
    assert rules.vaccine_groups == {"Colour": VaccineGroup("Colour", ("Redness", "Nobody knows"), full=False)}
    assert rules.conflicts == {
        "07": {"901": Conflict("conflict of 07 after 901", Offset(0, 1), Offset(0, 24), Offset(0, 28))}
    }
    assert rules.coded == {"106028002": ("055",)}


def test_an_antigen_becomes_typed_rules(tmp_path: Path) -> None:
    antigen = load_supporting_data(write(tmp_path)).antigens["Redness"]
    assert antigen.immune_by == {"020"}
    assert antigen.born_before == (BornBefore(day("1957-01-31"), "Utopia", frozenset({"055"})),)
    assert antigen.contraindications == (Contraindication("080", None, Offset(8, 0)),)
    assert antigen.vaccine_contraindications == (Contraindication("091", Offset(24, 0), None, "07"),)
    (series,) = antigen.series
    assert (series.kind, series.group, series.priority, series.preference) == (SeriesKind.RISK, "1", "B", 3)
    assert series.equivalent_groups == {"2", "3"}
    assert series.genders == {"female", "unknown"}
    assert series.is_default
    assert not series.product_path
    assert series.min_age_to_start is None
    assert series.max_age_to_start == Offset(12, -4)
    assert series.indications == (Indication("055", Offset(24, 0), None),)
    assert series.asks_for_complete_groups


def test_a_dose_becomes_typed_rules(tmp_path: Path) -> None:
    first, second = load_supporting_data(write(tmp_path)).antigens["Redness"].series[0].doses
    assert first.ages == (
        Age("Red 2-dose series, dose 1, age", Offset(0, 38), Offset(0, 42), Offset(2, 0), Offset(3, 28), None),
    )
    assert [*first.intervals, *first.allowable, *first.skips_evaluating, *first.skips_forecasting] == []
    assert first.inadvertent == frozenset()
    assert first.season is None
    assert not first.recurring
    assert first.preferable == (VaccineRule("07", begin=Offset(0, 42), maker="MSD", volume=0.5, recommend=True),)
    ref = "Red 2-dose series, dose 2, interval"
    assert second.intervals == (
        Interval(
            ref,
            from_previous=True,
            absolute_minimum=Offset(0, 24),
            minimum=Offset(0, 28),
            earliest_recommended=Offset(0, 56),
            overrides=True,
            effective=day("2020-01-01"),
        ),
        Interval(ref, from_most_recent=frozenset({"901", "07"}), minimum=Offset(0, 7)),
        Interval(ref, from_observation="120", minimum=Offset(12, 0)),
    )
    assert [each.from_target for each in second.allowable_intervals] == [1]
    assert second.allowable == (VaccineRule("901", begin=Offset(2, -4)),)
    assert second.inadvertent == {"902"}
    assert second.recurring
    assert second.season == Season(day("2025-07-01"), day("2026-06-30"))


def test_skips_stand_by_their_context(tmp_path: Path) -> None:
    _, second = load_supporting_data(write(tmp_path)).antigens["Redness"].series[0].doses
    assert len(second.skips_evaluating) == 1
    assert len(second.skips_forecasting) == 2
    (joined,) = second.skips_forecasting[0].sets
    assert joined.needs_all
    assert joined.conditions == (
        Condition(ConditionKind.AGE, begin_age=Offset(84, 0)),
        Condition(
            ConditionKind.VACCINE_COUNT,
            vaccines=frozenset({"07", "901"}),
            only_valid=True,
            count=1,
            logic=CountLogic.GREATER_THAN,
        ),
    )
    (completed,) = second.skips_evaluating[0].sets
    assert completed.conditions == (Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({"2"})),)


def test_a_group_that_only_a_series_names_is_there(tmp_path: Path) -> None:
    folder = write(tmp_path, schedule=SCHEDULE.replace("<antigen>Redness </antigen>", ""))
    assert load_supporting_data(folder).vaccine_groups == {
        "Colour": VaccineGroup("Colour", ("Nobody knows", "Redness"))
    }


def test_elements_that_may_be_absent_may_be_absent(tmp_path: Path) -> None:
    bare = """<antigenSupportingData><series><seriesName>Bare</seriesName><targetDisease>Redness</targetDisease>
        <vaccineGroup>Colour</vaccineGroup><seriesType>standard</seriesType><seriesDose><note>new</note></seriesDose>
        </series></antigenSupportingData>"""
    (series,) = load_supporting_data(write(tmp_path, antigen=bare)).antigens["Redness"].series
    assert series.kind is SeriesKind.STANDARD
    assert [dose.number for dose in series.doses] == [1]


def test_an_element_in_which_nothing_is_said_is_no_rule(tmp_path: Path) -> None:
    silent = {
        "<age/>": "<age><minAge>n/a</minAge></age><age><minAge>1 year</minAge></age>",
        "<interval/>": "<interval><fromPrevious>n/a</fromPrevious><fromRelevantObs><code/></fromRelevantObs></interval>",
        "<inadvertentVaccine/>": "<inadvertentVaccine><cvx>n/a</cvx></inadvertentVaccine>",
        "<conditionalSkip/>": "<conditionalSkip><set><condition><conditionType>n/a</conditionType></condition></set></conditionalSkip>",
        "<contraindications>": "<contraindications><vaccineGroup><contraindication><beginAge>1 year</beginAge></contraindication></vaccineGroup>",
    }
    full, spoken = ANTIGEN, ANTIGEN.replace("<age/>", "<age><minAge>1 year</minAge></age>")
    for empty, nothing in silent.items():
        assert empty in ANTIGEN
        full = full.replace(empty, nothing)
    assert load_supporting_data(write(tmp_path, antigen=full)) == load_supporting_data(write(tmp_path, antigen=spoken))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-8"?>\n'])
def test_a_file_is_read_in_whatever_letters_it_came(tmp_path: Path, encoding: str, declaration: str) -> None:
    folder = write(tmp_path / "other")
    text = declaration + ANTIGEN.replace("<guidelineTitle>Proof", "<guidelineTitle>Proof \N{EN DASH} seen")
    path = folder / "AntigenSupportingData- Redness.xml"
    path.write_bytes(text.encode(encoding))
    assert load_supporting_data(folder) == load_supporting_data(write(tmp_path / "own"))
    path.write_bytes(("<!DOCTYPE x []>" + ANTIGEN).encode(encoding))
    with pytest.raises(RuleError, match="DOCTYPE"):
        load_supporting_data(folder)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "AntigenSupportingData- Redness.xml").write_bytes(ANTIGEN.encode() + b"\x81\xff")
    with pytest.raises(RuleError, match=r"Redness\.xml: rule -: XML"):
        load_supporting_data(folder)


def test_a_series_without_doses_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="rule Red 2-dose series: seriesDose: is missing"):
        load_supporting_data(write(tmp_path, antigen=ANTIGEN.replace("seriesDose>", "someDose>")))


def test_codes_of_observations_have_three_digits(tmp_path: Path) -> None:
    short = ANTIGEN
    for code in ("020", "055", "080", "091"):
        assert f">{code}<" in ANTIGEN
        short = short.replace(f">{code}<", f">{code[1:]}<")
    assert load_supporting_data(write(tmp_path, antigen=short)) == load_supporting_data(write(tmp_path))


def test_files_that_are_no_supporting_data_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.xml").write_text("<notes>n</notes>", encoding="utf-8")
    assert list(load_supporting_data(tmp_path).antigens) == ["Redness"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("6 weeks - 4 days", "6 moons", "rule Red 2-dose series, dose 1: absMinAge: '6 moons' is not a length of time"),
        ("<cvx>902</cvx>", "<cvx>green</cvx>", "rule Red 2-dose series, dose 2: cvx: 'green' is not a CVX code"),
        ("20250701", "20251301", "rule Red 2-dose series, dose 2: startDate: '20251301' is not a day"),
        ("<seriesType>Risk", "<seriesType>Odd", "rule Red 2-dose series: seriesType: 'odd' is not one of"),
        ("<conditionType>Age", "<conditionType>Mood", "conditionType: 'mood' is not one of"),
        ("Greater Than", "about", "doseCountLogic: 'about' is not one of greater than"),
        ("<context>Forecast", "<context>Maybe", "context: 'maybe' is not one of evaluation"),
        ("<seriesName>Red 2-dose series</seriesName>", "", "seriesName: is missing"),
        ("<targetDisease>Redness</targetDisease>", "", "series/targetDisease: is missing"),
        ("Dose 1</doseNumber>", "first</doseNumber>", "doseNumber: 'first' holds no number"),
        ("<doseType>valid", "<doseType>any", "doseType: 'any' is not one of valid, total"),
        ("<setLogic>OR", "<setLogic>XOR", "setLogic: 'xor' is not one of and, or"),
        ("<conditionLogic>AND", "<conditionLogic>NOR", "conditionLogic: 'nor' is not one of and, or"),
        ("<conditionType>Age</conditionType>", "", "conditionType: is missing"),
        ("</antigenSupportingData>", "", "AntigenSupportingData- Redness.xml: rule -: XML:"),
        ("<antigenSupportingData>", "<!DOCTYPE x []><antigenSupportingData>", "DOCTYPE"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in ANTIGEN
    with pytest.raises(RuleError) as raised:
        load_supporting_data(write(tmp_path, antigen=ANTIGEN.replace(old, new, 1)))
    assert said in str(raised.value)
    assert "AntigenSupportingData- Redness.xml" in str(raised.value)


def test_a_conflict_without_an_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="conflictEndInterval: is missing"):
        load_supporting_data(write(tmp_path, schedule=SCHEDULE.replace(">28 days<", "><")))


def test_a_folder_without_schedule_antigens_or_anything_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="there is no such folder"):
        load_supporting_data(tmp_path / "nowhere")
    with pytest.raises(RuleError, match="no file holds the schedule"):
        load_supporting_data(tmp_path)
    (tmp_path / "ScheduleSupportingData.xml").write_text(SCHEDULE, encoding="utf-8")
    with pytest.raises(RuleError, match="no file holds an antigen"):
        load_supporting_data(tmp_path)


def test_two_schedules_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "ScheduleSupportingData (1).xml").write_text(SCHEDULE, encoding="utf-16")
    with pytest.raises(RuleError, match="scheduleSupportingData: stands in ScheduleSupportingData"):
        load_supporting_data(tmp_path)


def test_one_antigen_in_two_files_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "Again.xml").write_text(ANTIGEN, encoding="utf-8")
    with pytest.raises(RuleError, match="Redness stands in two files"):
        load_supporting_data(tmp_path)
