"""What records can write down, the rules can judge: the shared table and the rule set know the same vaccines."""

from services.schedule.rule_files import load_rule_set
from shared.vaccines import vaccines


def test_every_vaccine_that_can_be_recorded_is_known_to_the_rules() -> None:
    known = load_rule_set().vaccines
    assert sorted({vaccine.code for vaccine in vaccines().all} - set(known)) == []


def test_a_cvx_code_means_the_same_vaccine_in_both() -> None:
    codes = load_rule_set().codes
    for vaccine in vaccines().all:
        for cvx in vaccine.cvx_codes:
            assert codes[f"cvx:{int(cvx)}"] == vaccine.code
