"""A change of residence (転出・転入): the old town announces it, the new one confirms it, and it takes effect on its day.

Who may read changes, the record does not.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from services.records.domain import stays
from services.records.domain.access import Caller, check, check_role
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import Actor, ChildEvent, ChildMoved, MoveAnnounced, MoveCancelled, MoveConfirmed
from shared.ids import is_municipality_code
from shared.problems import Conflict, NotFound

FARTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """A move as the municipality of residence reports it."""

    to_municipality: str
    effective_on: date


def announce(record: Record, wish: MoveWish, caller: Caller, *, move: str, here: bool, today: date) -> list[ChildEvent]:
    """Announce a move (転出届). `here`: the new town is on the platform, and has to confirm it.

    Raises Forbidden, NotFound, Conflict when another move is open, Invalid with every broken rule.
    """
    check(record, caller, "move", today)
    if record.move is not None:
        raise Conflict("Another move is open.")
    findings = Findings()
    if not is_municipality_code(wish.to_municipality):
        findings.add(
            "/to_municipality",
            "municipality-code",
            "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
            "This is no municipality code: 6 digits with check digit (JIS X 0402).",
        )
    if wish.to_municipality == record.facts.municipality:
        findings.add(
            "/to_municipality", "same-municipality", "現在の住所地と同じです。", "The child lives there already."
        )
    if wish.effective_on < record.facts.birth_date:
        findings.add("/effective_on", "before-birth", "生年月日より前の日付です。", "This day is before the birth.")
    if wish.effective_on > today + FARTHEST:
        findings.add("/effective_on", "in-the-future", "1年より先の日付です。", "This day is more than a year away.")
    findings.refuse()
    announced = MoveAnnounced(
        move_id=move,
        from_municipality=record.facts.municipality,
        to_municipality=wish.to_municipality,
        effective_on=wish.effective_on,
        to_be_confirmed=here,
        by=caller.actor,
    )
    due = not here and wish.effective_on <= today
    return [announced, *(_moved(record, announced, caller.actor, today) if due else [])]


def confirm(record: Record, caller: Caller, *, today: date) -> list[ChildEvent]:
    """The new town confirms (転入届); on its day, or at once when that has come, the child is its resident.

    Raises Forbidden, NotFound.
    """
    open_move = _arriving(record, caller)
    if record.move_confirmed:
        return []
    confirmed = MoveConfirmed(move_id=open_move.move_id, by=caller.actor)
    due = open_move.effective_on <= today
    return [confirmed, *(_moved(record, open_move, caller.actor, today) if due else [])]


def cancel(record: Record, caller: Caller, *, today: date) -> list[ChildEvent]:
    """The old town takes it back, or the new one does not know the family. Raises Forbidden, NotFound."""
    check_role(caller, "move")
    if record.move is None or caller.municipality not in {record.facts.municipality, record.move.to_municipality}:
        raise NotFound
    return [MoveCancelled(move_id=record.move.move_id, by=caller.actor)]


def on_day(record: Record, today: date) -> list[ChildEvent]:
    """What takes effect by itself on this day."""
    if record.move is None or record.move.effective_on > today:
        return []
    if record.move.to_be_confirmed and not record.move_confirmed:
        return []
    return _moved(record, record.move, record.move.by, today)


def _arriving(record: Record, caller: Caller) -> MoveAnnounced:
    check_role(caller, "move")
    if record.move is None or caller.municipality is None or caller.municipality != record.move.to_municipality:
        raise NotFound
    return record.move


def _moved(record: Record, move: MoveAnnounced, by: Actor, today: date) -> list[ChildEvent]:
    return [
        ChildMoved(
            from_municipality=move.from_municipality,
            to_municipality=move.to_municipality,
            effective_on=move.effective_on,
            by=by,
        ),
        *stays.ended_by_move(record, move.to_municipality, today, by),
    ]
