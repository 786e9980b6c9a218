"""The not-yet list (未受診者), who follows up a line of it, and how a whole town stands."""

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, view_of
from services.schedule.domain.coverage import MOST_URGENT_FIRST, FollowUp, coverage, urgency_of
from shared.auth import Principal
from shared.documents import Document
from shared.events.schedule import FollowUpChanged
from shared.problems import Forbidden, NotFound
from shared.store import IDS_PER_QUERY, Doc

_BEFORE_AN_ANSWER = frozenset({"unseen", "contacted"})


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
    return sorted(lines, key=place_in_list)


def place_in_list(line: Doc) -> tuple[int, str, str]:
    """Where a line stands in the list, and where its next page begins."""
    return MOST_URGENT_FIRST[line["status"]], line["free_until"] or "9999-12-31", line["id"]


async def with_refusals(planning: Planning, lines: list[Doc]) -> list[Doc]:
    """The lines as the families left them: what a guardian refused on the 予診票 is declined until somebody says otherwise."""
    refused = await _refused(planning, {line["child"] for line in lines if line["state"] in _BEFORE_AN_ANSWER})
    return [
        {**line, "state": "declined"}
        if line["state"] in _BEFORE_AN_ANSWER and (line["child"], line["series"]) in refused
        else line
        for line in lines
    ]


async def _refused(planning: Planning, children: set[str]) -> set[tuple[str, str]]:
    """The series that the guardians' last decision was against, as (child, series)."""
    latest: dict[tuple[str, str], tuple[int, bool]] = {}
    wanted = sorted(children)
    for at in range(0, len(wanted), IDS_PER_QUERY):
        where = {"child": {"$in": wanted[at : at + IDS_PER_QUERY]}}
        for row in await planning.plans.store.find(kept.CHILD_CONSENTS, where):
            if row["gone"] or row.get("consent") is None or not row.get("vaccine"):
                continue
            decision = (row["version"], bool(row["consent"]))
            key = (row["child"], row["vaccine"])
            latest[key] = max(latest.get(key, decision), decision)
    refused = set()
    for (child, code), (_, consent) in latest.items():
        vaccine = planning.rules.vaccines.get(code)
        if consent or vaccine is None:
            continue
        for line in vaccine.judged_in:
            refused |= {(child, vaccine.series or course.series) for course in planning.rules.lines[line].courses}
    return refused


async def coverage_of(planning: Planning, principal: Principal, municipality: str) -> Doc:
    """How all children of the town stand for each series: every child is counted exactly once in each."""
    if principal.role != "staff":
        raise Forbidden
    if principal.municipality != municipality:
        raise NotFound
    rows = await planning.plans.store.find(kept.RESIDENTS, {"municipality": municipality})
    docs = await planning.plans.load_many(row["_id"] for row in rows if not row["gone"])
    plans = {child: kept.stored_plan(doc.state) for child, doc in sorted(docs.items())}
    refused = await _refused(planning, {*plans})
    follow_ups = {}
    for child, plan in plans.items():
        for item in plan.items:
            state, responsible = kept.follow_up(docs[child], item.series, item.dose_number)
            if state in _BEFORE_AN_ANSWER and (child, item.series) in refused:
                state = "declined"
            follow_ups[child, item.series, item.dose_number] = FollowUp(state, responsible)
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
        doc.state.setdefault("follow_ups", {})[line] = {
            "state": state,
            "responsible": responsible,
            "municipality": municipality,
        }
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
