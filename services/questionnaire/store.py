"""Documents and files <-> domain objects; the only file that names collections.

`responses` is primary and never rebuilt. `children` is a view of records.child.v1 and can be rebuilt at any time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from services.questionnaire.domain.children import GivenDose, KnownChild
from services.questionnaire.domain.forms import Form, FormBroken, read_form
from services.questionnaire.domain.responses import Decision, Response, Submission, Withdrawal
from services.questionnaire.domain.vaccines import OTHER, AskedVaccines, asked_vaccines
from shared.clock import read_instant, wire_instant
from shared.documents import Document, Documents
from shared.events.questionnaire import Answer
from shared.store import Doc, Store
from shared.vaccines import vaccines

RESPONSES = "responses"
CHILDREN = "children"
FORMS = Path(__file__).with_name("forms")
FAMILIES = "families.yaml"


# Forms ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Library:
    """Every version of every form, and the vaccines that they know."""

    forms: tuple[Form, ...]
    vaccines: AskedVaccines
    digests: Mapping[tuple[str, str], str]

    def current(self, on: date) -> list[Form]:
        """The version of each form with which a response may begin on that day, by id."""
        newest: dict[str, Form] = {}
        for form in self.forms:
            if form.wording == "ours" and form.in_force(on):
                newest[form.id] = max(form, newest.get(form.id, form), key=lambda one: one.effective_from)
        return [newest[form_id] for form_id in sorted(newest)]

    def find(self, form_id: str, version: str | None, on: date) -> Form | None:
        """That version, or the one in force on that day."""
        if version is None:
            return next((form for form in self.current(on) if form.id == form_id), None)
        return self._versions.get((form_id, version))

    @cached_property
    def _versions(self) -> dict[tuple[str, str], Form]:
        return {(form.id, form.version): form for form in self.forms}

    def of(self, response: Response) -> Form:
        """The form as this response asks it."""
        return self._versions[(response.form, response.version)]


def load_library(folder: Path = FORMS) -> Library:
    """Read and check every form; raises FormBroken with the file and the place, so the service does not start with it."""
    schema = Draft202012Validator(json.loads((folder / "form.schema.json").read_text(encoding="utf-8")))
    forms: list[Form] = []
    digests: dict[tuple[str, str], str] = {}
    for file in sorted(folder.glob("*.yaml")):
        if file.name == FAMILIES:
            continue
        data = _read_yaml(file)
        for error in schema.iter_errors(data):
            raise FormBroken(f"{file.name}: {error.json_path}: {error.message}")
        form = read_form(data)
        if file.name != f"{form.id}.{form.version}.yaml":
            raise FormBroken(f"{file.name} holds {form.id} {form.version}")
        forms.append(form)
        canonical = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digests[(form.id, form.version)] = hashlib.sha256(canonical.encode()).hexdigest()
    families = _read_yaml(folder / FAMILIES)
    _check_vaccines(forms, {*families, OTHER})
    return Library(tuple(forms), asked_vaccines(families, _names_of_vaccines()), digests)


def _names_of_vaccines() -> dict[str, str]:
    """Every name of a child's vaccine -> Hagukumi's code: own code, CVX (with and without its zero), HOT codes, products."""
    names: dict[str, str] = {}
    for vaccine in vaccines().all:
        if vaccine.recipient != "child":
            continue
        for product in vaccine.products:
            names |= dict.fromkeys(filter(None, (product.name, product.hot9, product.hot13)), vaccine.code)
        for cvx in vaccine.cvx_codes:
            names |= {cvx: vaccine.code, cvx.lstrip("0"): vaccine.code}
        names[vaccine.code] = vaccine.code
    return names


def _read_yaml(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _check_vaccines(forms: list[Form], families: set[str]) -> None:
    """Every family can be named on every form that is for a vaccine."""
    for form in forms:
        for item in form.questions():
            if item.filled_from == "response.vaccine" and families - {option.code for option in item.options}:
                raise FormBroken(f"{form.id}: a family of vaccines is not among the options of {item.link_id}")


# Responses --------------------------------------------------------------------------------------------------------


def response_of(state: Doc) -> Response:
    """The response that a document holds."""
    submission, decision, withdrawal = state.get("submission"), state.get("decision"), state.get("withdrawal")
    return Response(
        child=state["child"],
        form=state["form"],
        version=state["version"],
        language=state["language"],
        begun_on=read_instant(state["begun_on"]),
        begun_by=state["begun_by"],
        begun_at=state["begun_at"],
        vaccine=state["vaccine"],
        family=state["family"],
        clinic=state["clinic"],
        status=state["status"],
        answers=dict(state["answers"]),
        prefilled=set(state["prefilled"]),
        submission=Submission(
            at=read_instant(submission["at"]),
            by=submission["by"],
            answers=tuple(Answer.model_validate(one) for one in submission["answers"]),
            flags=tuple(submission["flags"]),
            consent=submission["consent"],
        )
        if submission
        else None,
        decision=Decision(
            verdict=decision["verdict"],
            explained=decision["explained"],
            organisation=decision["organisation"],
            by=decision["by"],
            at=read_instant(decision["at"]),
            note_code=decision["note_code"],
            temperature_c=decision["temperature_c"],
        )
        if decision
        else None,
        withdrawal=Withdrawal(read_instant(withdrawal["at"]), withdrawal["by"], withdrawal["reason"])
        if withdrawal
        else None,
    )


def keep_response(doc: Document, response: Response) -> None:
    """Put the response into its document."""
    submission, decision, withdrawal = response.submission, response.decision, response.withdrawal
    doc.state = {
        "child": response.child,
        "form": response.form,
        "version": response.version,
        "language": response.language,
        "begun_on": wire_instant(response.begun_on),
        "begun_by": response.begun_by,
        "begun_at": response.begun_at,
        "vaccine": response.vaccine,
        "family": response.family,
        "clinic": response.clinic,
        "status": response.status,
        "answers": dict(response.answers),
        "prefilled": sorted(response.prefilled),
        "submission": {
            "at": wire_instant(submission.at),
            "by": submission.by,
            "answers": [answer.model_dump(exclude_none=True) for answer in submission.answers],
            "flags": list(submission.flags),
            "consent": submission.consent,
        }
        if submission
        else None,
        "decision": {
            "verdict": decision.verdict,
            "explained": decision.explained,
            "organisation": decision.organisation,
            "by": decision.by,
            "at": wire_instant(decision.at),
            "note_code": decision.note_code,
            "temperature_c": decision.temperature_c,
        }
        if decision
        else None,
        "withdrawal": {"at": wire_instant(withdrawal.at), "by": withdrawal.by, "reason": withdrawal.reason}
        if withdrawal
        else None,
    }


async def responses_of_child(responses: Documents, child: str) -> list[tuple[str, Response]]:
    """Every response for a child with its id, newest first. A child has a few dozen, so the whole list is read."""
    rows = await responses.store.find(RESPONSES, {"state.child": child}, fields=["state"])
    found = [(row["_id"], response_of(row["state"])) for row in rows]
    return sorted(found, key=lambda one: (one[1].begun_on, one[0]), reverse=True)


async def ensure_indexes(store: Store) -> None:
    """What the queries of this file ask for."""
    await store.ensure_index(RESPONSES, ["state.child"])


# Children ---------------------------------------------------------------------------------------------------------


def child_of(state: Doc) -> KnownChild:
    """The child that a view document holds."""
    return KnownChild(
        birth_date=date.fromisoformat(state["birth_date"]),
        sex=state["sex"],
        name=state["name"],
        name_kana=state["name_kana"],
        municipality=state["municipality"],
        guardians=set(state["guardians"]),
        consents={
            row["organisation"]: date.fromisoformat(row["until"]) if row["until"] else None for row in state["consents"]
        },
        doses={
            row["id"]: GivenDose(date.fromisoformat(row["given_on"]), row["code"], row["cvx"]) for row in state["doses"]
        },
        others=set(state.get("others", ())),
        restored=dict(state.get("restored", {})),
        merged_into=state.get("merged_into"),
    )


def keep_child(doc: Document, child: KnownChild) -> None:
    """Put the child into its document."""
    doc.tenant = child.municipality
    doc.state = {
        "birth_date": child.birth_date.isoformat(),
        "sex": child.sex,
        "name": child.name,
        "name_kana": child.name_kana,
        "municipality": child.municipality,
        "guardians": sorted(child.guardians),
        "consents": [
            {"organisation": organisation, "until": until.isoformat() if until else None}
            for organisation, until in sorted(child.consents.items())
        ],
        "doses": [
            {"id": dose_id, "given_on": dose.given_on.isoformat(), "code": dose.code, "cvx": dose.cvx}
            for dose_id, dose in sorted(child.doses.items())
        ],
        "others": sorted(child.others),
        "restored": child.restored,
        "merged_into": child.merged_into,
    }
