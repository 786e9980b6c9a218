"""What every document passes through, values in and values out: native code where `make setup` could compile it (ADR 84)."""

from shared import compiled

COMPILED = compiled.use(__name__)
"""Whether these modules run as native code in this process."""
