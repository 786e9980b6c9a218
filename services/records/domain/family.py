"""Guardians and how they are bound to a child (保護者): by registering it, or by a one-time code of the municipality."""

import hashlib
import hmac
import unicodedata
from datetime import date, datetime, timedelta

from services.records.domain.access import Caller, check, check_role
from services.records.domain.record import GuardianCode, Record
from shared.events.records import ChildEvent, GuardianAdded
from shared.ids import one_time_code
from shared.problems import Invalid, invalid

CODE_LIVES = timedelta(days=30)
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
    record.codes = {key: code for key, code in record.codes.items() if code.expires_at + CODE_LIVES > now}
    open_codes = [code for code in record.codes.values() if code.used_by is None and code.expires_at > now]
    if len(open_codes) + len(hashes) > MOST_OPEN_CODES:
        raise invalid(
            "/count", "too-many", "未使用のコードが多すぎます。", f"A child has at most {MOST_OPEN_CODES} open codes."
        )
    expires_at = now + CODE_LIVES
    record.codes.update({key: GuardianCode(expires_at) for key in hashes})
    return expires_at


def link_guardian(record: Record, found: str, caller: Caller, *, now: datetime) -> list[ChildEvent]:
    """Bind a guardian by the hash of a code, and use the code up. Raises Forbidden, Invalid (always the same)."""
    check_role(caller, "link")
    # Every code is compared, in constant time: how long a refusal takes tells nothing of what is nearly right.
    matching = [key for key in record.codes if hmac.compare_digest(key, found)]
    code = record.codes[matching[0]] if matching else None
    if code is None or code.used_by is not None or code.expires_at <= now:
        raise code_refused()
    bound = caller.subject in record.guardians
    if not bound and len(record.guardians) >= MOST_GUARDIANS:
        raise invalid(
            "/code", "too-many", "保護者の上限に達しました。", f"A child has at most {MOST_GUARDIANS} guardians."
        )
    record.codes[matching[0]] = GuardianCode(code.expires_at, used_by=caller.subject)
    return [] if bound else [GuardianAdded(guardian=caller.subject, proven_by="code")]
