"""Which vaccine a response is for, whatever code its caller uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vaccine:
    """Hagukumi's code, and the family on which forms branch."""

    code: str
    family: str


@dataclass(frozen=True, slots=True)
class Vaccines:
    """Every vaccine that a response may be for, by every code that names it (lower case)."""

    by_code: Mapping[str, Vaccine]

    @classmethod
    def of(cls, rows: Mapping[str, tuple[str, Sequence[str]]]) -> "Vaccines":
        """From code -> (family, other codes); raises ValueError when one code names two vaccines."""
        by_code: dict[str, Vaccine] = {}
        for code, (family, others) in rows.items():
            vaccine = Vaccine(code, family)
            for name in (code, *others):
                if by_code.setdefault(name.lower(), vaccine) != vaccine:
                    raise ValueError(f"{name} names two vaccines")
        return cls(by_code)

    def find(self, *codes: str | None) -> Vaccine | None:
        """The vaccine of the first code that is known."""
        for code in codes:
            if code is not None and code.lower() in self.by_code:
                return self.by_code[code.lower()]
        return None
