"""What every command of the record needs, and how facts become a commit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from joserfc.jwk import ECKey

from services.records import store as kept
from services.records.domain.access import Caller, Verb, check_role
from services.records.domain.record import Record, apply
from shared.auth import Principal
from shared.documents import Command, Document, Documents
from shared.events.records import ChildEvent
from shared.files import Files
from shared.store import Doc, Store

STREAM = ChildEvent.stream
Facts = Callable[[Record], Iterable[ChildEvent]]


@dataclass(frozen=True, slots=True)
class Records:
    """The service's documents and files, and the secret from which guardian codes are drawn."""

    children: Documents
    organisations: Documents
    diary: Documents
    imports: Documents
    pregnancies: Documents
    files: Files
    import_files: Files
    secret: bytes
    handbook_key: ECKey | None = None

    @property
    def store(self) -> Store:
        """The service's store."""
        return self.children.store

    @property
    def today(self) -> date:
        """The civil day in Tokyo."""
        return self.children.clock.today()

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.children.clock.now()


def caller_of(principal: Principal) -> Caller:
    """The caller as the domain knows callers."""
    return Caller(principal.subject, principal.role, principal.organisation, principal.municipality)


def told(doc: Document, record: Record, events: Iterable[ChildEvent], now: datetime) -> int:
    """Let the facts change the record, announce them, keep it; the head of the child's stream comes back."""
    for event in events:
        apply(record, event)
        # From a move on, events are the new town's.
        doc.tenant = record.facts.municipality
        doc.emit(event, now)
    kept.children.keep(doc, record)
    return head(doc)


def head(doc: Document) -> int:
    """The last revision of this child's stream."""
    return doc.heads.get(f"{STREAM.replace('.', '/')}:{doc.id}", 0)


async def add_entry(
    records: Records,
    caller: Caller,
    verb: Verb,
    child: str,
    facts: Facts,
    command: Command,
    answer: Doc | None = None,
) -> tuple[Doc, Document]:
    """Add an entry whose id is the command's: the same command never makes a second one.

    A role that may never do it is refused before the child is looked at. The answer says the entry's id and whose word
    it is, unless another one is given.
    """
    check_role(caller, verb)
    answer = answer if answer is not None else {"id": command.id, "provenance": caller.provenance}

    def decide(doc: Document) -> Doc:
        known = kept.children.made_before(doc, command)
        if known is not None:
            return known
        record = kept.children.record_of(doc)
        revision = told(doc, record, facts(record), records.now)
        given = {**answer, "revision": revision}
        kept.children.remember_made(doc, command, given)
        return given

    return await records.children.change(child, decide, command)


async def change_entry(
    records: Records,
    caller: Caller,
    verb: Verb,
    child: str,
    facts: Facts,
    answer: Doc,
    command: Command | None,
    *,
    if_match: str | None = None,
    match_required: bool = False,
) -> tuple[Doc, Document]:
    """Change the record; under a key the same request gets the same answer."""
    check_role(caller, verb)

    def decide(doc: Document) -> Doc:
        record = kept.children.record_of(doc)
        revision = told(doc, record, facts(record), records.now)
        return {**answer, "revision": revision}

    return await records.children.change(child, decide, command, if_match=if_match, match_required=match_required)
