"""What can be wrong with a machine, in one line that says what to do."""


class CliError(Exception):
    """Stops the stack; its text is all that a person is shown."""


class Interrupted(CliError):
    """Whoever ran the command broke it off; its text says how things stand."""
