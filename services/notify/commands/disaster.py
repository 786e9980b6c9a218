"""Safety check-in, the list of those unaccounted for, and shelters with what they have for pregnant women and infants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.notify import store as kept
from services.notify.commands.announcements import Notices, the_notice, town_of
from services.notify.domain import disaster
from services.notify.domain.disaster import Line
from services.notify.domain.notices import unseen_or_markup
from shared.auth import Principal
from shared.clock import wire_instant
from shared.ids import derived_id
from shared.problems import Conflict, Forbidden, NotFound, invalid
from shared.store import Doc


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says of a family: state, where (a shelter's id, `home` or `elsewhere`), what is needed."""

    state: str
    place: str
    needs: Sequence[str]
    note: str


async def report(notices: Notices, principal: Principal, item: str, said: Report) -> Doc:
    """A guardian answers for the family; a later answer takes the place of the one before. Raises NotFound, Conflict, Invalid."""
    if principal.role != "guardian":
        raise Forbidden
    row = await notices.store.get(kept.INBOX, item)
    if row is None or row["recipient"] != principal.subject or not row.get("announcement"):
        raise NotFound
    notice = await notices.announcements.load(row["announcement"])
    if notice is None or not notice.state.get("safety_check"):
        raise NotFound
    if notice.state["state"] != "published":
        raise Conflict
    return await _keep(notices, row["announcement"], "guardian", principal.subject, said, by=principal.subject)


async def report_for(notices: Notices, principal: Principal, announcement: str, subject: str, said: Report) -> Doc:
    """Staff found a child or a pregnant woman, by telephone or at a shelter. Raises NotFound, Conflict, Invalid."""
    if town_of(principal) and principal.role != "staff":
        raise Forbidden
    doc = await the_notice(notices, principal, announcement)
    if doc.state["state"] != "published" or not doc.state.get("safety_check"):
        raise Conflict
    subjects = await kept.subjects_of(notices.store, doc.state["frozen"])
    if subject not in {one.id for one in subjects}:
        raise invalid("/child", "not-asked", "この確認の対象ではありません。", "This check was not about it.")
    return await _keep(notices, announcement, "subject", subject, said, by=principal.subject)


async def _keep(notices: Notices, announcement: str, kind: str, about: str, said: Report, *, by: str) -> Doc:
    if unseen_or_markup(said.note):
        raise invalid("/note", "markup", "HTML や制御文字は使えません。", "Markup and unseen signs are not accepted.")
    row_id = derived_id(announcement, kind, about, "safety")
    fields: Doc = {
        "announcement": announcement,
        "kind": kind,
        "about": about,
        "state": said.state,
        "place": said.place,
        "needs": sorted(set(said.needs)),
        "note": said.note,
        "by": by,
        "at": notices.now.timestamp(),
    }
    await notices.store.update(kept.SAFETY, {"_id": row_id}, {"$set": fields}, upsert=True)
    return {"state": said.state, "at": wire_instant(notices.now)}


async def board(
    notices: Notices, principal: Principal, announcement: str, state: str | None, first: int, limit: int
) -> tuple[Doc, int | None]:
    """(counts and needs over everybody asked, the lines of a state from place `first` on; the next place or None)."""
    doc = await the_notice(notices, principal, announcement)
    if not doc.state.get("safety_check"):
        raise NotFound
    found: list[Line] = []
    if "frozen" in doc.state:
        subjects = await kept.subjects_of(notices.store, doc.state["frozen"])
        rows = await notices.store.find(kept.SAFETY, {"announcement": announcement})
        by: dict[str, dict[str, Mapping[str, Any]]] = {"guardian": {}, "subject": {}}
        for row in rows:
            by[row["kind"]][row["about"]] = row
        found = disaster.lines(subjects, by["guardian"], by["subject"])
    listed = [line for line in found if state is None or line.state == state]
    body = {
        "id": announcement,
        "asked": len(found),
        "counts": disaster.counts(found),
        "needs": disaster.needs(found),
        "items": [_line(line) for line in listed[first : first + limit]],
    }
    return body, first + limit if first + limit < len(listed) else None


def _line(line: Line) -> Doc:
    subject, answer = line.subject, line.answer or {}
    return {
        "child": subject.id,
        "kind": subject.kind,
        "district": subject.district,
        "guardians": list(subject.guardians),
        "state": line.state,
        "place": answer.get("place"),
        "needs": answer.get("needs", []),
        "note": answer.get("note"),
        "by": answer.get("by"),
        "at": kept.instant(answer["at"]) if answer else None,
    }


# Shelters ---------------------------------------------------------------------------------------------------------


async def put_shelter(notices: Notices, principal: Principal, town: str, shelter: str, body: Doc) -> bool:
    """Say where a shelter is and what it has now; whether it is new. NotFound for another town's."""
    if principal.role != "staff":
        raise Forbidden
    if town_of(principal) != town:
        raise NotFound
    if unseen_or_markup(body["name"] + body["address"]):
        raise invalid("/name", "markup", "HTML や制御文字は使えません。", "Markup and unseen signs are not accepted.")
    fields = {**body, "municipality": town, "name_in_path": shelter, "updated_at": wire_instant(notices.now)}
    row_id = derived_id(town, shelter, "shelter")
    if await notices.store.update(kept.SHELTERS, {"_id": row_id}, {"$set": fields}):
        return False
    return await notices.store.insert(kept.SHELTERS, {"_id": row_id, **fields})


async def shelters(notices: Notices, town: str, near: tuple[float, float] | None, need: str | None) -> list[Doc]:
    """The open shelters of a town, those for pregnant women and infants first, then the nearest; `need`: those that have it."""
    rows = await notices.store.find(kept.SHELTERS, {"municipality": town})
    found = [row for row in rows if row["open"] and (need is None or row["supplies"].get(need, 0) > 0)]
    away = {
        row["_id"]: disaster.kilometres(near, (row["latitude"], row["longitude"])) if near is not None else 0.0
        for row in found
    }
    names = ("name", "address", "latitude", "longitude", "capacity", "for_infants", "supplies", "updated_at")
    return [
        {
            "id": row["name_in_path"],
            **{name: row[name] for name in names},
            **({"km": round(away[row["_id"]], 2)} if near is not None else {}),
        }
        for row in sorted(found, key=lambda row: (not row["for_infants"], away[row["_id"]], row["name"]))
    ]
