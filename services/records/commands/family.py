"""Issue codes, bind guardians and relatives, take them out again, give and withdraw consent."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime

from services.records import store as kept
from services.records.commands.records import Records, change_entry, told
from services.records.domain import consent, family
from services.records.domain.access import Caller, Verb, check, check_role
from services.records.domain.record import Record, Share
from shared.clock import wire_instant
from shared.documents import Command, Document
from shared.problems import Conflict, NotFound, invalid
from shared.store import Doc
from shared.waiting import until

DIRECTORY_WAIT_S = 2.0


async def issue_codes(
    records: Records, caller: Caller, child: str, count: int, command: Command
) -> tuple[Doc, Document]:
    """Issue one-time codes for a child's guardians. They are drawn, not kept: a repeat draws the same ones."""

    def wanted(record: Record, hashes: list[str]) -> datetime:
        return family.issue_codes(record, hashes, caller, today=records.today, now=records.now)

    return await _issue(records, caller, child, "issue_codes", count, wanted, command)


async def invite(
    records: Records, caller: Caller, child: str, share: Share | None, command: Command
) -> tuple[Doc, Document]:
    """Issue one code by which the other guardian, or with `share` a relative, is bound."""

    def wanted(record: Record, hashes: list[str]) -> datetime:
        return family.invite(record, hashes[0], share, caller, today=records.today, now=records.now)

    answer, doc = await _issue(records, caller, child, "invite", 1, wanted, command)
    return answer["codes"][0], doc


async def _issue(
    records: Records,
    caller: Caller,
    child: str,
    verb: Verb,
    count: int,
    wanted: Callable[[Record, list[str]], datetime],
    command: Command,
) -> tuple[Doc, Document]:
    check_role(caller, verb)
    known = await records.children.load(child)
    if known is None:
        raise NotFound
    # Before anything is written under this child's name; the commit asks again.
    check(kept.children.record_of(known), caller, verb, records.today)
    codes = [family.code_of(records.secret, command.id, number) for number in range(count)]
    hashes = [await asyncio.to_thread(family.code_hash, code) for code in codes]
    await kept.codes.name_codes(records.children.store, hashes, child)

    def decide(doc: Document) -> Doc:
        # A late repeat must not open a used code again, however long ago the first attempt was.
        before = kept.children.made_before(doc, command)
        if before is not None:
            return before
        record = kept.children.record_of(doc)
        expires_at = wanted(record, hashes)
        told(doc, record, (), records.now)
        answer = {"expires_at": wire_instant(expires_at)}
        kept.children.remember_made(doc, command, answer)
        return answer

    answer, doc = await records.children.change(child, decide, command)
    if any(key not in doc.state.get("codes", {}) for key in hashes):
        # The codes are long out of time, or the secret has changed: these would not be the codes that were issued.
        raise Conflict
    return {"codes": [{"code": code, "expires_at": answer["expires_at"]} for code in codes]}, doc


async def link(records: Records, caller: Caller, code: str, command: Command) -> tuple[Doc, Document]:
    """Bind the caller to the child of a one-time code. Every wrong code is refused alike, after the same work."""
    check_role(caller, "link")
    found = await asyncio.to_thread(family.code_hash, code)
    child = await kept.codes.child_of_code(records.children.store, found)
    if child is None:
        raise family.code_refused()

    def decide(doc: Document) -> Doc:
        before = kept.children.made_before(doc, command)
        if before is not None:
            return before
        record = kept.children.record_of(doc)
        events = family.link(record, found, caller, today=records.today, now=records.now)
        answer = {"child": doc.id, "revision": told(doc, record, events, records.now)}
        kept.children.remember_made(doc, command, answer)
        return answer

    try:
        return await records.children.change(child, decide, command)
    except NotFound:
        raise family.code_refused() from None


async def revoke_grant(
    records: Records, caller: Caller, child: str, grant: str, command: Command | None
) -> tuple[Doc, Document]:
    """Take a relative's permission back."""
    return await change_entry(
        records,
        caller,
        "revoke_grant",
        child,
        lambda record: family.revoke_grant(record, grant, caller, today=records.today),
        {"id": grant},
        command,
    )


async def remove_guardian(
    records: Records, caller: Caller, child: str, guardian: str, reason: str, command: Command
) -> tuple[Doc, Document]:
    """Take a guardian out."""
    return await change_entry(
        records,
        caller,
        "change_guardians",
        child,
        lambda record: family.remove_guardian(record, child, guardian, reason, caller, today=records.today),
        {"id": guardian},
        command,
    )


async def cut_off(
    records: Records, caller: Caller, child: str, guardian: str, command: Command | None, *, lift: bool = False
) -> tuple[Doc, Document]:
    """Hide whereabouts from a guardian, or end that."""
    measure = family.lift_cut_off if lift else family.cut_off
    return await change_entry(
        records,
        caller,
        "cut_off",
        child,
        lambda record: measure(record, child, guardian, caller, today=records.today),
        {"id": guardian},
        command,
    )


async def give_consent(
    records: Records,
    caller: Caller,
    child: str,
    organisation: str,
    kind: consent.OrganisationKind | None,
    purpose: str,
    until: date | None,
    command: Command | None,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Let an organisation of the directory read the record."""
    check_role(caller, "consent")
    known = await records.children.load(child)
    if known is None:
        raise NotFound
    # A stranger is refused before the directory is asked, which may take its time.
    check(kept.children.record_of(known), caller, "consent", records.today)
    listed = await directory_kind(records, organisation)
    if kind not in {None, listed}:
        raise invalid("/kind", "kind-wrong", "機関の種類が登録内容と違います。", "The directory says otherwise.")
    wish = consent.ConsentWish(organisation=organisation, kind=listed, purpose=purpose, until=until)
    return await change_entry(
        records,
        caller,
        "consent",
        child,
        lambda record: consent.give(record, wish, caller, records.today),
        {"organisation": organisation},
        command,
        if_match=if_match,
    )


async def withdraw_consent(
    records: Records, caller: Caller, child: str, organisation: str, command: Command | None, if_match: str | None
) -> tuple[Doc, Document]:
    """Take an organisation's permission back."""
    return await change_entry(
        records,
        caller,
        "consent",
        child,
        lambda record: consent.withdraw(record, organisation, caller, records.today),
        {"organisation": organisation},
        command,
        if_match=if_match,
    )


async def directory_kind(records: Records, organisation: str) -> consent.OrganisationKind:
    """What the directory says the organisation is; one that was opened a moment ago is waited for."""
    found: consent.OrganisationKind | None = None

    async def known() -> bool:
        nonlocal found
        doc = await records.organisations.load(organisation)
        found = doc.state.get("kind") if doc is not None else None
        return found is not None

    await until(known, DIRECTORY_WAIT_S, lambda: records.organisations.next_commit(organisation))
    if found is not None:
        return found
    raise invalid(
        "/path/organisation",
        "organisation-unknown",
        "この機関は登録されていません。",
        "This organisation is not known.",
    )
