"""The municipalities and clinics of the invented town: opened through the API once, their Kafka passwords kept beside the data."""

import json
from dataclasses import asdict
from pathlib import Path

from deploy.local.client import Api, KafkaUser, Untrue

MUNICIPALITIES = {"139912": "若葉市 (架空)", "139921": "青空市 (架空)"}
CLINICS = {
    "wakaba": ("わかば小児科 (架空)", "139912"),
    "hidamari": ("ひだまりクリニック (架空)", "139912"),
    "aozora": ("あおぞら医院 (架空)", "139921"),
}


class Organisations:
    """What the operator opened, with the credentials that the gateway tells only once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.kafka = {name: KafkaUser(**values) for name, values in kept.items()}

    async def open(self, api: Api) -> None:
        """Open what is not open yet."""
        operator = await api.sign_in("operator-1", "operator")
        for code, name in MUNICIPALITIES.items():
            if f"municipality-{code}" not in self.kafka:
                answer = await operator.post("/v1/municipalities", {"code": code, "name": name}, key=f"town-{code}")
                self._keep(f"municipality-{code}", answer["kafka"])
        for clinic, (name, code) in CLINICS.items():
            if f"clinic-{clinic}" not in self.kafka:
                body = {"id": clinic, "name": name, "municipality": code}
                answer = await operator.post("/v1/clinics", body, key=f"town-{clinic}")
                self._keep(f"clinic-{clinic}", answer["kafka"])

    def _keep(self, name: str, kafka: dict[str, str]) -> None:
        if not kafka.get("password"):
            raise Untrue(f"the password of {name} was told before and is not in {self._file.name}")
        self.kafka[name] = KafkaUser(
            bootstrap=kafka["bootstrap"],
            user=kafka["user"],
            password=kafka["password"],
            topic=kafka["topic"],
            replies_topic=kafka.get("replies_topic"),
            group_prefix=kafka.get("group_prefix", ""),
        )
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(mode=0o600)
        self._file.write_text(
            json.dumps({key: asdict(user) for key, user in self.kafka.items()}, indent=1), encoding="utf-8"
        )

    def on(self, bootstrap: str, name: str) -> KafkaUser:
        """The user at the broker's present address."""
        user = self.kafka[name]
        return KafkaUser(bootstrap, user.user, user.password, user.topic, user.replies_topic, user.group_prefix)
