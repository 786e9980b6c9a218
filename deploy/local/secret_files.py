"""Passwords and signing keys of one data folder: made at the first start, readable by their owner only."""

import json
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


ADMIN = "admin"
CONTROLLER = "controller"


class SecretFiles:
    """The folder `secrets` of one data folder."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "secrets"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def password_file(self, user: str) -> Path:
        """The file with the Kafka password of this user."""
        path = self.folder / f"kafka-{user}"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path

    def password(self, user: str) -> str:
        """The Kafka password of this user."""
        return self.password_file(user).read_text(encoding="utf-8")

    def signing_key(self, name: str) -> Path:
        """The file with one ES256 private key as a JWK."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_private(path, json.dumps(_new_key(name.removeprefix("internal-"))))
        return path

    def push_key(self) -> Path:
        """The file with the key that signs Web Push requests (VAPID), as PEM."""
        path = self.folder / "vapid.pem"
        if not path.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(path, pem.decode())
        return path

    def internal_keys(self, services: Iterable[str]) -> dict[str, Path]:
        """For each service a file with its own private key and everybody's public keys."""
        names = list(services)
        private = {name: json.loads(self.signing_key(f"internal-{name}").read_text(encoding="utf-8")) for name in names}
        public = {name: {k: v for k, v in key.items() if k != "d"} for name, key in private.items()}
        files: dict[str, Path] = {}
        for name in names:
            files[name] = self.folder / f"internal-keys-{name}.json"
            write_private(files[name], json.dumps({"private": private[name], "public": public}))
        return files


def _new_key(kid: str) -> dict[str, Any]:
    key = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"}, private=True)
    return dict(key.as_dict(private=True))
