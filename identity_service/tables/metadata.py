"""The metadata of the tables."""

from chassis.tables import metadata

METADATA = metadata()
