"""Who may read and write which response; the gateway's policy asks first, this is the owner's own answer."""

from dataclasses import dataclass
from datetime import date

from services.questionnaire.domain.children import KnownChild
from services.questionnaire.domain.responses import Response
from shared.problems import Forbidden, NotFound


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or system for whom a call is made."""

    subject: str
    role: str
    organisation: str | None = None


def must_be(caller: Caller, *roles: str) -> None:
    """Raise Forbidden when this role may not do it at all, for whichever child."""
    if caller.role not in roles:
        raise Forbidden


def may_answer_for(caller: Caller, child: KnownChild, today: date) -> bool:
    """Guardians for their children; clinics for children whose guardian lets them."""
    if caller.role == "guardian":
        return child.is_guardian(caller.subject)
    return caller.role == "clinic" and child.lets_read(caller.organisation, today)


def may_read(caller: Caller, child: KnownChild, response: Response, today: date) -> bool:
    """A guardian reads every response for the child; a clinic with consent what was handed in to it, or to no clinic in particular.

    A draft is the family's own, unless the clinic itself began it.
    """
    if not may_answer_for(caller, child, today):
        return False
    if caller.role == "guardian":
        return True
    if response.status == "draft":
        return response.begun_at is not None and response.begun_at == caller.organisation
    return response.clinic in {None, caller.organisation}


def check_reads(caller: Caller, child: KnownChild, response: Response, today: date) -> None:
    """Raise NotFound, the same as for a response that is not there."""
    if not may_read(caller, child, response, today):
        raise NotFound
