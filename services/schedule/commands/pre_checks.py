"""Checking a proposed dose before the needle, and keeping question and answer."""

import asyncio
from dataclasses import dataclass
from datetime import date

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, may_read
from services.schedule.domain.pre_check import Proposal, Sibling, pre_check
from shared.auth import Principal
from shared.documents import Command, Document
from shared.events.schedule import LotRecalled, PreCheckAnswered, Reason
from shared.ids import derived_id
from shared.problems import Forbidden, NotFound
from shared.store import Doc
from shared.vaccines import folded_lot


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
        *(store.find(kept.FAMILIES, {"guardian": guardian}) for guardian in kept.households(plan.state))
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
