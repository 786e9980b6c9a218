"""What schedule does: recount plans, fire reminders, answer pre-checks, follow up, recall lots."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.schedule import store as kept
from services.schedule.domain.catch_up import catch_up
from services.schedule.domain.coverage import MOST_URGENT_FIRST, FollowUp, coverage, urgency_of
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.pre_check import Proposal, Sibling, pre_check
from services.schedule.domain.reminders import DueItem, overdue, reminders_for, why_cancelled
from services.schedule.opening_days import opening_days
from services.schedule.rule_files import RuleSet
from shared.auth import Principal
from shared.clock import tokyo_time, wire_instant
from shared.documents import Command, Document, Documents
from shared.events.schedule import (
    ArmedReminder,
    CheckupOverdue,
    DoseOverdue,
    DoseVerdict,
    FollowUpChanged,
    LotRecalled,
    PlanChanged,
    PlanConfirmed,
    PlanItem,
    PreCheckAnswered,
    Reason,
    ReminderCancelled,
    ReminderDue,
)
from shared.ids import derived_id
from shared.problems import Forbidden, NotFound
from shared.store import Doc
from shared.vaccines import folded_lot
from shared.views import View

FIRE_AT_ONCE = 500


@dataclass(slots=True)
class Planning:
    """What every command needs: the rules in force and the documents."""

    rules: RuleSet
    plans: Documents
    lots: Documents
    view: View | None = None

    @property
    def today(self) -> date:
        """The civil day in Tokyo."""
        return self.plans.clock.today()

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.plans.clock.now()


# Recounting -------------------------------------------------------------------------------------------------------


def recount(planning: Planning, doc: Document, *, after_events: bool) -> None:
    """Make the plan anew from the whole history; announce it when it differs, and what it means for reminders.

    The day only moves forward (protocol R2): a plan made for a later day is not made again for an earlier one.
    """
    state = doc.state
    if "child" not in state:
        return
    before = state.get("plan")
    today = planning.today
    if state.get("silenced"):
        plan: Doc = {"rule_set": planning.rules.id, "as_of": today.isoformat(), "items": [], "doses": []}
    else:
        plan = _counted(planning, state)
    state["plan"] = plan if before is None or _differs(before, plan) else before
    armed, cancelled = _rearm(planning, doc, plan)
    if state["plan"] is not before or armed or cancelled:
        doc.emit(
            PlanChanged(
                rule_set=plan["rule_set"],
                as_of=plan["as_of"],
                municipality=state["child"]["municipality"],
                items=tuple(PlanItem.model_validate(item) for item in plan["items"]),
                doses=tuple(DoseVerdict.model_validate(verdict) for verdict in plan["doses"]),
                reminders=tuple(
                    ArmedReminder(
                        id=reminder_id,
                        kind=one["kind"],
                        series=one["series"],
                        dose_number=one["dose_number"],
                        fires_at=one["fires_at"],
                    )
                    for reminder_id, one in sorted(state["reminders"].items())
                    if one["state"] == "armed"
                ),
                based_on=kept.stream_marks(doc),
            ),
            planning.now,
        )
        for reminder_id, reason in cancelled:
            doc.emit(ReminderCancelled(reminder_id=reminder_id, reason=reason), planning.now)
    elif after_events:
        doc.emit(PlanConfirmed(as_of=today, based_on=kept.stream_marks(doc)), planning.now)
    _tell_overdue(planning, doc, plan, today)


async def plans_and_recounts(planning: Planning) -> AsyncIterator[tuple[str, bool]]:
    """Every child and whether its plan is what its history gives today (promise G4)."""
    async for row in planning.plans.store.each(kept.PLANS, {}, fields=["_id"], batch=100):
        doc = await planning.plans.load(row["_id"])
        if doc is None or "child" not in doc.state or doc.state.get("silenced"):
            continue
        plan = _counted(planning, doc.state)
        yield doc.id, "plan" in doc.state and not _differs(doc.state["plan"], plan)


def _counted(planning: Planning, state: Doc) -> Doc:
    plan: Doc = kept.plain(plan_to_json(make_plan(planning.rules, kept.history_of(state), planning.today)))
    if state["child"].get("born"):
        # The pregnancy is over: what is left are the mother's own checkups.
        plan["items"] = [item for item in plan["items"] if item["series"].startswith("postnatal_")]
    return plan


def _differs(before: Doc, plan: Doc) -> bool:
    return any(before.get(part) != plan.get(part) for part in ("rule_set", "items", "doses"))


def _due_items(plan: Doc) -> list[DueItem]:
    return [
        DueItem(
            item["series"],
            item["dose_number"],
            item["status"],
            kept.day(item.get("earliest")),
            kept.day(item.get("recommended")),
            kept.day(item.get("overdue_from")),
            kept.day(item.get("free_until")),
        )
        for item in plan["items"]
    ]


def _rearm(planning: Planning, doc: Document, plan: Doc) -> tuple[int, list[tuple[str, str]]]:
    """Arm what the plan asks for, cancel what lost its reason; fired ones stay fired.

    Gives how many were armed, and which were cancelled for what reason.
    """
    reminders: Doc = doc.state.setdefault("reminders", {})
    items = _due_items(plan)
    wanted = {
        derived_id("reminder", doc.id, key): (key, reminder)
        for key, reminder in reminders_for(items, planning.today).items()
        if tokyo_time(reminder.day, reminder.hour) > planning.now
    }
    cancelled: list[tuple[str, str]] = []
    for reminder_id, known in list(reminders.items()):
        if known["state"] == "armed" and reminder_id not in wanted:
            reason = "silenced" if doc.state.get("silenced") else why_cancelled(known["key"], items)
            if reason == "changed" and known["fires_at"] <= wire_instant(planning.now):
                # Its time has come and its dose is still waiting: it fires, however late the platform was.
                continue
            known["state"] = "cancelled"
            cancelled.append((reminder_id, reason))
    armed = 0
    for reminder_id, (key, reminder) in wanted.items():
        known = reminders.get(reminder_id)
        if known is None or known["state"] == "cancelled":
            armed += 1
            reminders[reminder_id] = {
                "key": key,
                "kind": reminder.kind,
                "series": reminder.series,
                "dose_number": reminder.dose_number,
                "fires_at": wire_instant(tokyo_time(reminder.day, reminder.hour)),
                "state": "armed",
            }
    return armed, cancelled


def _tell_overdue(planning: Planning, doc: Document, plan: Doc, today: date) -> None:
    """Announce each dose or checkup once when it becomes overdue; forget it when it no longer is."""
    told: Doc = doc.state.setdefault("told", {})
    late = overdue(_due_items(plan), today)
    for name, since in late.items():
        if name in told:
            continue
        told[name] = since.isoformat()
        series, _, number = name.partition(":")
        if series.startswith("checkup_"):
            doc.emit(CheckupOverdue(kind=series, overdue_from=since), planning.now)
        else:
            doc.emit(DoseOverdue(series=series, dose_number=int(number), overdue_from=since), planning.now)
    for name in set(told) - set(late):
        del told[name]


async def turn_the_day(planning: Planning) -> int:
    """Recount every plan that was not yet recounted today; how many documents changed."""
    view = _view(planning)
    today = planning.today.isoformat()
    done = await planning.plans.store.get(kept.DAYS, "last")
    if done is not None and done["day"] >= today and done["rules"] == planning.rules.id:
        return 0
    changed = 0
    batch: list[str] = []
    async for row in planning.plans.store.each(kept.PLANS, {}, fields=["_id"]):
        batch.append(row["_id"])
        if len(batch) == FIRE_AT_ONCE:
            changed += await _recount_many(planning, view, batch)
            batch = []
    changed += await _recount_many(planning, view, batch)
    await planning.plans.store.update(
        kept.DAYS, {"_id": "last"}, {"$set": {"day": today, "rules": planning.rules.id}}, upsert=True
    )
    return changed


async def _recount_many(planning: Planning, view: View, ids: Sequence[str]) -> int:
    waiting = set(ids)
    changed = 0
    while waiting:
        docs = list((await planning.plans.load_many(waiting)).values())
        for doc in docs:
            recount(planning, doc, after_events=False)
            view.mark_derived(doc)
        touched = [doc for doc in docs if doc.outgoing]
        lost = {doc.id for doc in await planning.plans.commit_many(touched)}
        await view.derive([doc for doc in touched if doc.id not in lost])
        changed += len(touched) - len(lost)
        waiting = lost
    return changed


def _view(planning: Planning) -> View:
    if planning.view is None:
        raise RuntimeError("the plan view is not wired")
    return planning.view


# Reminders --------------------------------------------------------------------------------------------------------


async def fire_reminders(planning: Planning) -> int:
    """Fire what is due, bucket by bucket; a guarded commit, so two workers fire it once (protocol D4)."""
    view = _view(planning)
    fired = 0
    until = kept.milliseconds(planning.now)
    for bucket in range(kept.BUCKETS):
        rows = await planning.plans.store.find(
            kept.REMINDER_TIMES,
            {"bucket": bucket, "fires_at": {"$gte": 0, "$lte": until}},
            limit=FIRE_AT_ONCE,
            fields=["child", "gone"],
        )
        for child in sorted({row["child"] for row in rows if not row["gone"]}):
            answer, doc = await planning.plans.change(child, lambda doc: _fire(planning, view, doc))
            fired += answer["fired"]
            if doc.derive:
                await view.derive([doc])
    return fired


def _fire(planning: Planning, view: View, doc: Document) -> Doc:
    now = planning.now
    items = {(item["series"], item["dose_number"]): item for item in doc.state.get("plan", {}).get("items", [])}
    fired = 0
    for reminder_id, reminder in sorted(doc.state.get("reminders", {}).items()):
        if reminder["state"] != "armed" or reminder["fires_at"] > wire_instant(now):
            continue
        reminder["state"] = "fired"
        fired += 1
        item = items.get((reminder["series"], reminder["dose_number"]), {})
        doc.emit(
            ReminderDue(
                reminder_id=reminder_id,
                kind=reminder["kind"],
                series=reminder["series"],
                dose_number=reminder["dose_number"],
                recommended=kept.day(item.get("recommended")),
                free_until=kept.day(item.get("free_until")),
            ),
            now,
        )
    view.mark_derived(doc)
    return {"fired": fired}


# Pre-checks -------------------------------------------------------------------------------------------------------


def may_read(principal: Principal, state: Doc, today: date) -> bool:
    """Whether this principal may see this child's plan: guardian, relative, consented clinic or town, town of residence."""
    if principal.role == "guardian":
        shared = any(
            one["relative"] == principal.subject and one["until"] >= today.isoformat()
            for one in state.get("grants", {}).values()
        )
        return shared or principal.subject in state.get("guardians", {})
    organisation = principal.organisation if principal.role == "clinic" else principal.municipality
    if organisation is None:
        return False
    consent = state.get("consents", {}).get(organisation)
    if consent is not None and (consent.get("until") is None or consent["until"] >= today.isoformat()):
        return True
    return principal.role in {"staff", "system"} and organisation == state["child"]["municipality"]


