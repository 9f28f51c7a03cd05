"""GetSession, written in the usual way for FastAPI and the asynchronous SQLAlchemy ORM.

    uvicorn tests.benchmarks.peers.sessions:app --loop uvloop --http httptools

It admits only the owner, reads the same table and returns the same fields.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.benchmarks.peers.callers import database, owner

ACTIONS = {
    "INTAKE": ["GENERATE_PLAN"],
    "PLANNING": ["START_TOPIC"],
    "LEARNING": ["TAKE_QUIZ"],
    "QUIZZING": ["SUBMIT_ANSWERS"],
    "ANALYZING": ["NEXT_TOPIC", "COMPLETE"],
}
"""The allowed actions by phase in the mode teach_me, which the benchmark uses."""


class Base(DeclarativeBase):
    """The tables."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSONB}


class Session(Base):
    """A study session."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    mode: Mapped[str]
    phase: Mapped[str]
    goal: Mapped[dict[str, Any] | None]
    class_id: Mapped[UUID | None]
    content_id: Mapped[UUID | None]
    lesson_title: Mapped[str]
    state_version: Mapped[int]
    last_sequence: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    @property
    def allowed_actions(self) -> list[str]:
        """The actions that the current phase allows."""
        return ACTIONS.get(self.phase, [])


class Goal(BaseModel):
    """The goal of the learner."""

    text: str
    exam_type: str


class SessionReply(BaseModel):
    """A session in a response."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    session_id: UUID
    mode: str
    phase: str
    goal: Goal | None
    class_id: UUID | None
    content_id: UUID | None
    lesson_title: str
    allowed_actions: list[str]
    state_version: int
    last_sequence: int
    created_at: datetime
    updated_at: datetime


app = FastAPI()


@app.get("/v1/users/{user_id}/sessions/{session_id}", response_model=SessionReply)
async def get_session(
    user_id: Annotated[UUID, Depends(owner)],
    session_id: UUID,
    database: Annotated[AsyncSession, Depends(database)],
) -> Session:
    """Returns a session of the caller."""
    found = await database.scalar(
        select(Session).where(
            Session.user_id == user_id,
            Session.session_id == session_id,
            Session.deleted_at.is_(None),
        )
    )
    if found is None:
        raise HTTPException(404, "no such session")
    return found
