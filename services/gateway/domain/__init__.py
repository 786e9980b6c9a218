"""The gateway's rules: pure, no clock, no driver, no framework."""
