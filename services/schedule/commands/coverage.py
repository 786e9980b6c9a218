"""The not-yet list (未受診者), who follows up a line of it, and how a whole town stands."""

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, view_of
from services.schedule.domain.coverage import MOST_URGENT_FIRST, FollowUp, coverage, urgency_of
from shared.auth import Principal
from shared.documents import Document
from shared.events.schedule import FollowUpChanged
from shared.problems import Forbidden, NotFound
from shared.store import Doc


async def not_yet_list(planning: Planning, principal: Principal, municipality: str, kind: str) -> list[Doc]:
    """The not-yet list (未受診者): lines due now, each with state and person responsible, most urgent first.

    `kind`: dose, checkup, due (both), overdue (also those whose window closes), or closing (free window ends within 30 days).
    """
    if principal.role != "staff":
        raise Forbidden
    if principal.municipality != municipality:
        raise NotFound
    today = planning.today
    where: Doc = {"municipality": municipality}
    if kind in {"dose", "checkup"}:
        where["kind"] = kind
    lines = []
    for row in await planning.plans.store.find(kept.DUE, where):
        if row["gone"]:
            continue
        overdue_from, free_until = kept.day(row["overdue_from"]), kept.day(row["free_until"])
        urgency = urgency_of(kept.day(row["earliest"]), kept.day(row["recommended"]), overdue_from, free_until, today)
        late = overdue_from is not None and overdue_from <= today
        if urgency is None or (kind == "overdue" and not late) or (kind == "closing" and urgency != "closing"):
            continue
        lines.append(
            {
                "id": row["_id"],
                "child": row["child"],
                "series": row["series"],
                "dose_number": row["dose_number"],
                "status": urgency,
                "overdue_from": row["overdue_from"],
                "free_until": row["free_until"],
                "state": row["state"],
                "responsible": row["responsible"],
            }
        )
    return sorted(
        lines,
        key=lambda line: (MOST_URGENT_FIRST[line["status"]], line["free_until"] or "9999-12-31", line["id"]),
    )


async def coverage_of(planning: Planning, principal: Principal, municipality: str) -> Doc:
    """How all children of the town stand for each series: every child is counted exactly once in each."""
    if principal.role != "staff":
        raise Forbidden
    if principal.municipality != municipality:
        raise NotFound
    rows = await planning.plans.store.find(kept.RESIDENTS, {"municipality": municipality})
    docs = await planning.plans.load_many(row["_id"] for row in rows if not row["gone"])
    plans = {child: kept.stored_plan(doc.state) for child, doc in sorted(docs.items())}
    follow_ups = {
        (child, item.series, item.dose_number): FollowUp(known["state"], known["responsible"])
        for child, plan in plans.items()
        for item in plan.items
        if (
            known := docs[child]
            .state.get("follow_ups", {})
            .get(kept.follow_up_id(child, item.series, item.dose_number))
        )
    }
    series = sorted({item.series for plan in plans.values() for item in plan.items})
    standing = coverage(series, plans, follow_ups)
    return {
        "children": len(plans),
        "as_of": planning.today.isoformat(),
        "items": [
            {
                "series": one.series,
                "children": one.children,
                "waiting": dict(one.waiting),
                "settled": dict(one.settled),
                "states": dict(one.states),
            }
            for one in standing
        ],
    }


async def assign_follow_up(
    planning: Planning, principal: Principal, municipality: str, line: str, state: str, responsible: str | None
) -> tuple[Doc, Document]:
    """Say who follows up a line of the not-yet list, and how far they are."""
    if principal.role != "staff":
        raise Forbidden
    row = await planning.plans.store.get(kept.DUE, line)
    if principal.municipality != municipality or row is None or row["gone"] or row["municipality"] != municipality:
        raise NotFound
    view = view_of(planning)

    def decide(doc: Document) -> Doc:
        doc.state.setdefault("follow_ups", {})[line] = {"state": state, "responsible": responsible}
        doc.emit(
            FollowUpChanged(
                follow_up_id=line,
                series=row["series"],
                dose_number=row["dose_number"],
                state=state,
                responsible=responsible,
            ),
            planning.now,
        )
        view.mark_derived(doc)
        return {"id": line, "state": state, "responsible": responsible}

    answer, doc = await planning.plans.change(row["child"], decide)
    await view.derive([doc])
    return answer, doc
