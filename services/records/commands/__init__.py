"""What records does: one function per verb. Load, ask the domain, commit with its events."""
