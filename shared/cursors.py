"""Opaque, signed places in a list: a client can hand one back and nothing else (contracts, section 2)."""

import base64
import hmac
import json
from typing import Any

from shared.problems import invalid


class Cursors:
    """Seals and opens the cursors of one kind of list with what only this service knows; those of another do not open."""

    def __init__(self, secret: bytes, which: str) -> None:
        self._key = hmac.digest(secret, f"hagukumi-cursor\x1f{which}".encode(), "sha256")

    def seal(self, place: list[Any]) -> str:
        """The cursor of a place in a list: the sort key of the last item that was given."""
        body = base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).rstrip(b"=")
        return f"{body.decode()}.{self._mac(body)}"

    def open(self, cursor: str) -> list[Any]:
        """The place that was sealed; raises Invalid for anything else."""
        body, _, mac = cursor.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(body.encode()).encode()):
            raise invalid(
                "/query/cursor", "cursor-unknown", "カーソルが正しくありません。", "This cursor was not given by us."
            )
        place: list[Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return place

    def _mac(self, body: bytes) -> str:
        return hmac.digest(self._key, body, "sha256").hex()[:32]