def _readable(planning: Planning, doc: Document | None, principal: Principal) -> Document:
    """The child's plan document; NotFound when it is not there or not this principal's."""
    if doc is None or not kept.is_known(doc.state) or not may_read(principal, doc.state, planning.today):
        raise NotFound
    return doc


def plan_on(planning: Planning, doc: Document | None, principal: Principal, on: date) -> Doc:
    """The plan as it would be on another day, from the same history."""
    state = _readable(planning, doc, principal).state
    return plan_to_json(make_plan(planning.rules, kept.history_of(state), on))


def plan_of_pregnancy(planning: Planning, doc: Document | None, principal: Principal) -> Doc:
    """The woman's plan of today; a child's is found where children are."""
    state = _readable(planning, doc, principal).state
    if not kept.is_pregnancy(state) or "plan" not in state:
        raise NotFound
    plan: Doc = state["plan"]
    return plan


def catch_up_of(
    planning: Planning, doc: Document | None, principal: Principal, ill_until: date | None, closed: Sequence[date]
) -> Doc:
    """The fewest visits that complete what is open within its free windows, on days when clinics are open.

    `ill_until`: no visit before the day after. `closed`: days on which the family's clinic is closed besides holidays.
    """
    state = _readable(planning, doc, principal).state
    found = catch_up(
        planning.rules, kept.history_of(state), planning.today, opening_days(closed=closed), ill_until=ill_until
    )
    return {
        "rule_set": planning.rules.id,
        "as_of": planning.today.isoformat(),
        "fewest": found.fewest,
        "visits": [
            {
                "day": visit.day.isoformat(),
                "doses": [
                    {"series": series, "dose_number": number, "vaccine": vaccine}
                    for series, number, vaccine in visit.doses
                ],
            }
            for visit in found.visits
        ],
        "undecided": [
            {
                "series": item.series,
                "dose_number": item.dose_number,
                "status": item.status,
                "sentence": item.why.sentence,
                "sentence_en": item.why.sentence_en,
            }
            for item in found.undecided
        ],
    }


