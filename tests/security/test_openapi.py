"""The OpenAPI document is true: whatever schemathesis sends, no 5xx, no undocumented status, no other shape (S20)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.platform import Platform
from services.gateway.app import openapi_document

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ELSEWHERE = {
    "/dev/clock",  # moves the clock of the whole platform
    "/v1/events",  # does not end
    "/v1/municipalities",  # makes Kafka users
    "/v1/clinics",
    "/v1/municipalities/{code}/credentials",
    "/v1/clinics/{clinic}/credentials",
}
ROLES = (
    {"subject": "fuzz-guardian", "role": "guardian"},
    {"subject": "fuzz-clinic", "role": "clinic", "organisation": "wakaba"},
    {"subject": "fuzz-staff", "role": "staff", "municipality": "139912"},
    {"subject": "fuzz-operator", "role": "operator"},
)
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = 3


def _document() -> dict[str, Any]:
    document = json.loads(json.dumps(openapi_document()))
    document["paths"] = {path: found for path, found in document["paths"].items() if path not in ELSEWHERE}
    return dict(document)


SCHEMA = schemathesis.openapi.from_dict(_document())


@pytest.fixture(scope="module")
def logins(platform: Platform) -> Iterator[list[str]]:
    """A token of each role, and a child that the guardian has registered."""
    with httpx.Client(base_url=platform.gateway_url, trust_env=False, timeout=30.0) as http:
        tokens = [http.post("/dev/token", json=body).json()["access_token"] for body in ROLES]
        yield [f"Bearer {token}" for token in tokens]


@SCHEMA.parametrize()
@seed(20261123)
@settings(
    max_examples=EXAMPLES * len(ROLES),
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_api_is_as_described(case: Any, platform: Platform, logins: list[str]) -> None:
    login = logins[len(repr(case.query)) % len(logins)]
    case.call_and_validate(base_url=platform.gateway_url, headers={"Authorization": login}, checks=CHECKS, timeout=30.0)
