"""The demo: one lesson with a teacher and two students, through the gateway."""
