"""`cdsi`: run the CDC's test cases against the CDC's supporting data, grade them, and say what failed."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from services.schedule.cdsi_answers import answer
from services.schedule.cdsi_cases import CaseError, read_cases
from services.schedule.cdsi_grading import Graded, grade
from services.schedule.domain.rule_set import RuleError
from services.schedule.domain.rules import Rules
from services.schedule.rule_files.cdsi_xml import load_supporting_data


def cdsi(
    supporting_data: Annotated[Path, typer.Option("--supporting-data", help="Folder of CDSi supporting data (XML)")],
    cases: Annotated[Path, typer.Option("--cases", help="Test cases in the CDC's columns (CSV)")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every case with what was found")] = None,
) -> None:
    """Run CDC test cases. What is found never depends on the expected columns, which may be empty."""
    try:
        rules = load_supporting_data(supporting_data)
        read = read_cases(cases, rules)
        began = time.perf_counter()
        answers = [answer(rules, case) for case in read]
        seconds = time.perf_counter() - began
        graded = [grade(case, found) for case, found in zip(read, answers, strict=True)]
    except CaseError as error:
        _bad_input(f"{cases}: {error}")
    except RuleError as error:
        _bad_input(str(error))
    if json_out is not None:
        try:
            json_out.write_text(json.dumps([each.as_json() for each in graded], indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            _bad_input(f"--json: {json_out} cannot be written: {error.strerror}")
    _print_missing(rules)
    _print_table(graded)
    for each in graded:
        if each.all_right is False:
            _print_failure(each)
    typer.echo(f"{len(graded)} cases in {seconds:.2f} s, {seconds / len(graded) * 1e6:.0f} microseconds per case")


def _print_missing(rules: Rules) -> None:
    """Antigens that the schedule names and no file holds: a vaccine group is answered without them."""
    named = {antigen for group in rules.vaccine_groups.values() for antigen in group.antigens}
    missing = sorted(named - rules.antigens.keys())
    if missing:
        typer.echo(f"warning: no file holds {', '.join(missing)}: answered without", err=True)


def _print_table(graded: list[Graded]) -> None:
    """Cases by vaccine group: all right, graded, and how many expected nothing."""
    right = Counter(each.case.group.name for each in graded if each.all_right)
    of = Counter(each.case.group.name for each in graded if each.all_right is not None)
    without = Counter(each.case.group.name for each in graded if each.all_right is None)
    typer.echo(f"{'vaccine group':24}{'all right':>12}{'graded':>10}{'not graded':>12}")
    for name in sorted({each.case.group.name for each in graded}):
        typer.echo(f"{name:24}{right[name]:>12}{of[name]:>10}{without[name]:>12}")
    total = of.total()
    typer.echo(f"{'all':24}{right.total():>12}{total:>10}{without.total():>12}")
    if total:
        typer.echo(f"{right.total() / total:.2%} all right")


def _print_failure(graded: Graded) -> None:
    typer.echo(f"{graded.case.id} ({graded.case.group.name})")
    for name, field in graded.fields.items():
        if not field.right:
            typer.echo(f"    {name}: expected {field.expected or 'none'}, got {field.got or 'none'}")


def _bad_input(why: str) -> NoReturn:
    typer.echo(f"error: {why}", err=True)
    raise typer.Exit(2)
