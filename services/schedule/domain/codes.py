"""Vaccine codes, ours and CVX, as the rule set maps them; codings of the outside are read by shared/vaccines.py."""

from services.schedule.domain.rule_set import RuleSet


class UnknownVaccine(ValueError):
    """A vaccine code that the rule set does not know."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the vaccine code {code!r} is not known")
        self.code = code


def known_code(rules: RuleSet, text: str) -> str:
    """Our code of a vaccine named by our code, an alias, "cvx:04" or a bare CVX number; UnknownVaccine otherwise."""
    found = named_vaccine(rules, text)
    if found is None:
        raise UnknownVaccine(text)
    return found


def named_vaccine(rules: RuleSet, text: str) -> str | None:
    """Our code of the vaccine that the text names, if it names one."""
    name = text.strip().lower()
    number = name.removeprefix("cvx:")
    if number.isascii() and number.isdigit() and len(number) <= 4:
        name = f"cvx:{int(number)}"
    return rules.codes.get(name)
