"""The base class of the tables."""

from sqlalchemy.orm import DeclarativeBase

from chassis.tables import TYPES, metadata


class Base(DeclarativeBase):
    """A table of identity_service."""

    metadata = metadata()
    type_annotation_map = TYPES
