"""Where a guardian can be reached besides apps and browsers, and what they prefer."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import contact_points as commands
from services.notify.commands.contact_points import ContactPoints
from services.notify.commands.contacts import Contacts, refresh
from services.notify.commands.devices import forget
from shared.web import Asking, api_router

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Ways = Annotated[list[Literal["push", "line", "sms", "mail"]], Field(max_length=4)]
HOW_TO_STOP = "メールの配信停止は、メールソフトの「配信停止」か、アプリの設定からできます。\nTo stop these mails, use your mail program's unsubscribe button or the app's settings.\n"


class AddressBody(BaseModel):
    """An address that the guardian names: a LINE user id, a mobile number, a mail address."""

    model_config = ConfigDict(extra="forbid")

    channel: Literal["line", "sms", "mail"]
    address: str = Field(min_length=3, max_length=254)


class ProofBody(BaseModel):
    """The six digits that were sent to the address."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(pattern=r"^[0-9]{6}$")


class Topics(BaseModel):
    """By topic, the ways that the guardian wants; a topic that is left out stays as it was."""

    model_config = ConfigDict(extra="forbid")

    notices: Ways | None = None
    reminders: Ways | None = None
    library: Ways | None = None


class PreferencesBody(BaseModel):
    """What the guardian prefers. Emergencies come in every way, whatever is chosen."""

    model_config = ConfigDict(extra="forbid")

    language: Literal["ja", "ja-Hrkt", "en", "zh", "vi", "pt", "ne"] = "ja"
    digest: bool = Field(default=False, strict=True)
    topics: Topics = Topics()


def router(points: ContactPoints, contacts: Contacts) -> APIRouter:
    """The routes of addresses and preferences."""
    routes = api_router()

    @routes.get("/v1/contacts")
    async def listed(asked: Asking) -> JSONResponse:
        """The guardian's devices and addresses."""
        found = await commands.contact_points(points, asked.principal)
        return JSONResponse({"contacts": found, "channels": points.pusher.states()})

    @routes.put("/v1/contacts/{name}", status_code=202)
    async def put(name: Name, body: AddressBody, asked: Asking) -> JSONResponse:
        """Name an address; a code is sent there."""
        return JSONResponse(await commands.name_address(points, asked.principal, name, body.channel, body.address), 202)

    @routes.post("/v1/contacts/{name}/proof")
    async def prove(name: Name, body: ProofBody, asked: Asking) -> JSONResponse:
        """Give the code back."""
        found = await commands.prove(points, asked.principal, name, body.code)
        await refresh(contacts, asked.principal.subject)
        return JSONResponse(found)

    @routes.delete("/v1/contacts/{name}", status_code=204)
    async def delete(name: Name, asked: Asking) -> Response:
        """Forget an address."""
        await forget(points.devices, asked.principal, name, "contact")
        await refresh(contacts, asked.principal.subject)
        return Response(status_code=204)

    @routes.get("/v1/preferences")
    async def preferences(asked: Asking) -> JSONResponse:
        """What the guardian prefers."""
        return JSONResponse(await commands.preferences(points, asked.principal))

    @routes.put("/v1/preferences")
    async def choose(body: PreferencesBody, asked: Asking) -> JSONResponse:
        """Choose language, ways by topic, and the daily digest."""
        topics = body.topics.model_dump(exclude_none=True)
        found = await commands.choose(points, asked.principal, body.language, body.digest, topics)
        await refresh(contacts, asked.principal.subject)
        return JSONResponse(found)

    @routes.get("/v1/unsubscriptions/{token}")
    async def how_to_stop(token: str) -> PlainTextResponse:
        """What a person reads who opens the address in a browser: opening it changes nothing (RFC 8058 section 3.2)."""
        return PlainTextResponse(HOW_TO_STOP)

    @routes.post("/v1/unsubscriptions/{token}")
    async def unsubscribe(token: str) -> Response:
        """The one click of a mail program (RFC 8058)."""
        await refresh(contacts, await commands.unsubscribe(points, token))
        return Response(status_code=204)

    return routes
