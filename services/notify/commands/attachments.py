"""Files that go with a notice: PDF only, looked at when they come in, handed out to those whom the notice reached."""

import base64
import binascii
import re
from collections.abc import Sequence

from services.notify import store as kept
from services.notify.domain.notices import MAX_ATTACHMENTS
from shared.auth import Principal
from shared.documents import Command
from shared.ids import derived_id
from shared.problems import FieldProblem, Forbidden, Invalid, NotFound, invalid
from shared.store import Doc, Store

MAX_BYTES = 180_000
"""As base64 within the largest body that the gateway takes."""
_ACTIVE = re.compile(rb"/(JavaScript|JS|Launch|EmbeddedFile|RichMedia|SubmitForm|XFA)\b")


async def attach(store: Store, principal: Principal, name: str, content: str, command: Command) -> Doc:
    """Keep a PDF for a notice to come; a repeat gives the same answer. Raises Forbidden, Invalid."""
    if principal.role not in {"staff", "system"} or principal.municipality is None:
        raise Forbidden
    try:
        found = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("/content", "not-base64", "base64 ではありません。", "This is not base64.") from None
    if not found.startswith(b"%PDF-") or b"%%EOF" not in found[-1_024:]:
        raise invalid("/content", "not-a-pdf", "PDF ファイルだけ添付できます。", "Only a whole PDF is accepted.")
    if len(found) > MAX_BYTES:
        raise invalid("/content", "too-large", "180 KB までです。", "At most 180 kB.")
    if _ACTIVE.search(found):
        raise invalid(
            "/content", "active-content", "スクリプトなどを含む PDF は使えません。", "This PDF is not only paper."
        )
    row = {"_id": command.id, "municipality": principal.municipality, "name": name, "size": len(found), "pdf": found}
    await store.insert(kept.ATTACHMENTS, row)
    return {"id": command.id, "name": name, "size": len(found), "media_type": "application/pdf"}


async def attachments_of(store: Store, town: str, ids: Sequence[str]) -> list[Doc]:
    """What a notice of this town says of its files. Raises Invalid for one that is not there, or another town's."""
    if len(ids) > MAX_ATTACHMENTS:
        raise invalid("/attachments", "too-many", "添付は5件までです。", "At most 5 files.")
    rows = await store.get_many(kept.ATTACHMENTS, ids, ["municipality", "name", "size"])
    problems = [
        FieldProblem(f"/attachments/{number}", "attachment-unknown", "添付ファイルが見つかりません。", "No such file.")
        for number, one in enumerate(ids)
        if one not in rows or rows[one]["municipality"] != town
    ]
    if problems:
        raise Invalid(errors=tuple(problems))
    return [
        {"id": one, "name": rows[one]["name"], "size": rows[one]["size"], "media_type": "application/pdf"}
        for one in dict.fromkeys(ids)
    ]


async def read_attachment(store: Store, principal: Principal, announcement: str, attachment: str) -> tuple[str, bytes]:
    """(name, PDF) for the town's staff and for those who have the notice in their inbox and not recalled; NotFound for all others."""
    notice = await store.get(kept.ANNOUNCEMENTS, announcement, ["state"])
    state = notice["state"] if notice is not None else {}
    if not any(one["id"] == attachment for one in state.get("attachments", ())):
        raise NotFound
    if principal.role == "guardian":
        item = await store.get(kept.INBOX, derived_id(announcement, principal.subject, "inbox"), ["recipient"])
        if item is None or state["state"] != "published":
            raise NotFound
    elif principal.role != "staff" or principal.municipality != state["municipality"]:
        raise NotFound
    row = await store.get(kept.ATTACHMENTS, attachment)
    if row is None:
        raise NotFound
    return row["name"], row["pdf"]
