"""What each role is shown of a child: an allow-list per role, so that a new internal field is seen by nobody (S6)."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from services.gateway.domain import child_view
from services.gateway.domain.child_view import in_force
from services.gateway.domain.residence import Ledger
from shared.auth import Principal
from shared.ids import binding_id

Json = dict[str, Any]

FACTS: dict[str, tuple[str, ...]] = {
    "guardian": (
        "birth_date",
        "sex",
        "name",
        "municipality",
        "district",
        "gestation_days",
        "birth_weight_g",
        "twin_group",
    ),
    # From this guardian address and whereabouts are hidden (支援措置): no town, no district, no clinic, no name of anybody.
    "cut_off": ("birth_date", "sex", "name", "gestation_days", "birth_weight_g"),
    "relative": ("birth_date", "sex", "name"),
    # A clinic needs to know whom it treats and which town pays (公費負担), not where the family lives.
    "clinic": ("birth_date", "sex", "name", "municipality", "gestation_days", "birth_weight_g"),
    "staff": (
        "birth_date",
        "sex",
        "name",
        "municipality",
        "district",
        "gestation_days",
        "birth_weight_g",
        "twin_group",
    ),
}
FACTS["system"] = FACTS["staff"]

DOSE = (
    "id",
    "given_on",
    "code",
    "cvx",
    "vaccine",
    "product",
    "lot",
    "expires_on",
    "site",
    "route",
    "dose_ml",
    "hot",
    "provenance",
    "recorded_at",
    "superseded_by",
)
DOSE_ORIGIN = ("organisation", "performer")
CHECKUP = (
    "id",
    "kind",
    "done_on",
    "result",
    "findings",
    "follow_up",
    "weight_kg",
    "length_cm",
    "head_cm",
    "chest_cm",
    "provenance",
)
GROWTH = ("id", "measured_on", "weight_kg", "length_cm", "head_cm", "chest_cm", "provenance")
CONDITION = ("id", "code", "since")
REACTION = ("id", "dose_id", "symptom", "text", "began_at", "serious", "outcome", "provenance")
ALLERGY = ("id", "substance", "criticality", "since", "text", "provenance")
MILESTONE = ("id", "milestone", "reached_on", "about", "provenance")
RESPONSE = ("id", "form", "form_version", "submitted_at")
ARRIVAL = ("from_municipality", "effective_on", "confirmed")
STAY = ("municipality", "clinics", "since", "until", "begun")
GRANT = ("relation", "sections", "until")
CONSENT = ("purpose", "kind", "until")
LINE = ("birth_date", "sex", "name", "municipality")
PLAN = ("rule_set", "as_of", "items", "doses")
REMINDER = ("id", "kind", "series", "dose_number", "fires_at", "state", "reason")
ACCESS = ("at", "role", "organisation", "action", "purpose", "outcome")


def seen_as(state: Mapping[str, Any], principal: Principal) -> str:
    """As what the caller sees this child: by role, and for a guardian by what binds them."""
    if principal.role != "guardian":
        return principal.role
    if principal.subject in state.get("cut_off", ()):
        return "cut_off"
    return "guardian" if principal.subject in state.get("guardians", ()) else "relative"


def child_json(child: str, state: Mapping[str, Any], principal: Principal, today: date) -> Json:
    """The child's record as this caller may see it; lists in a stable order."""
    hat = seen_as(state, principal)
    found: Json = {"id": child, **_only(state["facts"], FACTS[hat])}
    if state.get("died_on"):
        # A client that shows anything cheerful asks this first.
        found |= {"died_on": state["died_on"], "silenced": True}
    lists: dict[str, list[Json]] = {
        "doses": [_with_origin(one, DOSE, principal, hat) for one in _sorted(state, "doses", "given_on")],
        "checkups": [_with_origin(one, CHECKUP, principal, hat) for one in _sorted(state, "checkups", "done_on")],
        "growth": [_only(one, GROWTH) for one in _sorted(state, "growth", "measured_on")],
    }
    if hat == "relative":
        shared = child_view.sections_of(dict(state), principal.subject, today)
        return {**found, **{section: lines for section, lines in lists.items() if section in shared}}
    found |= lists
    found["conditions"] = [_only(one, CONDITION) for one in _sorted(state, "conditions", "since")]
    for family, fields, day in (
        ("reactions", REACTION, "began_at"),
        ("allergies", ALLERGY, "since"),
        ("milestones", MILESTONE, "reached_on"),
    ):
        found[family] = [_with_origin(one, fields, principal, hat) for one in _sorted(state, family, day)]
    if hat == "cut_off":
        return found
    found["responses"] = [
        _only(one, RESPONSE) for one in _sorted(state, "responses", "submitted_at") if _may_list(state, one, principal)
    ]
    if hat == "guardian":
        found["guardians_bound"] = len(state.get("guardians", ()))
        found["consents"] = [
            {"organisation": organisation, **_only(consent, CONSENT), "in_force": in_force(consent, today)}
            for organisation, consent in sorted(state.get("consents", {}).items())
        ]
    if hat in {"staff", "system"}:
        found["guardians_bound"] = len(state.get("guardians", ()))
    return found


