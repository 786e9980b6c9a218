"""What every command on plans needs: the rules in force, the documents, and who may read them."""

from dataclasses import dataclass
from datetime import date, datetime

from services.schedule import store as kept
from services.schedule.rule_files import RuleSet
from shared.auth import Principal
from shared.documents import Document, Documents
from shared.problems import NotFound
from shared.store import Doc
from shared.views import View


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


def view_of(planning: Planning) -> View:
    """The view that keeps the plans; there once the service is wired."""
    if planning.view is None:
        raise RuntimeError("the plan view is not wired")
    return planning.view


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


def readable(planning: Planning, doc: Document | None, principal: Principal) -> Document:
    """The child's plan document; NotFound when it is not there or not this principal's."""
    if doc is None or not kept.is_known(doc.state) or not may_read(principal, doc.state, planning.today):
        raise NotFound
    return doc
