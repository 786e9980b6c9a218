"""Who gets in: role by route by relation, written by hand; and what bad input is told."""

import json
import re
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from services.records.commands import imports
from services.records.commands.merging import pair_id
from services.records.domain.access import Caller
from services.records.store.collections import PREGNANCIES
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import (
    CLINIC,
    FATHER,
    MOTHER,
    NURSE,
    OPERATOR,
    OTHER_CLINIC,
    OTHER_NURSE,
    OTHER_TOWN,
    REGISTER,
    STRANGER,
    TODAY,
    TOWN,
)
from shared.auth import InternalTokens, Principal
from shared.ids import binding_id
from shared.settings import Settings
from shared.store import Doc
from shared.testing import photos as invented
from shared.testing import town_files

pytestmark = pytest.mark.integration

CALLERS = {
    "guardian of the child": MOTHER,
    "another guardian": STRANGER,
    "clinic with consent": CLINIC,
    "clinic without consent": OTHER_CLINIC,
    "staff of the town": NURSE,
    "staff of another town": OTHER_NURSE,
    "system of the town": REGISTER,
    "operator": OPERATOR,
}

Worlds = dict[frozenset[str], tuple[dict[str, str], dict[str, list[Doc]]]]
"""By what a route is about: ids by their names in the table, and all that the store holds with them."""

