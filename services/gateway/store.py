"""Documents <-> domain objects; the only file that names the gateway's collections.

Views (rebuilt from the owners' history): `children` (except its `feeds`, `held` and stream heads), `access` (derived from it),
`feed_ends` (derived from it), `doses` (whose dose it is), `plans`. Primary (never rebuilt): `directory`, `places`, `intake`, `clock`, `sessions`, and the audit's (shared/audit.py).
"""

from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path

import yaml

from services.gateway.domain import child_view
from services.gateway.domain.policy import Policy
from services.gateway.domain.residence import Ledger
from shared.documents import Document, Documents
from shared.ids import derived_id
from shared.runtime import Runtime
from shared.store import Doc, Store
from shared.views import Derived

CHILDREN = "children"
ACCESS = "access"
PLANS = "plans"
DIRECTORY = "directory"
PLACES = "places"
SESSIONS = "sessions"
FEED_ENDS = "feed_ends"
INTAKE = "intake"
CLOCK = "clock"
DOSES = "doses"
POLICY = Path(__file__).with_name("policy")


def plans_of(runtime: Runtime) -> Documents:
    """The view of plans; each plan is one text, for it is only ever read whole."""
    return runtime.documents(PLANS, as_text=("plan",))


@cache
def load_policy() -> Policy:
    """The policy files, checked against their schema; raises PolicyBroken."""
    files = {path.name: path.read_text(encoding="utf-8") for path in POLICY.glob("*.cedar")}
    return Policy(files, (POLICY / "hagukumi.cedarschema").read_text(encoding="utf-8"))


def load_ledgers() -> tuple[Ledger, ...]:
    """What towns keep of children who moved away; raises TypeError for a file that does not fit."""
    rows = yaml.safe_load((POLICY / "kept_after_move.yaml").read_text(encoding="utf-8"))["ledgers"]
    return tuple(Ledger.of(row) for row in rows)


# Who may find which child -----------------------------------------------------------------------------------------


def access_rows(doc: Document) -> dict[str, Doc]:
    """One row for each reader of a child: `guardian:<id>`, `clinic:<id>`, `municipality:<code>`, with its last day."""
    return {
        derived_id("access", reader, doc.id): {"reader": reader, "child": doc.id, "until": until}
        for reader, until in child_view.readers(doc.state).items()
    }


async def children_of(store: Store, reader: str, today: date, after: str, limit: int) -> list[str]:
    """The ids of the children that this reader may find today, in order, behind `after`: one more than `limit` if there are."""
    found: list[str] = []
    while len(found) <= limit:
        # Rows that ended stay in the index for a while: read on until the page is full.
        rows = await store.find(
            ACCESS,
            {"reader": reader, "child": {"$gt": after, "$lt": "~"}},
            sort=[("child", 1)],
            limit=limit + 1,
            fields=["child", "until", "gone"],
        )
        found += [
            row["child"]
            for row in rows
            if not row["gone"] and (row.get("until") is None or row["until"] >= today.isoformat())
        ]
        if len(rows) <= limit:
            break
        after = rows[-1]["child"]
    return found[: limit + 1]


async def ensure_indexes(store: Store) -> None:
    """The indexes that only the gateway needs."""
    await store.ensure_index(CHILDREN, ["state.held_at"], where={"state.held_at": {"$gte": ""}})


async def children_with_holds(store: Store) -> list[str]:
    """The children of whom somebody is being refused."""
    rows = await store.find(CHILDREN, {"state.held_at": {"$gte": "", "$lt": "~"}}, fields=["_id"])
    return [row["_id"] for row in rows]


async def name_doses(store: Store, doses: dict[str, str]) -> None:
    """Remember whose these doses are: dose -> child. That never changes, so saying it twice is saying it once."""
    await store.insert_many(DOSES, [{"_id": dose, "child": child} for dose, child in doses.items()])


async def child_of_dose(store: Store, dose: str) -> str | None:
    """The child whose dose it is."""
    row = await store.get(DOSES, dose)
    return row["child"] if row is not None else None


