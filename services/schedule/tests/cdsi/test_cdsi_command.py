"""`python -m services.schedule cdsi`: reading cases, grading, the JSON, and bad input (issue 4)."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.schedule.__main__ import app
from services.schedule.tests.cdsi.supporting_data import ANTIGEN, SCHEDULE, write

PLAIN = ANTIGEN.replace("<seriesType>Risk", "<seriesType>Standard").replace(
    "<requiredGender>Female</requiredGender><requiredGender>Unknown</requiredGender>", "<requiredGender/>"
)
CASE = {
    "CDC_Test_ID": "T-1",
    "DOB": "2024-01-10",
    "gender": "F",
    "Vaccine_Group": " COLOUR",
    "Assessment_Date": "2024-05-01",
    "Date_Administered_1": "2024-02-01",
    "CVX_1": "7",
    "Date_Administered_2": "2024-03-10",
    "CVX_2": "07",
    "MVX_2": "msd",
}
EXPECTED = {
    "Series_Status": "not complete",
    "Evaluation_Status_1": "Not valid",
    "Evaluation_Reason_1": "age: too young",
    "Evaluation_Status_2": "Valid",
    "Forecast_#": "2",
    "Earliest_Date": "2025-07-01",
    "Recommended_Date": "2025-07-01",
    "Past_Due_Date": "",
}
NONE_EXPECTED = dict.fromkeys(EXPECTED, "")


def run(folder: Path, *cases: dict[str, str], antigen: str = PLAIN) -> tuple[Result, list[dict[str, Any]]]:
    data = write(folder / "data", antigen=antigen)
    path, out = folder / "cases.csv", folder / "out.json"
    columns = list(dict.fromkeys(name for case in cases for name in case))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(cases)
    out.unlink(missing_ok=True)
    result = CliRunner().invoke(app, ["cdsi", "--supporting-data", str(data), "--cases", str(path), "--json", str(out)])
    return result, json.loads(out.read_text(encoding="utf-8")) if out.exists() else []


def test_a_right_case_is_all_right_and_its_json_is_complete(tmp_path: Path) -> None:
    result, (found,) = run(tmp_path, CASE | EXPECTED)
    assert result.exit_code == 0
    assert found == {
        "id": "T-1",
        "all_right": True,
        "got": {
            "series_status": "Not Complete",
            "forecast_number": 2,
            "earliest": "2025-07-01",
            "recommended": "2025-07-01",
            "past_due": None,
            "doses": [
                {
                    "n": 1,
                    "standard": {
                        "status": "Not Valid",
                        "reasons": ["Age: Too Young", "Not a preferable or allowable vaccine"],
                    },
                    "risk": None,
                },
                {"n": 2, "standard": {"status": "Valid", "reasons": []}, "risk": None},
            ],
        },
        "fields": {
            "Series_Status": {"expected": "not complete", "got": "Not Complete", "right": True},
            "Forecast_#": {"expected": "2", "got": "2", "right": True},
            "Earliest_Date": {"expected": "2025-07-01", "got": "2025-07-01", "right": True},
            "Recommended_Date": {"expected": "2025-07-01", "got": "2025-07-01", "right": True},
            "Past_Due_Date": {"expected": None, "got": None, "right": True},
            "Evaluation_Status_1": {"expected": "Not valid", "got": "Not Valid", "right": True},
            "Evaluation_Reason_1": {
                "expected": "age: too young",
                "got": "Age: Too Young; Not a preferable or allowable vaccine",
                "right": True,
            },
            "Evaluation_Status_2": {"expected": "Valid", "got": "Valid", "right": True},
        },
    }
    assert "100.00% all right" in result.output


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Series_Status", "Complete"),
        ("Evaluation_Status_1", "Valid"),
        ("Evaluation_Reason_1", "Live Virus Conflict"),
        ("Forecast_#", "1"),
        ("Forecast_#", ""),
        ("Earliest_Date", "2025-07-02"),
        ("Recommended_Date", ""),
        ("Past_Due_Date", "2025-07-01"),
    ],
)
def test_a_wrong_expectation_fails_and_is_shown(tmp_path: Path, column: str, value: str) -> None:
    result, (found,) = run(tmp_path, CASE | EXPECTED | {column: value})
    assert result.exit_code == 0
    assert found["all_right"] is False
    assert [name for name, field in found["fields"].items() if not field["right"]] == [column]
    assert f"    {column}: expected {value or 'none'}, got" in result.output


def test_what_is_found_never_depends_on_what_is_expected(tmp_path: Path) -> None:
    _, (full,) = run(tmp_path, CASE | EXPECTED)
    for blank in (CASE | NONE_EXPECTED, CASE):
        result, (found,) = run(tmp_path, blank)
        assert result.exit_code == 0
        assert found["got"] == full["got"]
        assert found["all_right"] is None
        assert found["fields"] == {}


def test_dates_are_graded_only_where_the_expected_status_is_not_complete(tmp_path: Path) -> None:
    _, (found,) = run(
        tmp_path, CASE | EXPECTED | {"Series_Status": "Complete", "Earliest_Date": "-", "Forecast_#": "-"}
    )
    assert "Earliest_Date" not in found["fields"]
    assert "Forecast_#" not in found["fields"]


def test_rows_in_another_order_and_doses_in_other_columns_change_nothing(tmp_path: Path) -> None:
    other = CASE | {"CDC_Test_ID": "T-2"}
    for left, right in (("Date_Administered_1", "Date_Administered_2"), ("CVX_1", "CVX_2")):
        other[left], other[right] = CASE[right], CASE[left]
    other["MVX_1"], other["MVX_2"] = CASE["MVX_2"], ""
    _, (first, second) = run(tmp_path, CASE, other)
    _, turned = run(tmp_path, other, CASE)
    assert turned == [second, first]
    assert [dose["standard"] for dose in second["got"]["doses"]] == [
        dose["standard"] for dose in reversed(first["got"]["doses"])
    ]
    assert {**first["got"], "doses": None} == {**second["got"], "doses": None}


def test_series_type_says_which_kind_of_series_is_graded(tmp_path: Path) -> None:
    at_risk = CASE | {"Observation_Code_1": "55", "DOB": "2020-01-10", "Evaluation_Status_2": "Valid"}
    for kind in ("risk", "Risk"):
        _, (found,) = run(tmp_path, at_risk | {"Series_Type_2": kind}, antigen=ANTIGEN)
        assert found["got"]["doses"][1]["standard"] is None
        assert found["got"]["doses"][1]["risk"] is not None
        assert found["fields"]["Evaluation_Status_2"]["right"]


def test_a_risk_forecast_that_is_past_leaves_the_word_to_the_standard_one(tmp_path: Path) -> None:
    aged_out = ANTIGEN.replace("<maxAge>n/a</maxAge>", "<maxAge>1 year</maxAge>").replace(
        "<equivalentSeriesGroups>2; 3;", "<equivalentSeriesGroups>"
    )
    standard = PLAIN[PLAIN.index("<series>") : PLAIN.index("</antigenSupportingData>")]
    standard = standard.replace("<seriesGroup>1<", "<seriesGroup>9<").replace("2; 3;", "")
    both = aged_out.replace("</antigenSupportingData>", f"{standard}</antigenSupportingData>")
    at_risk = {name: text for name, text in CASE.items() if "_1" not in name and "_2" not in name}
    at_risk |= {"Observation_Code_1": "055", "DOB": "2020-01-10"}
    _, (found,) = run(tmp_path, at_risk, antigen=aged_out)
    assert found["got"]["series_status"] == "Aged Out"
    _, (found,) = run(tmp_path, at_risk, antigen=both)
    assert found["got"]["series_status"] == "Not Complete"


def test_where_no_series_is_relevant_nothing_is_found(tmp_path: Path) -> None:
    _, (found,) = run(tmp_path, CASE, antigen=ANTIGEN)
    assert found["got"]["series_status"] is None
    assert [dose["risk"] for dose in found["got"]["doses"]] == [None, None]


def test_an_observation_is_dated_and_other_forms_of_days_are_read(tmp_path: Path) -> None:
    seen = {"Observation_Code_1": "020", "Observation_Date_1": "05/02/2024", "Assessment_Date": "20240501"}
    _, (found,) = run(tmp_path, CASE | seen)
    assert found["got"]["series_status"] == "Not Complete"
    _, (found,) = run(tmp_path, CASE | seen | {"Observation_Date_1": "05/01/2024"})
    assert found["got"]["series_status"] == "Immune"
    _, (found,) = run(tmp_path, CASE | {"Med_History_Code": "020"})
    assert found["got"]["series_status"] == "Immune"


def test_a_medical_history_may_be_coded_in_another_system(tmp_path: Path) -> None:
    at_risk = CASE | {"DOB": "2020-01-10"}
    _, (found,) = run(tmp_path, at_risk | {"Med_History_Code": "106028003"}, antigen=ANTIGEN)
    assert found["got"]["doses"][0]["risk"] is None
    _, (found,) = run(tmp_path, at_risk | {"Med_History_Code": "106028003; 106028002"}, antigen=ANTIGEN)
    assert found["got"]["doses"][0]["risk"] is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_is_read_in_whatever_letters_and_line_ends_it_came(tmp_path: Path, encoding: str, ending: str) -> None:
    _, (plain,) = run(tmp_path, CASE | EXPECTED)
    columns = CASE | EXPECTED | {"Test_Case_Name": "Dose 2 \N{EN DASH} too early"}
    path, out = tmp_path / "other.csv", tmp_path / "other.json"
    path.write_bytes(ending.join((",".join(columns), ",".join(columns.values()), "")).encode(encoding))
    data = str(tmp_path / "data")
    CliRunner().invoke(app, ["cdsi", "--supporting-data", data, "--cases", str(path), "--json", str(out)])
    assert json.loads(out.read_text(encoding="utf-8")) == [plain]


def test_numbers_that_went_through_a_spreadsheet_are_read(tmp_path: Path) -> None:
    _, (plain,) = run(tmp_path, CASE | EXPECTED | {"Observation_Code_1": "055"})
    through = {"CVX_1": "7.0", "CVX_2": "7", "Forecast_#": "2.0", "Observation_Code_1": "55.0"}
    result, (found,) = run(tmp_path, CASE | EXPECTED | through)
    assert found["got"] == plain["got"]
    assert found["all_right"] is True
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("DOB", "2024-02-30", "row 3, column DOB: '2024-02-30' is not a day"),
        ("DOB", "", "row 3, column DOB: is empty"),
        ("Assessment_Date", "1024-02-01", "row 3, column Assessment_Date: '1024-02-01' is not a day"),
        ("Assessment_Date", "2023-02-01", "row 3, column Assessment_Date: lies before the day of birth"),
        ("Date_Administered_2", "soon", "row 3, column Date_Administered_2: 'soon' is not a day"),
        ("Date_Administered_1", "2024-01-09", "row 3, column Date_Administered_1: lies before the day of birth"),
        ("Date_Administered_2", "", "row 3, column Date_Administered_2: is empty"),
        ("CVX_1", "red", "row 3, column CVX_1: 'red' is not a CVX code"),
        ("CVX_1", "9999", "row 3, column CVX_1: '9999' is not a CVX code"),
        ("CVX_2", "", "row 3, column CVX_2: is empty"),
        ("Vaccine_Group", "Shape", "row 3, column Vaccine_Group: 'Shape' is not a vaccine group"),
        ("CDC_Test_ID", "", "row 3, column CDC_Test_ID: is empty"),
        ("Observation_Date_1", "once", "row 3, column Observation_Date_1: 'once' is not a day"),
        ("Earliest_Date", "tomorrow", "row 3, column Earliest_Date: 'tomorrow' is not a day"),
    ],
)
def test_bad_input_names_row_and_column_and_takes_no_other_answer_away(
    tmp_path: Path, column: str, value: str, said: str
) -> None:
    _, (alone,) = run(tmp_path, CASE | EXPECTED)
    bad = CASE | EXPECTED | {"CDC_Test_ID": "T-2", "Observation_Code_1": "020"} | {column: value}
    result, found = run(tmp_path, CASE | EXPECTED, bad, CASE | EXPECTED)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert found[0] == found[2] == alone
    assert found[1].pop("error").startswith(said)
    assert found[1] == {"id": bad["CDC_Test_ID"] or None, "all_right": None, "got": None, "fields": {}}


def test_of_many_bad_rows_the_first_are_said_and_the_rest_counted(tmp_path: Path) -> None:
    result, found = run(tmp_path, *[CASE | {"DOB": "never"}] * 23)
    assert result.exit_code == 2
    assert result.output.count("column DOB") == 20
    assert "3 more rows cannot be understood" in result.output
    assert len(found) == 23


@pytest.mark.parametrize(
    ("group", "said"), [("Influenza", "FLU"), ("Flu", "flu "), ("Meningococcal B", "MENB"), ("Smallpox", "Mpox")]
)
def test_a_group_is_known_by_the_datas_name_and_by_the_cases_own(tmp_path: Path, group: str, said: str) -> None:
    data = write(tmp_path / "data", PLAIN, SCHEDULE.replace("<name>Colour</name>", f"<name>{group}</name>"))
    path = tmp_path / "cases.csv"
    columns = CASE | {"Vaccine_Group": said}
    path.write_text(",".join(columns) + "\n" + ",".join(columns.values()) + "\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["cdsi", "--supporting-data", str(data), "--cases", str(path)])
    assert result.exit_code == 0
    assert f"\n{group}" in result.output


def test_a_group_that_this_release_does_not_have_is_answered_with_nothing(tmp_path: Path) -> None:
    result, (other, own) = run(tmp_path, CASE | {"Vaccine_Group": "Ebola"}, CASE)
    assert result.exit_code == 0
    assert other["got"]["series_status"] is None
    assert other["got"]["doses"] == own["got"]["doses"]
    assert own["got"]["series_status"] == "Not Complete"


def test_an_antigen_without_a_file_is_said(tmp_path: Path) -> None:
    result, _ = run(tmp_path, CASE)
    assert "warning: no file holds Nobody knows: answered without" in result.output


def test_a_code_that_the_data_do_not_know_belongs_to_no_antigen(tmp_path: Path) -> None:
    result, (found,) = run(tmp_path, CASE | {"CVX_1": "998"})
    assert result.exit_code == 0
    assert found["got"]["doses"][0] == {"n": 1, "standard": None, "risk": None}


def test_a_missing_column_file_or_folder_is_bad_input(tmp_path: Path) -> None:
    without = {name: value for name, value in CASE.items() if name != "Vaccine_Group"}
    result, _ = run(tmp_path, without)
    assert result.exit_code == 2
    assert "row 2, column Vaccine_Group: is missing" in result.output
    data, cases = str(tmp_path / "data"), str(tmp_path / "cases.csv")
    for folder, file, said in (
        (data, str(tmp_path / "none.csv"), "there is no file"),
        (str(tmp_path / "none"), cases, "there is no such folder"),
    ):
        result = CliRunner().invoke(app, ["cdsi", "--supporting-data", folder, "--cases", file])
        assert result.exit_code == 2
        assert said in result.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no case"),
        (b"CDC_Test_ID,DOB\n", "holds no case"),
        (b"CDC_Test_ID,DOB\nT-1,2024-01-01,more\n", "row 2, column -: has more fields"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'CDC_Test_ID,DOB\n"T-1,2024', "comma-separated"),
    ],
)
def test_a_file_that_is_no_table_of_cases_is_bad_input(tmp_path: Path, content: bytes, said: str) -> None:
    data = write(tmp_path / "data")
    path = tmp_path / "cases.csv"
    path.write_bytes(content)
    result = CliRunner().invoke(app, ["cdsi", "--supporting-data", str(data), "--cases", str(path)])
    assert result.exit_code == 2
    assert said in result.output


def test_json_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    run(tmp_path, CASE)
    data, cases = str(tmp_path / "data"), str(tmp_path / "cases.csv")
    result = CliRunner().invoke(
        app, ["cdsi", "--supporting-data", data, "--cases", cases, "--json", str(tmp_path / "no" / "out.json")]
    )
    assert result.exit_code == 2
    assert "cannot be written" in result.output
