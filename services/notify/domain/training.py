"""Training of staff (研修): a course is completed by answering all of its questions rightly; each version for itself."""

from collections.abc import Mapping, Sequence
from typing import Any

Course = Mapping[str, Any]


class TrainingBroken(Exception):
    """A file of courses that must not be used: the service does not start."""


def check(courses: Sequence[Course]) -> None:
    """Raise TrainingBroken for what the schema cannot say: two of one id, a right answer that is no choice."""
    ids = [course["id"] for course in courses]
    if len(set(ids)) != len(ids):
        raise TrainingBroken("a course is there twice")
    for course in courses:
        if any(question["right"] >= len(question["choices"]) for question in course["questions"]):
            raise TrainingBroken(f"{course['id']}: a right answer is no choice")


def wrong(course: Course, answers: Sequence[int]) -> list[int]:
    """The places of the questions that were not answered rightly; what was left out, or is too much, is not right."""
    right = [question["right"] for question in course["questions"]]
    given = [*answers, *([-1] * (len(right) - len(answers)))]
    return [
        number
        for number in range(max(len(given), len(right)))
        if number >= len(right) or given[number] != right[number]
    ]


def shown(course: Course) -> dict[str, Any]:
    """A course as it is learnt: without the right answers."""
    questions = [{"text": one["text"], "choices": one["choices"]} for one in course["questions"]]
    return {
        **{name: course[name] for name in ("id", "version", "title", "minutes", "text", "source")},
        "questions": questions,
    }
