"""What arrives on a municipality's topic: CloudEvents in binary or structured mode, read strictly (自治体システムからの取込).

The topic says who sent it, since only that municipality may write it; what headers and body claim proves nothing.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from shared.events.municipal import (
    INBOUND,
    BirthNotified,
    ClosureReported,
    FieldError,
    Inbound,
    MessageAccepted,
    MessageRefused,
    PastDosesReported,
)
from shared.ids import derived_id
from shared.problems import field_problems
from shared.strict_json import BadJson, loads
from shared.vaccines import CVX, SYSTEMS, vaccines

TOPICS = r"^municipal\.[0-9]{6}\.v1$"
"""The topics of all municipalities; their replies have another form of name."""

_STRUCTURED = "application/cloudevents+json"
_JSON = re.compile(r"application/([A-Za-z0-9.\-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_PREFIX = "ce_"
_LONGEST_ATTRIBUTE = 255


@dataclass(frozen=True, slots=True)
class Received:
    """One record as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def municipality(self) -> str:
        """Whose topic it is."""
        return self.topic.split(".")[1]

    @property
    def place(self) -> str:
        """Where it lies: what a message without a readable id is called."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Refused(Exception):
    """The message cannot be taken; every broken rule is named."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(error.code for error in errors))
        self.errors = tuple(errors)


@dataclass(slots=True)
class Message:
    """What could be read of a record: how to call it, what it wants, and what is wrong with it."""

    received: Received
    id: str = ""
    source: str = ""
    type: str = ""
    digest: str = ""
    body: Inbound | None = None
    errors: list[FieldError] = field(default_factory=list)

    @property
    def message_id(self) -> str:
        """The sender's id of it, or its place when that cannot be read."""
        return self.id if self._named else self.received.place

    @property
    def document(self) -> str:
        """The id of what is kept of it: one for each (topic, source, id), however often it is sent."""
        if self._named:
            return derived_id("municipal", self.received.topic, self.source, self.id)
        return derived_id("municipal", self.received.place)

    @property
    def _named(self) -> bool:
        return bool(self.id and self.source)

    def key(self, what: str) -> str:
        """The Idempotency-Key of one effect of this message."""
        return derived_id("intake", self.document, what)


def error(pointer: str, code: str, detail: str) -> FieldError:
    """One broken rule."""
    return FieldError(pointer=pointer, code=code, detail=detail)


def read(received: Received, *, max_bytes: int) -> Message:
    """Read a record; what is wrong stands in `errors`, and then `body` is None."""
    message = Message(received)
    headers = _headers(message)
    value = received.value or b""
    message.digest = hashlib.sha256(value).hexdigest()
    structured = headers.get("content-type", "").lower().startswith(_STRUCTURED)
    if not structured:
        _attributes(message, {name[3:]: text for name, text in headers.items() if name.startswith(_PREFIX)})
    if not value:
        message.errors.append(error("", "value-empty", "本文がありません。"))
        return message
    if len(value) > max_bytes:
        message.errors.append(error("", "too-large", f"本文が大きすぎます（上限 {max_bytes} バイト）。"))
        return message
    try:
        data = _structured(message, value) if structured else _binary(message, headers, value)
    except Refused as refused:
        message.errors += refused.errors
        return message
    _body(message, data)
    return message


