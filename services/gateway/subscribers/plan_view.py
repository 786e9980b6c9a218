"""Plans, reminders and overdue marks as the gateway reads them."""

from services.gateway import store as kept
from services.gateway.domain import plan_view
from shared.documents import Document
from shared.events import schedule as s
from shared.events.base import Envelope, Event
from shared.runtime import Runtime
from shared.views import View


def follow_plans(runtime: Runtime) -> View:
    """Subscribe to the schedule's plans."""
    view = View(kept.plans_of(runtime), dict.fromkeys(plan_view.PLAN, _apply))
    runtime.follow(s.PlanEvent.topic(), view)
    return view


def _apply(doc: Document, event: Event, envelope: Envelope) -> None:
    plan_view.PLAN[type(event)](doc.state, event, envelope.revision)
    if isinstance(event, s.PlanChanged):
        doc.tenant = event.municipality