async def bearer_of(children: Documents, closed: Document) -> tuple[Document | None, str]:
    """(the record that stands for a closed one now, the closed record under whose name it came there)."""
    name, record = closed.id, await children.load(closed.state["merged_into"])
    while record is not None:
        if (restored := record.state.get("restored", {}).get(name)) is not None:
            record = await children.load(restored)
        elif (into := record.state.get("merged_into")) is not None:
            name, record = record.id, await children.load(into)
        else:
            break
    return record, name


async def names_of(children: Documents, record: Document) -> list[str]:
    """The ids under which this child was ever known: its own, and those of closed records that it stands for."""
    found, ahead = [record.id], list(record.state.get("merged", ()))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.append(name)
            closed = await children.load(name)
            ahead += closed.state.get("merged", ()) if closed is not None else ()
    return found


async def closed_among(store: Store, children: Iterable[str]) -> set[str]:
    """Those of these records that became part of another one."""
    docs = await store.get_many(CHILDREN, children, ["state.merged_into"])
    return {key for key, doc in docs.items() if doc.get("state", {}).get("merged_into")}


async def bearer_of_dose(children: Documents, child: str, dose: str) -> Document | None:
    """The record that has a dose now: merges and separations took it from one to another."""
    closed, record = child, await children.load(child)
    while record is not None and (into := record.state.get("merged_into")) is not None:
        closed, record = record.id, await children.load(into)
    restored = record.state.get("restored", {}).get(closed) if record is not None else None
    if record is not None and restored is not None and dose not in record.state.get("doses", {}):
        return await children.load(restored)
    return record


# Clinic feeds -----------------------------------------------------------------------------------------------------


def feed_end_rows(doc: Document) -> dict[str, Doc]:
    """One row for each open feed whose consent has a last day: an index of what ends when."""
    consents = doc.state.get("consents", {})
    return {
        f"{clinic}:{doc.id}": {"child": doc.id, "until": consents[clinic]["until"]}
        for clinic, feed in doc.state.get("feeds", {}).items()
        if feed["open"] and consents.get(clinic, {}).get("until")
    }


async def children_with_ended_consent(store: Store, today: date) -> list[str]:
    """The children of whom some open feed's consent had its last day before today."""
    rows = await store.find(FEED_ENDS, {"until": {"$gte": "", "$lt": today.isoformat()}}, fields=["child", "gone"])
    return sorted({row["child"] for row in rows if not row["gone"]})


async def registered_clinics(store: Store, clinics: Iterable[str]) -> set[str]:
    """Those of these that are in the directory as clinics, and so have a topic."""
    docs = await store.get_many(DIRECTORY, clinics, ["state.kind"])
    return {key for key, doc in docs.items() if doc["state"]["kind"] == "clinic"}


async def organisations(store: Store, kind: str) -> list[Doc]:
    """The states of every municipality or clinic."""
    return [doc["state"] for doc in await store.find(DIRECTORY, {"state.kind": kind}, fields=["state"])]


async def places_of(store: Store, municipality: str) -> list[Doc]:
    """The states of a town's places, the closed ones too."""
    return [doc["state"] for doc in await store.find(PLACES, {"state.municipality": municipality}, fields=["state"])]


def feed_ended(doc: Document, clinic: str, *, revision: int) -> bool:
    """Whether the child's withdrawal at `revision` has reached the clinic's topic: the end marker is published (D5)."""
    feed = doc.state.get("feeds", {}).get(clinic)
    waiting = {entry["stream"] for entry in doc.loaded.get("outbox", ())}
    return (
        doc.read_to("records.child", doc.id) >= revision
        and (feed is None or not feed["open"])
        and f"clinic.{clinic}" not in waiting
    )


CHILD_DERIVED = (
    Derived(ACCESS, access_rows, (("reader", "child"),)),
    Derived(FEED_ENDS, feed_end_rows, (("until",),)),
)
