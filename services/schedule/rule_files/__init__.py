"""Rule files in, typed rule sets out: all reading and checking of rule files happens here."""

from services.schedule.domain.rule_set import RuleError, RuleSet
from services.schedule.rule_files.yaml_rules import load_rule_set

__all__ = ["RuleError", "RuleSet", "load_rule_set"]
