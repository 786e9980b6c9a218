"""The golden examples beside the event classes: each class has one, each validates and comes back as it was."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.events import gateway, municipal, notify, questionnaire, records, schedule
from shared.events.base import REGISTRY
from shared.vaccines import vaccines

FOLDER = Path(municipal.__file__).with_name("examples")
OWNERS = (gateway, notify, questionnaire, records, schedule)
CLASSES: dict[str, type[BaseModel]] = {
    **REGISTRY,
    **municipal.INBOUND,
    "jp.hagukumi.gateway.MessageAccepted.v1": municipal.MessageAccepted,
    "jp.hagukumi.gateway.MessageRefused.v1": municipal.MessageRefused,
}
EXAMPLES = sorted(FOLDER.glob("*/*.json"))
# Owners whose examples are whole; the others join as they write theirs.
WHOLE = (
    "jp.hagukumi.gateway.",
    "jp.hagukumi.municipal.",
    "jp.hagukumi.notify.",
    "jp.hagukumi.records.",
    "jp.hagukumi.schedule.",
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_validates_and_comes_back_as_it_was(path: Path) -> None:
    cls = CLASSES[path.parent.name]
    text = path.read_text(encoding="utf-8")
    read = cls.model_validate_json(text)
    assert json.loads(read.model_dump_json(exclude_unset=True)) == json.loads(text)
    assert cls.model_validate_json(read.model_dump_json(exclude_none=True)) == read


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind.startswith(WHOLE)])
def test_every_type_has_an_example(kind: str) -> None:
    assert list((FOLDER / kind).glob("*.json"))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_type_says_what_it_means(kind: str) -> None:
    said = (CLASSES[kind].__doc__ or "").strip()
    assert said.endswith((".", ")"))
    assert not said.startswith("Event(")


def test_examples_name_known_vaccines() -> None:
    found: list[Any] = [json.loads(path.read_text(encoding="utf-8")) for path in EXAMPLES]
    codes = {example["dose"]["code"] for example in found if isinstance(example.get("dose"), dict)}
    assert codes
    assert codes <= vaccines().by_code.keys()
