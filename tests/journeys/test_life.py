"""A life and its end, through the real gateway and Kafka: what is sad silences every service, and no mistake is for ever."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local.client import Api, Caller, until
from deploy.local.platform import Platform
from shared.clock import Clock

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]

TOWN = "139939"
TODAY = Clock().today()


@dataclass(slots=True)
class House:
    """A town, its nurse, and a mother."""

    api: Api
    mark: str
    nurse: Caller
    mother: Caller

    async def child(self, age_days: int = 150) -> str:
        """A child of the mother."""
        facts = {
            "birth_date": (TODAY - timedelta(days=age_days)).isoformat(),
            "sex": "F",
            "name": {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"},
            "municipality": TOWN,
        }
        return str((await self.mother.post("/v1/children", facts))["id"])

    async def pregnancy(self, by: Caller, wish: dict[str, Any]) -> dict[str, Any]:
        """A pregnancy that is notified; a town that has only just joined is not known to records yet."""
        key = uuid.uuid4().hex

        async def taken() -> dict[str, Any] | None:
            answer = await by.call("POST", "/v1/pregnancies", wish, key=key)
            found: dict[str, Any] = answer.json()
            return found if answer.is_success else None

        found: dict[str, Any] = await until(taken, "the pregnancy is notified")
        return found

    async def reach(self, audience: dict[str, Any]) -> int:
        """How many families a notice would reach."""
        body = {"audience": audience}
        return int((await self.nurse.post("/v1/announcements/preview", body, expect=200))["recipients"])


@pytest.fixture
async def house(platform: Platform) -> AsyncIterator[House]:
    api = Api(platform.gateway_url)
    mark = uuid.uuid4().hex[:8]
    operator = await api.sign_in(f"operator-{mark}", "operator")
    await operator.post("/v1/municipalities", {"code": TOWN, "name": f"町 {TOWN}"}, key=f"t{TOWN}", expect=None)
    nurse = await api.sign_in(f"nurse-{mark}", "staff", municipality=TOWN, profession="public_health_nurse")
    yield House(api, mark, nurse, await api.sign_in(f"mother-{mark}", "guardian"))
    await api.close()


async def test_a_death_silences_every_service_and_a_wrong_word_is_taken_back(house: House) -> None:
    child = await house.child()
    path = f"/v1/children/{child}"

    async def counted() -> bool:
        lines = (await house.nurse.get(f"/v1/municipalities/{TOWN}/not-yet?limit=500"))["items"]
        return child in {one["child"] for one in lines}

    async def armed() -> set[str]:
        return {one["state"] for one in (await house.mother.get(f"{path}/reminders"))["items"]}

    await until(counted, "the child waits for its doses")
    assert "armed" in await armed()
    everybody = 0

    async def known() -> bool:
        nonlocal everybody
        everybody = await house.reach({"age_years": {"under": 1}})
        return everybody >= 1

    await until(known, "notify knows the family")

    await house.mother.post(f"{path}/death", {"died_on": TODAY.isoformat()})
    record = await house.mother.get(path)
    assert (record["died_on"], record["silenced"]) == (TODAY.isoformat(), True)
    assert (await house.mother.get(f"{path}/plan"))["items"] == []

    async def silent() -> bool:
        return "armed" not in await armed() and not await counted()

    await until(silent, "no reminder is left, and nobody follows the child up")

    async def reached(number: int) -> bool:
        return await house.reach({"age_years": {"under": 1}}) == number

    await until(lambda: reached(everybody - 1), "no notice for families of babies reaches the mother")

    await house.nurse.post(f"{path}/death/retraction", {"reason": "別のこどもの届出でした"}, expect=200)
    again = await house.nurse.get(path)
    assert "died_on" not in again
    assert "silenced" not in again
    await until(counted, "the child waits for its doses again")

    async def reminded() -> bool:
        return "armed" in await armed()

    await until(reminded, "its reminders are armed again")
    await until(lambda: reached(everybody), "the mother is told as before")


async def test_the_record_is_shown_as_it_stood(house: House) -> None:
    child = await house.child()
    path = f"/v1/children/{child}"
    before = datetime.now(UTC)
    dose = await house.mother.post(f"{path}/doses", {"given_on": TODAY.isoformat(), "cvx": "170"})
    given = datetime.now(UTC)
    await house.mother.post(f"{path}/doses/{dose['id']}/retraction", {"reason": "別のこどもの記録"}, expect=200)
    now = await house.mother.get(path)
    assert now["doses"] == []

    async def at(instant: datetime) -> Any:
        return await house.mother.get(f"{path}?at={instant.isoformat().replace('+', '%2B')}")

    assert (await at(before))["doses"] == []
    then = await at(given)
    assert [one["id"] for one in then["doses"]] == [dose["id"]]
    assert then["at"].endswith("+09:00")
    assert {name: value for name, value in (await at(datetime.now(UTC))).items() if name != "at"} == now
    long_ago = await house.mother.call("GET", f"{path}?at=2020-01-01T00:00:00Z")
    assert long_ago.status_code == 404


async def test_a_pregnancy_is_followed_everywhere_and_ends_in_twins(house: House) -> None:
    due = TODAY + timedelta(days=12)
    wish = {"municipality": TOWN, "expected_delivery": due.isoformat()}
    notified = await house.pregnancy(house.mother, wish)
    path = f"/v1/pregnancies/{notified['id']}"
    assert notified["confirmed"] is False
    await house.nurse.post(f"{path}/confirmation", expect=200)

    async def plan() -> dict[str, str]:
        answer = await house.mother.call("GET", f"{path}/plan")
        return {one["series"]: one["status"] for one in answer.json()["items"]} if answer.is_success else {}

    async def planned() -> bool:
        return "pregnancy_checkup" in await plan()

    await until(planned, "the woman has a plan")
    week = {"pregnancy_week": {"from": 38, "under": 39}}

    async def reached(number: int) -> bool:
        return await house.reach(week) == number

    await until(lambda: reached(1), "a notice for her week reaches her")
    measured = {"done_on": TODAY.isoformat(), "weight_kg": 61.2, "systolic_mmhg": 118, "diastolic_mmhg": 72}
    await house.mother.post(f"{path}/checkups", {**measured, "urine_protein": "negative"})
    stranger = await house.api.sign_in(f"stranger-{house.mark}", "guardian")
    for rest in ("", "/plan"):
        assert (await stranger.call("GET", f"{path}{rest}")).status_code == 404

    # Her clinic writes what it found for as long as she lends it the record, and reads no word after that.
    operator = await house.api.sign_in(f"operator-{house.mark}", "operator")
    clinic = f"clinic-{house.mark}"
    await operator.post("/v1/clinics", {"id": clinic, "name": "わかば産婦人科", "municipality": TOWN}, expect=None)
    midwife = await house.api.sign_in(f"midwife-{house.mark}", "clinic", organisation=clinic)
    assert (await midwife.call("GET", path)).status_code == 404
    await house.mother.put(f"{path}/consents/{clinic}", {"until": due.isoformat()})
    earlier = (TODAY - timedelta(days=7)).isoformat()
    await midwife.post(f"{path}/checkups", {"done_on": earlier, "weight_kg": 60.8, "fundal_height_cm": 33})
    assert [one["id"] for one in (await midwife.get("/v1/pregnancies"))["items"]] == [notified["id"]]
    assert (await midwife.call("GET", f"{path}/plan")).status_code == 403
    assert [one["weight_kg"] for one in (await house.mother.get(path))["checkups"]] == [60.8, 61.2]
    assert (await house.mother.call("DELETE", f"{path}/consents/{clinic}")).status_code == 200
    assert (await midwife.call("GET", path)).status_code == 404

    name = {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"}
    children = [{"sex": "F", "name": name, "birth_weight_g": 2500}, {"sex": "M", "name": name, "birth_weight_g": 2400}]
    born = {"outcome": "birth", "ended_on": TODAY.isoformat(), "children": children}
    first, second = (await house.nurse.post(f"{path}/outcome", born))["children"]
    assert (await house.nurse.call("POST", f"{path}/outcome", born)).status_code == 409

    async def hers() -> Any:
        found = [await house.mother.call("GET", f"/v1/children/{child}") for child in (first, second)]
        return [one.json() for one in found] if all(one.is_success for one in found) else None

    one, other = await until(hers, "the twins are hers")
    assert one["twin_group"] == other["twin_group"]
    await until(lambda: reached(0), "no notice for the pregnancy any more")

    async def mothers() -> bool:
        return set(await plan()) == {"postnatal_2w", "postnatal_1m"}

    await until(mothers, "her own checkups are left")
    course = (await house.mother.get(f"/v1/children/{first}/handbook?format=json"))["pregnancy"]
    assert [one.get("organisation_name") for one in course["checkups"]] == ["わかば産婦人科", None]


async def test_after_a_loss_nothing_cheerful_is_said(house: House) -> None:
    wish = {"guardian": house.mother.subject, "municipality": TOWN}
    due = (TODAY + timedelta(days=140)).isoformat()
    pregnancy = await house.pregnancy(house.nurse, {**wish, "expected_delivery": due})
    path = f"/v1/pregnancies/{pregnancy['id']}"
    week = {"pregnancy_week": {"from": 20, "under": 21}}

    async def reached() -> bool:
        return await house.reach(week) == 1

    async def silent() -> bool:
        plan = await house.mother.call("GET", f"{path}/plan")
        return await house.reach(week) == 0 and plan.is_success and plan.json()["items"] == []

    await until(reached, "a notice for her week reaches her")
    await house.nurse.post(f"{path}/outcome", {"outcome": "loss", "ended_on": TODAY.isoformat()})
    await until(silent, "no notice, no plan")
    assert (await house.mother.get(path))["silenced"] is True
    # It was another woman's: what the town told, only the town takes back.
    reason = {"reason": "another woman's"}
    assert (await house.mother.call("POST", f"{path}/outcome/retraction", reason)).status_code == 403
    await house.nurse.post(f"{path}/outcome/retraction", reason, expect=200)
    await until(reached, "her weeks are told again")
    assert (await house.mother.get(path))["silenced"] is False


async def test_what_a_clinic_saw_reaches_the_next_needle_and_the_handbook(house: House) -> None:
    """A checkup, a step, an allergy, an anaphylaxis: told once, shown to the family, and the pre-check stops by them."""
    operator = await house.api.sign_in(f"operator-{house.mark}", "operator")
    clinic = f"clinic-{house.mark}"
    await operator.post("/v1/clinics", {"id": clinic, "name": "わかば小児科", "municipality": TOWN}, expect=None)
    doctor = await house.api.sign_in(f"doctor-{house.mark}", "clinic", organisation=clinic)
    child = await house.child()
    path = f"/v1/children/{child}"

    async def consented() -> bool:
        answer = await house.mother.call("PUT", f"{path}/consents/{clinic}", {"purpose": "care"})
        return answer.is_success

    await until(consented, "the clinic is known, and the mother trusts it")
    given = TODAY - timedelta(days=60)
    dose = await doctor.post(
        f"{path}/doses", {"given_on": given.isoformat(), "cvx": "170", "site": "LA", "route": "subcutaneous"}
    )
    seen = {"dose": dose["id"], "symptom": "anaphylaxis", "began_at": f"{given.isoformat()}T15:00:00+09:00"}
    await doctor.post(f"{path}/reactions", {**seen, "serious": True, "outcome": "resolved"})
    await doctor.post(f"{path}/allergies", {"substance": "yeast", "criticality": "high"})
    found = {"result": "watch", "findings": [{"code": "hip"}], "weight_kg": 6.4}
    await doctor.post(f"{path}/checkups", {"kind": "checkup_3m", "done_on": given.isoformat(), **found})
    await house.mother.post(f"{path}/milestones", {"milestone": "head_control", "reached_on": given.isoformat()})

    async def stopped(cvx: str, code: str) -> bool:
        asked = await doctor.call("POST", "/v1/pre-checks", {"child": child, "cvx": cvx})
        said = asked.json()
        return asked.is_success and said["verdict"] == "stop" and code in {one["code"] for one in said["reasons"]}

    await until(lambda: stopped("08", "allergy"), "a vaccine made with yeast is stopped")
    await until(lambda: stopped("170", "reaction"), "the vaccine after which it was seen is stopped")
    record = await house.mother.get(path)
    assert [record[name][0]["provenance"] for name in ("reactions", "allergies", "checkups", "milestones")] == [
        *["clinic"] * 3,
        "guardian",
    ]
    book = await house.mother.get(f"{path}/handbook?format=json")
    assert (book["reactions"][0]["symptom_name"], book["milestones"][0]["milestone_name"]) == (
        "アナフィラキシー",
        "首のすわり",
    )
    assert [one["weight_kg"] for one in book["growth"]] == [6.4]
