"""Rules of sign-ins."""

from datetime import timedelta

REAUTHENTICATION_WINDOW = timedelta(minutes=15)
"""Maximum age of a sign-in that may change sign-in details."""
