"""Browsers and apps that want pushes."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import devices as commands
from services.notify.commands.contacts import Contacts, refresh
from services.notify.commands.devices import Devices
from services.notify.commands.pushing import Pusher
from shared.web import Asking, api_router

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Keys(BaseModel):
    """The browser's keys, base64url (W3C Push API, PushSubscriptionJSON)."""

    model_config = ConfigDict(extra="forbid")

    p256dh: str = Field(max_length=200)
    auth: str = Field(max_length=100)


class SubscriptionBody(BaseModel):
    """A W3C PushSubscription as the browser serialises it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    endpoint: str = Field(min_length=10, max_length=2_048)
    keys: Keys
    expiration_time: float | None = Field(default=None, alias="expirationTime")


class DeviceBody(BaseModel):
    """An app's token: FCM's registration token, or APNs's device token in hexadecimal."""

    model_config = ConfigDict(extra="forbid")

    channel: Literal["fcm", "apns"]
    token: str = Field(min_length=20, max_length=1_000)


def router(pusher: Pusher, devices: Devices, contacts: Contacts) -> APIRouter:
    """The routes of push subscriptions and devices."""
    routes = api_router()

    @routes.get("/v1/push-key")
    async def push_key(asked: Asking) -> dict[str, str]:
        """The application server key to subscribe with."""
        return {"key": pusher.public_key()}

    @routes.put("/v1/push-subscriptions/{name}")
    async def put(name: Name, body: SubscriptionBody, asked: Asking) -> JSONResponse:
        """Register this browser, or replace it."""
        keys: dict[str, Any] = body.keys.model_dump()
        new = await commands.subscribe(devices, asked.principal, name, body.endpoint, keys)
        await refresh(contacts, asked.principal.subject)
        return JSONResponse({"id": name}, 201 if new else 200)

    @routes.delete("/v1/push-subscriptions/{name}", status_code=204)
    async def delete(name: Name, asked: Asking) -> Response:
        """Forget this browser."""
        await commands.forget(devices, asked.principal, name, "subscription")
        await refresh(contacts, asked.principal.subject)
        return Response(status_code=204)

    @routes.put("/v1/devices/{name}")
    async def register(name: Name, body: DeviceBody, asked: Asking) -> JSONResponse:
        """Register this app, or replace its token."""
        new = await commands.register(devices, asked.principal, name, body.channel, body.token)
        await refresh(contacts, asked.principal.subject)
        return JSONResponse({"id": name}, 201 if new else 200)

    @routes.delete("/v1/devices/{name}", status_code=204)
    async def unregister(name: Name, asked: Asking) -> Response:
        """Forget this app."""
        await commands.forget(devices, asked.principal, name, "device")
        await refresh(contacts, asked.principal.subject)
        return Response(status_code=204)

    return routes
