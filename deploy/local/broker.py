"""Apache Kafka on this machine: one KRaft node on loopback, SASL/SCRAM, rights denied unless granted."""

import base64
import json
import subprocess  # nosec B404 - Kafka's own tool with our own paths
import uuid
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.java import class_archive, java, kafka_jars
from deploy.local.ports import HOST, free_port
from deploy.local.processes import START_WITHIN_S, Process, Supervisor
from deploy.local.secret_files import ADMIN, CONTROLLER, SecretFiles, write_private
from shared.kafka_admin import KafkaAdmin

_SERVER = "kafka.Kafka"
_LOG4J = Path(__file__).with_name("kafka") / "log4j2.properties"


def cluster_id() -> str:
    """A random number as Kafka writes it, without the one in 64 that its own tool takes for an option: a hyphen leads it."""
    while (found := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return found


class LocalKafka:
    """One broker with its own folder, users and rights. Acknowledged records survive `kill9()`.

    The folder may move to other ports between two starts. `behind`: the port of a proxy by which all its clients come.
    `leave_classes_in`: the file in which it leaves, at its end, the classes that it read (deploy/local/java.py).
    """

    def __init__(
        self,
        data: Path,
        port: int = 0,
        controller_port: int = 0,
        *,
        supervisor: Supervisor,
        heap: str = "512m",
        behind: int = 0,
        leave_classes_in: Path | None = None,
    ) -> None:
        self.data = data.resolve()
        self.folder = self.data / "kafka"
        self.port = port or free_port()
        self.controller_port = controller_port or free_port()
        self._behind = behind
        self.secrets = SecretFiles(self.data)
        self._heap = heap
        self._admin: KafkaAdmin | None = None
        self._log = self.data / "logs" / "kafka.log"
        self._properties = self.folder / "server.properties"
        self._java = java()
        self._jars = f"{kafka_jars()}/*"
        self._leave_classes_in = leave_classes_in
        self._classes = None if leave_classes_in else class_archive(self._java, _run_once)
        self.process = Process(
            "kafka",
            self._command(_SERVER, str(self._properties)),
            log=self.data / "logs" / "kafka.out",
            supervisor=supervisor,
            folder=self.data,
            ready=self.answers,
        )

    @property
    def bootstrap(self) -> str:
        """Where a client finds it."""
        return f"{HOST}:{self._behind or self.port}"

    def admin(self, **options: float) -> KafkaAdmin:
        """An admin client with every right."""
        return KafkaAdmin(self.bootstrap, ADMIN, self.secrets.password(ADMIN), **options)  # type: ignore[arg-type]

    def admin_options(self) -> dict[str, str]:
        """How a client of librdkafka connects as the administrator: for what no service and no operator may do."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": ADMIN,
            "sasl.password": self.secrets.password(ADMIN),
        }

    def client_options(self, user: str, password: str | None = None) -> dict[str, str]:
        """Connection options of a plain aiokafka client as this user (of those whose password lies in the folder)."""
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": user,
            "sasl_plain_password": password if password is not None else self.secrets.password(user),
        }

    def start(self, within: float = START_WITHIN_S) -> float:
        """Start it and wait until an authenticated call succeeds; seconds until it did."""
        self.begin()
        return self.process.wait_ready(within)

    def begin(self) -> None:
        """Start it without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._properties, self._settings())
        if not (self.folder / "log" / "meta.properties").exists():
            self._format()
        self._admin = None
        self.process.start()

    def answers(self) -> bool:
        """Whether an authenticated call succeeds."""
        if self._admin is None:
            self._admin = self.admin()
        return self._admin.answers(1.0)

    def kill9(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill9()

    def restart(self, within: float = START_WITHIN_S) -> float:
        """Stop it if it runs, start it and wait until it answers; seconds until it did."""
        self.stop()
        return self.start(within)

    def stop(self) -> None:
        """Stop it in order."""
        self.process.stop()

    def _command(self, main: str, *arguments: str) -> list[str]:
        memory = [
            "-XX:TieredStopAtLevel=1",
            f"-Xmx{self._heap}",
            "-Xms96m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-Xshare:auto",
        ]
        if self._classes is not None:
            memory.append(f"-XX:SharedArchiveFile={self._classes}")
        elif self._leave_classes_in is not None and main == _SERVER:
            memory.append(f"-XX:ArchiveClassesAtExit={self._leave_classes_in}")
        logs = [f"-Dlog4j2.configurationFile={_LOG4J}", f"-Dhagukumi.kafka.log={self._log}"]
        return [self._java, *memory, *logs, "-cp", self._jars, main, *arguments]

    def _format(self) -> None:
        """Give the folder its cluster id and its first user; the password goes by a private file, not by a command line."""
        arguments = self.folder / "format.arguments"
        admin = f"SCRAM-SHA-256=[name={ADMIN},password={self.secrets.password(ADMIN)}]"
        write_private(
            arguments,
            "\n".join(
                ["format", "--cluster-id", cluster_id(), "--config", str(self._properties), "--add-scram", admin]
            ),
        )
        try:
            answer = subprocess.run(
                self._command("kafka.tools.StorageTool", f"@{arguments}"), capture_output=True, text=True, check=False
            )
        finally:
            arguments.unlink()
        if answer.returncode != 0:
            raise StackError(f"Kafka's folder could not be formatted:\n{(answer.stderr or answer.stdout)[-1500:]}")

    def _settings(self) -> str:
        admin, controller = self.secrets.password(ADMIN), self.secrets.password(CONTROLLER)
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": f"CLIENT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"CLIENT://{self.bootstrap}",
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            # Who you are: SCRAM for clients; the controller keeps those users itself, so it knows one by configuration.
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.client.scram-sha-256.sasl.jaas.config": f"{scram} {_jaas(ADMIN, admin)};",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                f"{plain} {_jaas(CONTROLLER, controller)} user_controller={json.dumps(controller)};"
            ),
            # What you may: nothing unless granted.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMIN};User:{CONTROLLER}",
            "auto.create.topics.enable": "false",
            "log.dirs": str(self.folder / "log"),
            "message.max.bytes": "1048576",
            "num.partitions": "1",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "12",
            "offsets.retention.minutes": "525600",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.retention.ms": "-1",
            "log.segment.bytes": "67108864",
            "log.index.size.max.bytes": "1048576",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "num.recovery.threads.per.data.dir": "2",
            # After kill -9 the node waits until its former self is given up (9 s by default).
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            # A clean stop hands leadership to nobody here: do not wait for a second broker.
            "controlled.shutdown.max.retries": "1",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def _run_once(folder: Path, classes: Path) -> None:
    with Supervisor() as supervisor:
        broker = LocalKafka(folder, supervisor=supervisor, leave_classes_in=classes)
        broker.start()
        broker.stop()


def _jaas(user: str, password: str) -> str:
    return f"username={json.dumps(user)} password={json.dumps(password)}"
