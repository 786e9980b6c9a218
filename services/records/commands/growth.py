"""Record measurements; read how a child grows, as data and as a chart."""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import yaml

from services.records import store as kept
from services.records.commands.records import Records, add_entry, change_entry
from services.records.domain import growth, growth_report, growth_sets, growth_svg
from services.records.domain.access import Caller, check, check_role
from services.records.domain.entries import changed
from services.records.domain.growth_sets import GrowthSet, Measure
from services.records.domain.record import Record
from shared.documents import Command, Document
from shared.events.records import ChildEvent, GrowthMeasured
from shared.problems import NotFound, invalid
from shared.store import Doc


@cache
def sets() -> tuple[GrowthSet, ...]:
    """The sets of curves, read once."""
    file = Path(__file__).parents[1] / "growth_sets.yaml"
    return growth_sets.read(yaml.safe_load(file.read_text(encoding="utf-8")))


async def measure(
    records: Records, caller: Caller, child: str, wish: growth.GrowthWish, command: Command
) -> tuple[Doc, Document]:
    """Record a measurement; the answer says what is unlikely in it."""
    answer: Doc = {"id": command.id}

    def facts(record: Record) -> Iterable[ChildEvent]:
        measured = growth.measure(record, wish, caller, measurement_id=command.id, today=records.today)
        answer["warnings"] = _unlikely(record, measured)
        return [measured]

    return await add_entry(records, caller, "measure", child, facts, command, answer)


async def correct(
    records: Records,
    caller: Caller,
    child: str,
    measurement: str,
    wish: growth.GrowthWish,
    reason: str,
    command: Command | None,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Put a measurement right; the answer says what is still unlikely in it."""
    answer: Doc = {"id": measurement}

    def facts(record: Record) -> Iterable[ChildEvent]:
        after = growth.correct_measurement(record, measurement, wish, reason, caller, today=records.today)
        before = record.growth[measurement]
        answer["warnings"] = _unlikely(record, after)
        return [after] if changed(before, after) else []

    return await change_entry(
        records, caller, "measure", child, facts, answer, command, if_match=if_match, match_required=True
    )


def _unlikely(record: Record, measured: GrowthMeasured) -> list[Doc]:
    return growth_report.as_json(growth_report.warnings(record, measured))


async def read(records: Records, caller: Caller, child: str) -> Doc:
    """How the child grows: standings, velocity, warnings, and the curves themselves."""
    record = await _readable(records, caller, child)
    return growth_report.report(child, record, sets(), records.today)


async def drawn(
    records: Records, caller: Caller, child: str, what: Measure, set_id: str | None, beside: Sequence[str]
) -> str:
    """The chart as SVG; children beside it must be the caller's to read as well."""
    record = await _readable(records, caller, child)
    others = [await _readable(records, caller, other) for other in dict.fromkeys(beside) if other != child]
    chosen = _chosen(record, what, set_id, records.today)
    series = [growth_svg.series_of(one, what) for one in (record, *others)]
    return growth_svg.chart(chosen, chosen.of(record.facts.sex, what), what, series)


def charts(record: Record, today: date) -> list[str]:
    """The handbook's charts: weight and length on today's Japanese curves, head circumference on the WHO's."""
    found = []
    for what in growth_sets.MEASURES:
        series = growth_svg.series_of(record, what)
        if series.points:
            chosen = _chosen(record, what, None, today)
            found.append(growth_svg.chart(chosen, chosen.of(record.facts.sex, what), what, [series]))
    return found


async def _readable(records: Records, caller: Caller, child: str) -> Record:
    check_role(caller, "read_growth")
    doc = await records.children.load(child)
    if doc is None:
        raise NotFound
    record = kept.children.record_of(doc)
    check(record, caller, "read_growth", records.today)
    return record


def _chosen(record: Record, what: Measure, set_id: str | None, today: date) -> GrowthSet:
    """The set that was asked for, or today's Japanese one where it knows this measure, or the WHO's."""
    if set_id is None:
        at_home = [one for one in sets() if one.family == "japan" and one.in_use(today)]
        return next((one for one in at_home if one.of(record.facts.sex, what)), sets()[0])
    chosen = next((one for one in sets() if one.id == set_id), None)
    if chosen is None or not chosen.lines:
        names = ", ".join(one.id for one in sets() if one.lines)
        raise invalid("/query/set", "unknown-set", f"次から選んでください: {names}", f"Choose one of {names}.")
    return chosen
