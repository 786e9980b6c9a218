"""What an operator asks of a running service: a document in its store, taken by one replica, with its progress (ADR 12, ADR 13).

Whoever may write to the store may ask; there is no door for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from shared.ids import new_id
from shared.problems import Busy
from shared.rebuilding import CannotRebuild
from shared.reconciling import Finding
from shared.runtime import Runtime
from shared.store import Doc, Store, StoreError
from shared.views import View

log = structlog.get_logger(__name__)

OPERATIONS = "operations"
ABOUT = "about"
LOOK_EVERY_S = 1.0
TELL_EVERY_S = 5.0
NAMED = 20

Tell = Callable[[str], Awaitable[None]]


class Refused(Exception):
    """The service cannot do what was asked; the sentence says why."""


async def describe(runtime: Runtime) -> None:
    """Write down what this release of the service has, for the operator's tools."""
    about = {
        "collections": list(runtime.relay.collections),
        "readings": [[stream, sink.name] for stream, sink in runtime.follower.readings],
        "views": [sink.name for sink in runtime.follower.sinks if isinstance(sink, View)],
        "owners": {sink.name: sink.owns for sink in runtime.follower.sinks if isinstance(sink, View) and sink.owns},
    }
    await runtime.store.update(OPERATIONS, {"_id": ABOUT}, {"$set": about}, upsert=True)


async def work(runtime: Runtime) -> None:
    """Take what an operator asked for, one thing at a time."""
    for row in await runtime.store.find(OPERATIONS, {"state": "asked"}):
        if not await runtime.store.update(
            OPERATIONS, {"_id": row["_id"], "state": "asked"}, {"$set": {"state": "running", "beat": time.time()}}
        ):
            continue

        async def tell(words: str, place: str = row["_id"]) -> None:
            await runtime.store.update(
                OPERATIONS, {"_id": place}, {"$push": {"lines": words}, "$set": {"beat": time.time()}}
            )

        state = "done"
        try:
            await _do(runtime, row["what"], row["args"], tell)
        except (CannotRebuild, Refused) as refusal:
            state = "refused"
            await tell(str(refusal))
        except Busy:
            state = "refused"
            await tell("An owner cannot be reached, so not everything was done; what was done is safe to repeat.")
        except (StoreError, TimeoutError, OSError) as error:
            log.warning("operation.failed", what=row["what"], error=type(error).__name__)
            state = "refused"
            await tell(f"The store failed ({type(error).__name__}); what was done is safe to repeat.")
        except Exception as error:
            log.error("operation.failed", what=row["what"], exc_info=error)
            state = "refused"
            await tell(f"It failed ({type(error).__name__}, see the log); what was done is safe to repeat.")
        await runtime.store.update(OPERATIONS, {"_id": row["_id"]}, {"$set": {"state": state, "beat": time.time()}})
    await asyncio.sleep(LOOK_EVERY_S)


async def _do(runtime: Runtime, what: str, args: Doc, tell: Tell) -> None:
    if what == "reconcile":
        await _reconcile(runtime, args, tell)
    elif what == "rebuild":
        view = next((one for one in runtime.follower.sinks if isinstance(one, View) and one.name == args["view"]), None)
        if view is None:
            raise Refused(f"{runtime.settings.service} has no view {args['view']}.")
        streams = [stream for stream, sink in runtime.follower.readings if sink is view]
        await runtime.rebuilder.rebuild(view, streams, tell)
    elif what == "verify":
        await _verify(runtime, tell)
    else:
        raise Refused(f"This release does not know how to {what}.")


async def _reconcile(runtime: Runtime, args: Doc, tell: Tell) -> None:
    backwards, told_at = 0, time.monotonic()

    async def progress(found: Finding) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > TELL_EVERY_S:
            told_at = time.monotonic()
            await tell(f"{found} so far")

    for stream, sink in runtime.follower.readings:
        if isinstance(sink, View):
            found = await runtime.reconciler.compare(stream, sink, dry_run=args["dry_run"], progress=progress)
        elif args.get("effects_since"):
            since = args["effects_since"]
            found = await runtime.reconciler.repeat(stream, sink, since, dry_run=args["dry_run"], progress=progress)
        else:
            continue
        backwards += found.backwards
        await tell(str(found))
    if backwards:
        raise Refused(
            f"{backwards} subjects went backwards at their owners: that heals nobody (runbook HeadWentBackwards)."
        )


async def _verify(runtime: Runtime, tell: Tell) -> None:
    wrong = 0
    for name, check in runtime.checks.items():
        count, bad = 0, []
        async for found, good in check():
            count += 1
            if not good:
                bad.append(found)
            if count % 5_000 == 0:
                await tell(f"{name}: {count} so far")
        await tell(f"{name}: {count} checked, {len(bad)} wrong" + "".join(f"\n  {one}" for one in bad[:NAMED]))
        wrong += len(bad)
    if wrong:
        raise Refused(f"{wrong} are not as they should be.")


async def ask(store: Store, what: str, args: dict[str, Any]) -> str:
    """Ask the service behind this store; the operation's id."""
    operation = new_id()
    await store.insert(
        OPERATIONS, {"_id": operation, "what": what, "args": args, "state": "asked", "lines": [], "at": time.time()}
    )
    return operation
