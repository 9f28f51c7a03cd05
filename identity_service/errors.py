"""Why identity_service refuses."""

from datetime import timedelta

from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import DomainError, retry_after
from meno.identity.v1.errors_pb2 import ErrorReason

MOST_FAULTY_ROWS = 100
"""So many faulty rows of a roster one refusal lists."""


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
    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"This password is easily guessed: {why}. Choose another.", rule=rule)


class PasswordBreached(Refusal):
    def __init__(self) -> None:
        super().__init__(
            "This password is in a list of stolen ones. Choose another, and change it elsewhere."
        )


class PasswordPresent(Refusal):
    def __init__(self) -> None:
        super().__init__("There is a password already. Change it instead.")


class SignUpClosed(Refusal):
    def __init__(self) -> None:
        super().__init__("This installation takes nobody in by themselves. Ask its administrator.")


class GuestsNotAdmitted(Refusal):
    def __init__(self) -> None:
        super().__init__("This installation admits no guests. Sign up, or sign in.")


class AccountDeactivated(Refusal):
    def __init__(self) -> None:
        super().__init__("This account is shut out. Ask the administrator.")


class IdTokenInvalid(Refusal):
    def __init__(self, cause: str, why: str) -> None:
        super().__init__(f"The ID token is not accepted: {why}. Fetch a new one.", cause=cause)


class CodeInvalid(Refusal):
    def __init__(self) -> None:
        super().__init__("The code is wrong, used up or too old. Request a new one.")


class CodeRequired(Refusal):
    def __init__(self, field: str) -> None:
        super().__init__(f"Another {field} takes a code that was sent to it. Request one.", field=field)


class SignInNotRecent(Refusal):
    def __init__(self) -> None:
        super().__init__("What one signs in with is changed within 15 minutes of signing in. Sign in again.")


class RoleNotOffered(Refusal):
    def __init__(self, role: str) -> None:
        super().__init__("This installation does not let people choose that role.", role=role)


class UserNotFound(Refusal):
    def __init__(self, user_id: str) -> None:
        super().__init__("There is no such person.", user_id=user_id)


class LastAdmin(Refusal):
    def __init__(self, user_id: str) -> None:
        super().__init__(
            "An installation keeps one administrator. Make somebody else one first.", user_id=user_id
        )


class ErasureNotFound(Refusal):
    def __init__(self, user_id: str) -> None:
        super().__init__("Nobody of this id was erased.", user_id=user_id)


class ClassNotFound(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("There is no such class.", class_id=class_id)


class JoinCodeUnknown(Refusal):
    def __init__(self) -> None:
        super().__init__("No class has this join code. Ask your teacher for the right one.")


class MembershipNotFound(Refusal):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__("The person is not a member of the class.", class_id=class_id, user_id=user_id)


class MembershipNotPending(Refusal):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__("The person does not wait for approval.", class_id=class_id, user_id=user_id)


class ClassArchived(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("The class is archived, which is read-only. Unarchive it first.", class_id=class_id)


class LastTeacher(Refusal):
    def __init__(self, class_id: str) -> None:
        super().__init__("A class keeps one teacher. Make somebody else a teacher first.", class_id=class_id)


class TooManyClasses(Refusal):
    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} classes are the most. Leave or archive one first.", limit=limit)


class TokensAlreadyRotated(Refusal):
    def __init__(self) -> None:
        super().__init__("The tokens of this request were refreshed since. Use a new request_id.")


class RosterFaulty(Refusal):
    """Lists the faulty rows, each as `users.csv[12].email`, as far as an answer should."""

    def __init__(self, *violations: BadRequest.FieldViolation) -> None:
        super().__init__(
            f"Nothing was applied: {violations[0].field}: {violations[0].description}",
            details=(BadRequest(field_violations=violations[:MOST_FAULTY_ROWS]),),
            faulty=len(violations),
        )


class ConfigKeyUnknown(Refusal):
    def __init__(self, key: str) -> None:
        super().__init__("There is no such configuration entry.", key=key)


class ModelBackendNotFound(Refusal):
    def __init__(self, backend_id: str) -> None:
        super().__init__("There is no such model backend.", backend_id=backend_id)


class ModelNotFound(Refusal):
    def __init__(self, model_id: str) -> None:
        super().__init__("There is no such model.", model_id=model_id)


class NameTaken(Refusal):
    def __init__(self, name: str) -> None:
        super().__init__("Another one has this name. Choose another.", name=name)


class ModelBackendInUse(Refusal):
    def __init__(self, backend_id: str) -> None:
        super().__init__("Models are at this backend. Delete them first.", backend_id=backend_id)


class ModelInUse(Refusal):
    def __init__(self, model_id: str) -> None:
        super().__init__("Components use this model. Give them another first.", model_id=model_id)


class ComponentNotConfigured(Refusal):
    def __init__(self, component: str) -> None:
        super().__init__("The component has no model, or one that is switched off.", component=component)
