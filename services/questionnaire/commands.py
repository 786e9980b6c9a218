"""One function per verb: load, ask the domain, commit the response with its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NoReturn

from services.questionnaire.domain import responses as rules
from services.questionnaire.domain.access import Caller, check_reads, may_answer_for, may_read, must_be
from services.questionnaire.domain.answers import read_answers
from services.questionnaire.domain.children import KnownChild
from services.questionnaire.domain.forms import Form
from services.questionnaire.domain.responses import Response, Verdict
from services.questionnaire.domain.shown import response_json
from services.questionnaire.store import Library, child_of, keep_response, response_of, responses_of_child
from shared.clock import Clock, tokyo_day
from shared.documents import Command, Document, Documents
from shared.problems import NotFound, invalid
from shared.store import Doc
from shared.waiting import FRESH_WAIT_S, until

Given = Sequence[tuple[str, Any]]
"""Answers as they came: (link id, value)."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands work with."""

    responses: Documents
    children: Documents
    library: Library
    clock: Clock

    @property
    def today(self) -> date:
        """The civil day in Tokyo."""
        return self.clock.today()

    @property
    def now(self) -> datetime:
        """The instant, UTC."""
        return self.clock.now()


@dataclass(frozen=True, slots=True)
class Sight:
    """A response as one caller may see it, with what is needed to show it."""

    id: str
    response: Response
    form: Form
    child: KnownChild


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new response is for. `version`: the one in force today unless said."""

    child: str
    form: str
    version: str | None = None
    vaccine: str | None = None
    clinic: str | None = None
    answers: tuple[tuple[str, Any], ...] | None = None


# Reading ----------------------------------------------------------------------------------------------------------


async def child_for(desk: Desk, caller: Caller, child: str, revision: int = 0) -> KnownChild:
    """The child, if this caller may answer for it; NotFound else, the same for «not there» and «not yours».

    With a revision that the caller has seen elsewhere (Hagukumi-Revision) a refusal comes only after the bounded wait, so that
    it says nothing about whether the child exists, and a guardian who was bound a moment ago is let in.
    """
    known: KnownChild | None = None

    async def may() -> bool:
        nonlocal known
        doc = await desk.children.load(child)
        if doc is None or not doc.state or doc.read_to("records.child", child) < revision:
            return False
        known = child_of(doc.state)
        return may_answer_for(caller, known, desk.today)

    wait = FRESH_WAIT_S if revision else 0.0
    if not await until(may, wait, lambda: desk.children.next_commit(child)) or known is None:
        raise NotFound
    return known


async def see(desk: Desk, caller: Caller, response_id: str) -> tuple[Sight, Document]:
    """One response and its document, if this caller may read it."""
    doc = await desk.responses.load(response_id)
    if doc is None:
        raise NotFound
    response = response_of(doc.state)
    known = await _bearer(desk, response.child)
    check_reads(caller, known, response, desk.today)
    return Sight(doc.id, response, desk.library.of(response), known), doc


async def _bearer(desk: Desk, child_id: str) -> KnownChild:
    """Whose response it is now: merges and separations took it from one record to another. Raises NotFound."""
    closed = child_id
    while True:
        doc = await desk.children.load(child_id)
        if doc is None or not doc.state:
            raise NotFound
        child = child_of(doc.state)
        into = child.merged_into or child.restored.get(closed)
        if into is None:
            return child
        closed, child_id = child_id if child.merged_into else closed, into


async def see_all(desk: Desk, caller: Caller, child_id: str, revision: int = 0) -> list[Sight]:
    """Every response for the child that this caller may read, newest first."""
    child = await child_for(desk, caller, child_id, revision)
    return [
        Sight(response_id, response, desk.library.of(response), child)
        for one in (child_id, *sorted(child.others))
        for response_id, response in await responses_of_child(desk.responses, one)
        if may_read(caller, child, response, desk.today)
    ]


# Writing ----------------------------------------------------------------------------------------------------------


async def begin(
    desk: Desk, caller: Caller, wanted: Beginning, language: str, command: Command, revision: int = 0
) -> tuple[Doc, Document]:
    """Begin a draft, prefilled with what the family said last time and seldom changes."""
    must_be(caller, "guardian", "clinic")
    child = await child_for(desk, caller, wanted.child, revision)
    form = _form(desk, wanted)
    response = Response(
        child=wanted.child,
        form=form.id,
        version=form.version,
        language=language,
        begun_on=desk.now,
        begun_by=caller.subject,
        begun_at=caller.organisation if caller.role == "clinic" else None,
        clinic=wanted.clinic or (caller.organisation if caller.role == "clinic" else None),
    )
    _for_vaccine(desk, response, form, wanted)
    if caller.role == "clinic" and response.clinic != caller.organisation:
        _refuse_clinic()
    await _prefill(desk, response, form, child)
    if wanted.answers is not None:
        given = read_answers(form, wanted.answers, today=desk.today, born=child.birth_date)
        rules.write(response, {**response.answers, **given})

    def decide(doc: Document) -> Doc:
        doc.tenant = child.municipality
        keep_response(doc, response)
        return _shown(desk, doc, response, form, child, language)

    return await desk.responses.create(command.id, decide, command)


def _shown(desk: Desk, doc: Document, response: Response, form: Form, child: KnownChild, language: str) -> Doc:
    return response_json(doc.id, response, form, child, today=desk.today, language=language)


def _refuse_clinic() -> NoReturn:
    raise invalid(
        "/clinic",
        "not-yours",
        "自院以外の医療機関は指定できません。",
        "A clinic begins questionnaires for itself only.",
    )


def _form(desk: Desk, wanted: Beginning) -> Form:
    form = desk.library.find(wanted.form, wanted.version, desk.today)
    if form is None:
        raise invalid("/form", "unknown", "この様式はありません。", "There is no such form.")
    if not form.in_force(desk.today) or form.wording != "ours":
        raise invalid("/version", "not-in-force", "この版は現在使われていません。", "This version is not in use today.")
    return form


def _for_vaccine(desk: Desk, response: Response, form: Form, wanted: Beginning) -> None:
    if not form.vaccine_needed:
        if wanted.vaccine is not None:
            raise invalid(
                "/vaccine",
                "not-asked",
                "この様式はワクチンのためのものではありません。",
                "This form is for no vaccine.",
            )
        return
    if wanted.vaccine is None:
        raise invalid(
            "/vaccine", "required", "どのワクチンのための予診票かを指定してください。", "Say for which vaccine it is."
        )
    vaccine = desk.library.vaccines.find(wanted.vaccine)
    if vaccine is None:
        raise invalid(
            "/vaccine", "unknown", "このワクチンのコードは知られていません。", "This vaccine code is not known."
        )
    response.vaccine, response.family = vaccine.code, vaccine.family


async def _prefill(desk: Desk, response: Response, form: Form, child: KnownChild) -> None:
    earlier = [
        (one.submission.at, response_id, one)
        for response_id, one in await responses_of_child(desk.responses, response.child)
        if one.form == form.id and one.submission is not None and one.status != "withdrawn"
    ]
    if not earlier:
        return
    _, _, last = max(earlier, key=lambda one: one[:2])
    response.answers = rules.carried_over(
        form, last, response.filled(form, child), today=desk.today, born=child.birth_date
    )
    response.prefilled = set(response.answers)


async def answer(
    desk: Desk, caller: Caller, response_id: str, given: Given, language: str, if_match: str | None
) -> tuple[Doc, Document]:
    """Replace a draft's answers. Wrong types and ranges are refused here, what is missing at the submission."""
    must_be(caller, "guardian", "clinic")
    sight, _ = await see(desk, caller, response_id)

    def decide(doc: Document) -> Doc:
        response = response_of(doc.state)
        # State before content: a submitted response says so, whatever is wrong with the answers.
        rules.write(response, response.answers)
        rules.write(response, read_answers(sight.form, given, today=desk.today, born=sight.child.birth_date))
        keep_response(doc, response)
        return _shown(desk, doc, response, sight.form, sight.child, language)

    return await desk.responses.change(response_id, decide, if_match=if_match, match_required=True)


