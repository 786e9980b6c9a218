"""Starting and stopping the platform: clear words for what is in the way, nothing left afterwards."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import ROOT
from deploy.local.errors import StackError
from deploy.local.platform import Platform, RunningPlatform
from deploy.local.ports import HOST, Ports
from deploy.local.secret_files import SecretFiles
from deploy.local.tests.test_processes import runs


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        answer = subprocess.run(
            [sys.executable, "-m", "deploy.local.run", "--data", str(tmp_path), "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 1
    assert f"Port {port} is taken" in answer.stderr
    assert f"HAGUKUMI_PORT={port + 1}" in answer.stderr
    assert not (tmp_path / "kafka").exists()
    assert "Traceback" not in answer.stderr


def test_no_platform_on_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="make run DATA="):
        RunningPlatform.of(tmp_path)


def test_ports_stay_where_they_are_free(tmp_path: Path) -> None:
    first = {name: Ports(tmp_path).of(name) for name in ("kafka", "http-records")}
    assert {name: Ports(tmp_path).of(name) for name in first} == first
    with socket.socket() as other:
        other.bind((HOST, first["kafka"]))
        assert Ports(tmp_path).of("kafka") != first["kafka"]


def test_each_service_holds_only_its_own_private_key(tmp_path: Path) -> None:
    files = SecretFiles(tmp_path).internal_keys(["records", "gateway"])
    for name, file in files.items():
        assert file.stat().st_mode & 0o777 == 0o600
        keys = json.loads(file.read_text())
        assert keys["private"]["kid"] == name
        assert "d" in keys["private"]
        assert set(keys["public"]) == {"records", "gateway"}
        assert not any("d" in key for key in keys["public"].values())


@pytest.mark.integration
def test_servers_come_up_keep_their_data_and_leave_nothing(tmp_path: Path) -> None:
    with Platform.start(tmp_path, services=()) as platform:
        with pytest.raises(StackError, match="already runs"):
            Platform(tmp_path, services=())
        pids = [process.pid for process in platform.supervisor.processes]
        found = RunningPlatform.of(tmp_path)
        assert found.kafka_bootstrap == platform.kafka.bootstrap
        kept = (tmp_path / "platform.json").read_text()
        assert platform.secrets.password("records") not in kept
    assert pids
    assert not any(runs(pid) for pid in pids if pid)
    with Platform.start(tmp_path, services=()) as again:
        assert again.kafka.bootstrap == found.kafka_bootstrap
