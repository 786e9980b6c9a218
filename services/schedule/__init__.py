"""The schedule: what is due when, why, and who is late."""
