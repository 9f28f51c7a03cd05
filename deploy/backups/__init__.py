"""Backup and restore of the four databases and the uploaded files. A restore verifies every file first."""
