"""Pregnancies: notified, followed, ended; a birth opens the children's records as a saga (protocol W5).

The outcome is committed first, with all that the children's records open with: from then on nothing else may be written.
Then each child's record is opened under an id that follows from the pregnancy, then the end is told. Whoever finds a birth half
done goes on from the pregnancy's own document: each step that was done does nothing again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

from services.records import store as kept
from services.records.commands.family import directory_kind
from services.records.commands.records import Records, told
from services.records.domain import pregnancy as rules
from services.records.domain.access import Caller, Verb, check_role
from services.records.domain.pregnancy import Pregnancy
from services.records.domain.record import opened
from shared.documents import Command, Document
from shared.events.records import PregnancyEvent
from shared.ids import is_municipality_code
from shared.problems import Conflict, NotFound, invalid
from shared.store import Doc

STREAM = PregnancyEvent.stream
LOOK_EVERY_S = 5.0
LEFT_BEHIND_AFTER = timedelta(seconds=10)
Facts = Callable[[Pregnancy], Iterable[PregnancyEvent]]


def _tell(doc: Document, pregnancy: Pregnancy, events: Iterable[PregnancyEvent], now: datetime) -> int:
    for event in events:
        rules.apply(pregnancy, event)
        # From a move on, events are the new town's.
        doc.tenant = pregnancy.municipality
        doc.emit(event, now)
    doc.tenant = pregnancy.municipality
    kept.pregnancies.keep_pregnancy(doc, pregnancy)
    return doc.heads.get(f"{STREAM.replace('.', '/')}:{doc.id}", 0)


async def notify(
    records: Records, caller: Caller, woman: str | None, municipality: str, expected: date, command: Command
) -> tuple[Doc, Document]:
    """Notify a pregnancy; its id is the command's, so that notifying twice is notifying once."""
    check_role(caller, "notify_pregnancy")
    whose = woman or (caller.subject if caller.role == "guardian" else None)
    if whose is None:
        raise invalid("/guardian", "missing", "届出をした本人を指定してください。", "Name the woman.")
    pregnancy, events = rules.notify(whose, municipality, expected, caller, records.today)
    await _town(records, municipality, "/municipality")
    await _only_one(records, whose, command)

    def decide(doc: Document) -> Doc:
        revision = _tell(doc, pregnancy, events, records.now)
        answer = {"id": doc.id, "confirmed": pregnancy.confirmed, "revision": revision}
        kept.children.remember_made(doc, command, answer)
        return answer

    return await records.pregnancies.create(command.id, decide, command)


async def _town(records: Records, municipality: str, pointer: str) -> None:
    town = await records.organisations.load(municipality)
    if town is None or town.state.get("kind") != "municipality":
        raise invalid(pointer, "organisation-unknown", "この市区町村は登録されていません。", "This town is not known.")


async def _only_one(records: Records, woman: str, command: Command) -> None:
    """Raise Invalid while another pregnancy of hers is under way: it would be followed, and told of, twice."""
    for doc in await kept.pregnancies.pregnancies_of(records.store, "woman", woman):
        if doc.id != command.id and kept.pregnancies.pregnancy_of(doc).ended is None:
            raise invalid(
                "/guardian", "already-notified", "すでに届出があります。", "A pregnancy of hers is under way already."
            )


async def announce_move(
    records: Records, caller: Caller, pregnancy: str, town: str, command: Command
) -> tuple[Doc, Document]:
    """Say where the woman lives from now on; the new town confirms it."""
    check_role(caller, "follow_pregnancy")
    if is_municipality_code(town):
        await _town(records, town, "/to_municipality")
    return await record(
        records,
        caller,
        pregnancy,
        lambda found: rules.announce_move(found, town, caller),
        command,
        {"id": pregnancy, "to_municipality": town},
        verb="follow_pregnancy",
    )


