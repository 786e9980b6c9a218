"""The schedule: what is due when, why, and who is late."""

from services.schedule import compiled

COMPILED = compiled.use()
"""Whether the rules run as compiled code in this process."""
