"""Which vaccine a response is for, whatever code its caller uses."""

from collections.abc import Mapping
from dataclasses import dataclass

OTHER = "other"


@dataclass(frozen=True, slots=True)
class AskedVaccine:
    """Hagukumi's code (or the family, where the product is chosen at the clinic), and the family on which forms branch."""

    code: str
    family: str


@dataclass(frozen=True, slots=True)
class AskedVaccines:
    """Every vaccine that a response may be for, by each code and name that callers use (lower case)."""

    by_name: Mapping[str, AskedVaccine]

    def find(self, *names: str | None) -> AskedVaccine | None:
        """The vaccine of the first name that is known."""
        for name in names:
            found = self.by_name.get(name.lower()) if name is not None else None
            if found is not None:
                return found
        return None


def asked_vaccines(families: Mapping[str, list[str]], names: Mapping[str, str]) -> AskedVaccines:
    """From family -> vaccine codes, and any name -> vaccine code; raises ValueError for a code without a vaccine."""
    codes = set(names.values())
    family_of = {code: family for family, members in families.items() for code in members}
    if strange := family_of.keys() - codes:
        raise ValueError(f"no such vaccines: {sorted(strange)}")
    found = {family: AskedVaccine(family, family) for family in families}
    found |= {name.lower(): AskedVaccine(code, family_of.get(code, OTHER)) for name, code in names.items()}
    return AskedVaccines(found)