def kept_json(
    child: str, state: Mapping[str, Any], town: str, found: Iterable[tuple[Ledger, Mapping[str, Any], date]]
) -> Json:
    """What a town that the child left keeps of it; names as they were while it lived there."""
    names = [one["name"] for one in state.get("residences", ()) if one["municipality"] == town and one["name"]]
    shown = {"doses": (*DOSE, *DOSE_ORIGIN), "checkups": (*CHECKUP, *DOSE_ORIGIN)}
    return {
        "id": child,
        **_only(state["facts"], ("birth_date", "sex")),
        "names": names,
        "items": [
            {
                "ledger": ledger.ledger,
                "name": ledger.name,
                "source": ledger.source,
                "kept_until": end.isoformat(),
                "fact": _only(fact, shown[ledger.ledger]),
            }
            for ledger, fact, end in found
        ],
    }


def family_json(child: str, state: Mapping[str, Any], principal: Principal, today: date) -> Json:
    """Who is bound to the child, how that was proven, and what is shared with whom; a person's own id is shown to nobody."""
    cut_off = set(state.get("cut_off", ()))
    proofs = {one["guardian"]: one for one in state.get("proofs", ())}
    town = principal.role in {"staff", "system"}
    return {
        "guardians": [
            {
                "id": binding_id(child, guardian),
                "proven_by": proofs.get(guardian, {}).get("proven_by", "registration"),
                "invited": proofs.get(guardian, {}).get("invited", False),
                "yourself": principal.role == "guardian" and guardian == principal.subject,
                # Only the town is told: whoever looks over a shoulder must not learn of it.
                **({"cut_off": guardian in cut_off} if town else {}),
            }
            for guardian in sorted(state.get("guardians", ()))
        ],
        "grants": [
            {"id": grant, **_only(one, GRANT), "in_force": in_force(one, today)}
            for grant, one in sorted(state.get("grants", {}).items())
        ],
        "stays": [{"id": stay, **_only(one, STAY)} for stay, one in sorted(state.get("stays", {}).items())],
        "move": _only(state["move"], ("to_municipality", *ARRIVAL)) if state.get("move") else None,
    }


def _may_list(state: Mapping[str, Any], response: Mapping[str, Any], principal: Principal) -> bool:
    """A town reads no questionnaires here; a clinic those handed to it or to no clinic in particular."""
    if principal.role == "guardian":
        return True
    if principal.role != "clinic":
        return False
    filed = state.get("questionnaires", {}).get(response["id"], {})
    return filed.get("clinic") in {None, principal.organisation}


def _with_origin(fact: Mapping[str, Any], fields: tuple[str, ...], principal: Principal, hat: str) -> Json:
    """Another clinic's name is none of a clinic's business: it sees its own only; where a child was, not everybody's."""
    shown = _only(fact, fields)
    if hat in {"relative", "cut_off"}:
        return _without_words(shown)
    if hat == "clinic" and fact.get("organisation") != principal.organisation:
        return shown
    return shown | _only(fact, DOSE_ORIGIN)


def _without_words(fact: Json) -> Json:
    """Codes and numbers only: what somebody wrote may name a hospital or a place."""
    shown = {name: value for name, value in fact.items() if name not in {"text", "follow_up"}}
    if "findings" in shown:
        shown["findings"] = [{"code": one["code"]} for one in shown["findings"]]
    return shown


def line_json(child: str, state: Mapping[str, Any], principal: Principal) -> Json:
    """A child in a list."""
    shown = set(FACTS[seen_as(state, principal)])
    return {"id": child, **_only(state["facts"], (name for name in LINE if name in shown))}


def arrival_json(child: str, state: Mapping[str, Any]) -> Json:
    """A child who is to move to the town: enough to know the family when it comes (転入届)."""
    return {"id": child, **_only(state["facts"], LINE), **_only(state["move"], ARRIVAL)}


def plan_json(child: str, plan: Mapping[str, Any], hat: str) -> Json:
    """Today's plan; from whom whereabouts are hidden reads it without the town's own programmes."""
    seen = {**plan, **plan.get("nationwide", {})} if hat == "cut_off" else plan
    return {"child": child, **_only(seen, PLAN)}


def reminders_json(state: Mapping[str, Any]) -> list[Json]:
    """All reminders that were ever armed, by the instant they fire at."""
    reminders = state.get("reminders", {}).values()
    return [_only(one, REMINDER) for one in sorted(reminders, key=lambda one: (one.get("fires_at") or "", one["id"]))]


def access_json(row: Mapping[str, Any], principal: Principal) -> Json:
    """One line of «who looked at my record»: role, organisation and purpose, never a person's id."""
    return {**_only(row, ACCESS), "yourself": row.get("who") == principal.subject and row.get("role") == "guardian"}


def _only(source: Mapping[str, Any], fields: Iterable[str]) -> Json:
    return {name: source[name] for name in fields if source.get(name) is not None}


def _sorted(state: Mapping[str, Any], family: str, day: str) -> list[Json]:
    return sorted(state.get(family, {}).values(), key=lambda one: (one.get(day) or "", one["id"]))
