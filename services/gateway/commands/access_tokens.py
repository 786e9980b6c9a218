"""Access tokens: checked on every request; issued here on a development platform only."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.gateway.domain.policy import is_complete
from shared.auth import LEEWAY_S, Principal
from shared.problems import Unauthenticated
from shared.settings import Settings

AUDIENCE = "hagukumi"
TTL_S = 600
MAX_TOKEN_BYTES = 8_192
MOST_REMEMBERED = 20_000
HEADER_MEMBERS = {"alg", "typ", "kid"}
"""A header that says more (jku, jwk, x5u, crit …) wants the key to be taken from somewhere else: refused."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and until when (epoch seconds)."""

    principal: Principal
    expires_at: int


class AccessTokens:
    """JWT, ES256, at most ten minutes, bound to this audience and to the issuer's known keys."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.issuer
        self._own: ECKey | None = None
        self._known: dict[str, ECKey] = {}
        self._signed_in: dict[bytes, SignedIn] = {}
        if settings.development and settings.issuer_key_file is not None:
            self._own = ECKey.import_key(json.loads(settings.issuer_key_file.read_text(encoding="utf-8")))
            self._known[_kid(self._own)] = self._own
        if settings.issuer_keys_file is not None:
            for jwk in json.loads(settings.issuer_keys_file.read_text(encoding="utf-8"))["keys"]:
                key = ECKey.import_key(jwk)
                self._known[_kid(key)] = key

    @property
    def issues(self) -> bool:
        """Whether this process is a development issuer."""
        return self._own is not None

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517) with which tokens are checked."""
        return {"keys": [key.as_dict(private=False) for _, key in sorted(self._known.items())]}

    def issue(self, principal: Principal) -> tuple[str, int]:
        """(token, lifetime in seconds) of the development issuer."""
        if self._own is None:
            raise RuntimeError("this process issues no tokens")
        now = int(time.time())
        claims = {
            **principal.claims(),
            "iss": self._issuer,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + TTL_S,
            "jti": secrets.token_hex(16),
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": _kid(self._own)}
        return jwt.encode(header, claims, self._own), TTL_S

    def verify(self, token: str) -> SignedIn:
        """Who this token says it is; raises Unauthenticated for anything but a token as `issue` makes it.

        The signature of a token that was found good is not computed again: only its expiry can change what is said of it.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._signed_in.get(digest)
        if known is not None and known.expires_at >= time.time() - LEEWAY_S:
            return known
        found = self._checked(token)
        if len(self._signed_in) >= MOST_REMEMBERED:
            self._signed_in.clear()
        self._signed_in[digest] = found
        return found

    def _checked(self, token: str) -> SignedIn:
        header = _header(token)
        key = self._known.get(str(header.get("kid", "")))
        if key is None or set(header) != HEADER_MEMBERS or header["alg"] != "ES256" or header["typ"] != "at+jwt":
            raise Unauthenticated
        try:
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"]).claims
        except (JoseError, ValueError, TypeError):
            raise Unauthenticated from None
        now = time.time()
        issued, expires = claims.get("iat"), claims.get("exp")
        if (
            claims.get("iss") != self._issuer
            or claims.get("aud") != AUDIENCE
            or type(issued) is not int
            or type(expires) is not int
            or expires < now - LEEWAY_S
            or issued > now + LEEWAY_S
            or not 0 < expires - issued <= TTL_S
            or not _not_before(claims.get("nbf"), now)
        ):
            raise Unauthenticated
        principal = Principal.from_claims(claims)
        if not is_complete(principal) or len(principal.subject) > 128:
            raise Unauthenticated
        return SignedIn(principal, expires)


def _not_before(value: Any, now: float) -> bool:
    return value is None or (type(value) is int and value <= now + LEEWAY_S)


def _kid(key: ECKey) -> str:
    return str(key.as_dict(private=False)["kid"])


def _header(token: str) -> dict[str, Any]:
    """The header, read only to choose among known keys; empty for anything that is none."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2 or not token.isascii():
        return {}
    head = token.split(".", 1)[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
