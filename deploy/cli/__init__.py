"""The command line `meno`: one file for each group of commands, and what they share."""
