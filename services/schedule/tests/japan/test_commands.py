"""Japan's commands as scripts call them: `plan`, `precheck`, `codes`, `rules diff`."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.schedule.__main__ import app
from services.schedule.domain.codes import known_code
from services.schedule.rule_files import RuleSet
from services.schedule.rule_files.yaml_rules import PACKAGED


def run(*command: str) -> tuple[int, str, str]:
    """Exit code, what was said, and what went to stderr."""
    result = CliRunner().invoke(app, [part for text in command for part in text.split(" ")])
    return result.exit_code, result.stdout, result.stderr


def test_plan_as_the_contract_says() -> None:
    code, out, _ = run(
        "plan --birth-date 2026-05-10 --sex F --dose 119@2026-07-10 --dose hepb@2026-07-10 --on 2026-08-01 --json"
    )
    assert code == 0
    made = json.loads(out)
    assert set(made) == {"rule_set", "as_of", "items", "doses"}
    assert made["as_of"] == "2026-08-01"
    for item in made["items"]:
        assert {"series", "dose_number", "status", "earliest", "recommended", "overdue_from"} <= set(item)
        assert {"free_until", "latest", "vaccines", "together", "why"} <= set(item)
        assert {"rule", "sentence", "sentence_en", "source"} <= set(item["why"])
        assert "{" not in item["why"]["sentence"] + item["why"]["sentence_en"]
    assert {"id", "series", "legal", "immunological", "reasons"} <= set(made["doses"][0])
    assert [dose["series"] for dose in made["doses"]] == ["hepb", "rv1"]
    assert {item["series"]: item["dose_number"] for item in made["items"]}["rv1"] == 2


def test_plan_of_a_pregnancy() -> None:
    code, out, _ = run("plan --edd 2027-01-10 --on 2026-11-23 --json")
    assert code == 0
    assert {item["series"] for item in json.loads(out)["items"]} == {
        "rsv_maternal", "pregnancy_checkup", "postnatal_2w", "postnatal_1m",
    }  # fmt: skip


def test_plan_for_a_person_to_read() -> None:
    code, out, _ = run("plan --birth-date 2026-05-10 --on 2026-08-01 --dose penta@2026-07-09")
    assert code == 0
    assert "penta" in out
    assert "legal valid" in out
    # In 80 columns, as a pipe has them: no day and no sentence is cut.
    row = next(line for line in out.splitlines() if line.split()[:3] == ["mr1", "1", "upcoming"])
    assert row.split()[3:] == ["2027-05-09", "2027-05-09", "2028-05-09"]
    assert "mr1: 麻しん風しん第1期は、定期接種の対象となる2027年5月9日から接種できます。" in out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("plan --on 2026-08-01", "--birth-date or --edd"),
        ("plan --birth-date 2026-05-10 --edd 2026-05-10", "--birth-date or --edd"),
        ("plan --birth-date 2026-05-32", "--birth-date"),
        ("plan --birth-date 2026-05-10 --on 2026-05-09", "--on"),
        ("plan --birth-date 2026-05-10 --sex X", "--sex"),
        ("plan --birth-date 2026-05-10 --dose nothing@2026-06-10", "nothing"),
        ("plan --birth-date 2026-05-10 --dose 999@2026-06-10", "999"),
        ("plan --birth-date 2026-05-10 --dose mr", "--dose"),
        ("plan --birth-date 2026-05-10 --dose mr@2026-02-30", "--dose"),
        ("plan --birth-date 2026-05-10 --dose mr@2026-05-09", "doses[0].given_on"),
        ("plan --birth-date 2026-05-10 --dose mr@2027-05-10 --dose 04@2027-05-10", "doses[1].given_on"),
        ("plan --birth-date 2026-05-10 --observation nonsense", "observations[0].code"),
        ("plan --birth-date 2026-05-10 --observation long_illness_ended", "observations[0].on"),
        ("plan --birth-date 2026-05-10 --municipality 131017", "--municipality"),
        ("plan --birth-date 2026-05-10 --municipality 12", "--municipality"),
        ("precheck --edd 2026-05-10 --give rsv_maternal@2026-03-10", "--edd"),
        ("dates window --birth 2026-05-10 --series dpt --dose 5", "no dose 5"),
        ("plan --birth-date 2026-05-10 --rules /nowhere", "no rule files"),
        ("precheck --birth-date 2026-05-10 --give mr@2026-05-09", "--give"),
        ("precheck --birth-date 2026-05-10 --give zz@2026-06-09", "zz"),
        ("precheck --birth-date 2026-05-10 --give mr@2027-06-09 --sibling 2020-13-01:", "--sibling"),
        ("rules diff /nowhere /nowhere --children /nowhere", "no rule files"),
    ],
)
def test_bad_input_leaves_with_two_and_says_where(command: str, said: str) -> None:
    code, _, error = run(command)
    assert code == 2
    assert said in error


def test_precheck_answers_in_json() -> None:
    code, out, _ = run(
        "precheck --birth-date 2023-05-10 --dose mr@2024-05-10 --give mr@2026-11-23 --lot A1 --expires 2026-11-01",
        "--recalled-lot A1 --sibling 2025-05-10:penta@2025-07-10,hepb@2025-07-10 --contraindication pregnant --no-consent --json",
    )
    assert code == 0
    answer = json.loads(out)
    assert answer["verdict"] == "stop"
    assert {"expired_lot", "recalled_lot", "sibling_likely", "contraindication", "consent_missing"} <= {
        reason["code"] for reason in answer["reasons"]
    }
    assert all(reason["sentence"] and reason["rule"] for reason in answer["reasons"])


def test_a_contraindication_is_an_observation_or_a_vaccine_by_any_of_its_codes() -> None:
    asked = "precheck --birth-date 2025-05-10 --give mr@2026-11-27 --json --contraindication "
    for code, verdict in (
        ("04", "stop"),
        ("mr", "stop"),
        ("cvx:4", "stop"),
        ("scid", "stop"),
        ("hepb", "allow"),
        ("rash?", "warn"),
    ):
        assert json.loads(run(asked + code)[1])["verdict"] == verdict, code


def test_a_town_is_named_by_six_digits_or_five() -> None:
    asked = "plan --birth-date 2025-05-10 --on 2026-11-27 --json --municipality "
    assert run(asked + "13101")[1] == run(asked + "131016")[1]
    assert run(asked + "13101")[0] == 0


def test_codes_lists_what_plan_takes(rules: RuleSet) -> None:
    code, out, _ = run("codes --json")
    assert code == 0
    listed = json.loads(out)
    assert {vaccine["code"] for vaccine in listed["vaccines"]} >= {"rv1", "penta", "mr", "bcg", "pcv20", "hpv9"}
    assert listed["series"][0] == "rv1"
    for vaccine in listed["vaccines"]:
        for name in [vaccine["code"], *vaccine["cvx"], *vaccine["aliases"]]:
            assert known_code(rules, name) == vaccine["code"]
    assert (
        run("plan --birth-date 2015-05-10 --dose 03@2020-05-10 --dose cvx:4@2021-05-10 --on 2026-05-10 --json")[0] == 0
    )


def test_rules_diff_says_whose_plan_changes(tmp_path: Path) -> None:
    shutil.copytree(PACKAGED, tmp_path / "new")
    for file, old, new in (
        ("varicella.yaml", "to: reached 36m", "to: reached 60m"),
        ("set.yaml", "id: jp-2026-10", "id: jp-2027-04"),
    ):
        path = tmp_path / "new" / file
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    children = tmp_path / "children.jsonl"
    rows = [
        {"id": "late", "birth_date": "2023-01-05", "sex": "F", "doses": [{"code": "var", "given_on": "2024-02-01"}]},
        {"id": "done", "birth_date": "2023-01-05",
         "doses": [{"code": "21", "given_on": "2024-02-01"}, {"code": "var", "given_on": "2024-09-01"}]},
    ]  # fmt: skip
    children.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    command = ("rules diff", f"{PACKAGED} {tmp_path / 'new'} --children {children} --on 2026-11-23 --json")
    code, out, _ = run(*command)
    assert code == 0
    changes = json.loads(out)
    assert {change["child"] for change in changes} == {"late"}
    status = next(change for change in changes if change["field"] == "status")
    assert (status["what"], status["before"], status["after"]) == ("var", "window_closed", "overdue")


def test_a_bad_line_of_children_is_said(tmp_path: Path) -> None:
    children = tmp_path / "children.jsonl"
    children.write_text('{"id": "a", "birth_date": "2026-05-10"}\n{"id": "b"}\n', encoding="utf-8")
    code, _, error = run(f"rules diff {PACKAGED} {PACKAGED} --children {children}")
    assert code == 2
    assert "line 2" in error
