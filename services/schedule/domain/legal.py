"""What the law (定期接種) says of a dose: its window on its own day, and the live vaccines before it. No grace period.

Only rules that are sure enough refuse; the others leave a reason that warns.
Sources: 予防接種法施行令, 施行規則, 定期接種実施要領; 神戸市 for the absence of a grace period.
"""

from services.schedule.domain.cases import Case, Given
from services.schedule.domain.civil_dates import month_and_day, reached_from
from services.schedule.domain.legal_points import NEVER, day_of, first_after
from services.schedule.domain.rule_set import Free, Line, LiveConflict
from services.schedule.domain.verdicts import Because, Cited, Legal, Reason, Says


class Finding:
    """What the windows say of a dose: the window that holds, or the verdict and reason where none does."""

    def __init__(self, free: Free | None, legal: Legal, reason: Reason | None) -> None:
        self.free = free
        self.legal = legal
        self.reason = reason


def because(case: Case, rule: Cited, key: str, *facts: tuple[str, object]) -> Because:
    """A rule with the sentence of that key and what fills its gaps."""
    return Because(rule, case.law.sentences[key], facts)


def fault(case: Case, says: Says, code: str, rule: Cited, *facts: tuple[str, object]) -> Reason:
    """A failing reason: it refuses where its rule may."""
    return Reason(says, code, Because(rule, case.law.sentences[code], facts), rule.may_refuse)


def warning(case: Case, says: Says, code: str, rule: Cited, *facts: tuple[str, object], key: str = "") -> Reason:
    """A reason that never refuses; `key` names its sentence where it is not that of the code."""
    return Reason(says, code, Because(rule, case.law.sentences[key or code], facts), refuses=False)


def last_day(case: Case, line: Line, free: Free) -> tuple[int, Cited]:
    """The last ordinal of a window for this child, and the rule that sets it: its own, or a special measure's."""
    last, rule = day_of(free.last, case.anchors), free.rule
    if not case.observed or free.by_municipality:
        return last, rule
    first = day_of(free.first, case.anchors)
    for measure in case.law.extensions:
        if line.code in measure.not_for:
            continue
        for observation in measure.observations:
            ended = case.observed.get(observation, 0)
            if not ended or ended < measure.effective_from or ended > (measure.effective_to or NEVER):
                continue
            if ended < first:
                continue  # what is over before the window opens has kept nobody from it (対象者であった間に)
            until = ended_after(ended, measure.months)
            for code in free.vaccines:
                highest = measure.upper_age.get(code)
                if highest is not None:
                    until = min(until, day_of(highest, case.anchors))
            if until > last:
                last, rule = until, measure.rule
    return last, rule


def ended_after(ended: int, months: int) -> int:
    """The last ordinal of so many months counted from a day, that day being the first (起算)."""
    month, day = month_and_day(ended)
    return reached_from(month, day, months)


def is_open_to(case: Case, line: Line, free: Free) -> bool:
    """Whether what a window asks for besides age and birth is on file: an observation, a dose of certain days."""
    if free.observation is not None and free.observation not in case.observed:
        return False
    if free.begun is None:
        return True
    first, last = free.begun
    return any(first <= case.given[place].day <= last for place in case.of_antigen.get(line.code, ()))


def had_disease(case: Case, line: Line, given: Given) -> Reason | None:
    """The dose was given to a child who had had the disease (罹患者): outside the routine immunisation."""
    if any(case.observed.get(code, NEVER) > given.day for code in line.immune_if):
        return None
    name = ("vaccine", given.kind.names)
    return warning(case, "legal", "excluded", line.courses[0].rule, name, key="had_disease")


def find_window(case: Case, line: Line, given: Given) -> Finding:
    """The free window in which the dose lies, under the law of its own day."""
    day, name = given.day, ("vaccine", given.kind.names)
    if line.immune_if and (disease := had_disease(case, line, given)) is not None:
        return Finding(None, "voluntary", disease)
    for excluded in line.excluded:
        if excluded.observation in case.observed:
            return Finding(None, "voluntary", warning(case, "legal", "excluded", excluded.rule, name))
    early: tuple[Free, int] | None = None
    late: tuple[Cited, int] | None = None
    other_group: Free | None = None
    in_force = False
    windows = line.windows.get(given.vaccine, ())
    for free in windows:
        if (
            free.by_municipality
            or day < free.effective_from
            or (free.effective_to is not None and day > free.effective_to)
        ):
            continue
        if (free.observation or free.begun) and not is_open_to(case, line, free):
            continue
        in_force = True
        if (
            (free.born_from is not None and case.birth < free.born_from)
            or (free.born_to is not None and case.birth > free.born_to)
            or (free.sex is not None and case.sex is not None and free.sex != case.sex)
        ):
            other_group = free
            continue
        first = day_of(free.first, case.anchors)
        if day < first:
            early = (free, first)
            continue
        last, rule = last_day(case, line, free)
        if day > last:
            late = (rule, last)
            continue
        return Finding(free, "valid", None)
    if early is not None and line.too_young_is_voluntary:
        facts = (name, ("first_day", early[1]))
        return Finding(None, "voluntary", warning(case, "legal", "too_early", early[0].rule, *facts))
    if early is not None:
        reason = fault(case, "legal", "too_early", early[0].rule, name, ("first_day", early[1]))
    elif late is not None:
        reason = fault(case, "legal", "wrong_age", late[0], name, ("last_day", late[1]))
    elif other_group is not None:
        return Finding(None, "voluntary", warning(case, "legal", "outside_group", other_group.rule, name))
    elif in_force or not windows or day < min(free.effective_from for free in windows):
        rule = windows[0].rule if windows else line.courses[0].rule
        return Finding(None, "voluntary", warning(case, "legal", "not_routine", rule, name))
    else:
        reason = fault(case, "legal", "wrong_product", windows[-1].rule, name)
    return Finding(None, "not_valid" if reason.refuses else "valid", reason)


class LiveBefore:
    """A live vaccine given too short a time before: the rule, the earlier dose, the first permitted ordinal."""

    def __init__(self, rule: LiveConflict, earlier: Given, until: int) -> None:
        self.rule = rule
        self.earlier = earlier
        self.until = until


def live_before(case: Case, day: int, code: str, live: str, in_force: bool = True) -> LiveBefore | None:
    """The other live vaccine that stands too near before a day, if any: the one that bars longest.

    `in_force` False looks beyond the days on which the law's interval holds.
    """
    found: LiveBefore | None = None
    for rule in case.law.live_conflicts:
        if live not in rule.following:
            continue
        if in_force and (day < rule.effective_from or day > (rule.effective_to or NEVER)):
            continue
        for earlier in case.live:
            if earlier.day >= day:
                break
            if earlier.vaccine == code or earlier.kind.live not in rule.previous:
                continue
            until = first_after(rule.between, earlier.day)
            if day < until and (found is None or until > found.until):
                found = LiveBefore(rule, earlier, until)
    return found


def live_reason(case: Case, given: Given) -> Reason | None:
    """The legal reason against a live vaccine given too soon after another."""
    before = live_before(case, given.day, given.vaccine, given.kind.live)
    if before is None:
        return None
    return fault(
        case,
        "legal",
        "live_interval",
        before.rule.rule,
        ("vaccine", given.kind.names),
        ("earlier", before.earlier.kind.names),
        ("earlier_day", before.earlier.day),
        ("first_day", before.until),
    )
