"""How forms and responses look in answers to clients: JSON-able values."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from services.questionnaire.domain.answers import as_asked, missing
from services.questionnaire.domain.children import KnownChild
from services.questionnaire.domain.forms import Condition, Form, Item, Scalar, Text
from services.questionnaire.domain.responses import Response


def form_line(form: Form, language: str) -> dict[str, Any]:
    """A form in the list of forms."""
    return {
        "id": form.id,
        "version": form.version,
        "title": form.title.of(language),
        "kind": form.kind,
        "vaccine_needed": form.vaccine_needed,
        "effective_from": form.effective_from.isoformat(),
    }


def form_json(form: Form, language: str) -> dict[str, Any]:
    """A whole form. `text` is in the language asked for, `texts` in all there are."""
    return {
        **form_line(form, language),
        "titles": _texts(form.title),
        "effective_to": form.effective_to.isoformat() if form.effective_to else None,
        "legal_basis": form.legal_basis,
        "source": form.source,
        "confidence": form.confidence,
        "note": form.note,
        "temperature": form.temperature,
        "consent": {"item": form.consent.item, "agree": form.consent.agree, "refuse": form.consent.refuse}
        if form.consent
        else None,
        "items": [_item(item, language) for item in form.items],
        "flags": [{"code": flag.code, "text": flag.text.of(language), "stops": flag.stops} for flag in form.flags],
    }


def _texts(text: Text) -> dict[str, str]:
    return {"ja": text.ja, "en": text.en, **({"easy": text.easy} if text.easy is not None else {})}


def _item(item: Item, language: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "link_id": item.link_id,
        "type": item.kind,
        "text": item.text.of(language),
        "texts": _texts(item.text),
    }
    if item.kind != "group":
        found |= {"required": item.required, "read_only": item.filled_from is not None, "carried_over": item.carry_over}
    for name, value in (
        ("number", item.number),
        ("unit", item.unit),
        ("min", item.min),
        ("max", item.max),
        ("decimals", item.decimals or None),
        ("max_length", item.max_length),
    ):
        if value is not None:
            found[name] = value
    if item.enable_when:
        found["enable_when"] = [_condition(condition) for condition in item.enable_when]
        found["enable_behavior"] = "any" if item.enable_any else "all"
    if item.options:
        found["options"] = [
            {"code": option.code, "text": option.text.of(language), "texts": _texts(option.text)}
            for option in item.options
        ]
    if item.items:
        found["items"] = [_item(inner, language) for inner in item.items]
    return found


def _condition(condition: Condition) -> dict[str, Scalar]:
    return {"question": condition.question, "operator": condition.operator, "value": condition.value}


def response_json(
    response_id: str, response: Response, form: Form, child: KnownChild, *, today: date, language: str
) -> dict[str, Any]:
    """A response: a draft with what is still missing, a submitted one with the words that were kept."""
    found: dict[str, Any] = {
        "id": response_id,
        "child": response.child,
        "form": response.form,
        "version": response.version,
        "title": form.title.of(language),
        "vaccine": response.vaccine,
        "clinic": response.clinic,
        "clinic_may_read": child.lets_read(response.clinic, today) if response.clinic else None,
        "status": response.status,
        "begun_at": _instant(response.begun_on),
    }
    if response.submission is None:
        return {**found, **_draft(response, form, response.all_answers(form, child), language)}
    submission, decision, withdrawal = response.submission, response.decision, response.withdrawal
    texts = {flag.code: flag.text.of(language) for flag in form.flags}
    return {
        **found,
        "language": response.language,
        "answers": [answer.model_dump(exclude_none=True) for answer in submission.answers],
        "flags": [{"code": code, "text": texts.get(code, code)} for code in submission.flags],
        "consent": submission.consent,
        "submitted_at": _instant(submission.at),
        "decision": {
            "decision": decision.verdict,
            "explained": decision.explained,
            "note_code": decision.note_code,
            "temperature_c": decision.temperature_c,
            "organisation": decision.organisation,
            "decided_at": _instant(decision.at),
        }
        if decision
        else None,
        "withdrawn": {"reason": withdrawal.reason, "at": _instant(withdrawal.at)} if withdrawal else None,
    }


def _draft(response: Response, form: Form, answers: Mapping[str, Scalar], language: str) -> dict[str, Any]:
    read_only = {item.link_id for item in form.questions() if item.filled_from is not None}
    shown = [
        {
            **answer.model_dump(exclude_none=True),
            "prefilled": answer.link_id in response.prefilled or answer.link_id in read_only,
            "read_only": answer.link_id in read_only,
        }
        for answer in as_asked(form, answers, language)
    ]
    return {"answers": shown, "missing": [problem.pointer.rpartition("/")[2] for problem in missing(form, answers)]}


def _instant(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
