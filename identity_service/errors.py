"""Why identity_service refuses."""

from datetime import timedelta

from chassis.errors import DomainError, retry_after
from meno.identity.v1.errors_pb2 import ErrorReason


class Refusal(DomainError, contract=ErrorReason):
    """A refusal of this context."""


class CredentialsInvalid(Refusal):
    def __init__(self) -> None:
        super().__init__("Name and password do not belong together.")


class SignInThrottled(Refusal):
    def __init__(self, wait: timedelta) -> None:
        super().__init__("Too many failed attempts. Wait before the next one.", details=(retry_after(wait),))


class RefreshTokenInvalid(Refusal):
    def __init__(self) -> None:
        super().__init__("The refresh token serves no more. Sign in again.")


class IdentifierTaken(Refusal):
    def __init__(self, field: str) -> None:
        super().__init__(f"This {field} belongs to somebody already.", field=field)


class PasswordCommon(Refusal):
    def __init__(self) -> None:
        super().__init__("This password is among those that attackers try first. Choose another.")


class RoleNotOffered(Refusal):
    def __init__(self, role: str) -> None:
        super().__init__("This installation does not let people choose that role.", role=role)


class UserNotFound(Refusal):
    def __init__(self, user_id: str) -> None:
        super().__init__("There is no such person.", user_id=user_id)


class ClassNotFound(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("There is no such class.", class_id=class_id)


class JoinCodeUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__("No class has this join code. Ask your teacher for the right one.")


class MembershipNotFound(Refusal):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__("The person is not a member of the class.", class_id=class_id, user_id=user_id)


class LastTeacher(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("A class keeps one teacher. Make somebody else a teacher first.", class_id=class_id)


class TooManyClasses(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} classes are the most. Leave one first.", limit=limit)


class TokensAlreadyRotated(Refusal):
    def __init__(self) -> None:
        super().__init__("The tokens of this request were refreshed since. Use a new request_id.")
