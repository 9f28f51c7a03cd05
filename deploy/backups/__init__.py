"""Backups: four databases and the uploaded files, each checked before it is trusted again."""
