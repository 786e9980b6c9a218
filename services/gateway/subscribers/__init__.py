"""What the gateway listens to: the record and the questionnaires, the plans, and the municipalities' own topics."""

from dataclasses import dataclass

from services.gateway.commands.intake import Intake, Keep
from services.gateway.subscribers.child_view import ChildView, follow_children
from services.gateway.subscribers.intake import follow_municipalities
from services.gateway.subscribers.plan_view import follow_plans
from shared.runtime import Runtime
from shared.views import View


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The views that routes may wait for (Hagukumi-Revision)."""

    children: ChildView
    plans: View


def subscribe(runtime: Runtime, keep: Keep) -> Subscriptions:
    """Wire every subscription of the gateway; `keep` is the audit's write."""
    subscriptions = Subscriptions(follow_children(runtime), follow_plans(runtime))
    follow_municipalities(runtime, Intake(runtime, keep))
    return subscriptions
