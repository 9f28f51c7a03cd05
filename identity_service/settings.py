"""What an operator sets for identity_service."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from chassis.models.settings import ModelSettings

Role = Literal["UNASSIGNED", "STUDENT", "TEACHER"]


class Settings(ModelSettings):
    """The service's settings, with those of every service."""

    signup_role: Role = Field(default="STUDENT", description="role of newcomers who ask for none")
    offered_roles: Annotated[frozenset[Role], NoDecode] = Field(
        default=frozenset({"STUDENT"}), description="roles that newcomers may ask for, separated by commas"
    )
    sign_in_lifetime: timedelta = Field(
        default=timedelta(days=30), description="how long a sign-in lasts that is not refreshed"
    )
    password_threads: int = Field(default=2, ge=1, description="passwords that are hashed at the same time")

    @field_validator("offered_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value
