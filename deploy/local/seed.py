"""The invented town: 200 children with real-looking histories that enter only through municipal topics and the public API."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from faker import Faker

from deploy.local.client import Api, Caller, MunicipalSystem, demand, until
from deploy.local.organisations import CLINICS, MUNICIPALITIES, Organisations
from shared.clock import Clock

SIDE_BY_SIDE = 8
MOST_DOSES = 8
_KANA = "アイウエオカキクケコサシスセソタチツテトナニハヒマミヤユヨラリルレロ"

# CVX and the days of life on which the doses are usually given; `step` days may be added for those who come late.
USUAL: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("119", (62, 92)),
    ("08", (62, 92, 210)),
    ("216", (62, 92, 122, 390)),
    ("170", (62, 92, 122, 400)),
    ("19", (160,)),
    ("04", (372,)),
    ("21", (372, 560)),
)


TOO_SOON = "08"
"""CVX of the vaccine (hepatitis B) of which the second dose is given after 20 days where 27 must lie between."""


@dataclass(frozen=True, slots=True)
class Story:
    """One invented child: facts for the register and the doses that its clinic gives."""

    number: int
    kind: str
    municipality: str
    clinic: str
    facts: dict[str, Any]
    guardian: str
    doses: tuple[tuple[str, date], ...]


def stories(size: int, seed: int, today: date) -> list[Story]:
    """The children of the town, the same for the same seed and day."""
    dice = random.Random(seed)
    fake = Faker("ja_JP")
    fake.seed_instance(seed)
    found: list[Story] = []
    kinds = ("usual", "newborn", "late", "missed", "too_soon", "retracted", "preterm", "moved_in", "newborn", "older")
    number = 0
    while number < size:
        kind = kinds[number % len(kinds)]
        twins = number % 40 == 12 and number + 1 < size
        code = sorted(MUNICIPALITIES)[number % 5 == 4]
        clinics = [clinic for clinic, (_, town) in CLINICS.items() if town == code]
        age = {"newborn": dice.randint(3, 58), "older": dice.randint(400, 2200)}.get(kind, dice.randint(65, 140))
        birth = today - timedelta(days=age)
        family = fake.last_name()
        for twin in range(2 if twins else 1):
            sex = dice.choice(("F", "M"))
            given = fake.first_name_female() if sex == "F" else fake.first_name_male()
            facts: dict[str, Any] = {
                "birth_date": birth.isoformat(),
                "sex": sex,
                "name": {
                    "family": family,
                    "given": given,
                    "family_kana": _kana(dice),
                    "given_kana": _kana(dice),
                },
                "municipality": code,
                "gestation_days": dice.randint(220, 251) if kind == "preterm" else dice.randint(259, 287),
            }
            if twins:
                facts["twin_group"] = f"twins-{number}"
            found.append(
                Story(
                    number + twin,
                    kind,
                    code,
                    dice.choice(clinics),
                    facts,
                    f"guardian-{number}",
                    tuple(_doses(dice, kind, birth, today))[:MOST_DOSES],
                )
            )
        number += 2 if twins else 1
    return found


def _kana(dice: random.Random) -> str:
    return "".join(dice.choice(_KANA) for _ in range(3))


def _doses(dice: random.Random, kind: str, birth: date, today: date) -> Iterable[tuple[str, date]]:
    """What was given until yesterday; late families come weeks later, others miss a vaccine altogether.

    One kind of clinic entered a second dose that was given before its interval had passed.
    """
    late = dice.randint(10, 25) if kind == "late" else dice.randint(0, 3)
    missed = dice.choice([cvx for cvx, _ in USUAL]) if kind in {"missed", "older"} else None
    for cvx, days in USUAL:
        if cvx == missed:
            continue
        for number, day in enumerate(days):
            given = birth + timedelta(days=day + late)
            if kind == "too_soon" and cvx == TOO_SOON and number == 1:
                given -= timedelta(days=10)
            if given < today:
                yield cvx, given


async def seed(
    platform: Any, size: int = 200, seed: int = 20260401, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """Bring the town in, once for a data folder; a half-finished one is finished, since every key is derived from the seed."""
    report = progress or (lambda *_: None)
    record = platform.data / "town.json"
    known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
    if known is not None and known["complete"]:
        return
    today = date.fromisoformat(known["day"]) if known else Clock().today()
    record.write_text(json.dumps({"day": today.isoformat(), "complete": False}), encoding="utf-8")
    api = Api(platform.gateway_url)
    town = Organisations(platform.data / "secrets" / "organisations.json")
    try:
        await town.open(api)
        children = stories(size, seed, today)
        ids = await _births(platform, town, children, report)
        done = 0

        async def grow_up(story: Story) -> None:
            nonlocal done
            await _history(api, story, *ids[story.number])
            done += 1
            report("histories", done, len(children))

        await _side_by_side([grow_up(story) for story in children])
        last = children[-1]
        guardian = await api.sign_in(last.guardian, "guardian")
        await until(lambda: _has_plan(guardian, ids[last.number][0]), "the last plan is readable", within=60)
        _note_logins(platform, children)
        record.write_text(json.dumps({"day": today.isoformat(), "complete": True}), encoding="utf-8")
    finally:
        await api.close()


def _note_logins(platform: Any, children: list[Story]) -> None:
    """One ready login of each role, for `make run` to show."""
    town, clinic = min(MUNICIPALITIES), children[0].clinic
    nurse = {"subject": f"nurse-{town}", "role": "staff", "municipality": town, "profession": "public_health_nurse"}
    doctor = {"subject": f"doctor-{clinic}", "role": "clinic", "organisation": clinic}
    platform.note_login("guardian", "of the first child", {"subject": children[0].guardian, "role": "guardian"})
    platform.note_login("clinic", CLINICS[clinic][0], doctor)
    platform.note_login("staff", MUNICIPALITIES[town], nurse)
    platform.note_login("operator", "opens organisations", {"subject": "operator-1", "role": "operator"})


async def _births(
    platform: Any, town: Organisations, children: list[Story], report: Callable[[str, int, int], None]
) -> dict[int, tuple[str, list[str]]]:
    """Publish every birth on its municipality's topic; (child id, guardian codes) by number."""
    found: dict[int, tuple[str, list[str]]] = {}

    async def register(code: str) -> None:
        async with MunicipalSystem(code, town.on(platform.kafka_bootstrap, f"municipality-{code}")) as system:
            sent = {
                story.number: await system.send(
                    "BirthNotified",
                    {**story.facts, "guardian_codes": 1},
                    event_id=f"town-birth-{story.number}-{story.facts['birth_date']}",
                    structured=story.number % 7 == 0,
                )
                for story in children
                if story.municipality == code
            }
            for number, message in sent.items():
                kind, data = await system.reply(message, within=120)
                demand(kind == "MessageAccepted", f"birth {number} was refused: {data}")
                found[number] = (data["subject"], list(data.get("guardian_codes", [])))
                report("births", len(found), len(children))

    await asyncio.gather(*(register(code) for code in sorted(MUNICIPALITIES)))
    return found


