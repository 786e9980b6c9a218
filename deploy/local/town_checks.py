"""Every dose of the invented town put before the pre-check as it was given, and each stop listed.

`python -m deploy.local.town_checks [SIZE] [SEED]` prints the list. A stop of a dose that both verdicts accept would be
a defect of the check.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from rich.console import Console
from rich.table import Table

from deploy.local.seed import Story, stories
from services.schedule.domain.codes import known_code
from services.schedule.domain.history import DoseGiven, History
from services.schedule.domain.plan import make_plan
from services.schedule.domain.pre_check import Proposal, pre_check
from services.schedule.rule_files import RuleSet, load_rule_set
from shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Stop:
    """A stopped dose of the town: whose, which, when, why, and whether both verdicts accept it all the same."""

    story: Story
    cvx: str
    given_on: date
    codes: tuple[str, ...]
    accepted: bool


def checked(rules: RuleSet, children: list[Story]) -> Iterator[Stop | None]:
    """For each dose of these children, in the order in which it was given: the stop, or None where there is none."""
    for story in children:
        doses = tuple(
            DoseGiven(str(at), given_on, known_code(rules, cvx)) for at, (cvx, given_on) in enumerate(story.doses)
        )
        child = History(
            date.fromisoformat(story.facts["birth_date"]),
            story.facts["sex"],
            (),
            municipality=story.facts["municipality"],
            gestation_days=story.facts["gestation_days"],
        )
        for dose, (cvx, given_on) in zip(doses, story.doses, strict=True):
            before = tuple(other for other in doses if (other.given_on, other.id) < (given_on, dose.id))
            answer = pre_check(rules, replace(child, doses=before), Proposal(dose.code, given_on), given_on)
            if answer.verdict != "stop":
                yield None
                continue
            plan = make_plan(rules, replace(child, doses=(*before, dose)), given_on)
            verdicts = [verdict for verdict in plan.doses if verdict.id == dose.id]
            accepted = all(one.legal != "not_valid" and one.immunological == "valid" for one in verdicts)
            codes = tuple(reason.code for reason in answer.reasons if reason.stops)
            yield Stop(story, cvx, given_on, codes, accepted)


def main(size: int = 200, seed: int = 20260401) -> int:
    """Print the list; 1 when a dose was stopped that both verdicts accept."""
    found = list(checked(load_rule_set(), stories(size, seed, Clock().today())))
    stops = [stop for stop in found if stop is not None]
    table = Table(title=f"{len(found)} doses of {size} children checked, {len(stops)} stopped")
    for head in ("child", "kind", "born", "CVX", "given on", "reasons", "accepted all the same"):
        table.add_column(head)
    for stop in stops:
        story = stop.story
        row = (str(story.number), story.kind, story.facts["birth_date"], stop.cvx, str(stop.given_on))
        table.add_row(*row, ", ".join(stop.codes), "yes" if stop.accepted else "no")
    Console().print(table)
    return int(any(stop.accepted for stop in stops))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
