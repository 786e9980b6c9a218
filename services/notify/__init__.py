"""notify: audience, fan-out, channels, inbox, delivery ledger."""
