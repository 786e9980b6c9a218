"""P5: the plan of one child under Japan's rules, counted anew from the whole record; and of 10,000 children.

`python -m bench.schedule_plan` prints it alone. Nothing is kept between two plans but the loaded rules. The child has
60 doses of 20 vaccines in plain order, of all ages to 18; the hard child has 60 doses on any day, nearly all of which
have something to be said about them.
"""

import json
import random
import statistics
import time
from datetime import date, timedelta

from bench.harness import Row, show
from services.schedule import COMPILED
from services.schedule.domain.history import DoseGiven, History
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.pre_check import Proposal, pre_check
from services.schedule.rule_files import RuleSet, load_rule_set

CHILDREN = 400
_RULES_RUN = "compiled rules" if COMPILED else "interpreted rules"
ROUNDS = 5
MANY = 10_000

# Days after birth of a childhood in which everything was given: 12 vaccines of the routine and voluntary schedule …
PLAIN = {
    "rv1": (70, 100), "hepb": (70, 100, 215), "pcv20": (70, 100, 130, 380), "penta": (70, 100, 130, 330),
    "bcg": (160,), "mr": (366 + 5,), "var": (366 + 5, 560), "mumps": (366 + 5,), "je": (1100, 1110, 1500, 3400),
    "dt": (4100,), "hpv9": (4950, 5140),
}  # fmt: skip
# … and single doses of eight more, as a childhood partly abroad leaves them.
_ABROAD = {"hexa": 1200, "measles": 900, "rubella": 930, "yellow_fever": 2400, "nirsevimab": 20, "ipv": 1900,
           "dpt": 1960, "flu_nasal": 2800}  # fmt: skip


def plain_child(birth: date, doses: int = 60, abroad: bool = True) -> History:
    """A child with so many doses, influenza filling up the number, two a year and later one."""
    given = [(code, birth + timedelta(days=day)) for code, days in PLAIN.items() for day in days]
    given += [(code, date(birth.year + 6, 4, 20)) for code in ("mr", "mumps")]
    if abroad:
        given += [(code, birth + timedelta(days=day)) for code, day in _ABROAD.items()]
    for year in range(birth.year + 1, birth.year + 40):
        for month in (10, 11):
            if len(given) < doses and (month == 10 or year < birth.year + 13):
                given.append(("flu", date(year, month, 20)))
    return History(birth, "F", tuple(DoseGiven(f"d{at:02}", day, code) for at, (code, day) in enumerate(given)))


def hard_child(rules: RuleSet, rng: random.Random, birth: date, doses: int = 60) -> History:
    """A child with doses of anything on any day."""
    codes = sorted(code for code, vaccine in rules.vaccines.items() if vaccine.counts_in and code != "rsv_maternal")
    given = tuple(
        DoseGiven(f"d{at:02}", birth + timedelta(days=rng.randrange(5000)), rng.choice(codes)) for at in range(doses)
    )
    return History(birth, "F", given)


def _births(rng: random.Random, number: int) -> list[date]:
    return [date(2024, 6, 1) + timedelta(days=rng.randrange(900)) for _ in range(number)]


def _microseconds(rules: RuleSet, children: list[History], on: date) -> list[float]:
    """The time of each child's plan, the best of some rounds, so that a pause of the machine is not counted."""
    best = [float("inf")] * len(children)
    for _ in range(ROUNDS):
        for at, child in enumerate(children):
            began = time.perf_counter()
            make_plan(rules, child, on)
            best[at] = min(best[at], (time.perf_counter() - began) * 1e6)
    return best


def plan_rows() -> list[Row]:
    """The rows of P5, with what is printed beside them."""
    rules, rng = load_rule_set(), random.Random(5)
    on = date(2055, 1, 15)
    births = _births(rng, CHILDREN)
    plain = _microseconds(rules, [plain_child(birth, abroad=False) for birth in births], on)
    mixed = _microseconds(rules, [plain_child(birth) for birth in births], on)
    hard = _microseconds(rules, [hard_child(rules, rng, birth) for birth in births], on)
    young = _microseconds(rules, [History(birth, "F", ()) for birth in _births(rng, CHILDREN)], date(2027, 1, 15))
    many = [plain_child(birth, 40, abroad=False) for birth in _births(rng, MANY)]
    began = time.process_time()
    for child in many:
        make_plan(rules, child, on)
    seconds = time.process_time() - began
    size = len(json.dumps(plan_to_json(make_plan(rules, many[0], on))))
    checks = []
    for child in many[:CHILDREN]:
        began = time.perf_counter()
        pre_check(rules, child, Proposal("penta", on), on)
        checks.append((time.perf_counter() - began) * 1e6)
    return [
        _row("P5 p50", f"plan of one child, 60 doses of 20 vaccines ({_RULES_RUN})", statistics.median(mixed), 200),
        _row("P5 p99", "the same", _percentile(mixed, 99), 1000),
        _row("P5 plain p50", "60 doses in plain order, none from abroad", statistics.median(plain), 200),
        _row("P5 plain p99", "the same", _percentile(plain, 99), 1000),
        _row("P5 hard p50", "60 doses on any day, nearly all at fault", statistics.median(hard), None),
        _row("P5 hard p99", "the same", _percentile(hard, 99), 1000),
        _row("P5 empty p50", "no dose yet: everything still to plan", statistics.median(young), None),
        Row("P5 many", f"{MANY:,} children recounted on one core", "s", seconds, None, "≤ 5 s",
            more_is_better=False, reached=seconds <= 5),
        _row("P13 check", f"the check itself, at the median ({size:,} bytes the plan)", statistics.median(checks), 1000),
    ]  # fmt: skip


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _row(name: str, work: str, microseconds: float, target: int | None) -> Row:
    said = "printed" if target is None else f"≤ {target} µs"
    reached = None if target is None else microseconds <= target
    return Row(name, work, "µs", microseconds, None, said, more_is_better=False, reached=reached)


if __name__ == "__main__":
    show(plan_rows(), {"rounds": ROUNDS, "children": CHILDREN})