def _headers(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, raw in message.received.headers:
        lower = name.lower()
        if not lower.startswith(_PREFIX) and lower != "content-type":
            continue
        try:
            text = raw.decode("utf-8")
        except (UnicodeDecodeError, AttributeError):
            message.errors.append(error(f"/{lower}", "not-utf-8", "ヘッダーを UTF-8 として読めません。"))
            continue
        if lower in found:
            message.errors.append(error(f"/{lower}", "header-repeated", "同じヘッダーが複数あります。"))
        found[lower] = text
    return found


def _binary(message: Message, headers: dict[str, str], value: bytes) -> Any:
    content_type = headers.get("content-type", "application/json")
    if not _JSON.fullmatch(content_type.strip()):
        raise Refused([error("/content-type", "content-type-unknown", "application/json を使ってください。")])
    return _json(value)


def _structured(message: Message, value: bytes) -> Any:
    envelope = _json(value)
    if not isinstance(envelope, dict):
        raise Refused([error("", "not-an-object", "CloudEvents の JSON オブジェクトではありません。")])
    encoded = envelope.pop("data_base64", None)
    data = envelope.pop("data", None)
    _attributes(message, envelope)
    if encoded is None:
        return data
    try:
        return _json(base64.b64decode(encoded, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise Refused([error("/data_base64", "not-base64", "data_base64 を読めません。")]) from None


def _json(value: bytes) -> Any:
    try:
        return loads(value)
    except BadJson as bad:
        raise Refused([error("", str(bad), "JSON として読めません。")]) from None


def _attributes(message: Message, attributes: dict[str, Any]) -> None:
    """The CloudEvents attributes; id and source are kept wherever they can be read, to answer under them."""
    for name in ("id", "source", "type"):
        text = attributes.get(name)
        if isinstance(text, str) and 0 < len(text) <= _LONGEST_ATTRIBUTE and text.isprintable():
            setattr(message, name, text)
        elif isinstance(text, str) and text:
            message.errors.append(
                error(f"/ce_{name}", "attribute-unusable", "255 文字以内の表示できる文字にしてください。")
            )
    time = attributes.pop("time", None)
    if time is not None:
        try:
            attributes["time"] = datetime.fromisoformat(time)
        except (TypeError, ValueError):
            message.errors.append(error("/ce_time", "not-rfc-3339", "時刻は RFC 3339 で書いてください。"))
    required = ("specversion", "id", "source", "type")
    missing = [name for name in required if name not in attributes]
    message.errors += [error(f"/ce_{name}", "missing", "必須の属性です。") for name in missing]
    try:
        # The library checks what is there; what is missing it would make up (an id, a specversion).
        CloudEvent({**dict.fromkeys(missing, "x"), "specversion": "1.0", **attributes})
    except CloudEventValidationError as invalid:
        message.errors += [
            error(f"/ce_{name}", "attribute-unusable", "CloudEvents 1.0 の属性として正しくありません。")
            for name in invalid.errors
        ]


def _body(message: Message, data: Any) -> None:
    canonical = json.dumps([message.type, data], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    message.digest = hashlib.sha256(canonical.encode()).hexdigest()
    cls = INBOUND.get(message.type)
    if cls is None:
        if message.type:
            message.errors.append(error("/ce_type", "type-unknown", "この種類のメッセージは受け付けていません。"))
        return
    if not isinstance(data, dict):
        message.errors.append(error("", "not-an-object", "データは JSON オブジェクトにしてください。"))
        return
    claimed = data.get("municipality")
    if "municipality" in cls.model_fields and isinstance(claimed, str) and claimed != message.received.municipality:
        message.errors.append(
            error("/municipality", "municipality-foreign", "このトピックの自治体のコードではありません。")
        )
    try:
        body = cls.model_validate_json(json.dumps(data))
    except ValidationError as invalid:
        message.errors += [
            error(problem.pointer, problem.code, problem.ja)
            for problem in field_problems([dict(one) for one in invalid.errors()])
            if (problem.pointer, "municipality-foreign") not in {(e.pointer, e.code) for e in message.errors}
        ]
        return
    if not message.errors:
        message.body = body


# What can be said before the owner is asked ------------------------------------------------------------------------


def birth(body: BirthNotified) -> dict[str, Any]:
    """The body of POST /v1/children."""
    return body.model_dump(mode="json", exclude_none=True, exclude={"guardian_codes"})


def broken_doses(body: PastDosesReported, *, birth_date: date | None, today: date) -> list[FieldError]:
    """What is wrong with past doses at first sight, all of them at once; the owner looks again, one by one."""
    found: list[FieldError] = []
    for number, dose in enumerate(body.doses):
        at = f"/doses/{number}"
        if dose.given_on > today:
            found.append(error(f"{at}/given_on", "in-the-future", "未来の日付です。"))
        if birth_date is not None and dose.given_on < birth_date:
            found.append(error(f"{at}/given_on", "before-birth", "出生日より前の日付です。"))
        if (dose.vaccine is None) == (dose.cvx is None):
            found.append(error(at, "vaccine-missing", "vaccine か cvx のどちらか一方が必要です。"))
            continue
        system, code = (dose.vaccine.system, dose.vaccine.code) if dose.vaccine else (CVX, dose.cvx or "")
        if system not in SYSTEMS:
            found.append(error(f"{at}/vaccine/system", "system-unknown", "このコード体系は使えません。"))
        elif vaccines().find(system, code) is None:
            pointer = f"{at}/vaccine/code" if dose.vaccine else f"{at}/cvx"
            found.append(error(pointer, "vaccine-unknown", "このワクチンコードは登録されていません。"))
    return found


def closure(body: ClosureReported) -> dict[str, Any]:
    """The notice of a closure, as POST /v1/announcements takes it. Raises Refused."""
    if body.closed_to < body.closed_from:
        raise Refused([error("/closed_to", "before-from", "終わりの日が始まりの日より前です。")])
    first, last = body.closed_from, body.closed_to
    days = f"{first:%-m}月{first.day}日" + (f"から{last:%-m}月{last.day}日まで" if last != first else "")
    until = f" until {last.isoformat()}" if last != first else ""
    return {
        "title": {
            "ja": f"{body.place_name}：{days}お休みします",
            "en": f"{body.place_name} is closed: {first.isoformat()}{until}",
        },
        "body": {
            "ja": f"{body.place_name}は{days}お休みします。理由：{body.reason}",
            "en": f"{body.place_name} is closed from {first.isoformat()}{until}. Reason: {body.reason}",
        },
        "audience": {"age_years": {"under": 6}},
        "urgency": "important",
        # A place may close in a town where nobody has to be told.
        "confirm": 0,
    }


# Replies ----------------------------------------------------------------------------------------------------------


def reply_type(reply: MessageAccepted | MessageRefused) -> str:
    """The CloudEvents type of a reply."""
    return f"jp.hagukumi.gateway.{type(reply).__name__}.v1"


def id_reused(message: Message) -> MessageRefused:
    """The refusal of another body under an id that was used."""
    return MessageRefused(
        message_id=message.message_id,
        errors=(error("/ce_id", "id-reused", "同じ id が別の内容で使われています。"),),
    )


def refusal_of(problem: dict[str, Any], at: str = "") -> list[FieldError]:
    """The broken rules of an owner's problem+json; one that names no place is about `at`."""
    listed = [
        error(str(one["pointer"]), str(one["code"]), str(one.get("detail", ""))) for one in problem.get("errors", [])
    ]
    code = str(problem.get("type", "")).rpartition("/")[2] or "refused"
    return listed or [error(at, code, str(problem.get("title", "")))]


def below(place: str, errors: Sequence[FieldError]) -> list[FieldError]:
    """What an owner said of one part of a message, as places in the whole; who it is about stays where it is."""
    return [
        one if one.pointer == "/child" else one.model_copy(update={"pointer": place + one.pointer}) for one in errors
    ]
