"""The audit: whatever is done to its rows, the first bad one is named; nothing is answered before it is durable."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from shared import audit
from shared.audit import AUDIT, CHAINS, GENESIS, Access, Audit, accesses_of, verify
from shared.clock import Clock
from shared.ops.__main__ import app
from shared.store import Doc, Store

KEY = ECKey.generate_key("P-256", {"kid": "gateway"}, private=True)
PRIVATE, PUBLIC = KEY.as_dict(private=True), KEY.as_dict(private=False)


def look(number: int, *, whose: tuple[str, ...] = ("child-1",)) -> Access:
    """The n-th access to a child's record."""
    return Access(
        who=f"nurse-{number}",
        role="staff",
        organisation="139912",
        action="readChild",
        whose=whose,
        purpose="public-health",
        outcome="done",
        status=200,
        route="GET /v1/children/{child}",
        correlation=f"c{number}",
    )


@pytest.fixture
async def kept(store: Store) -> AsyncIterator[Audit]:
    """Two chains: one of a process that ended, one that runs, with ten accesses each."""
    ended = Audit(store, Clock(), PRIVATE)
    await ended.start()
    for number in range(10):
        await ended.write(look(number))
    await ended.stop()
    runs = Audit(store, Clock(), PRIVATE)
    await runs.start()
    for number in range(10, 20):
        await runs.write(look(number))
    yield runs
    await runs.stop()


async def chains(store: Store) -> list[str]:
    """The chains in the order in which they were opened."""
    return [
        row["chain"] for row in sorted(await store.find(AUDIT, {"action": "open-chain"}), key=lambda r: len(r["after"]))
    ]


async def bad(store: Store) -> list[tuple[str, str]]:
    return [(one.row, one.why) async for one in verify(store, PUBLIC)]


async def row(store: Store, chain: str, seq: int) -> Doc:
    return (await store.find(AUDIT, {"chain": chain, "seq": seq}))[0]


def rehashed(changed: Doc) -> Doc:
    body = {name: value for name, value in changed.items() if name not in {"_id", "hash"}}
    return {**changed, "hash": audit._digest(body)}


async def test_an_untouched_audit_is_whole(store: Store, kept: Audit) -> None:
    await kept.stop()
    assert await bad(store) == []
    assert await store.count(AUDIT, {}) == 22


# What somebody with the store's password could do ------------------------------------------------------------------

Tamper = Callable[[Store, str], Awaitable[None]]


async def _edit(store: Store, chain: str) -> None:
    await store.update(AUDIT, {"_id": f"{chain}:5"}, {"$set": {"who": "somebody-else"}})


async def _add_a_field(store: Store, chain: str) -> None:
    await store.update(AUDIT, {"_id": f"{chain}:5"}, {"$set": {"note": "approved"}})


async def _edit_and_hash_again(store: Store, chain: str) -> None:
    changed = rehashed({**await row(store, chain, 5), "who": "somebody-else"})
    await store.update(AUDIT, {"_id": changed["_id"]}, {"$set": {"who": changed["who"], "hash": changed["hash"]}})


async def _edit_and_hash_all_again(store: Store, chain: str) -> None:
    previous = (await row(store, chain, 4))["hash"]
    for seq in range(5, 12):
        found = await row(store, chain, seq)
        changed = rehashed({**found, "prev": previous, **({"who": "somebody-else"} if seq == 5 else {})})
        await store.delete(AUDIT, {"_id": found["_id"]})
        await store.insert(AUDIT, changed)
        previous = changed["hash"]


async def _edit_all_and_the_anchor(store: Store, chain: str) -> None:
    await _edit_and_hash_all_again(store, chain)
    await store.update(CHAINS, {"_id": chain}, {"$set": {"hash": (await row(store, chain, 11))["hash"]}})


async def _delete(store: Store, chain: str) -> None:
    await store.delete(AUDIT, {"_id": f"{chain}:5"})


async def _delete_the_first(store: Store, chain: str) -> None:
    await store.delete(AUDIT, {"_id": f"{chain}:1"})


async def _swap(store: Store, chain: str) -> None:
    five, six = await row(store, chain, 5), await row(store, chain, 6)
    await store.delete(AUDIT, {"_id": five["_id"]})
    await store.delete(AUDIT, {"_id": six["_id"]})
    await store.insert(AUDIT, {**five, "_id": six["_id"], "seq": 6})
    await store.insert(AUDIT, {**six, "_id": five["_id"], "seq": 5})


async def _insert_one_between(store: Store, chain: str) -> None:
    five = await row(store, chain, 5)
    await store.insert(AUDIT, rehashed({**five, "_id": f"{chain}:5b", "who": "somebody-else"}))


