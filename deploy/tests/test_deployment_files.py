"""The files for containers, Kubernetes and monitoring name only what exists: services, settings, metrics, files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from typer.main import get_command

from deploy.local.environment import ROOT
from deploy.local.topology import SERVICES
from shared import metrics
from shared.ops.__main__ import app as operators_tools
from shared.settings import Settings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
BASE = ROOT / "deploy" / "k8s" / "base"
OVERLAYS = sorted((ROOT / "deploy" / "k8s" / "overlays").iterdir())
SETTINGS = {f"HAGUKUMI_{name.upper()}" for name in Settings.model_fields}
OBSERVABILITY = ROOT / "deploy" / "observability"


def manifests(file: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_its_own_user_keys_and_known_settings(service: str) -> None:
    found = COMPOSE["services"][service]
    given = found["environment"]
    assert set(given) <= SETTINGS
    assert given["HAGUKUMI_KAFKA_USER"] == service
    assert given["HAGUKUMI_KAFKA_PASSWORD_FILE"] == f"/keys/secrets/kafka-{service}"
    assert given["HAGUKUMI_INTERNAL_KEYS_FILE"] == f"/keys/secrets/internal-keys-{service}.json"
    assert found["build"]["args"] == {"SERVICE": service}
    assert found["read_only"] is True


def test_only_the_gateway_and_kafka_and_grafana_are_published_and_on_loopback() -> None:
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert set(published) == {"gateway", "kafka", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_only_notify_among_the_services_behind_the_gateway_may_call_the_world() -> None:
    outside = {name for name in SERVICES if "outside" in COMPOSE["services"][name]["networks"]}
    assert outside == {"notify", "gateway"}


@pytest.mark.parametrize("service", SERVICES)
def test_kubernetes_knows_each_service_whole(service: str) -> None:
    found = {one["kind"]: one for one in manifests(BASE / f"{service}.yaml")}
    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceAccount"} == set(found)
    pod = found["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert {entry["name"] for entry in container["env"]} <= SETTINGS
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    # Promise G9: done within 15 s of SIGTERM, after the pause that lets the load balancer forget the pod.
    assert pod["terminationGracePeriodSeconds"] >= 15 + container["lifecycle"]["preStop"]["sleep"]["seconds"]


def test_kubernetes_settings_are_known_and_production_has_no_development_door() -> None:
    given = next(one for one in manifests(BASE / "common.yaml") if one["kind"] == "ConfigMap")["data"]
    assert set(given) <= SETTINGS
    assert given["HAGUKUMI_ENVIRONMENT"] == "production"
    production = "".join(
        file.read_text() for folder in (BASE, OVERLAYS[-1]) for file in folder.iterdir() if file.suffix == ".yaml"
    )
    assert OVERLAYS[-1].name == "production"
    for door in ("ISSUER_KEY_FILE", "EGRESS_ALLOWED", "CRASH_AT", "CLOCK_SKEW", "PROVIDER_ORIGINS"):
        assert door not in production


@pytest.mark.parametrize("folder", [BASE, *OVERLAYS], ids=lambda folder: folder.name)
def test_kustomizations_name_files_that_exist_and_every_file_is_named(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yml").read_text())
    patches = [one["path"] for one in kustomization.get("patches", []) if "path" in one]
    named = [*kustomization["resources"], *patches]
    named += [file for one in kustomization.get("configMapGenerator", []) for file in one["files"]]
    assert all((folder / name).exists() for name in named)
    assert {file.name for file in folder.glob("*.yaml")} == {name for name in named if name.endswith(".yaml")}


def test_no_manifest_holds_a_secret() -> None:
    for file in (ROOT / "deploy" / "k8s").rglob("*.yaml"):
        assert not [one for one in manifests(file) if one["kind"] == "Secret"], file


def test_alerts_dashboards_and_scaling_use_metrics_that_exist() -> None:
    collectors = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    known = {family.name for collector in collectors for family in collector.describe()}
    text = "".join(
        file.read_text()
        for file in (
            OBSERVABILITY / "rules.yaml",
            OBSERVABILITY / "grafana" / "dashboards" / "hagukumi.json",
            *BASE.glob("*.yaml"),
        )
    )
    used = {re.sub(r"_(total|count|sum|bucket)$", "", name) for name in re.findall(r"\bhagukumi_[a-z_]+", text)}
    assert used
    assert used <= known


def test_every_alert_says_what_to_do() -> None:
    for group in yaml.safe_load((OBSERVABILITY / "rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket"}
            runbook = ROOT / rule["annotations"]["runbook"]
            assert runbook.stem == rule["alert"]
            assert runbook.read_text(encoding="utf-8").startswith(f"# {rule['alert']}\n")


def test_every_runbook_is_on_the_list_and_every_command_in_them_exists() -> None:
    folder = ROOT / "docs" / "runbooks"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    commands = set(get_command(operators_tools).commands)  # type: ignore[attr-defined]
    for file in folder.glob("*.md"):
        assert file.name == "README.md" or f"]({file.name})" in listed
        named = set(re.findall(r"python -m shared\.ops ([a-z][a-z-]*)", file.read_text(encoding="utf-8")))
        assert named <= commands, file.name


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((OBSERVABILITY / "grafana" / "dashboards" / "hagukumi.json").read_text())
    assert all(panel["targets"][0]["expr"] for panel in dashboard["panels"])


def test_the_locks_have_hashes_and_no_address() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text
        for block in re.split(r"\n(?=[a-z0-9])", text):
            if re.match(r"[a-z0-9]", block):
                assert "--hash=sha256:" in block, block[:60]


def test_scraping_covers_every_service() -> None:
    jobs = yaml.safe_load((OBSERVABILITY / "prometheus.yaml").read_text())["scrape_configs"]
    scraped = {target["labels"]["service"] for target in jobs[0]["static_configs"]}
    assert scraped == set(SERVICES)
