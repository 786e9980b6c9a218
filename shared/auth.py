"""Who calls: principals, and the signed tokens between services (short-lived, ES256, bound to one audience)."""

import base64
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal, cast

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from shared.problems import Unauthenticated
from shared.settings import Settings

Role = Literal["guardian", "clinic", "staff", "system", "operator"]
# Subjects and organisations become keys of documents, topics and paths: opaque ids, whoever issued the token.
OPAQUE = re.compile(r"[A-Za-z0-9_-]{1,128}")
INTERNAL_TTL_S = 60
LEEWAY_S = 5
MOST_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person or system: opaque subject, role, and the organisation and town it acts for."""

    subject: str
    role: Role
    organisation: str | None = None
    municipality: str | None = None
    profession: str | None = None

    def claims(self) -> dict[str, Any]:
        """As an internal token carries it."""
        found = {
            "sub": self.subject,
            "role": self.role,
            "org": self.organisation,
            "mun": self.municipality,
            "prof": self.profession,
        }
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> "Principal":
        """The principal of verified claims; raises Unauthenticated on a claim of the wrong type or shape."""
        values = (claims.get("sub"), claims.get("role"), claims.get("org"), claims.get("mun"), claims.get("prof"))
        if values[0] is None or values[1] not in ("guardian", "clinic", "staff", "system", "operator"):
            raise Unauthenticated
        for value in (values[0], *values[2:]):
            if value is not None and not (isinstance(value, str) and OPAQUE.fullmatch(value)):
                raise Unauthenticated
        return cls(*cast("tuple[str, Role, str | None, str | None, str | None]", values))


class InternalTokens:
    """Signs this service's internal calls and checks those it receives."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.internal_keys
        self._service = settings.service
        self._private = ECKey.import_key(keys["private"]) if keys.get("private") else None
        self._public = {name: ECKey.import_key(jwk) for name, jwk in keys.get("public", {}).items()}
        self._verified: dict[tuple[str, str], dict[str, Any]] = {}

    def sign(self, audience: str, scope: Literal["act", "heal"], principal: Principal | None = None) -> str:
        """A token for one audience: `act` for a principal (the gateway only), `heal` to read the owner's archive."""
        if self._private is None:
            raise RuntimeError("no internal signing key is configured")
        now = int(time.time())
        claims = {
            "iss": self._service,
            "aud": audience,
            "iat": now,
            "exp": now + INTERNAL_TTL_S,
            "jti": secrets.token_hex(8),
            "scope": scope,
            **(principal.claims() if principal is not None else {"sub": self._service}),
        }
        return jwt.encode({"alg": "ES256", "typ": "hagukumi+jwt", "kid": self._service}, claims, self._private)

    def verify(self, token: str, scope: Literal["act", "heal"]) -> dict[str, Any]:
        """The claims of a token that was signed for this service and scope; raises Unauthenticated.

        Only the gateway may act for a principal; any service may ask to heal. A call passes here twice, before its body is
        read and in its handler: the signature is computed once.
        """
        known = self._verified.get((token, scope))
        if known is not None and known["exp"] >= time.time() - LEEWAY_S:
            return dict(known)
        claims = self._checked(token, scope)
        if len(self._verified) >= MOST_REMEMBERED:
            self._verified.clear()
        self._verified[token, scope] = claims
        return dict(claims)

    def _checked(self, token: str, scope: Literal["act", "heal"]) -> dict[str, Any]:
        issuer = _unverified_issuer(token)
        key = self._public.get(issuer)
        if key is None or (scope == "act" and issuer != "gateway"):
            raise Unauthenticated
        try:
            decoded = jwt.decode(token, key, algorithms=["ES256"])
        except (JoseError, ValueError):
            raise Unauthenticated from None
        claims = decoded.claims
        now = time.time()
        if (
            decoded.header.get("typ") != "hagukumi+jwt"
            or claims.get("iss") != issuer
            or claims.get("aud") != self._service
            or claims.get("scope") != scope
            or not isinstance(claims.get("exp"), int)
            or not isinstance(claims.get("iat"), int)
            or claims["exp"] < now - LEEWAY_S
            or claims["iat"] > now + LEEWAY_S
            or claims["exp"] - claims["iat"] > INTERNAL_TTL_S
        ):
            raise Unauthenticated
        return dict(claims)


def _unverified_issuer(token: str) -> str:
    """The key id of the header, which only chooses the key to check with."""

    try:
        head = token.split(".", 1)[0]
        if len(token) > 8_192:
            return ""
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        return ""
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else ""


def bearer(header: str | None) -> str:
    """The token of an Authorization header; raises Unauthenticated."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token or " " in token:
        raise Unauthenticated
    return token
