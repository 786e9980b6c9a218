"""What the gateway does: let in or refuse, forward to owners, wait for its own views, take in what municipalities send."""