@dataclass(frozen=True, slots=True)
class Question:
    """What a clinic asks before the needle."""

    child: str
    code: str
    product: str | None
    lot: str | None
    expires_on: date | None
    on: date


async def answer_pre_check(
    planning: Planning, principal: Principal, question: Question, command: Command, plan: Document | None = None
) -> tuple[Doc, Document]:
    """Check a proposed dose and keep question and answer (PreCheckAnswered); `plan` where it was just loaded."""
    if principal.role != "clinic":
        raise Forbidden
    plan = plan or await planning.plans.load(question.child)
    if plan is None:
        raise NotFound
    siblings, consent, recalled = await asyncio.gather(
        _siblings(planning, plan), _vaccination_consent(planning, question), _recalled_lots(planning, question)
    )

    def decide(doc: Document) -> Doc:
        if not kept.is_known(doc.state) or not may_read(principal, doc.state, planning.today):
            raise NotFound
        proposal = Proposal(
            code=question.code,
            product=question.product,
            lot=question.lot,
            expires_on=question.expires_on,
            on=question.on,
            recalled_lots=recalled,
            siblings=siblings,
            consent=consent,
        )
        result = pre_check(planning.rules, kept.history_of(doc.state), proposal, planning.today)
        reasons = [
            {
                "code": reason.code,
                "rule": reason.rule,
                "sentence": reason.sentence,
                "sentence_en": reason.sentence_en,
                "source": reason.source,
            }
            for reason in result.reasons
        ]
        check_id = command.id
        doc.emit(
            PreCheckAnswered(
                check_id=check_id,
                organisation=principal.organisation or "",
                code=question.code,
                lot=question.lot,
                given_on=question.on,
                verdict=result.verdict,
                reasons=tuple(Reason(**reason) for reason in reasons),
            ),
            planning.now,
        )
        return {"id": check_id, "verdict": result.verdict, "reasons": reasons, "rule_set": planning.rules.id}

    return await planning.plans.change(question.child, decide, command, loaded=plan)


