"""The rules run compiled where a compiler was there, and say byte for byte what the same files say as Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import services.schedule
from deploy.engine import complaint
from services.schedule.domain import plan
from shared.compiled import ROOT

WITHOUT = complaint()

# Children with doses of anything on any day, ill-assorted and out of order, their plans and one check each.
ANSWERS = """
import json, random, services.schedule
from datetime import date, timedelta
from services.schedule.domain.history import DoseGiven, History, Observation
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.pre_check import Proposal, pre_check
from services.schedule.rule_files import load_rule_set

rules, rng = load_rule_set(), random.Random(2026)
codes, seen = [*sorted(rules.vaccines), "unheard_of"], sorted(rules.observations)
print(services.schedule.COMPILED)
for number in range(300):
    birth = date(2015, 1, 1) + timedelta(days=rng.randrange(5800))
    given = tuple(
        DoseGiven(f"d{at}", birth + timedelta(days=rng.randrange(-2, 5000)), rng.choice(codes),
                  expires_on=birth + timedelta(days=rng.randrange(5000)) if rng.random() < 0.2 else None)
        for at in range(rng.randrange(25))
    )
    noted = tuple(Observation(rng.choice(seen), birth + timedelta(days=rng.randrange(900))) for _ in range(number % 3))
    history = History(birth, rng.choice("FMU"), given, noted)
    on = birth + timedelta(days=rng.randrange(6000))
    print(json.dumps(plan_to_json(make_plan(rules, history, on)), ensure_ascii=False))
    print(pre_check(rules, history, Proposal(rng.choice(codes[:-1]), on), on))
"""


def _answers(folder: Path) -> list[str]:
    done = subprocess.run([sys.executable, "-c", ANSWERS], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.skipif(WITHOUT is not None, reason=f"the rules cannot be compiled here: {WITHOUT}")
def test_the_rules_run_compiled_here() -> None:
    assert services.schedule.COMPILED
    assert Path(plan.__file__).suffix == ".so"


@pytest.mark.skipif(WITHOUT is not None, reason=f"the rules cannot be compiled here: {WITHOUT}")
def test_compiled_and_interpreted_rules_say_the_same(tmp_path: Path) -> None:
    """A copy of the sources elsewhere has no compiled code beside it and runs as Python."""
    leave = shutil.ignore_patterns("__pycache__", "tests")
    for part in ("shared", "services"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=leave)
    compiled, interpreted = _answers(ROOT), _answers(tmp_path)
    assert (compiled.pop(0), interpreted.pop(0)) == ("True", "False")
    for ours, theirs in zip(compiled, interpreted, strict=True):
        assert ours == theirs
