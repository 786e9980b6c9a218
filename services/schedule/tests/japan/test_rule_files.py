"""Rule files: what is wrong is said with file, rule and field, and nothing half-read is served."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from services.schedule.app import create_app
from services.schedule.domain.history import DoseGiven, History
from services.schedule.domain.plan import make_plan
from services.schedule.rule_files import RuleError, RuleSet, load_rule_set
from services.schedule.rule_files.yaml_rules import PACKAGED, RULES
from shared.settings import Settings

Break = Callable[..., RuleError]


@pytest.fixture
def broken(tmp_path: Path) -> Break:
    """Copies the packaged set, changes one text in one file, and gives the error that loading it raises."""

    def change(file: str, old: str, new: str) -> RuleError:
        folder = tmp_path / "rules"
        shutil.copytree(PACKAGED, folder)
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(RuleError) as error:
            load_rule_set(folder)
        return error.value

    return change


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "field", "why"),
    [
        ("pneumococcal.yaml", "effective_to: 2024-09-30", "effective_to: 2014-09-30", "pcv.pcv13", "effective_to", "before"),
        ("dpt_family.yaml", "effective_to: 2023-03-31, source: [quad", "effective_to: 2023-03-01, source: [quad", "dpt_ipv.free", "effective_from", "a hole"),
        ("dpt_family.yaml", "effective_to: 2023-03-31, source: [quad", "effective_to: 2023-04-01, source: [quad", "dpt_ipv.free", "effective_from", "an overlap"),
        ("rotavirus.yaml", "effective_from: 2020-10-01", "effective_from: 2020-10-05", "rota.rv1", "effective_from", "a hole"),
        ("pneumococcal.yaml", "start_from: after 7m", "start_from: after 8m", "pcv.start_7_to_12_months", "start_from", "a hole"),
        ("pneumococcal.yaml", "start_from: after 7m", "start_from: after 6m", "pcv.start_7_to_12_months", "start_from", "an overlap"),
        ("japanese_encephalitis_1.yaml", "takes:", "after_line: {line: je2, doses: 1, id: je1.loop, source: memory, confidence: low}\ntakes:", "je1", "after_line", "a cycle"),
        ("measles_rubella_2.yaml", "courses:", "more_go_to: mr1\ncourses:", "mr1", "more_go_to", "a cycle"),
        ("hepatitis_b.yaml", "{after: 1, at_least: 139d}", "{after: 3, at_least: 139d}", "hepb.course", "doses[3].intervals", "a cycle"),
        ("pneumococcal.yaml", "not_if: {dose: 2,", "not_if: {dose: 3,", "pcv.start_2_to_7_months", "doses[3].not_if", "a cycle"),
        ("bcg.yaml", "vaccines: [bcg]", "vaccines: [bcgg]", "bcg.free", "vaccines", "bcgg"),
        ("bcg.yaml", "source: [seirei, youryo], confidence: high}", "source: nowhere, confidence: high}", "bcg.free", "source", "nowhere"),
        ("bcg.yaml", "confidence: high}", "confidence: sure}", "bcg.free", "confidence", "sure"),
        ("bcg.yaml", "to: reached 12m", "to: reached 12w", "bcg.free", "to", "12w"),
        ("bcg.yaml", "from: birth", "from: reached 13m", "bcg.free", "to", "before"),
        ("mumps.yaml", "from: reached 12m\n", "from: reached 12m\nform: 3\n", "mumps", "file", "form"),
        ("vaccines.yaml", 'cvx: ["119"]', 'cvx: ["116"]', "rv5", "cvx", "two vaccines"),
        ("vaccines.yaml", "counts_in: [rota], series: rv1", "counts_in: [roto], series: rv1", "rv1", "counts_in", "roto"),
        ("bcg.yaml", "kind: line", "kind: line\nkind: line", "-", "line 2", "twice"),
        ("bcg.yaml", "kind: line", "kind: [", "-", "line", ""),
        ("hpv.yaml", "only_if: {dose: 2", "only_if: {dose: 4", "hpv.two_doses", "only_if", "dose"),
        ("between_vaccines.yaml", "observation: scid, vaccines: [rv1, rv5]", "observation: sc1d, vaccines: [rv1, rv5]", "contra.rota_scid", "observation", "sc1d"),
        ("pneumococcal.yaml", "{vaccines: [pcv13], id: pcv.before_15", "{started: [pcv20], vaccines: [pcv13], id: pcv.before_15", "pcv.before_15", "offers", "a hole"),
        ("pneumococcal.yaml", "{vaccines: [pcv13], id: pcv.before_15", "{effective_from: 2020-10-01, vaccines: [pcv13], id: pcv.before_15", "pcv.before_15", "offers", "a hole"),
        ("hib.yaml", "id: hib.free", "id: bcg.free", "bcg.free", "id", "two rules"),
        ("special_measures.yaml", "lasts: 2y", "lasts: 20d", "special.long_illness", "lasts", "months"),
    ],
)  # fmt: skip
def test_an_error_names_file_rule_and_field(
    broken: Break, file: str, old: str, new: str, rule: str, field: str, why: str
) -> None:
    error = broken(file, old, new)
    assert error.rule == rule
    assert error.field.endswith(field) or field in error.field
    assert why in error.why
    assert error.file == file or (why == "a cycle" and error.file.endswith(".yaml"))
    assert error.rule in str(error)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="holds no rule files"):
        load_rule_set(tmp_path)


def test_the_schema_is_a_schema_and_every_rule_is_complete(rules: RuleSet) -> None:
    schema = json.loads((RULES / "rule-set.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for line in rules.lines.values():
        for rule in [*(free.rule for free in line.free), *(course.rule for course in line.courses)]:
            assert rule.source
            assert rule.confidence


def test_the_law_is_never_below_what_counts(rules: RuleSet) -> None:
    """A dose that the law accepts is old enough to count."""
    for line in rules.lines.values():
        for free in line.free:
            if free.observation is None and not line.mother:
                for birth in (date(2026, 5, 10), date(2026, 8, 31), date(2028, 2, 29), date(2026, 4, 1)):
                    born = birth.toordinal()
                    counts = line.counts_from.date_ordinal(born) - line.counting_grace
                    assert free.first.date_ordinal(born) >= counts, free.rule.id


OVERLAY = """
kind: overlay
municipality: "999016"
name: {ja: 育見町（架空）, en: Hagumi (invented)}
sources: {town: 育見町 予防接種助成要綱（架空）}
free:
  - {line: mumps, id: town.mumps, vaccines: [mumps], from: reached 12m, to: reached 6y,
     effective_from: 2026-04-01, effective_to: 2027-03-31, source: town, confidence: high}
  - {line: mr1, id: town.mr_late, vaccines: [mr], from: reached 24m, to: reached 5y,
     effective_from: 2026-04-01, effective_to: null, source: town, confidence: high}
