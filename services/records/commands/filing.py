"""File what questionnaire announced in the child's record; the answers stay there."""

from services.records import store as kept
from services.records.commands.records import Records, told
from shared.documents import Command, Document
from shared.events.questionnaire import QuestionnaireSubmitted
from shared.events.records import QuestionnaireFiled
from shared.ids import derived_id
from shared.store import Doc


async def file_questionnaire(records: Records, response: str, submitted: QuestionnaireSubmitted, event_id: str) -> None:
    """File a submitted questionnaire once, however often the event comes. Raises NotFound for a child that is not there."""

    def decide(doc: Document) -> Doc:
        record = kept.children.record_of(doc)
        filed = QuestionnaireFiled(
            response_id=response,
            form=submitted.form,
            form_version=submitted.form_version,
            submitted_at=submitted.submitted_at,
        )
        known = record.questionnaires.get(response)
        told(doc, record, [] if known == filed else [filed], records.now)
        return {}

    child = submitted.child
    while (doc := await records.children.load(child)) is not None and (
        into := kept.merging.stands_for(doc)
    ) is not None:
        # It was begun for a record that became part of another one meanwhile, or was taken out of it again.
        child = into
    await records.children.change(child, decide, Command(derived_id("filed", event_id), ""))