async def lend(
    records: Records, caller: Caller, pregnancy: str, organisation: str, until: date, command: Command | None
) -> tuple[Doc, Document]:
    """Lend the record to a clinic or a town; where to find it is said first: a row without a consent leads nowhere."""
    check_role(caller, "lend_pregnancy")
    doc = await records.pregnancies.load(pregnancy)
    if doc is None:
        raise NotFound
    rules.check(kept.pregnancies.pregnancy_of(doc), caller)
    kind = await directory_kind(records, organisation)
    await kept.pregnancies.name_reader(records.store, organisation, pregnancy)
    return await record(
        records,
        caller,
        pregnancy,
        lambda found: rules.lend(found, organisation, kind, until, caller, records.today),
        command,
        {"id": pregnancy, "organisation": organisation},
        verb="lend_pregnancy",
    )


async def record(
    records: Records,
    caller: Caller,
    pregnancy: str,
    facts: Facts,
    command: Command | None,
    answer: Doc,
    *,
    verb: Verb,
) -> tuple[Doc, Document]:
    """Let facts change the pregnancy; the same command never does it twice."""
    check_role(caller, verb)

    def decide(doc: Document) -> Doc:
        known = kept.children.made_before(doc, command) if command is not None else None
        if known is not None:
            return known
        found = kept.pregnancies.pregnancy_of(doc)
        events = facts(found)
        if kept.pregnancies.birth_of(doc) is not None:
            raise Conflict("Its outcome is being recorded.")
        given = {**answer, "revision": _tell(doc, found, events, records.now)}
        if command is not None:
            kept.children.remember_made(doc, command, given)
        return given

    return await records.pregnancies.change(pregnancy, decide, command)


async def end(
    records: Records, caller: Caller, pregnancy: str, wished: Callable[[str], rules.EndWish], command: Command
) -> tuple[Doc, Document]:
    """Record how it ended, as wished for children of that town; the children of a birth have their records when this answers."""
    check_role(caller, "follow_pregnancy")
    doc = await records.pregnancies.load(pregnancy)
    if doc is None:
        raise NotFound
    rules.check(kept.pregnancies.pregnancy_of(doc), caller)
    saga = {"_id": command.id, "kind": "birth", "pregnancy": pregnancy, "at": datetime.now(UTC)}

    def decide(doc: Document) -> Doc:
        if kept.children.made_before(doc, command) is not None:
            return {}
        birth = kept.pregnancies.birth_of(doc)
        if birth is not None:
            if birth[2].id == command.id:
                return {}
            raise Conflict("Its outcome is being recorded.")
        found = kept.pregnancies.pregnancy_of(doc)
        wish = wished(found.municipality)
        children = rules.births(found, wish, caller, pregnancy_id=pregnancy, today=records.today)
        kept.pregnancies.begin_birth(doc, children, rules.end(wish, list(children), caller), command)
        return {}

    # Before the first step: a crash at any point is found by it.
    await kept.merging.begin_saga(records.store, saga)
    try:
        await records.pregnancies.change(pregnancy, decide)
    except Conflict:
        raise
    except Exception:
        await kept.merging.end_saga(records.store, command.id)
        raise
    await run(records, saga)
    doc = await records.pregnancies.load(pregnancy)
    known = kept.children.made_before(doc, command) if doc is not None else None
    if doc is None or known is None:
        raise Conflict
    return known, doc


