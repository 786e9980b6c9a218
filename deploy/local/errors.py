"""What stops the local stack, in words for the person who started it."""


class StackError(Exception):
    """Something is missing, taken or did not come up; the message says what and what to do."""
