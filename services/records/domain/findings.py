"""Broken rules, collected so that one answer names them all."""

from shared.problems import FieldProblem, Invalid


class Findings:
    """What is wrong with one input, place by place."""

    def __init__(self) -> None:
        self._found: list[FieldProblem] = []

    def add(self, pointer: str, code: str, ja: str, en: str) -> None:
        """One broken rule: JSON Pointer, stable code, words in Japanese and English; never the input."""
        self._found.append(FieldProblem(pointer, code, ja, en))

    def refuse(self) -> None:
        """Raise Invalid when anything was found."""
        if self._found:
            raise Invalid(errors=tuple(self._found))