async def run(records: Records, saga: Doc) -> None:
    """Do what is left of a birth, or a loss: open the children's records, tell the end."""
    doc = await records.pregnancies.load(saga["pregnancy"])
    birth = kept.pregnancies.birth_of(doc) if doc is not None else None
    if birth is not None:
        children, ended, command = birth
        for child, (first, second) in children.items():

            def open_record(doc: Document, first: object = first, second: object = second) -> Doc:
                record = opened(first)  # type: ignore[arg-type]
                doc.tenant = record.facts.municipality
                doc.emit(first, records.now)  # type: ignore[arg-type]
                told(doc, record, [second], records.now)  # type: ignore[list-item]
                return {}

            with contextlib.suppress(Conflict):  # it has its record already
                await records.children.create(child, open_record)

        def tell_the_end(doc: Document) -> Doc:
            if kept.pregnancies.birth_of(doc) is None:
                return {}
            kept.pregnancies.end_birth(doc)
            revision = _tell(doc, kept.pregnancies.pregnancy_of(doc), [ended], records.now)
            answer = {"id": doc.id, "outcome": ended.outcome, "children": list(ended.children), "revision": revision}
            kept.children.remember_made(doc, command, answer)
            return {}

        await records.pregnancies.change(saga["pregnancy"], tell_the_end)
    await kept.merging.end_saga(records.store, saga["_id"])


async def resume(records: Records, *, older_than: timedelta = LEFT_BEHIND_AFTER) -> int:
    """Go on with births that a process left half done; how many there were."""
    left = await kept.merging.sagas_before(records.store, datetime.now(UTC) - older_than)
    births = [saga for saga in left if saga["kind"] == "birth"]
    for saga in births:
        await run(records, saga)
    return len(births)


async def birth_keeper(records: Records) -> None:
    """Look every few seconds."""
    await resume(records)
    await asyncio.sleep(LOOK_EVERY_S)


def shown(doc: Document, caller: Caller) -> Doc:
    """A pregnancy as its readers see it; to whom she lends it is hers and her town's to know."""
    found = kept.pregnancies.pregnancy_of(doc)
    ended = found.ended
    lent = [
        {"organisation": key, **one.model_dump(mode="json", include={"kind", "until"})}
        for key, one in sorted(found.consents.items())
    ]
    return {
        **_line(doc, found),
        "checkups": [
            {"id": key, **one.model_dump(mode="json", exclude_none=True, exclude={"by", "checkup_id"})}
            for key, one in sorted(found.checkups.items(), key=lambda item: (item[1].done_on, item[0]))
        ],
        "doses": [one.model_dump(mode="json", exclude_none=True) for _, one in sorted(found.doses.items())],
        **({"consents": lent} if caller.role != "clinic" else {}),
        **(ended.model_dump(mode="json", include={"outcome", "ended_on", "children"}) if ended is not None else {}),
    }


def _line(doc: Document, found: Pregnancy) -> Doc:
    return {
        "id": doc.id,
        "municipality": found.municipality,
        "expected_delivery": found.expected.isoformat(),
        "confirmed": found.confirmed,
        "silenced": found.ended is not None and found.ended.outcome == "loss",
        **({"moving_to": found.moving_to} if found.moving_to is not None else {}),
    }


async def read(records: Records, caller: Caller, pregnancy: str) -> Doc:
    """One pregnancy; raises Forbidden, NotFound."""
    check_role(caller, "treat_pregnancy")
    doc = await records.pregnancies.load(pregnancy)
    if doc is None:
        raise NotFound
    rules.check_treating(kept.pregnancies.pregnancy_of(doc), caller, records.today)
    return shown(doc, caller)


async def listed(records: Records, caller: Caller) -> list[Doc]:
    """The woman's own pregnancies; a town's, with those that are to move there; and what is lent to the town or the clinic."""
    check_role(caller, "treat_pregnancy")
    store = records.store
    if caller.role == "guardian":
        docs = await kept.pregnancies.pregnancies_of(store, "woman", caller.subject)
    else:
        docs = await kept.pregnancies.lent_pregnancies(store, caller.acts_for or "")
        docs = [doc for doc in docs if rules.is_lent(kept.pregnancies.pregnancy_of(doc), caller, records.today)]
        if caller.municipality is not None:
            for field in ("municipality", "moving_to"):
                docs += await kept.pregnancies.pregnancies_of(store, field, caller.municipality)
    lines = {doc.id: _line(doc, kept.pregnancies.pregnancy_of(doc)) for doc in docs}
    return sorted(lines.values(), key=lambda line: (line["expected_delivery"], line["id"]))
