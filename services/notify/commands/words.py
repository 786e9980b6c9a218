"""The short fixed words of messages in every language (texts/words.yaml), looked at when the service starts."""

from pathlib import Path

import yaml

from services.notify.domain.notices import LANGUAGES

Texts = dict[str, str]


def load_words(path: Path = Path(__file__).parents[1] / "texts" / "words.yaml") -> dict[str, Texts]:
    """By name, the words per language. Raises ValueError for one that lacks a language: the service does not start with it."""
    found: dict[str, Texts] = yaml.safe_load(path.read_text(encoding="utf-8"))
    lacking = [
        f"{name}/{language}" for name, texts in found.items() for language in LANGUAGES if not texts.get(language)
    ]
    if lacking:
        raise ValueError(f"{path.name} lacks {', '.join(lacking)}")
    return found


WORDS = load_words()
