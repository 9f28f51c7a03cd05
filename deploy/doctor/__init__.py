"""Checks of a stack on this machine, running or stopped, with a hint for each problem. Nothing is changed."""
