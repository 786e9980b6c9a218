"""The development issuer: hands out access tokens to whoever asks. It does not exist in production."""

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.gateway.commands.access_tokens import AccessTokens
from shared.auth import Principal
from shared.ids import is_municipality_code
from shared.problems import NotFound, invalid
from shared.web import api_router

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TokenWish(BaseModel):
    """For whom the token is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    subject: Id
    role: Literal["guardian", "clinic", "staff", "system", "operator"]
    organisation: Id | None = None
    municipality: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None
    profession: Id | None = None


def routes(tokens: AccessTokens) -> APIRouter:
    """The route of the development issuer."""
    router = api_router()

    @router.post("/dev/token")
    async def token(wish: TokenWish) -> JSONResponse:
        """A token for ten minutes."""
        if not tokens.issues:
            raise NotFound
        needed = {"clinic": "organisation", "staff": "municipality", "system": "municipality"}.get(wish.role)
        if needed is not None and getattr(wish, needed) is None:
            raise invalid(f"/{needed}", "missing", "必須項目です。", "This role needs it.")
        if wish.municipality is not None and not is_municipality_code(wish.municipality):
            raise invalid(
                "/municipality",
                "municipality-code",
                "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
                "This is no municipality code: 6 digits with check digit (JIS X 0402).",
            )
        principal = Principal(wish.subject, wish.role, wish.organisation, wish.municipality, wish.profession)
        found, seconds = tokens.issue(principal)
        return JSONResponse({"access_token": found, "token_type": "Bearer", "expires_in": seconds})

    return router


def keys(tokens: AccessTokens) -> APIRouter:
    """The public keys of access tokens."""
    router = api_router()

    @router.get("/.well-known/jwks.json")
    async def jwks() -> JSONResponse:
        """Public keys (JWK set)."""
        return JSONResponse(tokens.jwks())

    return router
