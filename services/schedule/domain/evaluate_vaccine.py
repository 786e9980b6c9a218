"""Was the dose of a vaccine that the target prefers or allows? (CDSi 4.6 §6.8, §6.9, Tables 6-26, 6-29)"""

from services.schedule.domain.patient import Administered
from services.schedule.domain.rules import TargetDose, VaccineRule
from services.schedule.domain.statuses import Code, Reason


def evaluate_vaccine(target: TargetDose, birth: int, dose: Administered) -> Reason | None:
    """None when the vaccine is preferable or allowable at this age."""
    for rule in target.preferable:
        if rule.vaccine == dose.vaccine and _same_product(rule, dose) and _in_window(rule, birth, dose.day):
            return None
    for rule in target.allowable:
        if rule.vaccine == dose.vaccine and _in_window(rule, birth, dose.day):
            return None
    return Reason(Code.WRONG_VACCINE, target.ref)


def less_volume(target: TargetDose, dose: Administered) -> Reason | None:
    """Worth saying, never a reason against a dose: less was given than the preferred vaccine's volume (§6.8)."""
    if dose.volume is None:
        return None
    for rule in target.preferable:
        if rule.vaccine == dose.vaccine and _same_product(rule, dose) and rule.volume is not None:
            return Reason(Code.LESS_VOLUME, target.ref) if dose.volume < rule.volume else None
    return None


def _same_product(rule: VaccineRule, dose: Administered) -> bool:
    """Trade name and maker decide only where both the rule and the record name them: records often do not."""
    if rule.maker is not None and dose.maker is not None and rule.maker != dose.maker:
        return False
    return rule.trade_name is None or dose.trade_name is None or rule.trade_name == dose.trade_name


def _in_window(rule: VaccineRule, birth: int, given: int) -> bool:
    if rule.begin is not None and given < rule.begin.date_ordinal(birth):
        return False
    return rule.end is None or given < rule.end.date_ordinal(birth)
