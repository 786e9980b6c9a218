"""A rightly signed call for somebody else's child: each owner refuses it from its own data, whatever the gateway decided."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from deploy.local.client import until
from deploy.local.platform import Platform
from shared.auth import InternalTokens, Principal
from shared.ids import binding_id
from shared.settings import Settings
from tests.conftest import OTHER_CLINIC, OTHER_TOWN, TOWN, Town

pytestmark = [pytest.mark.integration, pytest.mark.slow]

STRANGERS = {
    "a guardian of another family": Principal("stranger-1", "guardian"),
    "a clinic without consent": Principal("doctor-9", "clinic", OTHER_CLINIC),
    "staff of another town": Principal("nurse-9", "staff", None, OTHER_TOWN),
    "another town's system": Principal("juki-9", "system", None, OTHER_TOWN),
    "the operator": Principal("operator-9", "operator"),
}


def calls(town: Town) -> list[tuple[str, str, str, Any]]:
    """(owner, method, path, body): every operation on this child at its owner."""
    child, day = town.child, {"given_on": "2026-11-20", "cvx": "170"}
    base = f"/v1/children/{child}"
    return [
        ("records", "POST", f"{base}/doses", day),
        ("records", "PUT", f"{base}/doses/{town.dose}", {**day, "reason": "x"}),
        ("records", "POST", f"{base}/doses/{town.dose}/retraction", {"reason": "x"}),
        ("records", "POST", f"{base}/checkups", {"kind": "checkup_18m", "done_on": "2026-11-20"}),
        ("records", "POST", f"{base}/growth", {"measured_on": "2026-11-20", "weight_kg": 5.0}),
        ("records", "POST", f"{base}/guardian-codes", {"count": 1}),
        ("records", "PUT", f"{base}/consents/{OTHER_CLINIC}", {"purpose": "care"}),
        ("records", "DELETE", f"{base}/consents/wakaba", None),
        ("records", "POST", f"{base}/move", {"to_municipality": OTHER_TOWN, "effective_on": "2026-11-20"}),
        ("records", "POST", f"{base}/move/confirmation", None),
        ("records", "POST", f"{base}/move/cancellation", None),
        (
            "records",
            "POST",
            f"{base}/stays",
            {"municipality": OTHER_TOWN, "since": "2030-01-01", "until": "2030-02-01"},
        ),
        ("records", "POST", f"{base}/stays/x1/end", None),
        ("records", "POST", f"{base}/invitations", {"relation": "guardian"}),
        ("records", "DELETE", f"{base}/grants/x1", None),
        ("records", "POST", f"{base}/guardians/{binding_id(child, 'x')}/removal", {"reason": "x"}),
        ("records", "PUT", f"{base}/cut-offs/{binding_id(child, 'x')}", None),
        ("records", "DELETE", f"{base}/cut-offs/{binding_id(child, 'x')}", None),
        ("records", "POST", f"{base}/merges", {"other": "0" * 32, "reason": "x"}),
        ("records", "POST", f"{base}/merges/x1/undo", {"reason": "x"}),
        ("records", "GET", f"/v1/municipalities/{TOWN}/duplicates", None),
        ("records", "GET", f"{base}/history", None),
        ("schedule", "GET", f"{base}/plan?on=2026-12-01", None),
        ("schedule", "POST", "/v1/pre-checks", {"child": child, "cvx": "170"}),
        ("schedule", "GET", f"/v1/municipalities/{TOWN}/not-yet", None),
        ("questionnaire", "GET", f"{base}/responses", None),
        ("questionnaire", "POST", "/v1/responses", {"child": child, "form": "yoshinhyo-infant", "vaccine": "hepb"}),
    ]


async def test_no_owner_acts_for_a_stranger(platform: Platform, town: Town) -> None:
    keys = platform.data / "secrets" / "internal-keys-gateway.json"
    tokens = InternalTokens(Settings(service="gateway", environment="development", internal_keys_file=keys))
    before = await town.ask("mother", "GET", f"/v1/children/{town.child}")
    wrong = []
    async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
        for who, principal in STRANGERS.items():
            for number, (owner, method, path, body) in enumerate(calls(town)):
                answer = await http.request(
                    method,
                    f"{platform.url(owner)}{path}",
                    content=json.dumps(body).encode() if body is not None else None,
                    headers={
                        "Authorization": f"Bearer {tokens.sign(owner, 'act', principal)}",
                        "Content-Type": "application/json",
                        "Idempotency-Key": f"{principal.subject}-{number}",
                        "If-Match": '"1"',
                    },
                )
                if answer.status_code not in {403, 404} or "CANARY01" in answer.text:
                    wrong.append(f"{who}: {owner} {method} {path} answered {answer.status_code}: {answer.text[:120]}")
    assert wrong == []
    after = await town.ask("mother", "GET", f"/v1/children/{town.child}")
    assert after.json() == before.json()


async def test_no_answer_at_the_door_carries_anything_of_a_foreign_child(town: Town) -> None:
    paths = [
        f"/v1/children/{town.child}",
        f"/v1/children/{town.child}/plan",
        f"/v1/children/{town.child}/history",
        f"/v1/children/{town.child}/family",
        f"/v1/municipalities/{TOWN}/arrivals",
        f"/v1/municipalities/{TOWN}/duplicates",
        f"/v1/children/{town.child}/responses",
        f"/fhir/R4/Patient/{town.child}",
        f"/fhir/R4/Immunization/{town.dose}",
        f"/fhir/R4/Immunization?patient={town.child}",
        "/fhir/R4/Patient",
        "/v1/children",
        "/v1/inbox",
    ]
    for who in ("other_mother", "other_clinic", "other_nurse", "operator"):
        for path in paths:
            answer = await town.ask(who, "GET", path, fresh=False)
            assert "CANARY01" not in answer.text, (who, path)
            assert town.child not in answer.text, (who, path)
            assert answer.status_code in {200, 403, 404}, (who, path, answer.status_code)


async def test_after_the_withdrawal_is_acknowledged_the_clinic_reads_nothing(town: Town) -> None:
    assert (await town.ask("clinic", "GET", f"/v1/children/{town.child}")).status_code == 200
    withdrawn = await town.ask("mother", "DELETE", f"/v1/children/{town.child}/consents/wakaba")
    assert withdrawn.status_code == 200
    for path in ("", "/plan", "/history", "/responses"):
        answer = await town.ask("clinic", "GET", f"/v1/children/{town.child}{path}", fresh=False)
        assert answer.status_code == 404, path
    assert town.child not in (await town.ask("clinic", "GET", "/v1/children", fresh=False)).text


async def test_live_events_reach_those_whom_they_concern(town: Town) -> None:
    mother, other = town.people["mother"], town.people["other_mother"]
    async with (
        mother.http.stream("GET", "/v1/events", headers={"Authorization": f"Bearer {mother.token}"}) as mine,
        mother.http.stream("GET", "/v1/events", headers={"Authorization": f"Bearer {other.token}"}) as theirs,
    ):
        lines = mine.aiter_lines()
        assert await anext(lines) == "retry: 3000"
        await town.ask(
            "nurse", "POST", f"/v1/children/{town.child}/growth", {"measured_on": "2026-11-20", "weight_kg": 5}
        )
        told = [json.loads(line.removeprefix("data: ")) async for line in _until_data(lines)]
        assert told[0]["id"] == town.child
        foreign = theirs.aiter_lines()
        assert await anext(foreign) == "retry: 3000"
    assert set(told[0]) <= {"kind", "id", "revision"}


async def _until_data(lines: Any) -> Any:
    async for line in lines:
        if line.startswith("data: "):
            yield line
            return


async def test_a_new_notice_is_told_live_to_those_whom_it_reaches(town: Town) -> None:
    mother = town.people["mother"]
    audience = {"audience": {"age_years": {"under": 6}}}

    async def reaches() -> bool:
        found = (await town.ask("nurse", "POST", "/v1/announcements/preview", audience)).json()
        return bool(found["recipients"])

    await until(reaches, "notify knows the family")
    notice = {
        **audience,
        "title": {"ja": "休園のお知らせ"},
        "body": {"ja": "本日は休園します。"},
        "urgency": "important",
    }
    async with (
        asyncio.timeout(30),
        mother.http.stream("GET", "/v1/events", headers={"Authorization": f"Bearer {mother.token}"}) as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 3000"
        published = await town.ask("nurse", "POST", "/v1/announcements", notice)
        assert published.status_code == 202
        told = ""
        while '"inbox"' not in told:
            told = await anext(lines)
    assert json.loads(told.removeprefix("data: ")) == {"kind": "inbox", "id": published.json()["id"]}
