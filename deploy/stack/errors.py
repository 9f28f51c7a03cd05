"""Errors that end a command."""


class CliError(Exception):
    """Ends the command. Its text is the one-line message that the user sees, with the next step."""


class Interrupted(CliError):
    """The user interrupted the command. Its text describes the state that this left."""