checkups:
  - {series: checkup_5y, name: {ja: 5歳児健診, en: 5-year checkup}, from: reached 60m, usual_until: reached 66m,
     closes: school -1d, id: town.checkup_5y, effective_from: 2026-04-01, effective_to: null, source: town, confidence: high}
"""


@pytest.fixture
def town(tmp_path: Path) -> RuleSet:
    """The packaged set with an invented town's programme laid over it."""
    (tmp_path / "town.yaml").write_text(OVERLAY, encoding="utf-8")
    return load_rule_set(overlays=tmp_path)


def items(rules: RuleSet, municipality: str | None, on: date, *doses: DoseGiven) -> dict[str, tuple[str, date | None]]:
    """Status and last free day by series of a child born on 2024-05-10."""
    history = History(date(2024, 5, 10), "F", doses, municipality=municipality)
    return {item.series: (item.status, item.free_until) for item in make_plan(rules, history, on).items}


def test_a_town_gives_what_the_nation_does_not(town: RuleSet) -> None:
    on = date(2026, 11, 23)
    here, elsewhere = items(town, "999016", on), items(town, "131016", on)
    assert here["mumps"] == ("overdue", date(2027, 3, 31))
    assert elsewhere["mumps"] == ("overdue", None)
    assert here["mr1"] == ("due", date(2029, 5, 9))
    assert elsewhere["mr1"] == ("window_closed", date(2026, 5, 9))


def test_a_towns_programme_has_its_days(town: RuleSet) -> None:
    """Before and after its effective days the town is like the rest of the country."""
    assert items(town, "999016", date(2026, 3, 31))["mumps"][1] in {None, date(2027, 3, 31)}
    assert items(town, "999016", date(2027, 4, 1))["mumps"][1] is None


def test_a_towns_programme_is_no_routine_immunisation(town: RuleSet) -> None:
    dose = DoseGiven("1", date(2026, 10, 1), "mr")
    history = History(date(2024, 5, 10), "F", (dose,), municipality="999016")
    verdict = make_plan(town, history, date(2026, 11, 23)).doses[0]
    assert (verdict.legal, verdict.immunological) == ("not_valid", "valid")


def test_a_towns_own_checkup_window(town: RuleSet) -> None:
    history = History(date(2024, 5, 10), "F", (), municipality="999016")
    plan = make_plan(town, history, date(2026, 11, 23))
    assert next(item.earliest for item in plan.items if item.series == "checkup_5y") == date(2029, 5, 9)


def test_an_overlay_with_an_unknown_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "town.yaml").write_text(OVERLAY.replace("line: mumps", "line: mumpf"), encoding="utf-8")
    with pytest.raises(RuleError) as error:
        load_rule_set(overlays=tmp_path)
    assert (error.value.file, error.value.rule, error.value.field) == ("town.yaml", "town.mumps", "line")


def test_a_running_service_takes_the_towns_folder_and_starts_with_no_empty_one(tmp_path: Path) -> None:
    settings = Settings(service="schedule", environment="development", rule_overlays=tmp_path)
    with pytest.raises(RuleError, match="holds no overlays"):
        create_app(settings)
    (tmp_path / "town.yaml").write_text(OVERLAY.replace("reached 12m", "reached 12x", 1), encoding="utf-8")
    with pytest.raises(RuleError, match=r"town\.yaml"):
        create_app(settings)
    (tmp_path / "town.yaml").write_text(OVERLAY, encoding="utf-8")
    create_app(settings)
