"""What all tables of the service have in common."""

from sqlalchemy.orm import DeclarativeBase

from chassis.tables import TYPES, metadata


class Base(DeclarativeBase):
    """The tables of this service."""

    metadata = metadata()
    type_annotation_map = TYPES
