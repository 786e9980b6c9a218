"""`cdsi`: run the CDC's test cases against the CDC's supporting data, grade them, and say what failed."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from services.schedule.cdsi_answers import Answer, answer
from services.schedule.cdsi_cases import Case, CaseError, read_rows
from services.schedule.cdsi_grading import Graded, grade
from services.schedule.domain.rule_set import RuleError
from services.schedule.domain.rules import Rules
from services.schedule.rule_files.cdsi_xml import load_supporting_data

_MOST_SAID = 20


def cdsi(
    supporting_data: Annotated[Path, typer.Option("--supporting-data", help="Folder of CDSi supporting data (XML)")],
    cases: Annotated[Path, typer.Option("--cases", help="Test cases in the CDC's columns (CSV)")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every case with what was found")] = None,
) -> None:
    """Run CDC test cases. What is found never depends on the expected columns, which may be empty.

    A case that cannot be understood is said, and takes no other's answer away; the exit code is 2 then.
    """
    try:
        rules = load_supporting_data(supporting_data)
        rows = read_rows(cases, rules)
    except CaseError as error:
        _bad_input(f"{cases}: {error}")
    except RuleError as error:
        _bad_input(str(error))
    began = time.perf_counter()
    answers = iter([answer(rules, row) for row in rows if isinstance(row, Case)])
    seconds = time.perf_counter() - began
    graded = [_graded(row, next(answers)) if isinstance(row, Case) else row for row in rows]
    if json_out is not None:
        try:
            json_out.write_text(json.dumps([each.as_json() for each in graded], indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            _bad_input(f"--json: {json_out} cannot be written: {error.strerror}")
    _print_missing(rules)
    done = [each for each in graded if isinstance(each, Graded)]
    if done:
        _print_table(done)
    for each in done:
        if each.all_right is False:
            _print_failure(each)
    if done:
        typer.echo(f"{len(done)} cases in {seconds:.2f} s, {seconds / len(done) * 1e6:.0f} microseconds per case")
    _say_bad_rows(cases, [each for each in graded if isinstance(each, CaseError)])


def _graded(case: Case, found: Answer) -> Graded | CaseError:
    try:
        return grade(case, found)
    except CaseError as error:
        return error


def _say_bad_rows(cases: Path, errors: list[CaseError]) -> None:
    """Each case that was not understood, the first ones in full; exit code 2 where there is one."""
    for error in errors[:_MOST_SAID]:
        typer.echo(f"error: {cases}: {error}", err=True)
    if len(errors) > _MOST_SAID:
        typer.echo(f"error: {len(errors) - _MOST_SAID} more rows cannot be understood", err=True)
    if errors:
        raise typer.Exit(2)


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
