"""The schedule: what is due when, why, and who is late."""

from shared import compiled

COMPILED = compiled.use("services.schedule.domain")
"""Whether the rules run as compiled code in this process."""
