"""A service needs shared/ and itself, nothing else: copied into an empty folder, each app can be imported and built."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.secret_files import SecretFiles

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("records", "schedule", "questionnaire", "notify", "gateway")

BUILD = """
import sys
from services.{service}.app import create_app
from shared.settings import Settings
settings = Settings(service="{service}", environment="development", issuer_key_file={issuer!r}, internal_keys_file={keys!r})
assert create_app(settings).routes
others = {others!r}
assert not [name for name in sys.modules if name.split(".")[:2] in [["services", other] for other in others]]
assert "deploy" not in sys.modules
"""


@pytest.mark.parametrize("service", SERVICES)
def test_the_app_is_built_from_shared_and_itself(service: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ignore = shutil.ignore_patterns("tests", "testing", "__pycache__")
    shutil.copytree(ROOT / "shared", home / "shared", ignore=ignore)
    shutil.copytree(ROOT / "services" / service, home / "services" / service, ignore=ignore)
    (home / "services" / "__init__.py").touch()
    secrets = SecretFiles(tmp_path)
    issuer = str(secrets.signing_key("development-issuer")) if service == "gateway" else None
    code = BUILD.format(
        service=service,
        issuer=issuer,
        keys=str(secrets.internal_keys(SERVICES)[service]),
        others=[other for other in SERVICES if other != service],
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
