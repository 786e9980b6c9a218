"""Families through the real gateway and Kafka: who is let in, who is let out again, and that nothing tells where a child is."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.client import Api, Caller, until
from deploy.local.platform import Platform
from shared.clock import Clock

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]

TOWN, OTHER_TOWN = "139912", "139921"
CLINIC, OTHER_CLINIC = "wakaba", "satogaeri"
TODAY = Clock().today()
SOON = (TODAY + timedelta(days=30)).isoformat()


@dataclass(slots=True)
class Country:
    """Two towns with a clinic each, and whoever signs in."""

    api: Api
    mark: str
    people: dict[str, Caller] = field(default_factory=dict)

    async def signs_in(self, name: str, role: str = "guardian", **claims: str) -> Caller:
        """This person, the same one at each call."""
        if name not in self.people:
            self.people[name] = await self.api.sign_in(f"{name}-{self.mark}", role, **claims)
        return self.people[name]

    async def nurse(self, town: str = TOWN) -> Caller:
        """A public health nurse of the town."""
        return await self.signs_in(f"nurse-{town}", "staff", municipality=town, profession="public_health_nurse")

    async def doctor(self, clinic: str = CLINIC) -> Caller:
        """A doctor of the clinic."""
        return await self.signs_in(f"doctor-{clinic}", "clinic", organisation=clinic)

    async def child(self, by: Caller, **changes: Any) -> str:
        """A child of this guardian or of the town."""
        facts = {
            "birth_date": (TODAY - timedelta(days=150)).isoformat(),
            "sex": "F",
            "name": {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"},
            "municipality": TOWN,
            "district": "みどり台",
            **changes,
        }
        return str((await by.post("/v1/children", facts))["id"])

    async def status(self, who: Caller, path: str) -> int:
        """What a read answers."""
        return (await who.call("GET", path, fresh=False)).status_code


@pytest.fixture
async def country(platform: Platform) -> AsyncIterator[Country]:
    api = Api(platform.gateway_url)
    found = Country(api, uuid.uuid4().hex[:8])
    operator = await found.signs_in("operator", "operator")
    for town, clinic in ((TOWN, CLINIC), (OTHER_TOWN, OTHER_CLINIC)):
        await operator.post("/v1/municipalities", {"code": town, "name": f"町 {town}"}, key=f"t{town}", expect=None)
        body = {"id": clinic, "name": f"医院 {clinic}", "municipality": town}
        await operator.post("/v1/clinics", body, key=f"c{clinic}", expect=None)
    yield found
    await api.close()


async def test_a_grandmother_is_let_in_to_what_is_shared_and_out_again(country: Country) -> None:
    mother, grandmother = await country.signs_in("mother"), await country.signs_in("grandmother")
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    await mother.post(f"{path}/growth", {"measured_on": TODAY.isoformat(), "weight_kg": 6.4})
    assert await country.status(grandmother, path) == 404

    wish = {"relation": "grandparent", "sections": ["growth", "diary"], "until": SOON}
    for words, shared_with in (("はじめて寝返り", "family"), ("わたしの日記", "author")):
        await mother.post(f"{path}/diary", {"on": TODAY.isoformat(), "text": words, "shared_with": shared_with})
    invited = await mother.post(f"{path}/invitations", wish)
    linked = await grandmother.post("/v1/guardian-links", {"code": invited["code"]})
    assert linked["child"] == child
    seen = await grandmother.get(path)
    assert set(seen) == {"id", "birth_date", "sex", "name", "growth"}
    assert [one["weight_kg"] for one in seen["growth"]] == [6.4]
    assert await country.status(grandmother, f"{path}/plan") == 404
    assert [one["text"] for one in (await grandmother.get(f"{path}/diary"))["items"]] == ["はじめて寝返り"]
    used = await (await country.signs_in("stranger")).call("POST", "/v1/guardian-links", {"code": invited["code"]})
    assert used.status_code == 422

    (grant,) = (await mother.get(f"{path}/family"))["grants"]
    revoked = await mother.call("DELETE", f"{path}/grants/{grant['id']}")
    assert revoked.status_code == 200
    gone = await grandmother.call("GET", path, fresh=False)
    nowhere = await grandmother.call("GET", f"/v1/children/{'0' * 32}", fresh=False)
    assert (gone.status_code, _untraced(gone)) == (404, _untraced(nowhere))
    assert await country.status(grandmother, f"{path}/diary") == 404
    assert (await grandmother.get("/v1/children"))["items"] == []


def _untraced(answer: Any) -> Any:
    return {name: value for name, value in answer.json().items() if name not in {"trace_id", "instance"}}


async def test_from_one_parent_the_whereabouts_are_hidden_on_every_path(country: Country) -> None:
    mother, father, nurse = await country.signs_in("mother"), await country.signs_in("father"), await country.nurse()
    doctor = await country.doctor()
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    await mother.put(f"{path}/consents/{CLINIC}", {"purpose": "care"})
    dose = {"given_on": TODAY.isoformat(), "cvx": "170", "performer": "医師 若葉"}
    await doctor.post(f"{path}/doses", dose)
    code = (await nurse.post(f"{path}/guardian-codes", {"count": 1}))["codes"][0]["code"]
    await father.post("/v1/guardian-links", {"code": code})
    assert TOWN in (await father.call("GET", path)).text

    bound = {one["id"]: one for one in (await father.get(f"{path}/family"))["guardians"]}
    (father_id,) = [key for key, one in bound.items() if one["yourself"]]
    cut = await nurse.call("PUT", f"{path}/cut-offs/{father_id}")
    assert cut.status_code == 200, cut.text

    shown = {}
    for rest in (
        "",
        "/plan",
        f"/plan?on={SOON}",
        "/catch-up",
        "/reminders",
        "/history",
        "/accesses",
        "/family",
        "/responses",
    ):
        shown[rest] = await father.call("GET", f"{path}{rest}", fresh=False)
    for rest in (f"/Patient/{child}", f"/Immunization?patient={child}", f"/Observation?patient={child}", "/Patient"):
        shown[f"fhir{rest}"] = await father.call("GET", f"/fhir/R4{rest}", fresh=False)
    shown["list"] = await father.call("GET", "/v1/children", fresh=False)
    words = (TOWN, "みどり台", CLINIC, "医師", nurse.subject, doctor.subject, mother.subject)
    leaks = [(rest, word) for rest, answer in shown.items() for word in words if word in answer.text]
    assert leaks == []
    assert {rest for rest, answer in shown.items() if answer.status_code == 200 and child in answer.text} == {
        "",
        "/plan",
        f"/plan?on={SOON}",
        "/catch-up",
        "list",
    } & {rest for rest, answer in shown.items() if child in answer.text}
    assert [one["cvx"] for one in shown[""].json()["doses"]] == ["170"]
    # He has no say either: nobody comes in by his word, and he cannot ask which town it is.
    wish = {"relation": "friend", "sections": ["plan"], "until": SOON}
    assert (await father.call("POST", f"{path}/invitations", wish)).status_code == 404
    assert (
        await father.call("POST", f"{path}/growth", {"measured_on": TODAY.isoformat(), "weight_kg": 6})
    ).status_code == 404

    # A notice to the town's families does not reach him: it would tell the town.
    notice = {
        "title": {"ja": "休園のお知らせ"},
        "body": {"ja": "本日は休園します。"},
        "audience": {"age_years": {"under": 6}},
        "urgency": "important",
    }
    await nurse.post("/v1/announcements", notice, expect=202)

    async def mother_has_it() -> bool:
        return any(one["title"].get("ja") == "休園のお知らせ" for one in (await mother.get("/v1/inbox"))["items"])

    await until(mother_has_it, "the notice reaches the mother")
    assert (await father.get("/v1/inbox"))["items"] == []
    assert TOWN not in (await father.call("GET", "/v1/inbox")).text

    # The measure ends.
    assert (await nurse.call("DELETE", f"{path}/cut-offs/{father_id}")).status_code == 200
    assert TOWN in (await father.call("GET", path)).text


async def test_a_change_of_guardian(country: Country) -> None:
    mother, father, nurse = await country.signs_in("mother"), await country.signs_in("father"), await country.nurse()
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    invited = await mother.post(f"{path}/invitations", {"relation": "guardian"})
    await father.post("/v1/guardian-links", {"code": invited["code"]})
    family = await father.get(f"{path}/family")
    assert sorted((one["proven_by"], one["invited"], one["yourself"]) for one in family["guardians"]) == [
        ("code", True, True),
        ("registration", False, False),
    ]
    (mother_id,) = [one["id"] for one in family["guardians"] if not one["yourself"]]
    removed = await nurse.call("POST", f"{path}/guardians/{mother_id}/removal", {"reason": "親権者の変更"})
    assert removed.status_code == 200, removed.text
    assert await country.status(mother, path) == 404
    assert await country.status(father, path) == 200


async def test_a_town_reads_with_consent_and_writes_nothing(country: Country) -> None:
    mother, other = await country.signs_in("mother"), await country.nurse(OTHER_TOWN)
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    assert await country.status(other, path) == 404
    await mother.put(f"{path}/consents/{OTHER_TOWN}", {"purpose": "心理相談", "until": SOON})
    for rest in ("", "/plan", "/catch-up", "/history"):
        assert await country.status(other, f"{path}{rest}") == 200, rest
    grown = {"measured_on": TODAY.isoformat(), "weight_kg": 6}
    assert (await other.call("POST", f"{path}/growth", grown)).status_code == 404
    looked = (await mother.get(f"{path}/accesses"))["items"]
    assert {"心理相談"} <= {
        one["purpose"] for one in looked if one.get("organisation") == OTHER_TOWN and one["outcome"] == "done"
    }
    assert (await mother.call("DELETE", f"{path}/consents/{OTHER_TOWN}")).status_code == 200
    for rest in ("", "/plan", "/catch-up", "/history"):
        assert await country.status(other, f"{path}{rest}") == 404, rest


async def test_a_move_takes_the_word_of_both_towns(country: Country) -> None:
    mother, old, new = await country.signs_in("mother"), await country.nurse(), await country.nurse(OTHER_TOWN)
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    going = {"to_municipality": OTHER_TOWN, "effective_on": TODAY.isoformat()}
    assert (await old.call("POST", f"{path}/move", {**going, "to_municipality": TOWN})).status_code == 422
    assert (await new.call("POST", f"{path}/move", going)).status_code == 404
    await old.post(f"{path}/move", going, expect=200)
    assert await country.status(old, path) == 200
    assert await country.status(new, path) == 404

    async def arrival() -> Any:
        items = (await new.get(f"/v1/municipalities/{OTHER_TOWN}/arrivals?limit=200"))["items"]
        return [one for one in items if one["id"] == child]

    (line,) = await until(arrival, "the new town is told")
    assert (line["from_municipality"], line["confirmed"]) == (TOWN, False)
    await new.post(f"{path}/move/confirmation", expect=200)
    assert await country.status(old, path) == 404
    assert (await new.get(path))["municipality"] == OTHER_TOWN
    assert await country.status(mother, path) == 200

    async def counted(nurse: Caller, town: str) -> bool:
        lines = (await nurse.get(f"/v1/municipalities/{town}/not-yet?limit=500"))["items"]
        return child in {one["child"] for one in lines}

    async def followed() -> bool:
        return await counted(new, OTHER_TOWN) and not await counted(old, TOWN)

    await until(followed, "the not-yet list follows the child")


async def test_a_stay_lends_the_record_to_another_town_and_its_clinic_until_it_ends(country: Country) -> None:
    mother, other, doctor = (
        await country.signs_in("mother"),
        await country.nurse(OTHER_TOWN),
        await country.doctor(OTHER_CLINIC),
    )
    child = await country.child(mother)
    path = f"/v1/children/{child}"
    wish = {"municipality": OTHER_TOWN, "clinics": [OTHER_CLINIC], "since": TODAY.isoformat(), "until": SOON}
    assert (await mother.call("POST", f"{path}/stays", {**wish, "municipality": TOWN})).status_code == 422
    stay = await mother.post(f"{path}/stays", wish)
    assert (await mother.call("POST", f"{path}/stays", wish)).json()["errors"][0]["code"] == "overlapping-stay"
    dose = await doctor.post(f"{path}/doses", {"given_on": TODAY.isoformat(), "cvx": "170"})
    await other.post(f"{path}/growth", {"measured_on": TODAY.isoformat(), "weight_kg": 6.1})
    assert await country.status(other, f"{path}/plan") == 200
    assert (await other.call("POST", f"{path}/guardian-codes", {"count": 1})).status_code == 404
    assert await country.status(await country.nurse(), path) == 200

    ended = await mother.call("POST", f"{path}/stays/{stay['id']}/end")
    assert ended.status_code == 200, ended.text
    for who in (other, doctor):
        for rest in ("", "/plan", "/history"):
            assert await country.status(who, f"{path}{rest}") == 404
    # What was done there stays with the child.
    record = await mother.get(path)
    assert [one["id"] for one in record["doses"]] == [dose["id"]]
    assert [one["weight_kg"] for one in record["growth"]] == [6.1]


async def test_two_records_of_one_child_become_one_everywhere_and_come_apart_again(country: Country) -> None:
    """The record, the plan, the not-yet list, the questionnaires and the notices: each follows, nothing counts twice."""
    mother, father, nurse = await country.signs_in("mother"), await country.signs_in("father"), await country.nurse()
    doctor = await country.doctor()
    name = {"family": country.mark, "given": "みのり", "family_kana": "ミノリヤマ", "given_kana": "ミノリ"}
    first = await country.child(mother, name=name)
    second = await country.child(father, name={**name, "given_kana": "みのり"})
    one, two = f"/v1/children/{first}", f"/v1/children/{second}"
    await mother.put(f"{one}/consents/{CLINIC}", {"purpose": "care"})
    await father.put(f"{two}/consents/{CLINIC}", {"purpose": "care"})
    day = (TODAY - timedelta(days=30)).isoformat()
    await doctor.post(f"{one}/doses", {"given_on": day, "cvx": "170"})
    copy = await doctor.post(f"{two}/doses", {"given_on": day, "cvx": "170"})
    only = await doctor.post(f"{two}/doses", {"given_on": day, "cvx": "133"})
    begun = await father.post("/v1/responses", {"child": second, "form": "yoshinhyo-infant", "vaccine": "hepb"})

    async def listed() -> Any:
        items = (await nurse.get(f"/v1/municipalities/{TOWN}/duplicates"))["items"]
        return [pair for pair in items if set(pair["children"]) == {first, second}]

    assert [pair["strength"] for pair in await until(listed, "the pair is shown")] == ["sure"]
    assert (await nurse.call("POST", f"{one}/merges", {"other": first, "reason": "x"})).status_code == 422
    await nurse.post(f"{one}/merges", {"other": second, "reason": "二重登録"}, expect=200)

    async def gone() -> bool:
        return await country.status(father, two) == 404 and await country.status(father, one) == 200

    await until(gone, "the second record is gone, and its guardian reads the first")
    record = await father.get(one)
    assert {
        dose["id"]: "superseded_by" in dose for dose in record["doses"] if dose["id"] in {copy["id"], only["id"]}
    } == {
        copy["id"]: True,
        only["id"]: False,
    }
    assert await listed() == []
    for rest in ("/plan", "/history", "/responses"):
        assert await country.status(father, f"{two}{rest}") == 404

    async def followed() -> bool:
        plan = (await mother.call("GET", f"{one}/plan")).json()
        waiting = (await nurse.get(f"/v1/municipalities/{TOWN}/not-yet?limit=500"))["items"]
        mine = {item["child"] for item in waiting}
        return len(plan.get("doses", ())) == 2 and first in mine and second not in mine

    await until(followed, "the plan counts each dose once, and the not-yet list the child once")
    assert begun["id"] in (await father.call("GET", f"{one}/responses")).text
    assert (await father.call("GET", f"/v1/responses/{begun['id']}")).status_code == 200
    assert (
        (await mother.call("GET", f"/fhir/R4/Immunization/{only['id']}")).json()["patient"]["reference"].endswith(first)
    )

    # It was a mistake after all.
    undone = await nurse.post(f"{one}/merges/{second}/undo", {"reason": "双子だった"}, expect=200)
    third = undone["restored"]

    async def apart() -> bool:
        return (
            await country.status(father, one) == 404
            and await country.status(father, f"/v1/children/{third}/plan") == 200
        )

    await until(apart, "each family reads its own record again")
    assert {dose["id"] for dose in (await father.get(f"/v1/children/{third}"))["doses"]} == {copy["id"], only["id"]}
    assert len((await mother.get(one))["doses"]) == 1
    assert await country.status(father, two) == 404

    async def answers_followed() -> bool:
        return begun["id"] in (await father.call("GET", f"/v1/children/{third}/responses")).text

    await until(answers_followed, "the questionnaire is read with the third record")
    assert (await mother.call("GET", f"/v1/responses/{begun['id']}")).status_code == 404
    found = await father.call("GET", f"/fhir/R4/Immunization/{only['id']}")
    assert found.json()["patient"]["reference"].endswith(third)
