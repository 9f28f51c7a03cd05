"""The tables of the chassis tests."""

from sqlalchemy import (
    BigInteger,
    Column,
    Named,
    Table,
    Text,
    TypedColumns,
    bindparam,
    create_engine,
    func,
    insert,
    select,
)

from chassis.database import statement
from chassis.feed_consumer import FeedCursorColumns
from chassis.idempotency import IdempotencyKeysColumns
from chassis.outbox import OutboxColumns
from chassis.tables import metadata

METADATA = metadata()


class NoteColumns(TypedColumns):
    note_id: Named[int] = Column(BigInteger, primary_key=True)
    user_id: Named[str] = Column(Text)
    text: Named[str] = Column(Text)


notes = Table("notes", METADATA, NoteColumns)

idempotency_keys = Table("idempotency_keys", METADATA, IdempotencyKeysColumns)
outbox = Table("outbox", METADATA, OutboxColumns)
feed_cursor = Table("feed_cursor", METADATA, FeedCursorColumns)

ADD_NOTE = statement(insert(notes).values(user_id=bindparam("user_id"), text=bindparam("text")))
NOTES = statement(select(notes.c.text).order_by(notes.c.note_id), str)
COUNT = statement(select(func.count()).select_from(notes), int)


def create(url: str) -> None:
    """Creates the tables in an empty database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(feed_cursor))
    engine.dispose()
