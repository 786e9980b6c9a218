"""Whether this principal may do this: Cedar's answer on the policy files, with relations from the gateway's own views."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args

import cedarpy

from services.gateway.domain import child_view, residence
from shared.auth import Principal
from shared.events.records import Section

Entity = dict[str, Any]
SECTIONS: tuple[str, ...] = get_args(Section)
MOST_REMEMBERED = 20_000
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
    """A child as the policy sees it on this day: only consents and grants that are in force, nobody who is being refused."""
    refused = child_view.refused_now(dict(state))
    guardians = {one for one in state.get("guardians", ()) if f"guardian:{one}" not in refused}
    cut_off = guardians & set(state.get("cut_off", ()))
    readable: dict[str, set[str]] = {section: set() for section in SECTIONS}
    for grant in state.get("grants", {}).values():
        relative = grant["relative"]
        if child_view.in_force(grant, today) and f"guardian:{relative}" not in refused and relative not in guardians:
            for section in grant["sections"]:
                readable[section].add(relative)
    lent: set[str] = set()
    consented: dict[str, set[str]] = {"clinic": set(), "municipality": set()}
    for organisation, consent in state.get("consents", {}).items():
        if child_view.in_force(consent, today) and f"{consent['kind']}:{organisation}" not in refused:
            consented[consent["kind"]].add(organisation)
            if consent["kind"] == "municipality" and consent.get("stay"):
                lent.add(organisation)
    return _child(
        guardians=guardians - cut_off,
        cut_off=cut_off,
        clinics=consented["clinic"],
        towns=consented["municipality"],
        lent=lent,
        arriving=(state.get("move") or {}).get("to_municipality", ""),
        former=residence.towns_before(state),
        municipality=state.get("municipality", ""),
        shared=readable,
    )


def _child(
    *,
    guardians: Iterable[str] = (),
    cut_off: Iterable[str] = (),
    clinics: Iterable[str] = (),
    towns: Iterable[str] = (),
    lent: Iterable[str] = (),
    arriving: str = "",
    former: Iterable[str] = (),
    municipality: str = "",
    shared: Mapping[str, Iterable[str]] | None = None,
) -> Resource:
    readable = {section: sorted((shared or {}).get(section, ())) for section in SECTIONS}
    return Resource(
        "Child",
        {
            "guardians": sorted(guardians),
            "cut_off": sorted(cut_off),
            "clinics": sorted(clinics),
            "towns": sorted(towns),
            "lent": sorted(lent),
            "arriving": arriving,
            "former": sorted(former),
            "municipality": municipality,
            "relatives": sorted({one for readers in readable.values() for one in readers}),
            "shared": readable,
        },
    )


NOBODYS_CHILD = _child()
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
        self._decided: dict[tuple[Principal, str, str, str], bool] = {}

    def allows(self, principal: Principal, action: str, resource: Resource) -> bool:
        """Whether it is permitted. What Cedar cannot evaluate is denied.

        The same question has the same answer, since everything that it depends on is in it: so it is kept.
        """
        if not is_complete(principal):
            return False
        question = (principal, action, resource.kind, repr(resource.attributes))
        decided = self._decided.get(question)
        if decided is None:
            decided = self._ask(principal, action, resource)
            if len(self._decided) >= MOST_REMEMBERED:
                self._decided.clear()
            self._decided[question] = decided
        return decided

    def _ask(self, principal: Principal, action: str, resource: Resource) -> bool:
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
        me, organisation, town = [principal.subject], [principal.organisation or ""], principal.municipality or ""
        return _child(guardians=me, clinics=organisation, municipality=town, arriving=town, former=[town])
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
