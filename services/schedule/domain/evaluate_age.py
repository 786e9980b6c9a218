"""Was the dose given at a valid age? (CDSi 4.6 §6.4, Table 6-15)"""

from services.schedule.domain.rules import Age, TargetDose
from services.schedule.domain.statuses import Code, Reason


def age_in_force(target: TargetDose, day: int) -> Age | None:
    """The ages that hold on a day; rows with complementary effective dates are alternatives (CDSi 4.6 §3.3)."""
    for age in target.ages:
        if age.effective <= day <= age.cessation:
            return age
    return None


def evaluate_age(target: TargetDose, birth: int, given: int) -> Reason | None:
    """None when the age is valid; too young makes the dose not valid, too old makes it extraneous."""
    age = age_in_force(target, given)
    if age is None:
        return None
    if age.absolute_minimum is not None:
        first = age.absolute_minimum.date_ordinal(birth)
        if given < first:
            return Reason(Code.TOO_YOUNG, age.ref, first)
    if age.maximum is not None:
        too_late = age.maximum.date_ordinal(birth)
        if given >= too_late:
            return Reason(Code.TOO_OLD, age.ref, too_late - 1)
    return None
