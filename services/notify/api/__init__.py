"""HTTP in, for the gateway acting for a asked.principal."""
