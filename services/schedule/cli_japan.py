"""`plan`, `precheck`, `codes` and `rules diff`: Japan's schedule on the command line."""

import json
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from services.schedule.cli_dates import bad_input, read_day
from services.schedule.domain.cases import check_history
from services.schedule.domain.codes import UnknownVaccine, known_code
from services.schedule.domain.history import DoseGiven, History, HistoryError, Observation, Sex
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.pre_check import Proposal, Sibling, pre_check
from services.schedule.domain.rule_changes import plan_changes
from services.schedule.domain.rule_set import RuleSet
from services.schedule.rule_files import RuleError, load_rule_set
from shared.ids import is_municipality_code, with_check_digit

BirthDate = Annotated[str | None, typer.Option("--birth-date", help="YYYY-MM-DD")]
SexOption = Annotated[str, typer.Option("--sex", help="F, M or U")]
Doses = Annotated[list[str] | None, typer.Option("--dose", help="CODE@DATE, may be repeated")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Folder of rule files; the packaged set by default")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]


def load(folder: Path | None) -> RuleSet:
    """The rule set of a folder; a bad one is bad input that names file, rule and field."""
    try:
        return load_rule_set(folder)
    except RuleError as error:
        bad_input(str(error))


def read_doses(rules: RuleSet, texts: list[str] | None, option: str) -> tuple[DoseGiven, ...]:
    """Doses as CODE@DATE."""
    doses = []
    for at, text in enumerate(texts or ()):
        code, sign, day = text.rpartition("@")
        if not sign or not code:
            bad_input(f"{option}: {text!r} is not like mr@2026-05-09")
        try:
            known = known_code(rules, code)
        except UnknownVaccine as error:
            bad_input(f"{option}: {error}; `codes` lists those that are")
        doses.append(DoseGiven(f"{at + 1}", read_day(day, option), known))
    return tuple(doses)


def _read_observations(texts: list[str] | None) -> tuple[Observation, ...]:
    found = []
    for text in texts or ():
        code, _, day = text.partition("@")
        found.append(Observation(code, read_day(day, "--observation") if day else None))
    return tuple(found)


def _municipality(text: str | None) -> str | None:
    """The six-digit code; five digits get their check digit."""
    if text is None:
        return None
    code = with_check_digit(text) if len(text) == 5 else text
    if code is None or not is_municipality_code(code):
        bad_input(f"--municipality: {text!r} is not a code of a municipality (全国地方公共団体コード, 6 or 5 digits)")
    return code


def _sex(text: str) -> Sex:
    if text == "F":
        return "F"
    if text == "M":
        return "M"
    return "U" if text == "U" else bad_input(f"--sex: {text!r} is not F, M or U")


def today() -> date:
    """The civil day in Tokyo."""
    return datetime.now(ZoneInfo("Asia/Tokyo")).date()


def checked(rules: RuleSet, history: History) -> History:
    """The history, if it can be; otherwise bad input that names the field."""
    try:
        check_history(rules, history)
    except HistoryError as error:
        bad_input(str(error))
    return history


def plan(
    birth_date: BirthDate = None,
    sex: SexOption = "U",
    edd: Annotated[str | None, typer.Option("--edd", help="Expected day of delivery, for a pregnancy")] = None,
    dose: Doses = None,
    observation: Annotated[list[str] | None, typer.Option("--observation", help="CODE or CODE@DATE")] = None,
    on: Annotated[str | None, typer.Option("--on", help="Day of the plan; today in Tokyo by default")] = None,
    municipality: Annotated[str | None, typer.Option("--municipality", help="Six-digit code")] = None,
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """What is due when for a child or a pregnancy, and both verdicts on each dose given."""
    law = load(rules)
    if (birth_date is None) == (edd is None):
        bad_input("give either --birth-date or --edd")
    history = checked(
        law,
        History(
            birth_date=read_day(birth_date, "--birth-date") if birth_date else None,
            sex=_sex(sex),
            doses=read_doses(law, dose, "--dose"),
            observations=_read_observations(observation),
            municipality=_municipality(municipality),
            expected_delivery=read_day(edd, "--edd") if edd else None,
        ),
    )
    day = read_day(on, "--on") if on else today()
    if history.birth_date is not None and day < history.birth_date:
        bad_input("--on: lies before --birth-date")
    made = plan_to_json(make_plan(law, history, day))
    if as_json:
        typer.echo(json.dumps(made, ensure_ascii=False, indent=1))
    else:
        _print_plan(made)


def _print_plan(made: dict[str, Any]) -> None:
    table = Table(title=f"{made['rule_set']} · {made['as_of']}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("series", "dose", "status"):
        table.add_column(column, overflow="fold")
    for column in ("earliest", "recommended", "free until"):
        # A day is shown whole, however narrow the terminal.
        table.add_column(column, no_wrap=True, min_width=len("2026-11-28"))
    for item in made["items"]:
        days = [item[name] or "" for name in ("earliest", "recommended", "free_until")]
        table.add_row(item["series"], str(item["dose_number"]), item["status"], *days)
    console = Console()
    console.print(table)
    for item in made["items"]:
        console.print(f"{item['series']}: {item['why']['sentence']}", soft_wrap=True, markup=False, highlight=False)
    for verdict in made["doses"]:
        reasons = "; ".join(reason["sentence"] for reason in verdict["reasons"])
        console.print(
            f"{verdict['given_on']} {verdict['series']}: legal {verdict['legal']}, "
            f"immunological {verdict['immunological']} {reasons}"
        )


def precheck(
    birth_date: Annotated[str, typer.Option("--birth-date")],
    give: Annotated[str, typer.Option("--give", help="CODE@DATE of the proposed dose")],
    sex: SexOption = "U",
    dose: Doses = None,
    product: Annotated[str | None, typer.Option("--product")] = None,
    lot: Annotated[str | None, typer.Option("--lot")] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="Last day of the lot")] = None,
    recalled_lot: Annotated[list[str] | None, typer.Option("--recalled-lot")] = None,
    sibling: Annotated[list[str] | None, typer.Option("--sibling", help="BIRTHDATE:CODE@DATE,…")] = None,
    contraindication: Annotated[list[str] | None, typer.Option("--contraindication", help="CODE on file")] = None,
    observation: Annotated[list[str] | None, typer.Option("--observation", help="CODE or CODE@DATE")] = None,
    municipality: Annotated[str | None, typer.Option("--municipality")] = None,
    no_consent: Annotated[bool, typer.Option("--no-consent", help="The guardian has not consented")] = False,
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Check a dose before it is given: allow, warn or stop, with reasons."""
    law = load(rules)
    born = read_day(birth_date, "--birth-date")
    history = checked(
        law,
        History(
            birth_date=born,
            sex=_sex(sex),
            doses=read_doses(law, dose, "--dose"),
            observations=_read_observations(observation),
            municipality=_municipality(municipality),
        ),
    )
    proposed = read_doses(law, [give], "--give")[0]
    if proposed.given_on < born:
        bad_input("--give: lies before --birth-date")
    proposal = Proposal(
        code=proposed.code,
        on=proposed.given_on,
        product=product,
        lot=lot,
        expires_on=read_day(expires, "--expires") if expires else None,
        recalled_lots=frozenset(recalled_lot or ()),
        siblings=tuple(_sibling(law, at, text) for at, text in enumerate(sibling or ())),
        consent=False if no_consent else None,
        contraindications=tuple(contraindication or ()),
    )
    answer = pre_check(law, history, proposal, proposed.given_on)
    made = {
        "verdict": answer.verdict,
        "rule_set": law.id,
        "reasons": [
            {
                "code": reason.code,
                "rule": reason.rule,
                "sentence": reason.sentence,
                "sentence_en": reason.sentence_en,
                "source": reason.source,
                "stops": reason.stops,
            }
            for reason in answer.reasons
        ],
    }
    if as_json:
        typer.echo(json.dumps(made, ensure_ascii=False, indent=1))
    else:
        typer.echo(answer.verdict)
        for reason in answer.reasons:
            typer.echo(f"{reason.code}: {reason.sentence}")


def _sibling(law: RuleSet, at: int, text: str) -> Sibling:
    born, _, doses = text.partition(":")
    history = History(
        birth_date=read_day(born, "--sibling"),
        sex="U",
        doses=read_doses(law, [one for one in doses.split(",") if one], "--sibling"),
    )
    return Sibling(f"sibling {at + 1}", checked(law, history))


def codes(rules: Rules = None, as_json: AsJson = False) -> None:
    """The vaccine codes that the rule set knows, with CVX and product names, and the codes of observations."""
    law = load(rules)
    vaccines = [
        {
            "code": vaccine.code,
            "cvx": list(vaccine.cvx),
            "aliases": list(vaccine.aliases),
            "name": vaccine.names.ja,
            "name_en": vaccine.names.en,
            "live": vaccine.live,
            "products": list(vaccine.products),
            "series": sorted(
                {course.series for line in vaccine.counts_in for course in law.lines[line].courses}
                if vaccine.series is None
                else {vaccine.series}
            ),
        }
        for vaccine in law.vaccines.values()
    ]
    observations = [{"code": code, "name": name.ja, "name_en": name.en} for code, name in law.observations.items()]
    if as_json:
        found = {"rule_set": law.id, "series": list(law.series), "vaccines": vaccines, "observations": observations}
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for vaccine in vaccines:
        cvx = ",".join(vaccine["cvx"]) or "-"
        other = ",".join(vaccine["aliases"])
        typer.echo(f"{vaccine['code']:14} CVX {cvx:16} {other:12} {vaccine['name']} / {vaccine['name_en']}")
    for one in observations:
        typer.echo(f"observation {one['code']:26} {one['name']} / {one['name_en']}")


rules_app = typer.Typer(no_args_is_help=True, help="Rule sets: what a change would do.")


@rules_app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of the rules in force")],
    new: Annotated[Path, typer.Argument(help="Folder of the rules to come")],
    children: Annotated[Path, typer.Option("--children", help="JSON lines: one child a line")],
    on: Annotated[str | None, typer.Option("--on", help="Day of the plans; today in Tokyo by default")] = None,
    as_json: AsJson = False,
) -> None:
    """Whose plan changes, and how. A child is {id, birth_date, sex, doses: [{code, given_on}], municipality?}."""
    before, after = load(old), load(new)
    found = read_children(children, before, after)
    day = read_day(on, "--on") if on else today()
    changes = list(plan_changes(before, after, found, day))
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes], ensure_ascii=False, indent=1))
        return
    for change in changes:
        typer.echo(f"{change.child}: {change.what} {change.field}: {change.before} -> {change.after}")
    touched = len({change.child for change in changes})
    typer.echo(f"{touched} of {len(found)} children's plans change ({before.id} -> {after.id}, {day})")


def read_children(path: Path, *rule_sets: RuleSet) -> list[tuple[str, History]]:
    """Children from a file of JSON lines; a bad line is bad input that names line and field."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        bad_input(f"--children: {path} cannot be read: {type(error).__name__}")
    found: list[tuple[str, History]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            doc = json.loads(line)
            history = _child_of(doc, where, rule_sets[0])
            child = str(doc.get("id", number))
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            bad_input(f"{where}: {type(error).__name__}: {error}")
        for rules in rule_sets:
            try:
                check_history(rules, history)
            except HistoryError as error:
                bad_input(f"{where}: {error} (under {rules.id})")
        found.append((child, history))
    return found


def _child_of(doc: dict[str, Any], where: str, rules: RuleSet) -> History:
    doses = []
    for at, dose in enumerate(doc.get("doses", ())):
        try:
            code = known_code(rules, str(dose["code"]))
        except UnknownVaccine as error:
            bad_input(f"{where}: doses[{at}].code: {error}")
        day = read_day(str(dose["given_on"]), f"{where}: doses[{at}].given_on")
        doses.append(DoseGiven(str(dose.get("id", at + 1)), day, code))
    observations = tuple(
        Observation(one["code"], read_day(one["on"], f"{where}: observations") if one.get("on") else None)
        for one in doc.get("observations", ())
    )
    born = read_day(str(doc["birth_date"]), f"{where}: birth_date")
    return History(born, _sex(doc.get("sex", "U")), tuple(doses), observations, doc.get("municipality"))


def add_commands(app: typer.Typer) -> None:
    """Hang these commands on the service's command line."""
    app.command()(plan)
    app.command()(precheck)
    app.command()(codes)
    app.add_typer(rules_app, name="rules")