async def _siblings(planning: Planning, plan: Document) -> tuple[Sibling, ...]:
    """Children of the same guardians, with what they are due for."""
    store = planning.plans.store
    families = await asyncio.gather(
        *(store.find(kept.FAMILIES, {"guardian": guardian}) for guardian in plan.state.get("guardians", {}))
    )
    others = {row["child"] for rows in families for row in rows if not row["gone"]} - {plan.id}
    docs = await planning.plans.load_many(sorted(others))
    return tuple(
        Sibling(id=doc.id, history=kept.history_of(doc.state))
        for _, doc in sorted(docs.items())
        if "child" in doc.state and not doc.state.get("silenced")
    )


async def _vaccination_consent(planning: Planning, question: Question) -> bool | None:
    """The guardian's last decision on this vaccine (予診票); None where there is none."""
    rows = await planning.plans.store.find(kept.CHILD_CONSENTS, {"child": question.child})
    decisions = [
        row
        for row in rows
        if not row["gone"] and row.get("vaccine") == question.code and row.get("consent") is not None
    ]
    return None if not decisions else bool(max(decisions, key=lambda row: row["version"])["consent"])


async def _recalled_lots(planning: Planning, question: Question) -> frozenset[str]:
    if not question.lot:
        return frozenset()
    doc = await planning.lots.load(lot_id(question.lot))
    return frozenset({question.lot}) if doc is not None else frozenset()


# Lots and follow-ups ----------------------------------------------------------------------------------------------


def lot_id(lot: str) -> str:
    """The id of a lot's document: its number, folded."""
    return derived_id("lot", folded_lot(lot))


async def recall_lot(
    planning: Planning, principal: Principal, product: str, lot: str, reason: str, command: Command
) -> tuple[Doc, Document]:
    """Recall a lot: from now on it is stopped at every pre-check."""
    if principal.role not in {"staff", "operator"}:
        raise Forbidden

    def decide(doc: Document) -> Doc:
        doc.tenant = principal.municipality or ""
        doc.state.update({"product": product, "lot": lot, "reason": reason})
        doc.emit(LotRecalled(product=product, lot=lot, reason=reason), planning.now)
        return {"id": doc.id}

    return await planning.lots.upsert(lot_id(lot), decide, command)


async def not_yet(planning: Planning, principal: Principal, municipality: str, kind: str) -> list[Doc]:
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


async def follow_up(
    planning: Planning, principal: Principal, municipality: str, line: str, state: str, responsible: str | None
) -> tuple[Doc, Document]:
    """Say who follows up a line of the not-yet list, and how far they are."""
    if principal.role != "staff":
        raise Forbidden
    row = await planning.plans.store.get(kept.DUE, line)
    if principal.municipality != municipality or row is None or row["gone"] or row["municipality"] != municipality:
        raise NotFound
    view = _view(planning)

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


def plan_is_fresh(doc: Document | None, wanted: dict[str, int]) -> bool:
    """Whether the plan has seen these `stream:subject` revisions."""
    seen: dict[str, Any] = {} if doc is None else doc.applied
    return all(seen.get(name.replace(".", "/"), 0) >= revision for name, revision in wanted.items())
