"""The golden examples of our events are what the code announces today, field by field."""

import json
from pathlib import Path

import pytest

from shared.events.base import REGISTRY
from shared.events.questionnaire import ResponseEvent

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "events" / "examples"
OURS = [kind for kind, cls in REGISTRY.items() if issubclass(cls, ResponseEvent)]


@pytest.mark.parametrize("kind", OURS)
def test_each_event_has_an_example_that_reads_back_to_the_same(kind: str) -> None:
    files = sorted((EXAMPLES / kind).glob("*.json"))
    assert files
    for file in files:
        example = json.loads(file.read_text(encoding="utf-8"))
        event = REGISTRY[kind].model_validate(example)
        assert json.loads(event.model_dump_json(exclude_none=True)) == example
