"""Whether this principal may do this: Cedar's answer on the policy files, with relations from the gateway's own views."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import cedarpy

from services.gateway.domain import child_view
from shared.auth import Principal

Entity = dict[str, Any]
_KINDS: dict[str, Callable[[Principal], dict[str, str]]] = {
    "guardian": lambda who: {"subject": who.subject},
    "clinic": lambda who: {"organisation": who.organisation or ""},
    "staff": lambda who: {"municipality": who.municipality or ""},
    "system": lambda who: {"municipality": who.municipality or ""},
    "operator": lambda _: {},
}
KIND_OF_THING = {"child": "Child", "town": "Town", "owned": "Owned", "own": "Own", "registry": "Registry"}


class PolicyBroken(Exception):
    """The policy files do not fit their schema: the app does not start."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked about: its kind, and what binds principals to it."""

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


def child_resource(state: Mapping[str, Any], today: date) -> Resource:
    """A child as the policy sees it; clinics are those with a consent in force on this day."""
    return Resource(
        "Child",
        {
            "guardians": sorted(state.get("guardians", ())),
            "clinics": sorted(
                organisation
                for organisation, consent in state.get("consents", {}).items()
                if consent["kind"] == "clinic" and child_view.in_force(consent, today)
            ),
            "municipality": state.get("municipality", ""),
        },
    )


NOBODYS_CHILD = Resource("Child", {"guardians": [], "clinics": [], "municipality": ""})
"""What an unknown child looks like: nobody is related to it."""


def town_resource(code: str) -> Resource:
    """A municipality as the policy sees it."""
    return Resource("Town", {"code": code})


def is_complete(principal: Principal) -> bool:
    """Whether the principal says for whom it acts: a clinic its organisation, staff and systems their town."""
    if principal.role == "clinic":
        return bool(principal.organisation)
    return bool(principal.municipality) if principal.role in {"staff", "system"} else True


class Policy:
    """The policy files, parsed and checked against their schema once."""

    def __init__(self, files: Mapping[str, str], schema: str) -> None:
        text = "\n".join(files[name] for name in sorted(files))
        checked = cedarpy.validate_policies(text, schema)
        if not checked.validation_passed:
            raise PolicyBroken("; ".join(str(error) for error in checked.errors))
        self._policies = cedarpy.PolicySet.from_str(text)
        self.actions = _actions_of(schema)
        self._by_role: dict[tuple[str, str], bool] = {}

    def allows(self, principal: Principal, action: str, resource: Resource) -> bool:
        """Whether it is permitted. What Cedar cannot evaluate is denied."""
        if not is_complete(principal):
            return False
        who = _entity(principal.role.capitalize(), principal.subject, _KINDS[principal.role](principal))
        what = _entity(resource.kind, "it", dict(resource.attributes))
        request = {
            "principal": who["uid"],
            "action": {"type": "Action", "id": action},
            "resource": what["uid"],
            "context": {},
        }
        answer = cedarpy.is_authorized(request, self._policies, [who, what])
        return bool(answer.allowed) and not answer.diagnostics.errors

    def role_can(self, principal: Principal, action: str, thing: str) -> bool:
        """Whether this role may do it to anything at all: asked about a thing that is its own in every way."""
        if not is_complete(principal):
            return False
        key = (principal.role, action)
        if key not in self._by_role:
            self._by_role[key] = self.allows(principal, action, _its_own(principal, thing))
        return self._by_role[key]


def _its_own(principal: Principal, thing: str) -> Resource:
    if thing == "child":
        return Resource(
            "Child",
            {
                "guardians": [principal.subject],
                "clinics": [principal.organisation or ""],
                "municipality": principal.municipality or "",
            },
        )
    if thing == "town":
        return town_resource(principal.municipality or "")
    return Resource(KIND_OF_THING[thing])


def _entity(kind: str, name: str, attributes: Mapping[str, Any]) -> Entity:
    return {"uid": {"type": kind, "id": name}, "attrs": dict(attributes), "parents": []}


def _actions_of(schema: str) -> frozenset[str]:
    """The names of all actions that the schema declares."""
    found: set[str] = set()
    for part in schema.split("action ")[1:]:
        found |= {name.strip() for name in part.split("appliesTo", 1)[0].split(",")}
    return frozenset(found)
