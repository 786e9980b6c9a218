"""Was the dose given too soon after a dose of a conflicting vaccine? (CDSi 4.6 §6.7, Table 6-24)

The specification's impacted vaccine is the data's "current", its conflicting vaccine is the data's "previous".
"""

from services.schedule.domain.rules import TargetDose
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import Code, DoseStatus, Reason


def evaluate_conflict(walk: Walk, place: int) -> tuple[Reason, ...]:
    """Every earlier dose of the whole history that the dose is in conflict with.

    CALCDTCONFLICT-2: a shorter end holds after a dose that is valid in this series or has no status in it.
    """
    doses = walk.chart.doses
    dose = doses[place]
    conflicts = walk.chart.rules.conflicts.get(dose.vaccine)
    if conflicts is None:
        return ()
    failed: tuple[Reason, ...] = ()
    for earlier in range(place):
        before = doses[earlier]
        conflict = conflicts.get(before.vaccine)
        if conflict is None:
            continue
        valid = walk.statuses.get(earlier, DoseStatus.VALID) is DoseStatus.VALID
        end = (conflict.minimum_end if valid else conflict.end).date_ordinal(before.day)
        if conflict.begin.date_ordinal(before.day) <= dose.day < end:
            failed = (*failed, Reason(Code.CONFLICT, conflict.ref, end))
    return failed


def conflict_end(target: TargetDose, walk: Walk) -> int | None:
    """The last end of the conflicts between doses given and the vaccines preferred next (CALCDTCONFLICT-3)."""
    latest = None
    all_conflicts = walk.chart.rules.conflicts
    if not all_conflicts:
        return None
    for preferred in target.preferable:
        conflicts = all_conflicts.get(preferred.vaccine)
        if conflicts is None:
            continue
        for dose in walk.chart.doses:
            conflict = conflicts.get(dose.vaccine)
            if conflict is not None:
                end = conflict.end.date_ordinal(dose.day)
                if latest is None or end > latest:
                    latest = end
    return latest
