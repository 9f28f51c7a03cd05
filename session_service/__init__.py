"""Study sessions and their events."""