async def _history(api: Api, story: Story, child: str, codes: list[str]) -> None:
    guardian = await api.sign_in(story.guardian, "guardian")
    if codes:
        linked = await guardian.call("POST", "/v1/guardian-links", {"code": codes[0]}, key=f"town-link-{story.number}")
        demand(linked.is_success, f"guardian of {story.number}: {linked.status_code} {linked.text[:300]}")
    await guardian.put(f"/v1/children/{child}/consents/{story.clinic}", {"purpose": "care"})
    clinic = await api.sign_in(f"doctor-{story.clinic}", "clinic", organisation=story.clinic)
    clinic.wrote.update(guardian.wrote)
    staff = await api.sign_in(
        f"nurse-{story.municipality}", "staff", municipality=story.municipality, profession="public_health_nurse"
    )
    for position, (cvx, given) in enumerate(story.doses):
        caller = staff if story.kind == "moved_in" and position < 4 else clinic
        body = {"given_on": given.isoformat(), "cvx": cvx, "lot": f"TOWN{story.number % 17:02d}{cvx}"}
        answer = await _retried(caller, f"/v1/children/{child}/doses", body, f"town-dose-{story.number}-{position}")
        if story.kind == "retracted" and position == 0:
            await caller.post(
                f"/v1/children/{child}/doses/{answer['id']}/retraction",
                {"reason": "entered for the wrong child"},
                expect=None,
                key=f"town-retract-{story.number}",
            )


async def _retried(caller: Caller, path: str, body: dict[str, Any], key: str) -> Any:
    """Repeat with the same key while the answer is «not now» or the consent has not arrived everywhere."""

    async def attempt() -> Any:
        answer = await caller.call("POST", path, body, key=key)
        if answer.status_code in {404, 409, 503}:
            return None
        demand(answer.is_success, f"{path} answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    return await until(attempt, f"{path} is accepted", within=30)


async def _has_plan(guardian: Caller, child: str) -> bool:
    return (await guardian.call("GET", f"/v1/children/{child}/plan")).status_code == 200


async def _side_by_side(jobs: list[Awaitable[None]]) -> None:
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(job: Awaitable[None]) -> None:
        async with places:
            await job

    await asyncio.gather(*(one(job) for job in jobs))
