"""The entry point of Alembic. The implementation is in the chassis."""

from chassis.migrations import run_environment
from content_service.tables import METADATA

run_environment(METADATA)
