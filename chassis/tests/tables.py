"""The tables of the chassis tests."""

from sqlalchemy import bindparam, create_engine, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.database import statement
from chassis.feed_consumer import FeedCursor as FeedCursorTable
from chassis.idempotency import IdempotencyKeys as IdempotencyKeysTable
from chassis.outbox import Outbox as OutboxTable
from chassis.tables import TYPES, metadata


class Base(DeclarativeBase):
    metadata = metadata()
    type_annotation_map = TYPES


class Note(Base):
    __tablename__ = "notes"

    note_id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    text: Mapped[str]


class IdempotencyKeys(IdempotencyKeysTable, Base):
    pass


class Outbox(OutboxTable, Base):
    pass


class FeedCursor(FeedCursorTable, Base):
    pass


ADD_NOTE = statement(insert(Note).values(user_id=bindparam("user_id"), text=bindparam("text")))
NOTES = statement(select(Note.text).order_by(Note.note_id), str)
COUNT = statement(select(func.count()).select_from(Note), int)


def create(url: str) -> None:
    """Creates the tables in an empty database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(FeedCursor))
    engine.dispose()
