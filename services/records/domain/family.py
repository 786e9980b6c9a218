"""Guardians and relatives, and how they are bound to a child (保護者): by registering it, or by a one-time code.

A municipality's code proves a guardian. A guardian's own code invites the other one, or a relative to some sections for
a time. A guardian can be taken out, and one from whom whereabouts must be hidden (支援措置) cut off, by the town alone.
"""

import dataclasses
import hashlib
import hmac
import unicodedata
from datetime import date, datetime, timedelta

from services.records.domain.access import Caller, check, check_role
from services.records.domain.findings import Findings
from services.records.domain.record import GuardianCode, Record, Share
from shared.events.records import (
    AccessGranted,
    AccessRevoked,
    Actor,
    ChildEvent,
    CutOffLifted,
    GuardianAdded,
    GuardianCutOff,
    GuardianRemoved,
)
from shared.ids import binding_id, derived_id, one_time_code
from shared.problems import Invalid, NotFound, invalid

CODE_LIVES = timedelta(days=30)
INVITATION_LIVES = timedelta(days=7)
LONGEST_GRANT = timedelta(days=366)
MOST_GRANTS = 20
MOST_CODES_AT_ONCE = 4
MOST_OPEN_CODES = 20
MOST_GUARDIANS = 8


def code_of(secret: bytes, request: str, number: int) -> str:
    """The n-th code of one request: a repeat of the request gets the same codes, though only their hashes are kept."""
    return one_time_code(hmac.digest(secret, f"guardian-code\x1f{request}\x1f{number}".encode(), "sha256"))


def code_hash(code: str) -> str:
    """What is kept of a code. Scrypt, since 59 bits alone would not outlast a stolen database; about 10 ms of work."""
    written = "".join(letter for letter in unicodedata.normalize("NFKC", code).upper() if letter.isalnum())
    # A fixed salt: the hash is how a code finds its child, and codes are random and short-lived.
    return hashlib.scrypt(written.encode(), salt=b"hagukumi guardian code", n=4_096, r=8, p=1, dklen=24).hex()


def code_refused() -> Invalid:
    """The one answer for a code that is unknown, used or out of time: it tells them apart for nobody."""
    return invalid(
        "/code",
        "code-not-valid",
        "コードが正しくないか、使用済みか、有効期限が切れています。",
        "This code is wrong, used or out of time.",
    )


def issue_codes(record: Record, hashes: list[str], caller: Caller, *, today: date, now: datetime) -> datetime:
    """Let these codes bind a guardian, each once; they end at the instant that comes back.

    The municipality hands them to the guardians it knows. Raises Forbidden, NotFound, Invalid.
    """
    check(record, caller, "issue_codes", today)
    return _open(record, hashes, GuardianCode(now + CODE_LIVES), now)


def invite(record: Record, found: str, share: Share | None, caller: Caller, *, today: date, now: datetime) -> datetime:
    """Let one code bind the other guardian, or with `share` a relative; it ends at the instant that comes back.

    Raises Forbidden, NotFound, Invalid.
    """
    check(record, caller, "invite", today)
    findings = Findings()
    if share is not None and not today <= share.until <= today + LONGEST_GRANT:
        findings.add(
            "/until",
            "out-of-range",
            "今日から1年以内の日付にしてください。",
            "It must be from today to a year from now.",
        )
    if share is not None and len(record.grants) >= MOST_GRANTS:
        findings.add("", "too-many", "共有相手の上限に達しました。", f"A record has at most {MOST_GRANTS} relatives.")
    findings.refuse()
    return _open(record, [found], GuardianCode(now + INVITATION_LIVES, issued_by=caller.subject, share=share), now)


