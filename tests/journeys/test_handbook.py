"""A family takes its whole handbook home through the gateway, and anybody proves it without a network."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.conftest import Town

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def verified(pack: Path, keys: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.records", "verify", str(pack), "--keys", str(keys)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


async def test_the_handbook_on_paper_as_data_and_proven(town: Town, tmp_path: Path) -> None:
    mother, path = town.people["mother"], f"/v1/children/{town.child}/handbook"
    pdf = await mother.call("GET", path)
    assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.headers["Content-Disposition"] == 'attachment; filename="handbook.pdf"'
    book = await mother.get(f"{path}?format=json")
    assert [dose["lot"] for dose in book["doses"]] == ["CANARY01"]
    Bundle.model_validate(await mother.get(f"{path}?format=fhir"))
    (tmp_path / "pack.json").write_text(json.dumps(await mother.get(f"{path}?format=pack")), encoding="utf-8")
    (tmp_path / "keys.json").write_text(json.dumps(await mother.get("/v1/handbook-keys")), encoding="utf-8")
    done = await asyncio.to_thread(verified, tmp_path / "pack.json", tmp_path / "keys.json")
    assert done.returncode == 0, done.stderr
    assert "CANARY01" in done.stdout
    for who, status in (("other_mother", 404), ("clinic", 403), ("other_nurse", 404), ("operator", 403)):
        answer = await town.ask(who, "GET", f"{path}?format=json", fresh=False)
        assert answer.status_code == status, who
        assert "CANARY01" not in answer.text