async def _cut_the_tail(store: Store, chain: str) -> None:
    for seq in (10, 11):
        await store.delete(AUDIT, {"_id": f"{chain}:{seq}"})


async def _cut_and_anchor_anew(store: Store, chain: str) -> None:
    await _cut_the_tail(store, chain)
    last = await row(store, chain, 9)
    await store.update(CHAINS, {"_id": chain}, {"$set": {"seq": 9, "hash": last["hash"]}})


async def _drop_the_anchor(store: Store, chain: str) -> None:
    await store.delete(CHAINS, {"_id": chain})


async def _drop_the_chain(store: Store, chain: str) -> None:
    await store.delete(AUDIT, {"chain": chain})
    await store.delete(CHAINS, {"_id": chain})


TAMPERED: dict[str, tuple[Tamper, int]] = {
    "a row edited": (_edit, 5),
    "a field added": (_add_a_field, 5),
    "a row edited and hashed again": (_edit_and_hash_again, 6),
    "a row edited and the rest hashed again": (_edit_and_hash_all_again, 11),
    "the anchor rewritten too": (_edit_all_and_the_anchor, 11),
    "a row deleted": (_delete, 5),
    "the first row deleted": (_delete_the_first, 1),
    "two rows swapped": (_swap, 5),
    "a row put between": (_insert_one_between, 6),
    "the tail cut": (_cut_the_tail, 10),
    "the tail cut and the anchor rewritten": (_cut_and_anchor_anew, 9),
    "the anchor deleted": (_drop_the_anchor, 11),
    "a whole chain deleted": (_drop_the_chain, 1),
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_the_first_bad_row_is_named(how: str, store: Store, kept: Audit) -> None:
    tamper, seq = TAMPERED[how]
    first = (await chains(store))[0]
    await tamper(store, first)
    assert f"{first}:{seq}" in {name for name, _ in await bad(store)}, await bad(store)


async def test_the_tail_of_the_chain_that_runs_is_guarded_by_its_anchor(store: Store, kept: Audit) -> None:
    await kept.stop()
    last = (await chains(store))[1]
    await store.delete(AUDIT, {"_id": f"{last}:11"})
    assert await bad(store) == [(f"{last}:11", "deleted or cut off")]


# Writing ------------------------------------------------------------------------------------------------------------


async def test_accesses_side_by_side_share_a_group_and_form_one_chain(store: Store, kept: Audit) -> None:
    await asyncio.gather(*(kept.write(look(number)) for number in range(100, 300)))
    await kept.stop()
    assert await bad(store) == []
    assert await store.count(AUDIT, {"who": "nurse-299"}) == 1


async def test_an_access_to_three_children_is_on_each_ones_list(store: Store, kept: Audit) -> None:
    await kept.write(look(500, whose=("child-7", "child-8", "child-9")))
    for child in ("child-7", "child-8", "child-9"):
        assert [one["who"] for one in await accesses_of(store, child, None, 10)] == ["nurse-500"]


async def test_the_list_of_a_child_goes_back_page_by_page(store: Store, kept: Audit) -> None:
    seen: list[str] = []
    before: tuple[str, str] | None = None
    while page := await accesses_of(store, "child-1", before, 7):
        seen += [one["who"] for one in page]
        before = (page[-1]["at"], page[-1]["_id"])
    assert sorted(seen) == sorted(f"nurse-{number}" for number in range(20))
    assert [one["at"] for one in await accesses_of(store, "child-1", None, 20)] == sorted(
        (one["at"] for one in await accesses_of(store, "child-1", None, 20)), reverse=True
    )


async def test_a_row_that_somebody_wrote_ahead_of_us_ends_the_chain_and_loses_nothing(
    store: Store, kept: Audit
) -> None:
    last = (await chains(store))[1]
    head = await row(store, last, 11)
    forged: dict[str, Any] = {**head, "_id": f"{last}:12", "seq": 12, "prev": head["hash"], "who": "forged"}
    await store.insert(AUDIT, {**forged, "hash": GENESIS})
    await kept.write(look(900))
    assert await store.count(AUDIT, {"who": "nurse-900"}) == 1
    assert (f"{last}:12", "edited") in await bad(store)


# The command --------------------------------------------------------------------------------------------------------


async def test_the_command_names_the_bad_row(store: Store, kept: Audit, local_store: Any, tmp_path: Any) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"public": {"gateway": PUBLIC}}))
    database = store._database.name
    asked = ["verify", "--mongo-url", local_store.url, "--database", database, "--keys", str(keys)]
    whole = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert whole.exit_code == 0, whole.output
    first = (await chains(store))[0]
    await _edit(store, first)
    told = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert told.exit_code == 1
    assert f"bad audit row {first}:5: edited" in told.output
