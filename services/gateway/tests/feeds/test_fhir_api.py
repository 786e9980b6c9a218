"""FHIR R4 over HTTP, as an EHR meets it: its patients only, in pages, every error an OperationOutcome."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from services.gateway.app import create_app
from services.gateway.tests.feeds.family import CHILD, DOCTOR, GUARDIAN, TODAY, dose, facts
from shared.bus import envelope_of
from shared.clock import Clock, tokyo_time
from shared.delivery import Sink
from shared.documents import Document
from shared.events import records as r
from shared.events.base import Event
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings

pytestmark = pytest.mark.integration


@dataclass
class Ehr:
    """An EHR of a clinic, and the gateway that it asks."""

    runtime: Runtime
    http: httpx.AsyncClient

    async def get(self, path: str, *, clinic: str = "wakaba", **headers: str) -> httpx.Response:
        """One GET as this clinic."""
        wish = {"subject": "ehr-1", "role": "clinic", "organisation": clinic}
        token = (await self.http.post("/dev/token", json=wish)).json()["access_token"]
        return await self.http.get(path, headers={"authorization": f"Bearer {token}", **headers})

    async def read(self, path: str, **options: str) -> dict[str, Any]:
        """A resource that must be there, taken by fhir.resources."""
        answer = await self.get(path, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/fhir+json"
        resource: dict[str, Any] = answer.json()
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        return resource

    async def outcome(self, path: str, **options: str) -> tuple[int, str]:
        """(status, issue code) of a refusal."""
        answer = await self.get(path, **options)
        assert answer.headers["content-type"] == "application/fhir+json", answer.text
        body = answer.json()
        get_fhir_model_class("OperationOutcome").model_validate(body)
        return answer.status_code, body["issue"][0]["code"]


@pytest.fixture
async def ehr(local_store: LocalStore, gateway_keys: Path, tmp_path: Path) -> AsyncIterator[Ehr]:
    """A gateway without Kafka; what records told is already in its view."""
    app = create_app(
        Settings(
            service="gateway",
            environment="development",
            kafka_user="gateway",
            mongo_url=local_store.url,
            mongo_database=f"t{new_id()[:12]}",
            internal_keys_file=gateway_keys,
            issuer_key_file=SecretFiles(tmp_path).signing_key("issuer"),
        )
    )
    runtime: Runtime = app.state.runtime
    runtime.clock.move_to(tokyo_time(TODAY, 12))
    for begin in runtime.on_start:
        await begin()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Ehr(runtime, http)
    for end in runtime.on_stop:
        await end()
    await runtime.calls.close()
    await runtime.store.close()


@pytest.fixture
async def patient(ehr: Ehr) -> str:
    """A child with three doses, one retracted, whose mother lets wakaba read."""
    doses = [dose(f"d{n}", given_on=TODAY - timedelta(days=30 * (4 - n)), code="hepb", cvx="08") for n in range(1, 4)]
    await told(
        ehr.runtime,
        r.ChildRegistered(child=facts(), guardians=("mother-1",), by=GUARDIAN),
        r.ConsentGiven(organisation="wakaba", kind="clinic", purpose="care", by=GUARDIAN),
        *(r.DoseRecorded(dose=one, by=DOCTOR) for one in doses),
        r.DoseRetracted(dose_id="d2", reason="別の子の記録", by=DOCTOR),
        r.GrowthMeasured(measurement_id="m1", measured_on=TODAY, weight_kg=5.2, length_cm=57.1, by=DOCTOR),
    )
    return CHILD


async def told(runtime: Runtime, *events: Event) -> None:
    """The first events of the child, as Kafka would bring them."""
    doc = Document(id=CHILD)
    for event in events:
        doc.emit(event, Clock().now())
    view: Sink = runtime.follower.sinks[0]
    assert await view.apply([envelope_of(entry, "records") for entry in doc.outgoing]) == []


async def test_a_clinic_reads_its_patient(ehr: Ehr, patient: str) -> None:
    found = await ehr.read(f"/fhir/R4/Patient/{patient}")
    assert (found["birthDate"], found["gender"]) == ("2026-09-22", "female")
    bundle = await ehr.read("/fhir/R4/Patient")
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [patient]


async def test_doses_that_count_come_in_pages(ehr: Ehr, patient: str) -> None:
    first = await ehr.read(f"/fhir/R4/Immunization?patient=Patient/{patient}&_count=1")
    assert (first["total"], [entry["resource"]["id"] for entry in first["entry"]]) == (2, ["d1"])
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = await ehr.read(following)
    assert [entry["resource"]["id"] for entry in second["entry"]] == ["d3"]
    assert [link["relation"] for link in second["link"]] == ["self"]
    wrong = await ehr.read(f"/fhir/R4/Immunization?patient={patient}&status=entered-in-error")
    assert [entry["resource"]["id"] for entry in wrong["entry"]] == ["d2"]


async def test_one_dose_is_read_by_its_id_and_a_retracted_one_says_so(ehr: Ehr, patient: str) -> None:
    assert (await ehr.read("/fhir/R4/Immunization/d1"))["patient"]["reference"] == f"Patient/{patient}"
    assert (await ehr.read("/fhir/R4/Immunization/d2"))["status"] == "entered-in-error"


async def test_measurements_are_observations(ehr: Ehr, patient: str) -> None:
    assert (await ehr.read(f"/fhir/R4/Observation?patient={patient}"))["total"] == 2


async def test_the_server_says_what_it_can(ehr: Ehr) -> None:
    answer = await ehr.http.get("/fhir/R4/metadata")
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.json()["fhirVersion"] == "4.0.1"


@pytest.mark.parametrize(
    "path",
    [
        f"/fhir/R4/Patient/{CHILD}",
        f"/fhir/R4/Immunization?patient={CHILD}",
        f"/fhir/R4/Observation?patient={CHILD}",
        f"/fhir/R4/ImmunizationRecommendation?patient={CHILD}",
        "/fhir/R4/Immunization/d1",
        "/fhir/R4/Immunization/unknown",
        "/fhir/R4/Patient/unknown",
    ],
)
async def test_another_clinic_finds_nothing(ehr: Ehr, patient: str, path: str) -> None:
    assert patient == CHILD
    assert await ehr.outcome(path, clinic="aozora") == (404, "not-found")


async def test_a_foreign_search_lists_nobody(ehr: Ehr, patient: str) -> None:
    assert patient
    assert "entry" not in await ehr.read("/fhir/R4/Patient", clinic="aozora")


async def test_errors_are_operation_outcomes_wherever_they_come_from(ehr: Ehr, patient: str) -> None:
    assert await ehr.outcome("/fhir/R4/Immunization") == (422, "invalid")
    assert await ehr.outcome(f"/fhir/R4/Immunization?patient={patient}&_count=none") == (422, "invalid")
    assert await ehr.outcome(f"/fhir/R4/Immunization?patient={patient}&_cursor=made-up") == (422, "invalid")
    assert await ehr.outcome(f"/fhir/R4/Patient/{patient}?_format=xml") == (406, "not-supported")
    assert await ehr.outcome(f"/fhir/R4/Patient/{patient}", accept="application/fhir+xml") == (406, "not-supported")
    assert await ehr.outcome("/fhir/R4/Organization/1") == (404, "not-found")
    nobody = await ehr.http.get(f"/fhir/R4/Patient/{patient}")
    assert (nobody.status_code, nobody.json()["issue"][0]["code"]) == (401, "login")


async def test_a_cursor_of_another_list_is_refused(ehr: Ehr, patient: str) -> None:
    first = await ehr.read(f"/fhir/R4/Immunization?patient={patient}&_count=1")
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert await ehr.outcome(following.replace("Immunization?", "Observation?")) == (422, "invalid")
