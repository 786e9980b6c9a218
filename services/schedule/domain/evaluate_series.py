"""Walks a patient's doses along one series and judges each (CDSi 4.6 §4.4 and chapter 6)."""

from services.schedule.domain.conditional_skip import can_skip
from services.schedule.domain.evaluate_age import evaluate_age
from services.schedule.domain.evaluate_conflict import evaluate_conflict
from services.schedule.domain.evaluate_interval import evaluate_interval
from services.schedule.domain.evaluate_vaccine import evaluate_vaccine, less_volume
from services.schedule.domain.patient import Administered
from services.schedule.domain.rules import TargetDose
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import Code, DoseStatus, Reason


def evaluate_series(walk: Walk) -> None:
    """Judge every dose of the series' antigen in order; the walk keeps what was found."""
    targets = walk.series.doses
    for place in walk.places:
        dose = walk.chart.doses[place]
        defect = _defect(dose)
        if defect is None:
            _skip_what_is_not_needed(walk, place, dose.day)
        if walk.position == len(targets):
            walk.statuses[place] = DoseStatus.EXTRANEOUS
            walk.reasons[place] = (Reason(Code.SERIES_COMPLETE, walk.series.name),)
            continue
        target = walk.judged[place] = targets[walk.position]
        status = DoseStatus.SUB_STANDARD
        if defect is not None:
            walk.reasons[place] = (defect,)
        else:
            status = _evaluate(walk, target, place, dose)
        _note(walk, target, place, status)


def _defect(dose: Administered) -> Reason | None:
    """A lot past its date or a noted condition: the dose cannot be evaluated (§6.1, Table 6-3)."""
    if dose.expires is not None and dose.day > dose.expires:
        return Reason(Code.EXPIRED_LOT, "CDSi 4.6 Table 6-3", dose.expires)
    if dose.flawed:
        return Reason(Code.DOSE_CONDITION, "CDSi 4.6 Table 6-3")
    return None


def _skip_what_is_not_needed(walk: Walk, place: int, given: int) -> None:
    targets = walk.series.doses
    while walk.position < len(targets):
        skips = targets[walk.position].skips_evaluating
        if not skips or not can_skip(skips, walk, given, given, place):
            return
        walk.position += 1


def _evaluate(walk: Walk, target: TargetDose, place: int, dose: Administered) -> DoseStatus:
    """Table 6-31, with every failing reason kept and not only the first."""
    if dose.vaccine in target.inadvertent:
        walk.inadvertent.add(place)
        walk.reasons[place] = (Reason(Code.INADVERTENT, target.ref),)
        return DoseStatus.NOT_VALID
    birth = walk.chart.birth
    age = evaluate_age(target, birth, dose.day)
    failed = evaluate_interval(target, walk, place) + evaluate_conflict(walk, place)
    vaccine = evaluate_vaccine(target, birth, dose)
    if age is None and vaccine is None and not failed:
        volume = less_volume(target, dose)
        if volume is not None:
            walk.reasons[place] = (volume,)
        return DoseStatus.VALID
    walk.reasons[place] = (
        *((age,) if age is not None else ()),
        *failed,
        *((vaccine,) if vaccine is not None else ()),
    )
    too_old = age is not None and age.code is Code.TOO_OLD
    return DoseStatus.EXTRANEOUS if too_old else DoseStatus.NOT_VALID


def _note(walk: Walk, target: TargetDose, place: int, status: DoseStatus) -> None:
    """Keep the status and what later doses and the forecast are counted from."""
    day = walk.chart.doses[place].day
    walk.statuses[place] = status
    walk.last_day = day
    if place in walk.inadvertent:
        walk.last_inadvertent_day = day
    elif status is DoseStatus.VALID or status is DoseStatus.NOT_VALID:
        walk.previous_day = day
    if status is DoseStatus.VALID:
        walk.satisfied.append((target, place))
        # A recurring target is followed by a copy of itself (§4.4 step 5): staying on it is the same.
        if not target.recurring:
            walk.position += 1