FAMILYS = (404, 403, 403, 403, 403, 403, 403)
# For each route: what each of CALLERS gets, in their order. 404 is what a missing child gets; 403 is for the role.
TABLE: dict[str, tuple[int, ...]] = {
    "POST /v1/children": (201, 201, 403, 403, 201, 201, 201, 403),
    "PUT /v1/children/{child}": (200, 404, 403, 403, 200, 404, 200, 403),
    "POST /v1/children/{child}/doses": (201, 404, 201, 404, 201, 404, 201, 403),
    "PUT /v1/children/{child}/doses/{clinics}": (403, 404, 200, 404, 200, 404, 200, 403),
    "PUT /v1/children/{child}/doses/{mothers}": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/doses/{clinics}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/doses/{mothers}/retraction": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/checkups": (403, 403, 201, 404, 201, 404, 201, 403),
    "PUT /v1/children/{child}/checkups/{checkup}": (403, 403, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/checkups/{checkup}/retraction": (403, 403, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/growth": (201, 404, 201, 404, 201, 404, 201, 403),
    "PUT /v1/children/{child}/growth/{measurement}": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/growth/{measurement}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "GET /v1/children/{child}/growth": (200, 404, 200, 404, 200, 404, 200, 403),
    "GET /v1/children/{child}/growth.svg": (200, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/reactions": (201, 404, 201, 404, 201, 404, 201, 403),
    "PUT /v1/children/{child}/reactions/{reaction}": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/reactions/{reaction}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/allergies": (201, 404, 201, 404, 201, 404, 201, 403),
    "POST /v1/children/{child}/allergies/{allergy}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/milestones": (201, 404, 201, 404, 201, 404, 201, 403),
    "POST /v1/children/{child}/milestones/{milestone}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/conditions": (201, 404, 201, 404, 201, 404, 201, 403),
    "POST /v1/children/{child}/conditions/{condition}/retraction": (403, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/children/{child}/guardian-codes": (403, 403, 403, 403, 201, 404, 201, 403),
    "POST /v1/guardian-links": (201, 201, 403, 403, 403, 403, 403, 403),
    "POST /v1/children/{child}/invitations": (201, 404, 403, 403, 403, 403, 403, 403),
    "DELETE /v1/children/{child}/grants/{grant}": (200, 404, 403, 403, 403, 403, 403, 403),
    "POST /v1/children/{child}/guardians/{guardian}/removal": (403, 403, 403, 403, 200, 404, 403, 403),
    "PUT /v1/children/{child}/cut-offs/{guardian}": (403, 403, 403, 403, 200, 404, 403, 403),
    "DELETE /v1/children/{child}/cut-offs/{cut_off}": (403, 403, 403, 403, 200, 404, 403, 403),
    "PUT /v1/children/{child}/consents/clinic-2": (200, 404, 403, 403, 403, 403, 403, 403),
    "DELETE /v1/children/{child}/consents/clinic-1": (200, 404, 403, 403, 403, 403, 403, 403),
    "POST /v1/children/{child}/move": (403, 403, 403, 403, 200, 404, 200, 403),
    "POST /v1/children/{moving}/move/confirmation": (403, 403, 403, 403, 404, 200, 404, 403),
    "POST /v1/children/{moving}/move/cancellation": (403, 403, 403, 403, 200, 200, 200, 403),
    "GET /v1/municipalities/139912/duplicates": (403, 403, 403, 403, 200, 404, 403, 403),
    "POST /v1/municipalities/139912/duplicates/{pair}/dismissal": (403, 403, 403, 403, 200, 404, 403, 403),
    "POST /v1/children/{child}/merges": (403, 403, 403, 403, 200, 404, 403, 403),
    "POST /v1/children/{merged}/merges/{other}/undo": (403, 403, 403, 403, 200, 404, 403, 403),
    "POST /v1/children/{child}/death": (201, 404, 403, 403, 201, 404, 201, 403),
    "POST /v1/children/{dead}/death/retraction": (200, 404, 403, 403, 200, 404, 200, 403),
    "POST /v1/pregnancies": (201, 422, 403, 403, 201, 422, 201, 403),
    "GET /v1/pregnancies": (200, 200, 200, 200, 200, 200, 200, 403),
    "GET /v1/pregnancies/{pregnancy}": (200, 404, 200, 404, 200, 404, 200, 403),
    "POST /v1/pregnancies/{notified}/confirmation": (403, 403, 403, 403, 200, 404, 200, 403),
    "POST /v1/pregnancies/{pregnancy}/move": (200, 404, 403, 403, 200, 404, 200, 403),
    "POST /v1/pregnancies/{going}/move/cancellation": (200, 404, 403, 403, 200, 200, 200, 403),
    "PUT /v1/pregnancies/{pregnancy}/consents/clinic-2": (200, 404, 403, 403, 403, 403, 403, 403),
    "DELETE /v1/pregnancies/{pregnancy}/consents/clinic-1": (200, 404, 403, 403, 403, 403, 403, 403),
    "POST /v1/pregnancies/{pregnancy}/expected-delivery": (200, 404, 403, 403, 200, 404, 200, 403),
    "POST /v1/pregnancies/{pregnancy}/checkups": (201, 404, 201, 404, 201, 404, 201, 403),
    "POST /v1/pregnancies/{pregnancy}/doses": (201, 404, 201, 404, 201, 404, 201, 403),
    "POST /v1/pregnancies/{pregnancy}/outcome": (201, 404, 403, 403, 201, 404, 201, 403),
    "POST /v1/pregnancies/{pregnancy}/checkups/{her_checkup}/correction": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/pregnancies/{pregnancy}/checkups/{her_checkup}/retraction": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/pregnancies/{pregnancy}/doses/{her_dose}/correction": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/pregnancies/{pregnancy}/doses/{her_dose}/retraction": (200, 404, 403, 404, 200, 404, 200, 403),
    "POST /v1/pregnancies/{lost}/outcome/retraction": (200, 404, 403, 403, 200, 404, 200, 403),
    "POST /v1/children/{child}/stays": (201, 404, 403, 403, 403, 403, 403, 403),
    "POST /v1/children/{child}/stays/{stay}/end": (200, 404, 403, 403, 403, 403, 403, 403),
    "GET /v1/children/{child}/handbook": (200, 404, 403, 403, 200, 404, 403, 403),
    "GET /v1/handbook-keys": (200, 200, 200, 200, 200, 200, 200, 200),
    "POST /v1/children/{child}/diary": (201, *FAMILYS),
    "GET /v1/children/{child}/diary": (200, *FAMILYS),
    "GET /v1/children/{child}/diary/{entry}": (200, *FAMILYS),
    "PUT /v1/children/{child}/diary/{entry}": (200, *FAMILYS),
    "DELETE /v1/children/{child}/diary/{entry}": (200, *FAMILYS),
    "POST /v1/children/{child}/diary/{entry}/photos": (201, *FAMILYS),
    "GET /v1/children/{child}/diary/{entry}/photos/{photo}": (200, *FAMILYS),
    "DELETE /v1/children/{child}/diary/{entry}/photos/{photo}": (200, *FAMILYS),
    "POST /v1/municipalities/139912/imports": (403, 403, 403, 403, 202, 404, 403, 403),
    "GET /v1/municipalities/139912/imports": (403, 403, 403, 403, 200, 404, 403, 403),
    "GET /v1/municipalities/139912/imports/{batch}": (403, 403, 403, 403, 200, 404, 403, 403),
    "GET /v1/municipalities/139912/imports/{batch}/rows": (403, 403, 403, 403, 200, 404, 403, 403),
    "POST /v1/municipalities/139912/imports/{batch}/undo": (403, 403, 403, 403, 202, 404, 403, 403),
    "GET /v1/children/{child}/history": (200, 404, 200, 404, 200, 404, 200, 403),
}


ENTRY = {"on": "2026-11-20", "text": "歩いた", "first": "walk"}
PREGNANCY = {"guardian": MOTHER.subject, "municipality": TOWN, "expected_delivery": "2027-03-01"}
TABLE_FILE = town_files.as_csv(town_files.good_rows(1))
PHOTO = invented.photo("jpeg", width=32, height=24)


def body_for(route: str, made: dict[str, str]) -> Any:
    """A good body for each route."""
    code = made["code"]
    if route.endswith("/merges"):
        return {"other": made["twice"], "reason": "registered twice"}
    if route == "POST /v1/children":
        return BODY
    if route == "PUT /v1/children/{child}":
        return {**BODY, "district": "一丁目", "reason": "moved within the town"}
    if route.endswith("/stays"):
        return {"municipality": OTHER_TOWN, "since": "2027-03-01", "until": "2027-04-01"}
    if route.endswith("/invitations"):
        return {"relation": "grandparent", "sections": ["plan"], "until": "2026-12-24"}
    if route.endswith(("/retraction", "/removal", "/undo")):
        return {"reason": "slip"}
    last = route.rsplit("/", 1)[-1]
    if last == "correction":
        more = {"weight_kg": 55.4} if "checkups" in route else {"lot": "AB0002"}
        return {("done_on" if "checkups" in route else "given_on"): "2026-11-19", "reason": "misread", **more}
    if "/v1/pregnancies" in route:
        return {
            "pregnancies": PREGNANCY,
            "expected-delivery": {"expected_delivery": "2027-03-03", "reason": "ultrasound"},
            "checkups": {"done_on": "2026-11-20", "weight_kg": 55.2},
            "doses": {"given_on": "2026-11-20", "lot": "AB0001"},
            "outcome": {"outcome": "loss", "ended_on": "2026-11-20"},
            "move": {"to_municipality": OTHER_TOWN},
            "clinic-2": {"until": "2026-12-24"},
        }.get(last)
    seen = {"dose": made.get("clinics", "d"), "symptom": "rash", "began_at": "2026-07-05T18:00:00+09:00"}
    return {
        "reactions": seen,
        "{reaction}": {**seen, "outcome": "resolved", "reason": "next day"},
        "allergies": {"substance": "milk", "criticality": "low"},
        "milestones": {"milestone": "sit", "reached_on": "2026-11-03"},
        "doses": {"given_on": "2026-09-02", "cvx": "170"},
        "{clinics}": {"given_on": "2026-07-05", "cvx": "08", "reason": "wrong day"},
        "{mothers}": {"given_on": "2026-07-06", "cvx": "216", "reason": "wrong day"},
        "checkups": {"kind": "checkup_3m", "done_on": "2026-08-10"},
        "{checkup}": {"kind": "checkup_3m", "done_on": "2026-08-11", "result": "watch", "reason": "wrong day"},
        "growth": {"measured_on": "2026-08-10", "weight_kg": 6.1},
        "{measurement}": {"measured_on": "2026-08-10", "weight_kg": 6.2, "reason": "misread"},
        "conditions": {"code": "varicella_disease", "since": "2026-09-01"},
        "guardian-codes": {"count": 1},
        "guardian-links": {"code": code},
        "clinic-2": {"purpose": "care"},
        "diary": ENTRY,
        "{entry}": ENTRY,
        "photos": PHOTO,
        "imports": TABLE_FILE,
        "death": {"died_on": "2026-11-22"},
        "move": {"to_municipality": OTHER_TOWN, "effective_on": "2026-11-20"},
    }.get(last)


def test_every_route_of_the_service_has_a_row(door: Door) -> None:
    routed = {
        f"{method.upper()} {path}"
        for path, methods in door.app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    }
    names = {
        "{merged}": "{child}",
        "{moving}": "{child}",
        "{notified}": "{pregnancy}",
        "{going}": "{pregnancy}",
        "{dead}": "{child}",
        "{lost}": "{pregnancy}",
        "{her_checkup}": "{checkup}",
        "{her_dose}": "{dose}",
        "{cut_off}": "{guardian}",
        "{clinics}": "{dose}",
        "{mothers}": "{dose}",
        "clinic-1": "{organisation}",
        "139912": "{code}",
        "clinic-2": "{organisation}",
    }
    rows = set(TABLE)
    for ours, theirs in names.items():
        rows = {row.replace(ours, theirs) for row in rows}
    assert rows == routed


async def everything(door: Door, route: str) -> dict[str, str]:
    """A child with a clinic's dose, a mother's dose, a clinic's condition, an open code, and what else the route is about."""
    child = await door.family()
    condition = await door.does(CLINIC, "POST", f"/v1/children/{child}/conditions", {"code": "scid"})
    examined = {"kind": "checkup_1m", "done_on": "2026-06-02"}
    checkup = await door.does(CLINIC, "POST", f"/v1/children/{child}/checkups", examined)
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes", {"count": 2})
    invited = await door.does(
        MOTHER,
        "POST",
        f"/v1/children/{child}/invitations",
        {"relation": "friend", "sections": ["checkups"], "until": "2026-12-24"},
    )
    await door.does(FATHER, "POST", "/v1/guardian-links", {"code": codes["codes"][1]["code"]})
    await door.does(STRANGER, "POST", "/v1/guardian-links", {"code": invited["code"]})
    cut_off = binding_id(child, FATHER.subject)
    await door.does(NURSE, "PUT", f"/v1/children/{child}/cut-offs/{cut_off}")
    more: dict[str, str] = {}
    if "{entry}" in route:
        entry = await door.does(MOTHER, "POST", f"/v1/children/{child}/diary", ENTRY)
        photos = f"/v1/children/{child}/diary/{entry['id']}/photos"
        photo = await door.does(MOTHER, "POST", photos, PHOTO, content_type="image/jpeg")
        more |= {"entry": entry["id"], "photo": photo["id"]}
    if "{batch}" in route:
        path = f"/v1/municipalities/{TOWN}/imports"
        batch = await door.does(NURSE, "POST", path, TABLE_FILE, content_type="text/csv")
        await imports.work_on(door.app.state.records, batch["id"])
        more |= {"batch": batch["id"]}
    if "/v1/pregnancies" in route:
        # A woman has one at a time.
        for row in await door.runtime.store.find(PREGNANCIES, {"state.woman": MOTHER.subject}, fields=["_id"]):
            await door.runtime.store.delete(PREGNANCIES, {"_id": row["_id"]})
    if "{pregnancy}" in route:
        more |= {"pregnancy": (await door.does(NURSE, "POST", "/v1/pregnancies", PREGNANCY))["id"]}
        pregnancy = more["pregnancy"]
        for kind, written in (
            ("checkup", {"done_on": "2026-11-19", "weight_kg": 55.2}),
            ("dose", {"given_on": "2026-11-19", "lot": "AB0001"}),
        ):
            hers = await door.does(MOTHER, "POST", f"/v1/pregnancies/{pregnancy}/{kind}s", written)
            more |= {f"her_{kind}": hers["id"]}
        until = {"until": "2026-12-24"}
        await door.does(MOTHER, "PUT", f"/v1/pregnancies/{pregnancy}/consents/clinic-1", until)
    if "{going}" in route:
        more |= {"going": (await door.does(NURSE, "POST", "/v1/pregnancies", PREGNANCY))["id"]}
        await door.does(MOTHER, "POST", f"/v1/pregnancies/{more['going']}/move", {"to_municipality": OTHER_TOWN})
    if "{lost}" in route:
        more |= {"lost": (await door.does(NURSE, "POST", "/v1/pregnancies", PREGNANCY))["id"]}
        loss = {"outcome": "loss", "ended_on": "2026-11-20"}
        await door.does(MOTHER, "POST", f"/v1/pregnancies/{more['lost']}/outcome", loss)
    if "{notified}" in route:
        more |= {"notified": (await door.does(MOTHER, "POST", "/v1/pregnancies", PREGNANCY))["id"]}
    if "{dead}" in route:
        await door.does(MOTHER, "POST", f"/v1/children/{child}/death", {"died_on": "2026-11-22"})
        more |= {"dead": child}
    stays = {"municipality": OTHER_TOWN, "since": "2026-12-01", "until": "2027-01-31"}
    stay = await door.does(MOTHER, "POST", f"/v1/children/{child}/stays", stays)
    moving, twice, merged, other = [await door.born() for _ in range(4)]
    await door.does(NURSE, "POST", f"/v1/children/{merged}/merges", {"other": other, "reason": "registered twice"})
    going = {"to_municipality": OTHER_TOWN, "effective_on": "2026-12-01"}
    await door.does(NURSE, "POST", f"/v1/children/{moving}/move", going)
    clinics = await door.gives(child, "08")
    if "{reaction}" in route:
        seen = {"dose": clinics, "symptom": "fever", "began_at": "2026-07-05T18:00:00+09:00"}
        more |= {"reaction": (await door.does(CLINIC, "POST", f"/v1/children/{child}/reactions", seen))["id"]}
    if "{allergy}" in route:
        egg = {"substance": "egg", "criticality": "high"}
        more |= {"allergy": (await door.does(CLINIC, "POST", f"/v1/children/{child}/allergies", egg))["id"]}
    if "{measurement}" in route:
        weighed = {"measured_on": "2026-08-10", "weight_kg": 6.1}
        more |= {"measurement": (await door.does(CLINIC, "POST", f"/v1/children/{child}/growth", weighed))["id"]}
    if "{milestone}" in route:
        step = {"milestone": "roll_over", "reached_on": "2026-10-11", "about": True}
        more |= {"milestone": (await door.does(CLINIC, "POST", f"/v1/children/{child}/milestones", step))["id"]}
    return {
        "child": child,
        "moving": moving,
        "twice": twice,
        "pair": pair_id(child, twice),
        "merged": merged,
        "other": other,
        "stay": stay["id"],
        **more,
        "grant": next(iter((await door.document(child))["state"]["grants"])),
        "guardian": binding_id(child, MOTHER.subject),
        "cut_off": cut_off,
        "clinics": clinics,
        "mothers": await door.gives(child, "216", MOTHER),
        "condition": condition["id"],
        "checkup": checkup["id"],
        "code": codes["codes"][0]["code"],
    }


async def kept(door: Door) -> dict[str, list[Doc]]:
    """All that the store holds."""
    store = door.runtime.store
    return {collection: await store.find(collection, {}) for collection in await store.collections()}


async def put_back(door: Door, begun: dict[str, list[Doc]]) -> None:
    """Make the store what it was: each caller finds the same, whatever the one before was allowed to do."""
    for collection, docs in (await kept(door)).items():
        if docs != (before := begun.get(collection, [])):
            await door.runtime.store.delete(collection, {})
            if before:
                await door.runtime.store.insert_many(collection, before)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    """What `everything` made, by what the route is about."""
    return {}


async def as_made(door: Door, route: str, worlds: Worlds) -> tuple[dict[str, str], dict[str, list[Doc]]]:
    """`everything` for this route, and the store with it: made for the first such route, put back for the next."""
    about = frozenset(re.findall(r"\{[a-z_]+\}|/v1/pregnancies", route))
    if about not in worlds:
        worlds[about] = await everything(door, route), await kept(door)
    made, begun = worlds[about]
    await put_back(door, begun)
    return dict(made), begun


@pytest.mark.parametrize("route", list(TABLE))
async def test_role_by_route_by_relation(door: Door, route: str, worlds: Worlds) -> None:
    method, _, template = route.partition(" ")
    got: list[int] = []
    made, begun = await as_made(door, route, worlds)
    for who, caller in CALLERS.items():
        body = body_for(route, made)
        if route == "POST /v1/children" and who == "staff of another town":
            body = {**BODY, "municipality": OTHER_TOWN}
        headers = {"If_Match": await door.etag(made["child"])} if method == "PUT" else {}
        if "{entry}" in route:
            headers = {"If_Match": '"2"'}
        if isinstance(body, bytes):
            headers["content_type"] = "image/jpeg" if body is PHOTO else "text/csv"
        before = await door.document(made["child"])
        answer = await door.call(caller, method, template.format(**made), body, **headers)
        got.append(answer.status_code)
        if answer.is_success:
            await put_back(door, begun)
        else:
            assert await door.document(made["child"]) == before
    assert dict(zip(CALLERS, got, strict=True)) == dict(zip(CALLERS, TABLE[route], strict=True))


@pytest.mark.parametrize("route", [route for route in TABLE if "{child}" in route])
async def test_a_foreign_child_and_a_missing_one_are_the_same_bytes(door: Door, route: str, worlds: Worlds) -> None:
    """Also where the version is named: a wrong If-Match must not tell that there is something to match."""
    method, _, template = route.partition(" ")
    made, _ = await as_made(door, route, worlds)
    for caller in (STRANGER, OTHER_CLINIC, OTHER_NURSE):
        answers = []
        for child in (made["child"], "0" * 32):
            path = template.format(**{**made, "child": child})
            kind = "image/jpeg" if path.endswith("/photos") else "application/json"
            answer = await door.call(
                caller,
                method,
                path,
                body_for(route, dict.fromkeys(("code", "twice"), "x")),
                If_Match='"99"',
                content_type=kind,
            )
            answers.append((answer.status_code, _without_trace(answer), dict(answer.headers)))
        assert answers[0] == answers[1]
        assert answers[0][0] in {403, 404}


# Tokens -----------------------------------------------------------------------------------------------------------


async def test_without_a_good_token_nothing_runs(door: Door, keys: dict[str, Any]) -> None:
    child = await door.family()
    principal_claims = {"sub": "nurse-1", "role": "staff", "mun": TOWN}
    now = int(time.time())
    claims = {"iss": "gateway", "aud": "records", "iat": now, "exp": now + 30, "jti": "1", "scope": "act"}
    forger = ECKey.generate_key("P-256", private=True)
    head = {"alg": "ES256", "typ": "hagukumi+jwt", "kid": "gateway"}
    schedule = InternalTokens(Settings(service="schedule", internal_keys_file=keys["schedule"]))
    genuine = door.token(NURSE)
    bad: dict[str, str | None] = {
        "none at all": None,
        "no bearer": genuine.removeprefix("Bearer "),
        "forged by another key": "Bearer " + jwt.encode(head, {**claims, **principal_claims}, forger),
        "for another audience": door.token(NURSE, "schedule"),
        "signed by another service": "Bearer "
        + schedule.sign("records", "act", Principal("nurse-1", "staff", municipality=TOWN)),
        "for healing only": "Bearer " + door.tokens.sign("records", "heal"),
        "cut": genuine[:-4],
        "of another shape": "Bearer a.b.c",
        "far too long": "Bearer " + "a" * 100_000,
    }
    before = await door.document(child)
    for name, token in bad.items():
        headers = {"authorization": token} if token is not None else {}
        answer = await door.call(None, "POST", f"/v1/children/{child}/guardian-codes", {}, **headers)
        assert answer.status_code == 401, name
        assert answer.headers["www-authenticate"] == "Bearer"
    assert await door.document(child) == before


# Bad input --------------------------------------------------------------------------------------------------------


def dose(**changes: Any) -> dict[str, Any]:
    found = {"given_on": "2026-07-02", "cvx": "08", **changes}
    return {name: value for name, value in found.items() if value is not ...}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"given_on": NaN, "cvx": "08"}',
        b'{"given_on": "2026-07-02", "cvx": "08", "cvx": "216"}',
        b'{"given_on": "2026-07-02", "cvx": "\\ud800"}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
async def test_what_is_no_json_of_ours_is_refused(door: Door, raw: bytes) -> None:
    child = await door.family()
    answer = await door.call(CLINIC, "POST", f"/v1/children/{child}/doses", raw)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (dose(colour="green"), "/colour", "extra-forbidden"),
        (dose(given_on=...), "/given_on", "missing"),
        (dose(given_on="2026-13-01"), "/given_on", "date-parsing"),
        (dose(given_on="2026-02-30"), "/given_on", "date-parsing"),
        (dose(given_on="2026-07-02T00:00:00"), "/given_on", "date-parsing"),
        (dose(given_on=20260702), "/given_on", "date-parsing"),
        (dose(given_on="令和8年7月2日"), "/given_on", "date-parsing"),
        (dose(given_on=(TODAY + timedelta(days=1)).isoformat()), "/given_on", "in-the-future"),
        (dose(given_on="2026-04-30"), "/given_on", "before-birth"),
        (dose(cvx=8), "/cvx", "string-type"),
        (dose(cvx="999"), "/cvx", "vaccine-unknown"),
        (dose(cvx={"$ne": "08"}), "/cvx", "string-type"),
        (dose(cvx="08", lot="x" * 101), "/lot", "string-too-long"),
        (dose(lot=""), "/lot", "string-too-short"),
        (dose(dose_ml="0.5"), "/dose_ml", "float-type"),
        (dose(dose_ml=True), "/dose_ml", "float-type"),
        (dose(dose_ml=1e300), "/dose_ml", "out-of-range"),
        (dose(performer="a\u202eb"), "/performer", "text-characters"),
        (dose(site="a\u0000b"), "/site", "text-characters"),
        (dose(cvx=..., vaccine={"system": "urn:x", "code": "1", "$where": "1"}), "/vaccine/$where", "extra-forbidden"),
    ],
)
async def test_a_bad_dose_is_refused_at_its_place(door: Door, body: Any, pointer: str, code: str) -> None:
    child = await door.family()
    before = await door.document(child)
    answer = await door.call(CLINIC, "POST", f"/v1/children/{child}/doses", body, Accept_Language="ja")
    assert answer.status_code == 422, answer.text
    found = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
    assert found.get(pointer) == code, found
    assert await door.document(child) == before


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"birth_date": (TODAY + timedelta(days=1)).isoformat()}, "/birth_date", "in-the-future"),
        ({"birth_date": "2026-13-01"}, "/birth_date", "date-parsing"),
        ({"sex": 1}, "/sex", "literal-error"),
        ({"sex": "X"}, "/sex", "literal-error"),
        ({"gestation_days": True}, "/gestation_days", "int-type"),
        ({"gestation_days": "275"}, "/gestation_days", "int-type"),
        ({"gestation_days": 275.0}, "/gestation_days", "int-type"),
        ({"gestation_days": 10**30}, "/gestation_days", "int-type"),
        ({"municipality": "13991"}, "/municipality", "string-pattern-mismatch"),
        ({"municipality": "139911"}, "/municipality", "municipality-code"),
        ({"name": "若葉"}, "/name", "model-attributes-type"),
        ({"name": {**BODY["name"], "family": "   "}}, "/name/family", "string-too-short"),
        ({"name": {**BODY["name"], "family": "若葉\r\nBcc: x"}}, "/name/family", "text-characters"),
        ({"my_number": "123456789012"}, "/my_number", "extra-forbidden"),
        ({"twin_group": "a.b"}, "/twin_group", "string-pattern-mismatch"),
    ],
)
async def test_bad_facts_of_a_child_are_refused_at_their_place(
    door: Door, change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await door.call(NURSE, "POST", "/v1/children", {**BODY, **change})
    assert answer.status_code == 422, answer.text
    found = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
    assert found.get(pointer) == code, found
    assert await door.runtime.store.count("children", {}) == 0


async def test_a_refusal_speaks_the_callers_language_and_quotes_nothing(door: Door) -> None:
    canary = "秘密の名前"
    body = {**BODY, "name": {**BODY["name"], "family_kana": canary}}
    japanese = await door.call(NURSE, "POST", "/v1/children", body, Accept_Language="ja")
    english = await door.call(NURSE, "POST", "/v1/children", body, Accept_Language="en")
    assert japanese.json()["errors"][0]["detail"] == "フリガナはカタカナで入力してください。"
    assert english.json()["errors"][0]["detail"] == "The reading must be written in kana."
    assert canary not in japanese.text + english.text


@pytest.mark.parametrize("organisation", ["a.b", "$where", "a%00b", "x" * 65])
async def test_an_organisation_in_a_path_is_never_a_key_or_an_operator(door: Door, organisation: str) -> None:
    child = await door.family()
    answer = await door.call(MOTHER, "PUT", f"/v1/children/{child}/consents/{organisation}", {"purpose": "care"})
    assert answer.status_code in {404, 422}


@pytest.mark.parametrize("subject", ["mother.1", "$where", "mother|1", "a" * 129, "mother 1"])
async def test_a_subject_that_is_no_opaque_id_is_nobody(door: Door, subject: str) -> None:
    """It would become a key in the documents of every reader."""
    assert (await door.call(Caller(subject, "guardian"), "POST", "/v1/children", BODY)).status_code == 401


async def test_a_creating_call_needs_a_key(door: Door) -> None:
    answer = await door.http.post("/v1/children", json=BODY, headers={"authorization": door.token(NURSE)})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) == (400, "idempotency-key-required")


async def test_a_body_beyond_its_bound_is_refused(door: Door) -> None:
    answer = await door.call(NURSE, "POST", "/v1/children", json.dumps({**BODY, "district": "x" * 300_000}).encode())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/v1/children"), ("GET", "/v1/children/x/doses"), ("POST", "/v1/children/"), ("GET", "/")],
)
async def test_there_is_no_other_door(door: Door, method: str, path: str) -> None:
    assert (await door.call(NURSE, method, path)).status_code in {404, 405}


async def test_guardians_by_code_are_two(door: Door) -> None:
    child = await door.born()
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes", {"count": 2})
    for who, code in zip((MOTHER, FATHER), codes["codes"], strict=True):
        await door.does(who, "POST", "/v1/guardian-links", {"code": code["code"]})
    assert [kind for _, kind, _ in await door.announced(child)] == ["ChildRegistered", "GuardianAdded", "GuardianAdded"]


def _without_trace(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "trace_id"}
