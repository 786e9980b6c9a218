"""Who may do what with a child's record: first by role, then by what binds the caller to this child.

The gateway has asked its policy before; nothing here trusts that (security.md). A role that may never do a thing is
refused by name (403). A child that is not the caller's is answered as one that does not exist (404).
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.records.domain.record import Record
from shared.events.records import Actor, Provenance, Section
from shared.problems import Forbidden, NotFound

Role = Literal["guardian", "clinic", "staff", "system", "operator"]
Verb = Literal[
    "register",
    "correct",
    "record_dose",
    "change_dose",
    "record_checkup",
    "change_checkup",
    "measure",
    "read_growth",
    "record_condition",
    "change_condition",
    "issue_codes",
    "invite",
    "revoke_grant",
    "change_guardians",
    "cut_off",
    "link",
    "consent",
    "stay",
    "merge",
    "tell_death",
    "notify_pregnancy",
    "follow_pregnancy",
    "treat_pregnancy",
    "lend_pregnancy",
    "confirm_pregnancy",
    "move",
    "read_history",
    "read_diary",
    "write_diary",
    "import",
    "export",
]

MAY: dict[Verb, frozenset[Role]] = {
    "register": frozenset({"guardian", "staff", "system"}),
    "correct": frozenset({"guardian", "staff", "system"}),
    "record_dose": frozenset({"guardian", "clinic", "staff", "system"}),
    "change_dose": frozenset({"guardian", "clinic", "staff", "system"}),
    # A guardian's word would take the child off its town's not-yet list (未受診者): whoever examined it says so.
    "record_checkup": frozenset({"clinic", "staff", "system"}),
    "change_checkup": frozenset({"clinic", "staff", "system"}),
    "measure": frozenset({"guardian", "clinic", "staff", "system"}),
    "read_growth": frozenset({"guardian", "clinic", "staff", "system"}),
    "record_condition": frozenset({"guardian", "clinic", "staff", "system"}),
    "change_condition": frozenset({"guardian", "clinic", "staff", "system"}),
    "issue_codes": frozenset({"staff", "system"}),
    "invite": frozenset({"guardian"}),
    "revoke_grant": frozenset({"guardian"}),
    "change_guardians": frozenset({"staff"}),
    "cut_off": frozenset({"staff"}),
    "link": frozenset({"guardian"}),
    "consent": frozenset({"guardian"}),
    "stay": frozenset({"guardian"}),
    "merge": frozenset({"staff"}),
    "tell_death": frozenset({"guardian", "staff", "system"}),
    "notify_pregnancy": frozenset({"guardian", "staff", "system"}),
    "follow_pregnancy": frozenset({"guardian", "staff", "system"}),
    "treat_pregnancy": frozenset({"guardian", "clinic", "staff", "system"}),
    "lend_pregnancy": frozenset({"guardian"}),
    "confirm_pregnancy": frozenset({"staff", "system"}),
    "move": frozenset({"staff", "system"}),
    "read_history": frozenset({"guardian", "clinic", "staff", "system"}),
    # The diary is the family's own: no clinic, no town.
    "read_diary": frozenset({"guardian"}),
    "write_diary": frozenset({"guardian"}),
    "import": frozenset({"staff"}),
    # The town prints it anew for a family that lost it (再交付).
    "export": frozenset({"guardian", "staff"}),
}

LENT: frozenset[Verb] = frozenset(
    {
        "record_dose",
        "change_dose",
        "record_checkup",
        "change_checkup",
        "measure",
        "record_condition",
        "change_condition",
    }
)
"""What a town may do to whose record a stay lends it."""

_SHARED: dict[Verb, Section] = {"read_diary": "diary", "read_growth": "growth"}
"""What a relative reads here, and the section that a guardian must have shared for it."""

_PROVENANCE: dict[Role, Provenance] = {
    "guardian": "guardian",
    "clinic": "clinic",
    "staff": "municipality",
    "system": "municipality",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: opaque subject, role, and the clinic or municipality acted for."""

    subject: str
    role: Role
    organisation: str | None = None
    municipality: str | None = None

    @property
    def acts_for(self) -> str | None:
        """The clinic's id or the municipality's code; None for a guardian."""
        if self.role == "clinic":
            return self.organisation
        return self.municipality if self.role in {"staff", "system"} else None

    @property
    def actor(self) -> Actor:
        """As events carry it."""
        return Actor(subject=self.subject, role=self.role, organisation=self.acts_for)

    @property
    def provenance(self) -> Provenance:
        """Whose word an entry of this caller is."""
        return _PROVENANCE[self.role]


def check_role(caller: Caller, verb: Verb) -> None:
    """Raise Forbidden when this role may never do it, whatever the child."""
    if caller.role not in MAY[verb]:
        raise Forbidden


def is_related(record: Record, caller: Caller, today: date) -> bool:
    """Whether guardianship, a consent in force or residence binds the caller to this child."""
    match caller.role:
        case "guardian":
            # One from whom whereabouts are hidden (支援措置) reads at the gateway only, and has no say here.
            return caller.subject in record.guardians and caller.subject not in record.cut_off
        case "clinic":
            return _trusted(record, caller.organisation, today)
        case "staff" | "system":
            return caller.municipality is not None and caller.municipality == record.facts.municipality
        case _:
            return False


def _shared_with(record: Record, relative: str, section: Section, today: date) -> bool:
    return relative not in record.guardians and any(
        grant.relative == relative and section in grant.sections and grant.until >= today
        for grant in record.grants.values()
    )


def _trusted(record: Record, organisation: str | None, today: date) -> bool:
    given = record.consents.get(organisation or "")
    return given is not None and (given.until is None or given.until >= today)


def check(record: Record, caller: Caller, verb: Verb, today: date) -> None:
    """Raise Forbidden for the role, NotFound for a child that is not the caller's."""
    check_role(caller, verb)
    if is_related(record, caller, today):
        return
    section = _SHARED.get(verb)
    if section is not None and _shared_with(record, caller.subject, section, today):
        return
    if caller.role == "staff" and _trusted(record, caller.municipality, today):
        # A town that the guardian consented to reads; one to which a stay (里帰り) lends the record writes as well.
        lent = record.consents[caller.municipality or ""].stay is not None
        if verb in {"read_history", "read_growth"} or (lent and verb in LENT):
            return
    raise NotFound


def check_author(record: Record, caller: Caller, provenance: Provenance, organisation: str | None) -> None:
    """Raise Forbidden unless the entry is the caller's to change: its author's organisation, or the town of residence.

    Called after `check`: the caller may read this entry, so that the refusal tells nothing new.
    """
    if caller.provenance == "municipality" and caller.municipality == record.facts.municipality:
        return
    if caller.provenance != provenance or caller.acts_for != organisation:
        raise Forbidden
