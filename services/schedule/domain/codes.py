"""Vaccine codes: ours, CVX and product names, as the rule set maps them."""

from services.schedule.domain.rule_set import RuleSet, Vaccine

CVX_SYSTEMS = frozenset({"cvx", "http://hl7.org/fhir/sid/cvx", "urn:oid:2.16.840.1.113883.12.292"})
OWN_SYSTEMS = frozenset({"", "hagukumi", "https://hagukumi.jp/fhir/CodeSystem/vaccine"})


class UnknownVaccine(ValueError):
    """A vaccine code that the rule set does not know."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the vaccine code {code!r} is not known")
        self.code = code


def known_code(rules: RuleSet, text: str) -> str:
    """Our code of a vaccine named by our code, an alias, "cvx:04" or a bare CVX number; UnknownVaccine otherwise."""
    name = text.strip().lower()
    number = name.removeprefix("cvx:")
    if number.isascii() and number.isdigit() and len(number) <= 4:
        name = f"cvx:{int(number)}"
    found = rules.codes.get(name)
    if found is None:
        raise UnknownVaccine(text)
    return found


def vaccine_code(rules: RuleSet, system: str, code: str) -> str:
    """Our code of a FHIR coding: CVX, our own system, or a product name in any other; UnknownVaccine otherwise."""
    if system in CVX_SYSTEMS:
        return known_code(rules, f"cvx:{code}" if code.isdigit() else code)
    if system in OWN_SYSTEMS:
        return known_code(rules, code)
    named = vaccine_of_product(rules, code)
    if named is None:
        raise UnknownVaccine(code)
    return named.code


def vaccine_of_product(rules: RuleSet, product: str) -> Vaccine | None:
    """The vaccine that is sold under a product name, as clinics write it."""
    return next((vaccine for vaccine in rules.vaccines.values() if product in vaccine.products), None)


def cvx_of(rules: RuleSet, code: str) -> str | None:
    """The CVX code that we send for one of our codes."""
    vaccine = rules.vaccines[code]
    return vaccine.cvx[0] if vaccine.cvx else None
