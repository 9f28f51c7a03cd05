"""Settings of session_service."""

from pydantic import Field

from chassis.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """The settings of session_service, in addition to the common ones."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")

    sessions_per_day: int = Field(
        default=500, ge=1, description="maximum number of sessions that a user creates in 24 hours"
    )
    guest_sessions_per_day: int = Field(default=20, ge=1, description="the same for guests")
    session_bytes: int = Field(
        default=16 << 20,
        ge=1 << 16,
        description="maximum size of a session's events in bytes: the payloads, and 200 for each event",
    )
    guest_session_bytes: int = Field(default=2 << 20, ge=1 << 16, description="the same for guests")
