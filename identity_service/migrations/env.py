"""Alembic's entry point; everything is in the chassis."""

from chassis.migrations import run_environment
from identity_service.tables import METADATA

run_environment(METADATA)
