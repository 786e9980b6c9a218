"""Identifiers: opaque, never derived from anything personal, stable where a repeat must meet its first attempt."""

import hashlib
import re
import secrets
import uuid


def new_id() -> str:
    """A new random identifier: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def derived_id(*parts: str) -> str:
    """An identifier that the same parts always give: creating twice is creating once (protocol W2)."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def binding_id(child: str, guardian: str) -> str:
    """How a guardian of a child is named to others: neither the person nor their other children can be told from it."""
    return derived_id("guardian", child, guardian)


def one_time_code(drawn: bytes | None = None) -> str:
    """Twelve characters in three groups, without the letters and digits that people confuse (59 bits).

    Random, or always the same for the same 32 secret bytes, where a repeated request must get the same code.
    """
    alphabet = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
    number = int.from_bytes(drawn if drawn is not None else secrets.token_bytes(32))
    letters = []
    for _ in range(12):
        number, place = divmod(number, len(alphabet))
        letters.append(alphabet[place])
    return "-".join("".join(letters[start : start + 4]) for start in (0, 4, 8))


def with_check_digit(code: str) -> str | None:
    """The 6 digits of JIS X 0402 (全国地方公共団体コード) of the first 5; None where those are not 5 digits."""
    if not re.fullmatch(r"[0-9]{5}", code):
        return None
    weighted = sum(int(digit) * weight for digit, weight in zip(code, (6, 5, 4, 3, 2), strict=True))
    check = 11 - weighted if weighted < 11 else 11 - weighted % 11
    return code + str(check)[-1]


def is_municipality_code(code: str) -> bool:
    """Whether the 6 digits are a code of JIS X 0402 with its right check digit."""
    return with_check_digit(code[:5]) == code
