"""Hand out the whole handbook: on paper, as data, as a FHIR document, or signed so that it proves itself."""

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from joserfc.jwk import ECKey

from services.records import store as kept
from services.records.commands.diary import entries_seen
from services.records.commands.growth import charts
from services.records.commands.records import Records
from services.records.domain import handbook, handbook_fhir, handbook_pack, handbook_pdf
from services.records.domain.access import Caller, check, check_role
from services.records.domain.pregnancy import Pregnancy
from shared.problems import Busy, NotFound

Format = Literal["pdf", "json", "fhir", "pack"]
_setting = asyncio.Semaphore(2)


async def export(records: Records, caller: Caller, child: str, form: Format) -> bytes:
    """The file. A guardian's has the diary as they see it; a town's has none."""
    check_role(caller, "export")
    doc = await records.children.load(child)
    if doc is None:
        raise NotFound
    record = kept.children.record_of(doc)
    check(record, caller, "export", records.today)
    pregnancy = await _born_of(records, caller, {child, *kept.merging.merges(doc)})
    known = await records.organisations.load_many(handbook.organisations_of(record, pregnancy))
    book = handbook.handbook(
        child,
        record,
        names={key: one.state["name"] for key, one in known.items() if "name" in one.state},
        diary=await entries_seen(records, record, caller, child) if caller.role == "guardian" else [],
        issued_at=records.now,
        pregnancy=pregnancy,
    )
    key = records.handbook_key
    if form == "json":
        return _json(book)
    if form == "fhir":
        return _json(handbook_fhir.document(book))
    if form == "pack":
        if key is None:
            raise Busy("This deployment has no key to sign with.")
        return _json(handbook_pack.seal(book, key))
    qr = handbook_pack.qr_text(book, key) if key is not None else None
    async with _setting:
        return await asyncio.to_thread(handbook_pdf.pages, book, _template(), qr, charts(record, records.today))


async def _born_of(records: Records, caller: Caller, child: set[str]) -> Pregnancy | None:
    """The caller's own pregnancy of which the child was born, by whichever of its records' ids."""
    if caller.role != "guardian":
        return None
    found = [
        kept.pregnancies.pregnancy_of(doc)
        for doc in await kept.pregnancies.pregnancies_of(records.store, "woman", caller.subject)
    ]
    return next((one for one in found if one.ended is not None and child & set(one.ended.children)), None)


def public_keys(records: Records) -> dict[str, Any]:
    """The keys by which a pack or a code is proven, as a JWK set to be kept at hand."""
    key = records.handbook_key
    return {"keys": [key.as_dict(private=False)] if isinstance(key, ECKey) else []}


@cache
def _template() -> str:
    return (Path(__file__).parents[1] / "handbook.typ").read_text(encoding="utf-8")


def _json(found: Any) -> bytes:
    return json.dumps(found, ensure_ascii=False, indent=1).encode()