def _open(record: Record, hashes: list[str], code: GuardianCode, now: datetime) -> datetime:
    record.codes = {key: known for key, known in record.codes.items() if known.expires_at + CODE_LIVES > now}
    open_codes = [known for known in record.codes.values() if known.used_by is None and known.expires_at > now]
    if len(open_codes) + len(hashes) > MOST_OPEN_CODES:
        raise invalid(
            "/count", "too-many", "未使用のコードが多すぎます。", f"A child has at most {MOST_OPEN_CODES} open codes."
        )
    record.codes.update(dict.fromkeys(hashes, code))
    return code.expires_at


def link(record: Record, found: str, caller: Caller, *, today: date, now: datetime) -> list[ChildEvent]:
    """Bind a guardian or a relative by the hash of a code, and use the code up. Raises Forbidden, Invalid (always the same)."""
    check_role(caller, "link")
    # Every code is compared, in constant time: how long a refusal takes tells nothing of what is nearly right.
    matching = [key for key in record.codes if hmac.compare_digest(key, found)]
    code = record.codes[matching[0]] if matching else None
    if code is None or code.used_by is not None or code.expires_at <= now:
        raise code_refused()
    bound = caller.subject in record.guardians
    share = code.share
    if share is not None and (bound or share.until < today):
        raise code_refused()
    if share is None and not bound and len(record.guardians) >= MOST_GUARDIANS:
        raise invalid(
            "/code", "too-many", "保護者の上限に達しました。", f"A child has at most {MOST_GUARDIANS} guardians."
        )
    record.codes[matching[0]] = dataclasses.replace(code, used_by=caller.subject)
    if share is not None:
        return [
            AccessGranted(
                grant_id=derived_id("grant", found),
                relative=caller.subject,
                relation=share.relation,
                sections=share.sections,
                until=share.until,
                by=Actor(subject=code.issued_by or "", role="guardian"),
            )
        ]
    if bound:
        return []
    return [GuardianAdded(guardian=caller.subject, proven_by="code", invited_by=code.issued_by)]


# Taking away ------------------------------------------------------------------------------------------------------


def revoke_grant(record: Record, grant: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Take a relative's permission back. Raises Forbidden, NotFound."""
    check(record, caller, "revoke_grant", today)
    known = record.grants.get(grant)
    if known is None:
        raise NotFound
    return [AccessRevoked(grant_id=grant, relative=known.relative, by=caller.actor)]


def remove_guardian(
    record: Record, child: str, binding: str, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """A guardian is one no longer (親権者の変更), nor are those whom they let in. Raises Forbidden, NotFound."""
    check(record, caller, "change_guardians", today)
    guardian = _bound(record, child, binding)
    return [GuardianRemoved(guardian=guardian, reason=reason), *_without_guests_of(record, guardian, caller)]


def cut_off(record: Record, child: str, binding: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Hide address and whereabouts from this guardian (支援措置); those whom they let in are out. Raises Forbidden, NotFound."""
    check(record, caller, "cut_off", today)
    guardian = _bound(record, child, binding)
    if guardian in record.cut_off:
        return []
    return [GuardianCutOff(guardian=guardian, by=caller.actor), *_without_guests_of(record, guardian, caller)]


def lift_cut_off(record: Record, child: str, binding: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """End the measure. Raises Forbidden, NotFound."""
    check(record, caller, "cut_off", today)
    guardian = _bound(record, child, binding)
    if guardian not in record.cut_off:
        raise NotFound
    return [CutOffLifted(guardian=guardian, by=caller.actor)]


def _bound(record: Record, child: str, binding: str) -> str:
    for guardian in record.guardians:
        if binding_id(child, guardian) == binding:
            return guardian
    raise NotFound


def _without_guests_of(record: Record, guardian: str, caller: Caller) -> list[ChildEvent]:
    """Nobody stays, or comes in later, by the word of one who has no say any more."""
    record.codes = {key: code for key, code in record.codes.items() if code.issued_by != guardian}
    return [
        AccessRevoked(grant_id=grant, relative=known.relative, by=caller.actor)
        for grant, known in record.grants.items()
        if known.by.subject == guardian
    ]
