"""Plans as families, towns and clinics read them."""

from collections.abc import Sequence
from datetime import date

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, readable
from services.schedule.domain.catch_up import catch_up
from services.schedule.domain.history import History
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.opening_days import opening_days
from shared.auth import Principal
from shared.documents import Document
from shared.problems import NotFound
from shared.store import Doc


def plan_on(planning: Planning, doc: Document | None, principal: Principal, on: date) -> Doc:
    """The plan as it would be on another day, from the same history."""
    state = readable(planning, doc, principal).state
    return plan_to_json(make_plan(planning.rules, _history_for(principal, state), on))


def pregnancy_plan(planning: Planning, doc: Document | None, principal: Principal) -> Doc:
    """The woman's plan of today; a child's is found where children are."""
    state = readable(planning, doc, principal).state
    if not kept.is_pregnancy(state) or "plan" not in state:
        raise NotFound
    plan: Doc = state["plan"]
    return plan


def _history_for(principal: Principal, state: Doc) -> History:
    return kept.history_of(state, of_no_town=principal.subject in state.get("cut_off", ()))


def catch_up_of(
    planning: Planning, doc: Document | None, principal: Principal, ill_until: date | None, closed: Sequence[date]
) -> Doc:
    """The fewest visits that complete what is open within its free windows, on days when clinics are open.

    `ill_until`: no visit before the day after. `closed`: days on which the family's clinic is closed besides holidays.
    """
    state = readable(planning, doc, principal).state
    found = catch_up(
        planning.rules, _history_for(principal, state), planning.today, opening_days(closed=closed), ill_until=ill_until
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
