"""The rule language of ``expr``: parsed once, compiled to closures, asked per exchange.

``compile_rule`` makes a ``Rule``; ``Rule.evaluate`` says ``True``, ``False``, ``MISSING``
(a field that it needs is not there) or ``FAILED`` (it cannot be evaluated). Only ``True``
passes. The language is Rulekit's (github.com/qpoint-io/rulekit): its README is the source.
"""

from wire.rules.compiler import FAILED, MISSING, Compiler, Resolve, Rule, compile_rule
from wire.rules.errors import RuleError
from wire.rules.fields import FIELDS, canonical, is_known, needs_headers
from wire.rules.parser import parse_rule

__all__ = [
    "FAILED",
    "FIELDS",
    "MISSING",
    "Compiler",
    "Resolve",
    "Rule",
    "RuleError",
    "canonical",
    "compile_rule",
    "is_known",
    "needs_headers",
    "parse_rule",
]
