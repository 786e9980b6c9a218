"""The service at its door, on the real store: who may do what, what is refused and where, what is announced."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire

from services.questionnaire.store import RESPONSES
from shared.auth import InternalTokens, Principal
from shared.events import records
from shared.events.records import Actor
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings

from .conftest import (
    CHILD,
    CLINIC,
    FATHER,
    FORM,
    INTAKE,
    MOTHER,
    OPERATOR,
    OTHER_CLINIC,
    STAFF,
    STRANGER,
    TODAY,
    Door,
    Records,
    announced,
    body_of,
    born,
    consent,
    consent_withdrawn,
    dose,
    healthy,
)

pytestmark = pytest.mark.integration


# The story --------------------------------------------------------------------------------------------------------


async def test_a_family_answers_and_the_doctor_decides(door: Door, told: Records, runtime: Runtime) -> None:
    begun = await door.begins()
    assert begun["status"] == "draft"
    assert {answer["link_id"]: answer["value"] for answer in begun["answers"]}["name"] == "育美 さくら"
    assert "temperature" in begun["missing"]

    saved = await door.answers(begun["id"], q12_family_reaction=None)
    assert saved.json()["missing"] == ["q12_family_reaction"]
    refused = await door.submits(begun["id"])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/answers/q12_family_reaction"
    assert refused.json()["errors"][0]["code"] == "required"
    assert await announced(runtime, begun["id"]) == []

    await door.answers(begun["id"])
    done = await door.submits(begun["id"])
    assert done.status_code == 200, done.text
    assert done.headers["Hagukumi-Revision"] == f"questionnaire.response:{begun['id']}=2"

    decided = await door.decides(begun["id"])
    assert decided.json()["status"] == "decided"
    assert decided.json()["decision"]["decision"] == "go_ahead"
    events = await announced(runtime, begun["id"])
    assert [name for name, _ in events] == ["QuestionnaireSubmitted", "ConsentDecided", "TriageDecided"]
    submitted = events[0][1]
    assert submitted["vaccine"] == "hepb"
    assert submitted["form_version"] == "2026.1"
    assert {"link_id": "temperature", "text": "診察前の体温", "value": 36.6}.items() <= next(
        one for one in submitted["answers"] if one["link_id"] == "temperature"
    ).items()


async def test_the_next_response_is_prefilled(door: Door, told: Records) -> None:
    await door.submitted(answers={"phone": "03-1111-1111", "q9_allergy": True, "q9_allergy_cause": "卵"})
    begun = await door.begins(vaccine="penta")
    found = {answer["link_id"]: answer for answer in begun["answers"]}
    assert found["phone"]["value"] == "03-1111-1111"
    assert found["q9_allergy_cause"]["prefilled"] is True
    assert "temperature" not in found
    assert "guardian_consent" not in found


async def test_a_withdrawn_response_prefills_nothing(door: Door, told: Records) -> None:
    response = await door.submitted()
    await door.withdraws(response)
    begun = await door.begins()
    assert "phone" not in {answer["link_id"] for answer in begun["answers"]}


async def test_an_answer_is_shown_as_it_was_asked(door: Door, told: Records) -> None:
    response = await door.submitted()
    shown = (await door.call(CLINIC, "GET", f"/v1/responses/{response}", Accept_Language="en")).json()
    temperature = next(one for one in shown["answers"] if one["link_id"] == "temperature")
    assert (temperature["text"], temperature["display"]) == ("診察前の体温", "36.6℃")
    assert (shown["form"], shown["version"]) == (FORM, "2026.1")


async def test_asked_in_english(door: Door, told: Records, runtime: Runtime) -> None:
    response = (await door.begins())["id"]
    await door.answers(response)
    await door.call(MOTHER, "POST", f"/v1/responses/{response}/submission", {}, Accept_Language="en")
    submitted = (await announced(runtime, response))[0][1]
    assert submitted["language"] == "en"
    temperature = next(one for one in submitted["answers"] if one["link_id"] == "temperature")
    assert temperature["asked_as"] == "Temperature before the examination"
    assert temperature["text"] == "診察前の体温"


async def test_fever_is_flagged_and_nothing_goes_ahead(door: Door, told: Records) -> None:
    response = await door.submitted(answers={"temperature": 37.5})
    shown = (await door.call(CLINIC, "GET", f"/v1/responses/{response}")).json()
    assert [flag["code"] for flag in shown["flags"]] == ["fever"]
    refused = await door.decides(response)
    assert refused.status_code == 409
    assert "37.5" in refused.json()["title"]
    assert (await door.decides(response, decision="postpone")).status_code == 200


async def test_yesterdays_temperature_is_not_todays(door: Door, told: Records, runtime: Runtime) -> None:
    response = await door.submitted()
    runtime.clock.move_to(runtime.clock.now() + timedelta(days=1))
    assert (await door.decides(response)).status_code == 409
    assert (await door.decides(response, temperature_c=36.8)).status_code == 200


async def test_too_late_to_withdraw_once_the_dose_is_recorded(door: Door, told: Records) -> None:
    response = await door.submitted()
    await door.decides(response)
    await told.tells(CHILD, dose("hepb"))
    refused = await door.withdraws(response)
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/response-dose-given")
    by = Actor(subject="doctor-1", role="clinic", organisation="clinic-1")
    await told.tells(CHILD, records.DoseRetracted(dose_id="dose-1", reason="wrong child", by=by))
    assert (await door.withdraws(response)).status_code == 200


async def test_a_clinic_may_begin_one_at_its_desk_and_the_family_finishes_it(door: Door, told: Records) -> None:
    begun = await door.begins(CLINIC, clinic=None)
    assert begun["clinic"] == "clinic-1"
    assert (await door.answers(begun["id"], MOTHER)).status_code == 200
    assert (await door.submits(begun["id"], MOTHER)).status_code == 200
    other = {"child": CHILD, "form": FORM, "vaccine": "hepb", "clinic": "clinic-2"}
    refused = await door.call(CLINIC, "POST", "/v1/responses", other)
    assert refused.json()["errors"][0]["pointer"] == "/clinic"


async def test_a_vaccine_may_be_named_by_a_coding(door: Door, told: Records) -> None:
    begun = await door.begins(vaccine={"system": "http://hl7.org/fhir/sid/cvx", "code": "119"})
    assert begun["vaccine"] == "rv1"
    assert "rota_intussusception" in begun["missing"]


# Idempotency, preconditions, waiting ------------------------------------------------------------------------------


async def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(door: Door, told: Records) -> None:
    body = {"child": CHILD, "form": FORM, "vaccine": "hepb"}
    key = new_id()
    first = await door.call(MOTHER, "POST", "/v1/responses", body, Idempotency_Key=key)
    await door.answers(first.json()["id"])
    again = await door.call(MOTHER, "POST", "/v1/responses", body, Idempotency_Key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    other = await door.call(MOTHER, "POST", "/v1/responses", {**body, "vaccine": "bcg"}, Idempotency_Key=key)
    assert other.json()["type"].endswith("/idempotency-key-reused")
    listed = (await door.call(MOTHER, "GET", f"/v1/children/{CHILD}/responses")).json()
    assert len(listed["items"]) == 1


async def test_two_guardians_with_the_same_key_begin_two_responses(door: Door, told: Records) -> None:
    body = {"child": CHILD, "form": FORM, "vaccine": "hepb"}
    answers = [await door.call(who, "POST", "/v1/responses", body, Idempotency_Key="k") for who in (MOTHER, FATHER)]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_creating_needs_a_key_and_a_repeat_of_a_step_with_its_key_is_the_same_step(
    door: Door, told: Records, runtime: Runtime
) -> None:
    body = {"child": CHILD, "form": FORM, "vaccine": "hepb"}
    assert (await door.call(MOTHER, "POST", "/v1/responses", body, Idempotency_Key="")).status_code == 400
    response = (await door.begins())["id"]
    await door.answers(response)
    path = f"/v1/responses/{response}/submission"
    first = await door.call(MOTHER, "POST", path, {}, Idempotency_Key="once")
    again = await door.call(MOTHER, "POST", path, {}, Idempotency_Key="once")
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await door.submits(response)).status_code == 409
    assert len(await announced(runtime, response)) == 2


async def test_a_change_needs_the_version_that_it_saw(door: Door, told: Records) -> None:
    response = (await door.begins())["id"]
    path = f"/v1/responses/{response}"
    assert (await door.call(MOTHER, "PUT", path, body_of(healthy()))).status_code == 428
    assert (await door.call(MOTHER, "PUT", path, body_of(healthy()), If_Match='"7"')).status_code == 412
    saved = await door.call(MOTHER, "PUT", path, body_of(healthy()), If_Match='"1"')
    assert saved.headers["ETag"] == '"2"'
    await door.submits(response)
    assert (await door.answers(response)).json()["type"].endswith("/response-not-a-draft")


async def test_two_submissions_at_once_announce_once(door: Door, told: Records, runtime: Runtime) -> None:
    response = (await door.begins())["id"]
    await door.answers(response)
    answers = await asyncio.gather(*(door.submits(response) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await announced(runtime, response)) == 2


async def test_a_caller_who_saw_the_registration_waits_for_it(door: Door, runtime: Runtime) -> None:
    """records has answered the guardian; the event is still on its way to questionnaire."""
    told = Records(runtime)
    arriving = told.event(CHILD, born("mother-1"))
    body = {"child": CHILD, "form": FORM, "vaccine": "hepb"}
    assert (await door.call(MOTHER, "POST", "/v1/responses", body)).status_code == 404
    waiting = asyncio.create_task(
        door.call(MOTHER, "POST", "/v1/responses", body, Hagukumi_Revision=f"records.child:{CHILD}=1")
    )
    while not waiting.done() and not await runtime.store.get("children", CHILD):
        await told.arrives(arriving)
    assert (await waiting).status_code == 201


async def test_waiting_ends(door: Door, told: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.questionnaire.commands.FRESH_WAIT_S", 0.2)
    path = f"/v1/children/{CHILD}/responses"
    answer = await door.call(MOTHER, "GET", path, Hagukumi_Revision=f"records.child:{CHILD}=99")
    assert answer.status_code == 404
    other = await door.call(MOTHER, "GET", path, Hagukumi_Revision="records.child:somebody-else=99")
    assert other.status_code == 200


# Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"form": "nowhere"}, "/form"),
        ({"version": "1999.1"}, "/form"),
        ({"vaccine": "sugar"}, "/vaccine"),
        ({"vaccine": None}, "/vaccine"),
        ({"vaccine": {"system": "http://hl7.org/fhir/sid/cvx", "code": "999"}}, "/vaccine/code"),
        ({"vaccine": {"system": "http://medis.or.jp/CodeSystem/master-HOT9", "code": "119"}}, "/vaccine/code"),
        ({"form": "checkup-18m"}, "/vaccine"),
        ({"status": "submitted"}, "/status"),
        ({"answers": [{"link_id": "temperature", "value": "hot"}]}, "/answers/0/value"),
        ({"answers": [{"link_id": "temperature", "value": 36.6, "$set": 1}]}, "/answers/0/$set"),
        ({"answers": [{"link_id": "nowhere", "value": 1}]}, "/answers/0/link_id"),
    ],
)
async def test_a_wrong_beginning_is_refused_at_its_place(
    door: Door, told: Records, change: dict[str, Any], pointer: str
) -> None:
    body = {"child": CHILD, "form": FORM, "vaccine": "hepb", **change}
    refused = await door.call(MOTHER, "POST", "/v1/responses", body)
    assert refused.status_code == 422, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


async def test_wrong_answers_change_nothing(door: Door, told: Records) -> None:
    response = (await door.begins())["id"]
    refused = await door.answers(response, temperature="hot", q8_seizure=1)
    assert sorted(error["pointer"] for error in refused.json()["errors"]) == ["/answers/15/value", "/answers/4/value"]
    assert (await door.call(MOTHER, "GET", f"/v1/responses/{response}")).headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "maybe", "explained": True},
        {"decision": "go_ahead", "explained": "true"},
        {"decision": "go_ahead"},
        {"decision": "go_ahead", "explained": True, "note_code": "A story about the child"},
        {"decision": "go_ahead", "explained": True, "temperature_c": "36.5"},
        {"decision": "go_ahead", "explained": True, "temperature_c": 51},
        {"decision": "go_ahead", "explained": True, "by": "me"},
        [],
    ],
)
async def test_a_wrong_decision_is_refused(door: Door, told: Records, body: Any) -> None:
    response = await door.submitted()
    refused = await door.call(CLINIC, "POST", f"/v1/responses/{response}/decision", body)
    assert refused.status_code == 422
    assert (await door.decides(response)).status_code == 200


async def test_malformed_bodies(door: Door, told: Records) -> None:
    token = {"authorization": f"Bearer {door._tokens.sign('questionnaire', 'act', MOTHER)}", "Idempotency-Key": "k"}
    for content in (b"{", b'{"child": NaN}', b'{"child":"a","child":"b"}', b"\xff", b'{"a":' * 40 + b"1" + b"}" * 40):
        sent = {**token, "content-type": "application/json"}
        answer = await door.http.post("/v1/responses", content=content, headers=sent)
        assert answer.status_code == 400, content
    huge = await door.http.post("/v1/responses", content=b" " * 300_000, headers=token)
    assert huge.status_code == 413


async def test_problems_speak_the_callers_language(door: Door, told: Records) -> None:
    response = (await door.begins())["id"]
    path = f"/v1/responses/{response}/submission"
    japanese = await door.call(MOTHER, "POST", path, {}, Accept_Language="ja")
    english = await door.call(MOTHER, "POST", path, {}, Accept_Language="en-GB, ja;q=0.5")
    assert "答えてください" in japanese.json()["errors"][0]["detail"]
    assert "Please answer" in english.json()["errors"][0]["detail"]


# Forms ------------------------------------------------------------------------------------------------------------


async def test_forms_are_listed_in_the_callers_language(door: Door) -> None:
    listed = (await door.call(STRANGER, "GET", "/v1/forms", Accept_Language="en")).json()["items"]
    assert {form["id"]: form["title"] for form in listed}[FORM].startswith("Pre-vaccination questionnaire")
    japanese = (await door.call(STRANGER, "GET", "/v1/forms")).json()["items"]
    assert {form["id"]: form["title"] for form in japanese}[FORM].startswith("予防接種予診票")


async def test_a_form_is_given_whole_and_as_fhir(door: Door) -> None:
    form = (await door.call(MOTHER, "GET", f"/v1/forms/{FORM}", Accept_Language="en")).json()
    head = form["items"][0]["items"]
    temperature = next(item for item in head if item["link_id"] == "temperature")
    assert temperature == {
        "link_id": "temperature",
        "type": "decimal",
        "text": "Temperature before the examination",
        "texts": {
            "ja": "診察前の体温",
            "en": "Temperature before the examination",
            "easy": "きょうの たいおん（ねつ）",
        },
        "required": True,
        "read_only": False,
        "carried_over": False,
        "unit": "Cel",
        "min": 33.0,
        "max": 43.0,
        "decimals": 1,
    }
    fhir = await door.call(MOTHER, "GET", f"/v1/forms/{FORM}?version=2026.1&format=fhir")
    assert fhir.headers["content-type"].startswith("application/fhir+json")
    Questionnaire.model_validate(fhir.json())
    assert (await door.call(MOTHER, "GET", f"/v1/forms/{FORM}?version=1.0")).status_code == 404
    assert (await door.call(MOTHER, "GET", "/v1/forms/nowhere")).status_code == 404
    assert (await door.call(MOTHER, "GET", f"/v1/forms/{FORM}?format=xml")).status_code == 422


# Lists ------------------------------------------------------------------------------------------------------------


async def test_a_childs_responses_newest_first_page_by_page(door: Door, told: Records, runtime: Runtime) -> None:
    begun = []
    for _ in range(5):
        begun.append((await door.begins())["id"])
        runtime.clock.move_to(runtime.clock.now() + timedelta(seconds=1))
    path = f"/v1/children/{CHILD}/responses"
    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await door.call(MOTHER, "GET", f"{path}?limit=2{cursor and f'&cursor={cursor}'}")).json()
        pages.append([one["id"] for one in page["items"]])
        cursor = page["next"]
    assert pages == [begun[:2:-1], begun[2:0:-1], begun[:1]]
    forged = await door.call(MOTHER, "GET", f"{path}?cursor=abc.def")
    assert forged.json()["errors"][0]["pointer"] == "/query/cursor"


async def test_the_queries_use_an_index(runtime: Runtime, door: Door, told: Records) -> None:
    await door.begins()
    plan = await runtime.store.explain(RESPONSES, {"state.child": CHILD})
    assert "COLLSCAN" not in str(plan)
    assert "IXSCAN" in str(plan)


# Who may: role x route x relation ---------------------------------------------------------------------------------

N, F, Y = 404, 403, 200
"""Not there or not yours; not for this role at all; done."""

LAPSED = Principal("doctor-3", "clinic", organisation="clinic-3")
WITHDRAWN = Principal("doctor-4", "clinic", organisation="clinic-4")
CONSENTED = Principal("doctor-5", "clinic", organisation="clinic-5")
NOWHERE = Principal("doctor-6", "clinic")
FORMER = Principal("former-1", "guardian")
IN_DISGUISE = Principal("nurse-3", "staff", organisation="clinic-1", municipality="131016")
OTHER_TOWN = Principal("nurse-2", "staff", municipality="271004")

PRINCIPALS = {
    "mother": MOTHER,
    "father": FATHER,
    "guardian who was removed": FORMER,
    "another child's guardian": STRANGER,
    "the named clinic": CLINIC,
    "a clinic with consent, not named": CONSENTED,
    "a clinic without consent": OTHER_CLINIC,
    "a clinic whose consent lapsed": LAPSED,
    "a clinic whose consent was withdrawn": WITHDRAWN,
    "a clinic without an organisation": NOWHERE,
    "staff of the town": STAFF,
    "staff of another town": OTHER_TOWN,
    "staff who claim the clinic's organisation": IN_DISGUISE,
    "the town's system": INTAKE,
    "operator": OPERATOR,
}

# begin, read draft, write draft, submit, list, read submitted, decide, withdraw; for a response that the mother names to clinic-1.
TABLE: dict[str, tuple[int, int, int, int, int, int, int, int]] = {
    "mother": (201, Y, Y, Y, Y, Y, F, Y),
    "father": (201, Y, Y, Y, Y, Y, F, Y),
    "guardian who was removed": (N, N, N, N, N, N, F, N),
    "another child's guardian": (N, N, N, N, N, N, F, N),
    "the named clinic": (201, N, N, N, Y, Y, Y, F),
    "a clinic with consent, not named": (201, N, N, N, Y, N, N, F),
    "a clinic without consent": (N, N, N, N, N, N, N, F),
    "a clinic whose consent lapsed": (N, N, N, N, N, N, N, F),
    "a clinic whose consent was withdrawn": (N, N, N, N, N, N, N, F),
    "a clinic without an organisation": (N, N, N, N, N, N, N, F),
    "staff of the town": (F, N, F, F, N, N, F, F),
    "staff of another town": (F, N, F, F, N, N, F, F),
    "staff who claim the clinic's organisation": (F, N, F, F, N, N, F, F),
    "the town's system": (F, N, F, F, N, N, F, F),
    "operator": (F, N, F, F, N, N, F, F),
}


@pytest.mark.parametrize("name", PRINCIPALS)
async def test_who_may(door: Door, told: Records, name: str) -> None:
    by = Actor(subject="mother-1", role="guardian")
    await told.tells(
        CHILD,
        records.GuardianAdded(guardian="former-1", proven_by="code"),
        records.GuardianRemoved(guardian="former-1", reason="custody"),
        consent("clinic-3", until=TODAY - timedelta(days=1)),
        consent("clinic-4"),
        consent_withdrawn("clinic-4"),
        consent("clinic-5"),
        records.ConsentGiven(organisation="131016", kind="municipality", purpose="support", by=by),
    )
    await told.tells("child-2", born("mother-2"))
    who = PRINCIPALS[name]
    drafts = [(await door.begins())["id"] for _ in range(2)]
    await door.answers(drafts[1])
    submitted = [await door.submitted() for _ in range(3)]
    clinic = who.organisation if who.role == "clinic" else "clinic-1"
    wanted = {"child": CHILD, "form": FORM, "vaccine": "hepb", "clinic": clinic}
    found = (
        await door.call(who, "POST", "/v1/responses", wanted),
        await door.call(who, "GET", f"/v1/responses/{drafts[0]}"),
        await door.call(who, "PUT", f"/v1/responses/{drafts[0]}", body_of(healthy()), If_Match='"1"'),
        await door.submits(drafts[1], who),
        await door.call(who, "GET", f"/v1/children/{CHILD}/responses"),
        await door.call(who, "GET", f"/v1/responses/{submitted[0]}"),
        await door.decides(submitted[1], who),
        await door.withdraws(submitted[2], who),
    )
    assert tuple(answer.status_code for answer in found) == TABLE[name]


async def test_the_table_names_every_route_and_every_principal(runtime: Runtime) -> None:
    app: Any = runtime.app  # type: ignore[attr-defined]
    paths = app.openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert routes == {
        ("GET", "/v1/forms"),
        ("GET", "/v1/forms/{form_id}"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/{response_id}"),
        ("PUT", "/v1/responses/{response_id}"),
        ("POST", "/v1/responses/{response_id}/submission"),
        ("POST", "/v1/responses/{response_id}/decision"),
        ("POST", "/v1/responses/{response_id}/withdrawal"),
        ("GET", "/v1/children/{child}/responses"),
    }
    assert TABLE.keys() == PRINCIPALS.keys()


async def test_a_clinic_sees_only_what_was_handed_in_to_it_or_to_nobody_in_particular(
    door: Door, told: Records
) -> None:
    await told.tells(CHILD, consent("clinic-5"))
    named = await door.submitted()
    open_to_all = await door.submitted(clinic=None)
    draft = (await door.begins())["id"]
    path = f"/v1/children/{CHILD}/responses"

    async def sees(who: Principal) -> set[str]:
        return {one["id"] for one in (await door.call(who, "GET", path)).json()["items"]}

    assert await sees(CLINIC) == {named, open_to_all}
    assert await sees(CONSENTED) == {open_to_all}
    assert await sees(MOTHER) == {named, open_to_all, draft}


async def test_after_a_consent_is_withdrawn_the_clinic_finds_nothing(door: Door, told: Records) -> None:
    response = await door.submitted()
    assert (await door.call(CLINIC, "GET", f"/v1/responses/{response}")).status_code == 200
    await told.tells(CHILD, consent_withdrawn("clinic-1"))
    assert (await door.call(CLINIC, "GET", f"/v1/responses/{response}")).status_code == 404
    assert (await door.decides(response)).status_code == 404
    again = (await door.call(MOTHER, "GET", f"/v1/responses/{response}")).json()
    assert again["clinic_may_read"] is False


async def test_not_yours_is_answered_like_not_there(door: Door, told: Records) -> None:
    response = await door.submitted()
    for method, path, body in (
        ("GET", "/v1/responses/{}", None),
        ("PUT", "/v1/responses/{}", {"answers": []}),
        ("POST", "/v1/responses/{}/submission", {}),
        ("POST", "/v1/responses/{}/withdrawal", {}),
    ):
        answers = [
            await door.call(STRANGER, method, path.format(which), body, If_Match='"1"')
            for which in (response, new_id())
        ]
        bodies = [{**one.json(), "trace_id": ""} for one in answers]
        assert bodies[0] == bodies[1]
        assert [one.status_code for one in answers] == [404, 404]
    mine = await door.call(STRANGER, "GET", f"/v1/children/{CHILD}/responses")
    nowhere = await door.call(STRANGER, "GET", "/v1/children/nowhere/responses")
    assert {**mine.json(), "trace_id": ""} == {**nowhere.json(), "trace_id": ""}


async def test_without_the_gateways_token_nothing_is_answered(door: Door, told: Records, keys: Any) -> None:
    response = await door.submitted()
    path = f"/v1/responses/{response}"
    gateway = InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"]))
    another = InternalTokens(Settings(service="records", internal_keys_file=keys["records"]))
    good = gateway.sign("questionnaire", "act", MOTHER)
    forged = good[:-8] + ("AAAAAAAA" if not good.endswith("AAAAAAAA") else "BBBBBBBB")
    for token in (
        None,
        forged,
        gateway.sign("records", "act", MOTHER),
        gateway.sign("questionnaire", "heal"),
        another.sign("questionnaire", "act", MOTHER),
    ):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": "k", "If-Match": '"1"'}
        for method, where in (
            ("GET", path),
            ("PUT", path),
            ("POST", "/v1/responses"),
            ("POST", f"{path}/submission"),
            ("POST", f"{path}/decision"),
            ("POST", f"{path}/withdrawal"),
            ("GET", f"/v1/children/{CHILD}/responses"),
            ("GET", "/v1/forms"),
            ("GET", f"/v1/forms/{FORM}"),
        ):
            body = {
                "PUT": {"answers": []},
                "POST": {"decision": "go_ahead", "explained": True} if where.endswith("decision") else {},
            }
            if where == "/v1/responses":
                body["POST"] = {"child": CHILD, "form": FORM, "vaccine": "hepb"}
            answer = await door.http.request(method, where, headers=headers, json=body.get(method))
            assert answer.status_code == 401, (method, where)
    assert (await door.http.get(path, headers={"authorization": f"Bearer {good}"})).status_code == 200
