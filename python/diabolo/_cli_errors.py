"""The error with which a command ends when its user can put something right."""


class CommandError(Exception):
    """Something the user can put right; the message is all they need to see."""
