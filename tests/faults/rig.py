"""The platform under fault: started once, filled with a small town, with everything that a fault needs at hand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from deploy.local.client import Api, Caller
from deploy.local.organisations import Organisations
from deploy.local.platform import Platform
from shared.clock import Clock

SERVICES = ("records", "schedule", "questionnaire", "notify", "gateway")
TOWN, CLINIC = "139912", "wakaba"
CANARY = "カナリア"
"""Stands in every child's name: it may be in stored and sent values, never in a log, a header or a key."""
LOT = "CANARYLOT"
"""Begins every lot, for the same reason."""


@dataclass
class Family:
    """A child of the town with a guardian of its own."""

    child: str
    guardian: Caller
    birth: date


@dataclass
class Rig:
    """One running platform, its town, and its people signed in."""

    platform: Platform
    api: Api
    organisations: Organisations
    staff: Caller
    clinic: Caller
    families: list[Family] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Guardians of the town whom notify alone knows, where a fan-out is to be large."""
    today: date = field(default_factory=lambda: Clock().today())
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.platform.data

    @property
    def guardians(self) -> set[str]:
        """Whom a notice to everybody reaches."""
        return {family.guardian.subject for family in self.families} | set(self.others)

    def database(self, service: str) -> Any:
        """A service's own store, read past the service, as only a checker may."""
        if service not in self._clients:
            self._clients[service] = MongoClient(self.platform.store_url(service), retryWrites=False, timeoutMS=20_000)
        return self._clients[service][service]

    def view(self, service: str, name: str) -> Any:
        """A view's collection: of the generation that is read (protocol R8)."""
        database = self.database(service)
        row = database.generations.find_one({"_id": name}) or {}
        return database[f"{name}.g{row['live']}" if row.get("live") else name]

    async def off(self, work: Callable[[], Any]) -> Any:
        """Do something that waits (processes, the plain driver) beside the loop."""
        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """Close the connections; the platform is stopped by whoever started it."""
        for client in self._clients.values():
            client.close()
        await self.api.close()


async def settle_in(platform: Platform, children: int) -> Rig:
    """Open the organisations and register so many children, each with a guardian and a consent for the clinic."""
    api = Api(platform.gateway_url)
    organisations = Organisations(platform.data / "secrets" / "organisations.json")
    await organisations.open(api)
    staff = await api.sign_in(f"nurse-{TOWN}", "staff", municipality=TOWN, profession="public_health_nurse")
    clinic = await api.sign_in(f"doctor-{CLINIC}", "clinic", organisation=CLINIC)
    rig = Rig(platform, api, organisations, staff, clinic)
    for number in range(children):
        rig.families.append(await _registers(rig, number))
    for family in rig.families:
        clinic.wrote.update(family.guardian.wrote)
    return rig


async def _registers(rig: Rig, number: int) -> Family:
    guardian = await rig.api.sign_in(f"guardian-{number}", "guardian")
    birth = rig.today - timedelta(days=400 + 7 * number)
    facts = {
        "birth_date": birth.isoformat(),
        "sex": "FM"[number % 2],
        "name": {"family": CANARY, "given": f"{CANARY}{number}", "family_kana": CANARY, "given_kana": CANARY},
        "municipality": TOWN,
        "gestation_days": 275,
    }
    child = (await guardian.post("/v1/children", facts, key=f"rig-child-{number}"))["id"]
    await guardian.put(f"/v1/children/{child}/consents/{CLINIC}", {"purpose": "care"})
    return Family(child, guardian, birth)