async def submit(
    desk: Desk, caller: Caller, response_id: str, language: str | None, command: Command | None
) -> tuple[Doc, Document]:
    """Hand it in: complete or refused with every place that is missing."""
    must_be(caller, "guardian", "clinic")
    sight, _ = await see(desk, caller, response_id)

    def decide(doc: Document) -> Doc:
        response = response_of(doc.state)
        doc.tenant = sight.child.municipality
        events = rules.submit(
            response,
            sight.form,
            sight.child,
            by=caller.subject,
            language=language or response.language,
            now=desk.now,
            today=desk.today,
        )
        keep_response(doc, response)
        for event in events:
            doc.emit(event, desk.now)
        return _shown(desk, doc, response, sight.form, sight.child, language or response.language)

    return await desk.responses.change(response_id, decide, command)


async def decide(
    desk: Desk,
    caller: Caller,
    response_id: str,
    *,
    verdict: Verdict,
    explained: bool,
    note_code: str | None,
    temperature_c: float | None,
    language: str,
    command: Command | None,
) -> tuple[Doc, Document]:
    """Record the doctor's decision."""
    must_be(caller, "clinic")
    sight, _ = await see(desk, caller, response_id)

    def settle(doc: Document) -> Doc:
        response = response_of(doc.state)
        submission = response.submission
        event = rules.decide(
            response,
            sight.form,
            verdict=verdict,
            explained=explained,
            organisation=caller.organisation or "",
            by=caller.subject,
            now=desk.now,
            same_day=submission is not None and tokyo_day(submission.at) == desk.today,
            note_code=note_code,
            temperature_c=temperature_c,
        )
        keep_response(doc, response)
        doc.emit(event, desk.now)
        return _shown(desk, doc, response, sight.form, sight.child, language)

    return await desk.responses.change(response_id, settle, command)


async def withdraw(
    desk: Desk, caller: Caller, response_id: str, reason: str, language: str, command: Command | None
) -> tuple[Doc, Document]:
    """The guardian takes it back."""
    must_be(caller, "guardian")
    sight, _ = await see(desk, caller, response_id)

    def settle(doc: Document) -> Doc:
        response = response_of(doc.state)
        event = rules.withdraw(
            response,
            by=caller.subject,
            reason=reason,
            now=desk.now,
            doses=sight.child.doses.values(),
            vaccines=desk.library.vaccines,
            decided_on=tokyo_day(response.decision.at) if response.decision is not None else None,
        )
        keep_response(doc, response)
        doc.emit(event, desk.now)
        return _shown(desk, doc, response, sight.form, sight.child, language)

    return await desk.responses.change(response_id, settle, command)
