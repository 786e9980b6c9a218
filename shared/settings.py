"""The one settings module: every knob of a service, read from the environment at start and checked before anything runs."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one service process; names in the environment are `HAGUKUMI_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="HAGUKUMI_", extra="ignore", frozen=False)

    service: str
    environment: Literal["development", "production"] = "production"

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_user: str = ""
    kafka_password_file: Path | None = None
    kafka_password: SecretStr | None = None
    kafka_admin_user: str = ""
    kafka_admin_password_file: Path | None = None
    instance: str | None = None
    partitions: int = 12
    consume_batch: int = 500

    mongo_url: str = "mongodb://127.0.0.1:27017"
    mongo_database: str = ""
    mongo_driver: Literal["pymongo", "motor"] = "pymongo"
    mongo_timeout_ms: int = 10_000

    http_host: str = "127.0.0.1"
    http_port: int = 8000
    probe_port: int = 0
    max_body_bytes: int = 262_144

    internal_keys_file: Path | None = None
    issuer_key_file: Path | None = None
    issuer: str = "https://hagukumi.example/issuer"
    issuer_keys_file: Path | None = Field(default=None, description="JWK set of the issuer that a production trusts")
    vapid_key_file: Path | None = None
    rule_overlays: Path | None = Field(
        default=None, description="A folder of municipalities' own vaccination programmes, *.yaml"
    )
    handbook_key_file: Path | None = Field(default=None, description="JWK (ES256) by which records signs handbooks")
    egress_allowed_origin: str | None = None
    provider_origins: dict[str, str] = Field(
        default_factory=dict,
        description="Development only: where simulated providers listen (fcm, oauth, apns, line, sms)",
    )
    fcm_credentials_file: Path | None = Field(default=None, description="A Google service account's key, JSON")
    apns_key_file: Path | None = Field(default=None, description="The .p8 key that signs provider tokens")
    apns_key_id: str = ""
    apns_team_id: str = ""
    apns_topic: str = Field(default="", description="The app's bundle id")
    line_token_file: Path | None = Field(default=None, description="The channel access token of the LINE account")
    sms_account: str = ""
    sms_token_file: Path | None = None
    sms_from: str = Field(default="", description="The sender's number (E.164), or a messaging service's id")
    mail_host: str = Field(default="", description="The relay that signs (DKIM) and sends")
    mail_port: int = 587
    mail_user: str = ""
    mail_password_file: Path | None = None
    mail_from: str = ""
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    quiet_from: int = Field(default=22, ge=0, le=23, description="Hour in Tokyo from which only emergencies are pushed")
    quiet_to: int = Field(
        default=7, ge=0, le=23, description="Hour at which the night ends; equal to its begin: no night"
    )
    public_url: str = Field(default="", description="Where guardians reach the gateway; links in mails begin with it")

    url_records: str = ""
    url_schedule: str = ""
    url_questionnaire: str = ""
    url_notify: str = ""
    url_gateway: str = ""

    files_s3_url: str | None = Field(default=None, description="An S3 server for photos; without it they lie in GridFS")
    files_s3_bucket: str = "hagukumi"
    files_s3_region: str = "us-east-1"
    files_s3_access_key_file: Path | None = None
    files_s3_secret_key_file: Path | None = None

    otel_endpoint: str | None = None
    crash_at: str | None = None
    clock_skew_s: int = Field(default=0, description="Development only: by how much this process's clock is wrong")
    outbox_depth_document: int = 500
    outbox_depth_service: int = 50_000
    sweep_after_ms: int = 3_000
    max_poll_interval_ms: int = Field(
        default=120_000, gt=0, description="How long a handler may take before its partitions go to somebody else"
    )
    reconcile_every_s: float = Field(default=600.0, gt=0, description="How often views are compared with owners' heads")
    stop_after_rejections: int = 100
    requests_per_second: float = Field(default=200.0, gt=0, description="Steady rate of one principal at the gateway")
    requests_at_once: int = Field(default=1_000, gt=0, description="What one principal may ask on top of it in a burst")
    requests_per_second_address: float = Field(default=2_000.0, gt=0)
    requests_at_once_address: int = Field(default=10_000, gt=0)
    upload_bytes_at_once: int = Field(
        default=200_000_000, gt=0, description="Bytes of large bodies held by one gateway"
    )
    log_level: str = "INFO"

    faults: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _production_is_strict(self) -> "Settings":
        """A development door left open stops a production start."""
        if self.environment == "production":
            for name in ("egress_allowed_origin", "provider_origins", "issuer_key_file", "crash_at", "clock_skew_s"):
                if getattr(self, name):
                    raise ValueError(
                        f"HAGUKUMI_{name.upper()} is a development setting: production does not start with it"
                    )
            if self.mail_security == "none":
                raise ValueError("HAGUKUMI_MAIL_SECURITY none is a development setting")
        if not self.mongo_database:
            self.mongo_database = self.service
        return self

    @property
    def development(self) -> bool:
        """Whether this is a development platform, the only one whose clock can be moved."""
        return self.environment == "development"

    def secret(self, file: Path | None, value: SecretStr | None = None) -> str:
        """A secret from its file, or from its value where a platform injects it."""
        if file is not None:
            return file.read_text(encoding="utf-8").strip()
        return value.get_secret_value() if value is not None else ""

    @property
    def kafka_secret(self) -> str:
        """The password of this service's Kafka user."""
        return self.secret(self.kafka_password_file, self.kafka_password)

    @cached_property
    def internal_keys(self) -> dict[str, Any]:
        """`{"private": own JWK, "public": {service: JWK}}`: who may sign which internal call."""
        if self.internal_keys_file is None:
            return {"private": None, "public": {}}
        keys: dict[str, Any] = json.loads(self.internal_keys_file.read_text(encoding="utf-8"))
        return keys

    @property
    def own_secret(self) -> bytes:
        """What only this service knows, for keys that are derived from it; empty where it has no key of its own."""
        return str((self.internal_keys.get("private") or {}).get("d", "")).encode()

    def url_of(self, service: str) -> str:
        """The base URL of another service's internal HTTP API."""
        return str(getattr(self, f"url_{service}"))
