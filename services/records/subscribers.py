"""What records listens to: submitted questionnaires, and the directory of organisations."""

from collections.abc import Sequence

from pydantic import ValidationError

from services.records.commands.filing import file_questionnaire
from services.records.commands.records import Records
from shared.context import set_cause
from shared.delivery import Each
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.gateway import ClinicChanged, ClinicRegistered, DirectoryEvent, MunicipalityOpened
from shared.events.questionnaire import QuestionnaireSubmitted, ResponseEvent
from shared.problems import NotFound
from shared.runtime import Runtime
from shared.views import View

SUBMITTED = QuestionnaireSubmitted.event_type()


def subscribe(runtime: Runtime, records: Records) -> None:
    """Wire every subscription."""
    runtime.follow(ResponseEvent.topic(), Each("questionnaires", lambda batch: file_all(records, batch)))
    runtime.follow(
        DirectoryEvent.topic(),
        View(
            records.organisations,
            {MunicipalityOpened: municipality_opened, ClinicRegistered: clinic_listed, ClinicChanged: clinic_listed},
        ),
    )


async def file_all(records: Records, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """File every submitted questionnaire of a batch; what can never be filed comes back with its reason.

    The event is about the response, the effect is on the child: filing is idempotent by the event's id, so that a
    repeat or a second reader of the partition files nothing twice (R9).
    """
    refused: list[tuple[Envelope, str]] = []
    for envelope in batch:
        if envelope.type.rpartition(".v")[0] != SUBMITTED.rpartition(".v")[0]:
            continue
        if envelope.type != SUBMITTED:
            refused.append((envelope, "major-version-unknown"))
            continue
        try:
            submitted = QuestionnaireSubmitted.model_validate_json(envelope.data)
        except ValidationError:
            refused.append((envelope, "schema-broken"))
            continue
        set_cause(envelope)
        try:
            await file_questionnaire(records, envelope.subject, submitted, envelope.id)
        except NotFound:
            refused.append((envelope, "child-unknown"))
    return refused


def municipality_opened(doc: Document, event: MunicipalityOpened, envelope: Envelope) -> None:
    doc.state.update({"kind": "municipality", "name": event.name})


def clinic_listed(doc: Document, event: ClinicRegistered | ClinicChanged, envelope: Envelope) -> None:
    doc.state.update({"kind": "clinic", "name": event.name, "municipality": event.municipality})
