"""Reads wait, bounded, until the gateway's own views have what the caller wrote; writes that relate people to a child do so too."""

from collections.abc import Callable, Sequence

from services.gateway import store as kept
from services.gateway.commands.passage import Passage
from shared.documents import Document, Documents, mark
from shared.problems import Busy
from shared.store import Doc
from shared.waiting import FRESH_WAIT_S, until
from shared.web import revisions_of

RELATED_WAIT_S = 2.0


async def fresh_plan(passage: Passage, plans: Documents) -> Document:
    """The child's plan, once it has seen what the caller wrote; Busy when it does not come, or there is none yet."""
    child = passage.child or ""
    wanted = _plan_revision(passage)
    found = await plans.load(child)

    async def there() -> bool:
        # The plan itself is large: while it is waited for it is not read.
        row = await plans.store.get(plans.collection, child, ["state.based_on", "state.plan_revision"])
        state = row.get("state", {}) if row is not None else {}
        return "plan_revision" in state and _seen(state, child) >= wanted

    if found is None or "plan" not in found.state or _seen(found.state, child) < wanted:
        if not await until(there, FRESH_WAIT_S, lambda: plans.next_commit(child)):
            raise Busy
        found = await plans.load(child)
    if found is None or "plan" not in found.state:
        raise Busy
    return found


def _plan_revision(passage: Passage) -> int:
    """The revision of the record that the plan must have seen: not every event of the record changes a plan."""
    written = passage.fresh.get(("records.child", passage.child or ""), 0)
    relevant: int = passage.about.state.get("plan_relevant", 0)
    return min(written, relevant) if written else 0


def _seen(state: Doc, child: str) -> int:
    seen: int = state.get("based_on", {}).get(mark("records.child", child), 0)
    return seen


async def in_force(passage: Passage, children: Documents, revision_header: str, losing: Sequence[str] = ()) -> None:
    """Answer a write that relates or unrelates somebody only when the gateway's own view knows it.

    A permission that was taken away from those `losing` it is acknowledged when the view that every replica reads has
    it, and when a clinic's feed has ended (G12); else Busy: safe to repeat.
    """
    revokes = passage.row.revokes
    written = {
        subject: n for (stream, subject), n in revisions_of(revision_header).items() if stream == "records.child"
    }
    for child, revision in written.items():

        async def holds(child: str = child, revision: int = revision) -> bool:
            record = await children.load(child)
            return record is not None and (_ended(losing, revision) if revokes else _derived(revision))(record)

        if not await until(holds, FRESH_WAIT_S if revokes else RELATED_WAIT_S) and revokes:
            raise Busy


def _derived(revision: int) -> Callable[[Document], bool]:
    """The view has it, and so do the lists that follow from it."""
    return lambda record: (
        record.read_to("records.child", record.id) >= revision and record.loaded.get("derive_at") is None
    )


def _ended(losing: Sequence[str], revision: int) -> Callable[[Document], bool]:
    clinics = [reader.removeprefix("clinic:") for reader in losing if reader.startswith("clinic:")]
    return lambda record: (
        _derived(revision)(record) and all(kept.feed_ended(record, clinic, revision=revision) for clinic in clinics)
    )


async def fresh_list(passage: Passage, children: Documents, mine: Callable[[Document], bool]) -> None:
    """Wait until the caller's own writes are in the lists. Nobody waits for a child that is not theirs: that would tell."""
    for (stream, child), revision in list(passage.fresh.items())[:20]:
        if stream != "records.child":
            continue
        known = _derived(revision)

        async def holds(child: str = child, known: Callable[[Document], bool] = known) -> bool:
            record = await children.load(child)
            return record is None or not mine(record) or known(record)

        if not await until(holds, FRESH_WAIT_S):
            raise Busy
