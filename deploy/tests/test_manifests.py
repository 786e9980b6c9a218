"""The containers and the cluster give each service the key files that it reads; one that is forgotten is a door that stays shut."""

from pathlib import Path

import pytest
import yaml

from deploy.local.environment import ROOT
from shared.settings import Settings

EVERY = ("records", "schedule", "questionnaire", "notify", "gateway")
READERS = {
    "kafka_password_file": EVERY,
    "internal_keys_file": EVERY,
    "kafka_admin_password_file": ("gateway",),
    "issuer_keys_file": ("gateway",),
    "vapid_key_file": ("notify",),
    "handbook_key_file": ("records",),
    "fcm_credentials_file": ("notify",),
    "apns_key_file": ("notify",),
    "line_token_file": ("notify",),
    "sms_token_file": ("notify",),
    "mail_password_file": ("notify",),
    "files_s3_access_key_file": ("records",),
    "files_s3_secret_key_file": ("records",),
}
"""Settings that name a file with a secret, and who reads it in production."""
DEVELOPMENT_ONLY = {"issuer_key_file"}
COMES_FROM_OTHERS = {
    "issuer_keys_file",
    *(name for name in READERS if name.startswith(("fcm", "apns", "line", "sms", "mail", "files"))),
}
"""What `python -m deploy.local.cluster keys` cannot make: a development platform does without."""
K8S = ROOT / "deploy" / "k8s"
MOUNT = "/run/secrets/hagukumi/"


def in_cluster(service: str) -> dict[str, str]:
    """The environment of a service in production: the base with the overlay's patch."""
    found: dict[str, str] = {}
    for file in (K8S / "base" / f"{service}.yaml", K8S / "overlays" / "production" / f"{service}.yaml"):
        for part in yaml.safe_load_all(file.read_text(encoding="utf-8")) if file.exists() else ():
            if part["kind"] == "Deployment":
                [container] = part["spec"]["template"]["spec"]["containers"]
                found |= {one["name"]: one.get("value", "") for one in container["env"]}
    return found


def test_each_setting_that_names_a_file_has_a_reader_or_is_for_development_only() -> None:
    named = {name for name in Settings.model_fields if name.endswith("_file")}
    assert named == set(READERS) | DEVELOPMENT_ONLY


@pytest.mark.parametrize("service", EVERY)
def test_production_gives_each_service_its_files_and_the_readme_names_them(service: str) -> None:
    environment = in_cluster(service)
    files = {name for name, readers in READERS.items() if service in readers}
    given = {
        name.removeprefix("HAGUKUMI_").lower(): value for name, value in environment.items() if name.endswith("_FILE")
    }
    assert set(given) == files
    assert all(value.startswith(MOUNT) for value in given.values())
    rows = [line for line in (K8S / "base" / "README.md").read_text(encoding="utf-8").splitlines() if service in line]
    assert [value for value in given.values() if f"`{Path(value).name}`" not in "".join(rows)] == []


@pytest.mark.parametrize("service", EVERY)
def test_the_containers_give_each_service_the_files_that_are_made_for_them(service: str) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    given = {
        name.removeprefix("HAGUKUMI_").lower()
        for name in compose["services"][service]["environment"]
        if name.endswith("_FILE")
    }
    files = {name for name, readers in READERS.items() if service in readers} - COMES_FROM_OTHERS
    assert given - DEVELOPMENT_ONLY == files


def test_every_patch_of_production_is_applied() -> None:
    overlay = K8S / "overlays" / "production"
    told = yaml.safe_load((overlay / "kustomization.yml").read_text(encoding="utf-8"))
    used = {*told["resources"], *(patch["path"] for patch in told["patches"])}
    assert {file.name for file in overlay.glob("*.yaml")} <= used
