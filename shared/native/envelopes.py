"""What stands around an event on Kafka: its id and its headers, read and judged (CloudEvents binary mode, protocol W3, R6)."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any, Final

from shared.events.base import Envelope

MOST_REVISIONS: Final = 2**53
LONGEST_SUBJECT: Final = 100
_NEEDED: Final = frozenset({"ce_id", "ce_type", "ce_subject", "ce_revision"})
_NAMESPACE: Final = uuid.UUID("5f0d2c52-64a3-5d5c-9f5b-6a1a6a1d7a10").bytes
_VARIANT: Final[dict[str, str]] = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class BadRecord(Exception):
    """A record that is not an event of ours; `code` says why, without quoting it."""

    def __init__(self, code: str, *, subject: str = "", revision: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.subject = subject
        self.revision = revision


def event_id(stream: str, subject: str, revision: int) -> str:
    """The id of the event that has this place in this stream (protocol W3): a version 5 UUID (RFC 9562)."""
    # uuid.uuid5 gives the same in four times the time, and every event that is read is checked against this.
    digest = hashlib.sha1(_NAMESPACE + f"{stream}\x1f{subject}\x1f{revision}".encode(), usedforsecurity=False)
    found = digest.hexdigest()
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{_VARIANT[found[16]]}{found[17:20]}-{found[20:32]}"


def read_envelope(topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, Any]]) -> Envelope:
    """The envelope of a record of an internal topic; raises BadRecord. Half of what a reader costs beside its store.

    A header's value is bytes, or what a stranger's client made of it.
    """
    try:
        found: dict[str, str] = {}
        for name, raw in headers:
            found[name] = raw.decode()
        subject = found.get("ce_subject", "")
        revision = int(found.get("ce_revision", "0"))
        if revision > MOST_REVISIONS:
            raise ValueError
    except (UnicodeDecodeError, ValueError, AttributeError):
        raise BadRecord("headers-unreadable") from None
    if not found.keys() >= _NEEDED or found.get("ce_specversion") != "1.0":
        raise BadRecord("headers-missing", subject=subject, revision=revision)
    if revision < 1:
        raise BadRecord("revision-impossible", subject=subject)
    if "." in subject or "\0" in subject or len(subject) > LONGEST_SUBJECT:
        # It becomes the name of a field in what is built from it: a store that refuses one refuses its whole batch.
        raise BadRecord("subject-impossible")
    if key is None or key != found.get("ce_partitionkey", subject).encode():
        raise BadRecord("key-wrong", subject=subject, revision=revision)
    id_, stream = found["ce_id"], topic.rpartition(".v")[0]
    if id_ != event_id(stream, subject, revision):
        raise BadRecord("id-wrong", subject=subject, revision=revision)
    if not value:
        raise BadRecord("value-empty", subject=subject, revision=revision)
    return Envelope(
        id_,
        found["ce_type"],
        stream,
        subject,
        revision,
        found.get("ce_time", ""),
        found.get("ce_tenant", ""),
        found.get("ce_correlationid", ""),
        found.get("ce_causationid", ""),
        found.get("traceparent", ""),
        found.get("ce_source", ""),
        value,
    )
