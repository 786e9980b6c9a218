"""Courses for staff, and who has completed which."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import yaml

from services.notify import store as kept
from services.notify.commands.announcements import town_of
from services.notify.domain import training as rules
from services.notify.domain.training import Course
from shared.auth import Principal
from shared.clock import Clock, wire_instant
from shared.ids import derived_id
from shared.problems import Forbidden, NotFound
from shared.store import Doc, Store

FOLDER = Path(__file__).parents[1] / "training"


@dataclass(frozen=True, slots=True)
class Training:
    """The courses and where completions are kept."""

    store: Store
    clock: Clock
    courses: Mapping[str, Course]


def load_courses(folder: Path = FOLDER) -> dict[str, Course]:
    """Every course, by id. Raises for files that do not fit: the service does not start with them."""
    schema = jsonschema.Draft202012Validator(json.loads((folder / "training.schema.json").read_text(encoding="utf-8")))
    courses: list[Course] = []
    for path in sorted(folder.glob("*.yaml")):
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        schema.validate(file)
        courses += file["courses"]
    rules.check(courses)
    return {course["id"]: course for course in courses}


async def listed(training: Training, principal: Principal) -> list[Doc]:
    """The courses, each with when this member of staff completed its present version."""
    _staff_of(principal)
    done = await kept.completions_of(training.store, "staff", principal.subject)
    at = {(row["course"], row["version"]): row["at"] for row in done}
    return [
        {**rules.shown(course), "completed_at": at.get((course["id"], course["version"]))}
        for course in training.courses.values()
    ]


async def complete(training: Training, principal: Principal, name: str, answers: Sequence[int]) -> Doc:
    """Hand in the answers: a record is kept when all are right, the first time; else the wrong ones are named."""
    town = _staff_of(principal)
    course = training.courses.get(name)
    if course is None:
        raise NotFound
    wrong = rules.wrong(course, answers)
    if wrong:
        return {"course": name, "passed": False, "wrong": wrong}
    row = {
        "_id": derived_id(principal.subject, town, name, course["version"], "training"),
        "staff": principal.subject,
        "municipality": town,
        "course": name,
        "version": course["version"],
        "at": wire_instant(training.clock.now()),
    }
    if not await training.store.insert(kept.COMPLETIONS, row):
        row = await training.store.get(kept.COMPLETIONS, row["_id"]) or row
    return {"course": name, "passed": True, "wrong": [], "version": row["version"], "completed_at": row["at"]}


async def of_town(training: Training, principal: Principal, town: str) -> list[Doc]:
    """Who of the town's staff completed what, and who has not: each person in the directory with every course."""
    if _staff_of(principal) != town:
        raise NotFound
    done = await kept.completions_of(training.store, "municipality", town)
    at = {(row["staff"], row["course"], row["version"]): row["at"] for row in done}
    people = sorted({*await kept.staff_of(training.store, town), *(row["staff"] for row in done)})
    return [
        {
            "staff": one,
            "courses": [
                {"course": name, "version": course["version"], "completed_at": at.get((one, name, course["version"]))}
                for name, course in training.courses.items()
            ],
        }
        for one in people
    ]


def _staff_of(principal: Principal) -> str:
    if principal.role != "staff":
        raise Forbidden
    return town_of(principal)
