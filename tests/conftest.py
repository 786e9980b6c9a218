"""The whole platform, started once for the attacks that need it, with a family on it; and the faults' table at the end."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.client import Api, Caller
from deploy.local.platform import Platform
from shared.clock import Clock
from tests.faults.report import REPORTS, Report

TOWN, OTHER_TOWN = "139912", "139921"
CLINIC, OTHER_CLINIC = "wakaba", "aozora"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make faults` and a repeated run choose."""
    parser.addoption("--faults", default=None, help="only these faults of the short form, for example F1,F9")
    parser.addoption("--seed", type=int, default=None, help="seed of the fault script; printed with the table")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that was dealt the faults hands their table to the one that prints."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["faults"] = [asdict(report) for report in REPORTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what such a process wrote."""
    REPORTS.extend(Report.of(found) for found in getattr(node, "workeroutput", {}).get("faults", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of the faults."""
    for report in REPORTS:
        report.show(terminalreporter._tw._file)


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """All five services on the real broker and their stores, until the last test of this folder: idle, they still cost."""
    with Platform.start(tmp_path_factory.mktemp("platform")) as found:
        yield found


@dataclass(slots=True)
class Town:
    """A family with a dose, and everybody around it."""

    api: Api
    child: str
    dose: str
    people: dict[str, Caller]

    async def ask(self, who: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """One request of this person."""
        return await self.people[who].call(method, path, body, **options)


@pytest.fixture
async def town(platform: Platform) -> AsyncIterator[Town]:
    """A child in TOWN with a guardian and a clinic that has consent and gave a dose; the others belong elsewhere."""
    api = Api(platform.gateway_url)
    mark = uuid.uuid4().hex[:8]
    operator = await api.sign_in("operator-1", "operator")
    for code in (TOWN, OTHER_TOWN):
        await operator.post("/v1/municipalities", {"code": code, "name": f"町 {code}"}, key=f"town-{code}", expect=None)
    for clinic, home in ((CLINIC, TOWN), (OTHER_CLINIC, OTHER_TOWN)):
        body = {"id": clinic, "name": f"医院 {clinic}", "municipality": home}
        await operator.post("/v1/clinics", body, key=f"clinic-{clinic}", expect=None)
    people = {
        "mother": await api.sign_in(f"mother-{mark}", "guardian"),
        "other_mother": await api.sign_in(f"other-{mark}", "guardian"),
        "clinic": await api.sign_in("doctor-1", "clinic", organisation=CLINIC),
        "other_clinic": await api.sign_in("doctor-2", "clinic", organisation=OTHER_CLINIC),
        "nurse": await api.sign_in("nurse-1", "staff", municipality=TOWN),
        "other_nurse": await api.sign_in("nurse-2", "staff", municipality=OTHER_TOWN),
        "operator": operator,
    }
    mother, clinic_desk = people["mother"], people["clinic"]
    facts = {
        "birth_date": (Clock().today() - timedelta(days=90)).isoformat(),
        "sex": "F",
        "name": {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"},
        "municipality": TOWN,
    }
    child = (await mother.post("/v1/children", facts))["id"]
    await mother.put(f"/v1/children/{child}/consents/{CLINIC}", {"purpose": "care"})
    dose = await clinic_desk.post(
        f"/v1/children/{child}/doses",
        {"given_on": Clock().today().isoformat(), "cvx": "170", "lot": "CANARY01"},
    )
    mother.wrote.update(clinic_desk.wrote)
    yield Town(api, child, dose["id"], people)
    await api.close()
