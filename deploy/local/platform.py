"""The platform on this machine: Kafka, a store for each service, the services, and where each is to be found."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from deploy.local import topology
from deploy.local.broker import LocalKafka
from deploy.local.errors import StackError
from deploy.local.ports import HOST, Ports, is_free
from deploy.local.processes import START_WITHIN_S, Process, Supervisor
from deploy.local.secret_files import SecretFiles, write_private
from deploy.local.store import LocalStore
from shared.kafka_admin import Credentials

SERVICES = topology.SERVICES
Say = Callable[[str], None]


class RunningPlatform:
    """A platform that runs on a data folder, as a demo, a bench or an operator's tool in another process sees it."""

    def __init__(self, data: Path, found: dict[str, Any]) -> None:
        self.data = data
        self._found = found

    @classmethod
    def of(cls, data: Path) -> "RunningPlatform":
        """The platform that runs on this folder now; raises StackError when none does."""
        data = data.resolve()
        file = data / "platform.json"
        if not file.exists() or not _locked(data / "lock"):
            raise StackError(f"No platform runs on {data}: `make run DATA={data}` starts one.")
        return cls(data, json.loads(file.read_text(encoding="utf-8")))

    @property
    def gateway_url(self) -> str:
        """The public API."""
        return self.url("gateway")

    @property
    def kafka_bootstrap(self) -> str:
        """Where Kafka clients connect."""
        return str(self._found["kafka_bootstrap"])

    @property
    def push_origin(self) -> str:
        """The one local origin to which notify may send pushes: where a demo or test lets its push service listen."""
        return str(self._found["push_origin"])

    @property
    def services(self) -> tuple[str, ...]:
        """The services that were started."""
        return tuple(self._found["services"])

    def url(self, service: str) -> str:
        """Where a service's HTTP API is."""
        return str(self._found["services"][service]["url"])

    def probe_url(self, service: str) -> str:
        """Where its /livez, /readyz and /metrics are."""
        return str(self._found["services"][service]["probes"])

    def store_url(self, service: str) -> str:
        """Where its document store is."""
        return str(self._found["services"][service]["store"])

    def kafka_options(self, user: str, password: str | None = None) -> dict[str, str]:
        """Connection options of a plain aiokafka client as this user."""
        secret = password if password is not None else SecretFiles(self.data).password(user)
        return {
            "bootstrap_servers": self.kafka_bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": user,
            "sasl_plain_password": secret,
        }

    def pid(self, service: str) -> int:
        """The process of a service, as last started."""
        now = json.loads((self.data / "platform.json").read_text(encoding="utf-8"))
        return int(now["services"][service]["pid"])

    def kill_service(self, service: str) -> None:
        """End a service as a crash would (kill -9); the supervisor starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    def is_ready(self, service: str) -> bool:
        """Whether the service says that it is ready."""
        return _says_ready(self.probe_url(service))

    def wait_ready(self, service: str, within: float = START_WITHIN_S) -> float:
        """Seconds until the service is ready; raises StackError when it is not in time."""
        begun = time.monotonic()
        while not self.is_ready(service):
            if time.monotonic() - begun > within:
                raise StackError(f"{service} was not ready within {within:.0f} s.")
            time.sleep(0.05)
        return time.monotonic() - begun

    def logins(self) -> list[dict[str, Any]]:
        """Ready logins: what `note_login` kept."""
        file = self.data / "logins.json"
        return list(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []

    def note_login(self, role: str, who: str, body: Mapping[str, Any]) -> None:
        """Keep a login that `make run` shows: `body` is what POST /dev/token takes."""
        found = [login for login in self.logins() if (login["role"], login["who"]) != (role, who)]
        found.append({"role": role, "who": who, "body": dict(body)})
        write_private(self.data / "logins.json", json.dumps(found, ensure_ascii=False, indent=1))


class Service(Process):
    """One service as its own process, `python -m services.<name>`."""

    def __init__(
        self,
        name: str,
        url: str,
        probe_url: str,
        settings: Mapping[str, str],
        *,
        log: Path,
        supervisor: Supervisor,
        on_start: Callable[[], None],
    ) -> None:
        self.service = name
        self.url = url
        self.probe_url = probe_url
        super().__init__(
            f"service {name}",
            [sys.executable, "-m", f"services.{name}"],
            log=log,
            supervisor=supervisor,
            environment=settings,
            ready=self.is_ready,
            on_start=on_start,
        )

    def is_ready(self) -> bool:
        """Whether it says so itself."""
        return _says_ready(self.probe_url)

    def sigstop(self) -> None:
        """Freeze it."""
        self.signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)


class Platform(RunningPlatform):
    """Starts the platform on a data folder and stops all of it; a second start on the folder finds its data again.

    `settings` go to every service, `service_settings` to one; names are those of the environment. `kafka_behind` is the
    port of a proxy by which everybody reaches the broker.
    """

    def __init__(
        self,
        data: Path,
        *,
        services: Iterable[str] = SERVICES,
        environment: Literal["development", "production"] = "development",
        gateway_port: int = 0,
        settings: Mapping[str, str] | None = None,
        service_settings: Mapping[str, Mapping[str, str]] | None = None,
        kafka_behind: int = 0,
        watch: bool = True,
        say: Say | None = None,
    ) -> None:
        data = data.resolve()
        data.mkdir(parents=True, exist_ok=True)
        self._chosen = tuple(service for service in SERVICES if service in set(services))
        self._environment = environment
        self._extra = dict(settings or {})
        self._own_extra = {name: dict(own) for name, own in (service_settings or {}).items()}
        self._partitions = int(self._extra.get("HAGUKUMI_PARTITIONS", topology.PARTITIONS))
        self._watch = watch
        self._say: Say = say or (lambda _: None)
        self.timings: dict[str, float] = {}
        if gateway_port and not is_free(gateway_port):
            raise StackError(
                f"Port {gateway_port} is taken by another program. "
                f"Stop that program, or choose another port: make run HAGUKUMI_PORT={gateway_port + 1}"
            )
        self._lock = _take_lock(data)
        try:
            self.supervisor = Supervisor(self._lock)
            self.secrets = SecretFiles(data)
            ports = Ports(data)
            # A wish for the gateway's port must not be met by chance by another.
            fixed = {"gateway": gateway_port} if gateway_port else {}
            self.kafka = LocalKafka(
                data,
                ports.of("kafka"),
                ports.of("kafka-controller"),
                supervisor=self.supervisor,
                behind=kafka_behind,
            )
            self.stores = {
                name: LocalStore(
                    data / "store" / name, ports.of(f"store-{name}"), supervisor=self.supervisor, name=name
                )
                for name in self._chosen
            }
            self._urls = {name: f"http://{HOST}:{fixed.get(name) or ports.of(f'http-{name}')}" for name in self._chosen}
            self._push_origin = self._extra.get("HAGUKUMI_EGRESS_ALLOWED_ORIGIN", f"http://{HOST}:{ports.of('push')}")
            probes = {name: f"http://{HOST}:{ports.of(f'probe-{name}')}" for name in self._chosen}
            keys = self.secrets.internal_keys(SERVICES)
            self._services = {
                name: Service(
                    name,
                    self._urls[name],
                    probes[name],
                    self._settings(name, probes[name], keys[name]),
                    log=data / "logs" / f"{name}.log",
                    supervisor=self.supervisor,
                    on_start=self._write_where,
                )
                for name in self._chosen
            }
        except BaseException:
            os.close(self._lock)
            raise
        super().__init__(data, self._where(probes))

    @classmethod
    def start(cls, data: Path, **options: Any) -> Self:
        """Start it and wait until every service is ready; use it as a context manager. Options as the class takes."""
        platform = cls(data, **options)
        try:
            platform.bring_up()
        except BaseException:
            platform.stop()
            raise
        return platform

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def service(self, name: str) -> Service:
        """One service's process: `kill9()`, `stop()`, `start()`, `restart()`, `wait_ready()`, `sigstop()`, `pid`, `log`."""
        return self._services[name]

    def store(self, name: str) -> LocalStore:
        """One service's store."""
        return self.stores[name]

    def bring_up(self, within: float = START_WITHIN_S) -> None:
        """Start everything and wait for it; raises StackError with what did not come up."""
        begun = time.monotonic()
        self.kafka.begin()
        for store in self.stores.values():
            store.process.start()
        for store in self.stores.values():
            store.process.wait_ready(within)
        self._done("stores", begun, f"{len(self.stores)} document stores")
        self.kafka.process.wait_ready(within)
        self._done("kafka", begun, f"Kafka {self.kafka_bootstrap}")
        self.describe_broker()
        self._done("topology", begun, "Topics, users and rights")
        if self._watch:
            self.supervisor.watch()
        for service in self._services.values():
            service.start()
        for service in self._services.values():
            service.wait_ready(within)
            self._done(service.service, begun, f"Service {service.service}")
        self._write_where()

    def stop(self) -> None:
        """Stop everything that it started; the lock on the folder goes last."""
        self.supervisor.stop()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _done(self, what: str, begun: float, words: str) -> None:
        self.timings[what] = round(time.monotonic() - begun, 2)
        self._say(words)

    def describe_broker(self) -> None:
        """Give the broker its topics, users and rights; those that are there stay."""
        _run(self._apply_topology)

    async def _apply_topology(self) -> None:
        admin = self.kafka.admin()
        development = self._environment == "development"
        await admin.ensure_topics(topology.topics(self._partitions, development=development))
        await admin.create_scram_users(Credentials(user, self.secrets.password(user)) for user in topology.users())
        await admin.allow_all(topology.rights(development=development))

    def _settings(self, name: str, probe_url: str, keys: Path) -> dict[str, str]:
        """The environment of one service."""
        found = {
            "SERVICE": name,
            "ENVIRONMENT": self._environment,
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "KAFKA_USER": name,
            "INSTANCE": name,
            "KAFKA_PASSWORD_FILE": str(self.secrets.password_file(name)),
            "PARTITIONS": str(self._partitions),
            "MONGO_URL": self.stores[name].url,
            "MONGO_DATABASE": name,
            "MONGO_DRIVER": "pymongo",
            "HTTP_HOST": HOST,
            "HTTP_PORT": self._urls[name].rpartition(":")[2],
            "PROBE_PORT": probe_url.rpartition(":")[2],
            "INTERNAL_KEYS_FILE": str(keys),
            **{f"URL_{other.upper()}": url for other, url in self._urls.items()},
        }
        if name == "gateway":
            found["KAFKA_ADMIN_USER"] = topology.GATEWAY_ADMIN
            found["KAFKA_ADMIN_PASSWORD_FILE"] = str(self.secrets.password_file(topology.GATEWAY_ADMIN))
            if self._environment == "development":
                found["ISSUER_KEY_FILE"] = str(self.secrets.signing_key("development-issuer"))
        if name == "records":
            found["HANDBOOK_KEY_FILE"] = str(self.secrets.signing_key("handbook"))
        if name == "notify":
            found["VAPID_KEY_FILE"] = str(self.secrets.push_key())
            if self._environment == "development":
                found["EGRESS_ALLOWED_ORIGIN"] = self._push_origin
        return {
            **{f"HAGUKUMI_{key}": value for key, value in found.items()},
            **self._extra,
            **self._own_extra.get(name, {}),
        }

    def _write_where(self) -> None:
        """Keep platform.json true: services get another process number with each start."""
        for name, service in self._services.items():
            self._found["services"][name]["pid"] = service.pid
        write_private(self.data / "platform.json", json.dumps(self._found, indent=1))

    def _where(self, probes: Mapping[str, str]) -> dict[str, Any]:
        """What platform.json says: addresses, and files with secrets, never a secret itself."""
        return {
            "pid": os.getpid(),
            "environment": self._environment,
            "gateway_url": self._urls.get("gateway"),
            "kafka_bootstrap": self.kafka.bootstrap,
            "push_origin": self._push_origin,
            "kafka_users": {user: str(self.secrets.password_file(user)) for user in topology.users()},
            "services": {
                name: {"url": self._urls[name], "probes": probes[name], "store": self.stores[name].url}
                for name in self._chosen
            },
        }


def _says_ready(probes: str) -> bool:
    """Whether the service with these probes says so; asked often, so without what httpx sets up for each lone question."""
    asked = HTTPConnection(probes.removeprefix("http://"), timeout=5.0)
    try:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        asked.close()


def _run(begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end, also for a caller that runs an event loop."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(begin())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _take_lock(data: Path) -> int:
    """The lock on a data folder; raises StackError while another platform runs on it.

    The warden of a platform that was killed keeps it until all its processes have ended: that is waited for.
    """
    file = data / "lock"
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + 15.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            owner = os.read(handle, 20).decode().strip()
            os.lseek(handle, 0, os.SEEK_SET)
            if _runs(owner) or time.monotonic() > deadline:
                os.close(handle)
                raise StackError(
                    f"A platform already runs on {data} (process {owner or 'unknown'}). "
                    "Stop it, or use another folder: make run DATA=DIR"
                ) from None
            time.sleep(0.2)
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def _locked(file: Path) -> bool:
    """Whether somebody holds the lock on a data folder."""
    if not file.exists():
        return False
    with file.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
