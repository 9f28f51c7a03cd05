"""What an operator sets for session_service."""

from pydantic import Field

from chassis.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """The service's settings, with those of every service."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")
