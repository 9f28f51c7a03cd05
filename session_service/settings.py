"""Settings of session_service."""

from pydantic import Field

from chassis.settings import Settings as ServiceSettings


class Settings(ServiceSettings):
    """The settings of session_service, in addition to the common ones."""

    content_address: str = Field(default="content:9000", description="host:port of content_service")
