"""The errors of identity_service. Their reasons are declared in `meno/identity/v1/errors.proto`."""

from datetime import timedelta

from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import DomainError, retry_after
from meno.identity.v1.errors_pb2 import ErrorReason

MAX_LISTED_ROWS = 100
"""The maximum number of invalid roster rows that one error lists."""
MAX_LISTED_CLASSES = 50
"""The maximum number of class ids that one error lists, because gRPC clients limit the size of an error."""


class IdentityError(DomainError, contract=ErrorReason):
    """The base class of the errors of identity_service."""


class CredentialsInvalid(IdentityError):
    def __init__(self) -> None:
        super().__init__("Incorrect login name or password.")


class SignInRateLimited(IdentityError):
    def __init__(self, wait: timedelta) -> None:
        super().__init__("Too many failed attempts. Wait before you try again.", details=(retry_after(wait),))


class RefreshTokenInvalid(IdentityError):
    def __init__(self) -> None:
        super().__init__("The refresh token is invalid or expired. Sign in again.")


class IdentifierTaken(IdentityError):
    """Contains the identifiers of the request, one of which is taken.

    The error does not tell which one. Otherwise, a caller could look up addresses without creating an account,
    by adding an identifier that is surely taken.
    """

    def __init__(self, *fields: str) -> None:
        labels = " or ".join(map(_label, fields))
        super().__init__(f"This {labels} is already in use. Use another one.", field=",".join(fields))


class PasswordCommon(IdentityError):
    def __init__(self, rule: str, why: str) -> None:
        super().__init__(f"This password is easy to guess: {why}. Choose another one.", rule=rule)


class PasswordBreached(IdentityError):
    def __init__(self) -> None:
        super().__init__(
            "This password appears in a list of stolen passwords. Choose another one, and change it on "
            "other sites that use it."
        )


class PasswordAlreadySet(IdentityError):
    def __init__(self) -> None:
        super().__init__("This account already has a password. Change the password instead.")


class SignUpDisabled(IdentityError):
    def __init__(self) -> None:
        super().__init__("Sign-up is disabled. Ask your administrator for an account.")


class GuestSignInDisabled(IdentityError):
    def __init__(self) -> None:
        super().__init__("Guest sign-in is disabled. Sign up or sign in.")


class AccountDeactivated(IdentityError):
    def __init__(self) -> None:
        super().__init__("This account is deactivated. Contact your administrator.")


class IdTokenInvalid(IdentityError):
    def __init__(self, cause: str, why: str) -> None:
        super().__init__(f"The ID token was rejected: {why}. Request a new one from the issuer.", cause=cause)


class CodeInvalid(IdentityError):
    def __init__(self) -> None:
        super().__init__("The code is incorrect, expired or already used. Request a new one.")


class CodeRequired(IdentityError):
    def __init__(self, field: str) -> None:
        super().__init__(
            f"To change your {_label(field)}, request a one-time code and enter it.", field=field
        )


class ReauthenticationRequired(IdentityError):
    def __init__(self) -> None:
        super().__init__(
            "Sign in again to confirm this change (the last sign-in must be less than 15 minutes ago)."
        )


class RoleNotAllowed(IdentityError):
    def __init__(self, role: str) -> None:
        super().__init__(
            "This role cannot be requested at sign-up. Request another role, or ask your administrator.",
            role=role,
        )


class UserNotFound(IdentityError):
    def __init__(self, user_id: str) -> None:
        super().__init__("The user does not exist.", user_id=user_id)


class LastAdmin(IdentityError):
    def __init__(self, user_id: str) -> None:
        super().__init__(
            "At least one administrator is required. Give another user the role first.", user_id=user_id
        )


class ErasureNotFound(IdentityError):
    def __init__(self, user_id: str) -> None:
        super().__init__("No user with this id was erased.", user_id=user_id)


class ClassNotFound(IdentityError):
    def __init__(self, class_id: str) -> None:
        super().__init__("The class does not exist.", class_id=class_id)


class JoinCodeNotFound(IdentityError):
    def __init__(self) -> None:
        super().__init__("No class has this join code. Ask your teacher for the current code.")


class MembershipNotFound(IdentityError):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__("The user is not a member of the class.", class_id=class_id, user_id=user_id)


class MembershipNotPending(IdentityError):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__("The membership is not pending approval.", class_id=class_id, user_id=user_id)


class ClassArchived(IdentityError):
    def __init__(self, class_id: str) -> None:
        super().__init__("The class is archived and read-only. Unarchive it first.", class_id=class_id)


class LastTeacher(IdentityError):
    """Lists the ids of the classes in its metadata; at most MAX_LISTED_CLASSES."""

    def __init__(self, *class_ids: str, alternative: str = "") -> None:
        super().__init__(
            f"A class requires at least one teacher. Make another member a teacher first{alternative}.",
            class_id=class_ids[0],
            class_ids=",".join(class_ids[:MAX_LISTED_CLASSES]),
        )


class AdminMemberProtected(IdentityError):
    def __init__(self, class_id: str, user_id: str) -> None:
        super().__init__(
            "Only an administrator can remove an administrator from a class or change their class role to "
            "student. Ask an administrator.",
            class_id=class_id,
            user_id=user_id,
        )


class TooManyClasses(IdentityError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"You can be in at most {limit} classes. Leave or archive one first.", limit=limit)


class TokensAlreadyRotated(IdentityError):
    def __init__(self) -> None:
        super().__init__("The tokens of this request were already refreshed. Sign in with a new request_id.")


class RosterInvalid(IdentityError):
    """Lists the invalid fields, each as `users.csv[12].email`; at most MAX_LISTED_ROWS."""

    def __init__(self, *violations: BadRequest.FieldViolation) -> None:
        super().__init__(
            f"The roster was not imported. First error: {violations[0].field}: {violations[0].description}",
            details=(BadRequest(field_violations=violations[:MAX_LISTED_ROWS]),),
            invalid=len(violations),
        )


class ConfigKeyNotFound(IdentityError):
    def __init__(self, key: str) -> None:
        super().__init__("The configuration entry does not exist.", key=key)


class ModelBackendNotFound(IdentityError):
    def __init__(self, backend_id: str) -> None:
        super().__init__("The model backend does not exist.", backend_id=backend_id)


class ModelNotFound(IdentityError):
    def __init__(self, model_id: str) -> None:
        super().__init__("The model does not exist.", model_id=model_id)


class NameTaken(IdentityError):
    def __init__(self, name: str, remedy: str = "Choose another one.") -> None:
        super().__init__(f"This name is already in use. {remedy}", name=name)


class ModelBackendInUse(IdentityError):
    def __init__(self, backend_id: str) -> None:
        super().__init__("The backend has models. Delete them first.", backend_id=backend_id)


class ModelBackendDeleted(IdentityError):
    def __init__(self, backend_id: str) -> None:
        super().__init__(
            "The backend of this model is deleted. Restore the backend first.", backend_id=backend_id
        )


class ModelInUse(IdentityError):
    def __init__(self, model_id: str) -> None:
        super().__init__("Components use this model. Assign another model to them first.", model_id=model_id)


class ComponentNotConfigured(IdentityError):
    def __init__(self, component: str) -> None:
        super().__init__(
            "No enabled model is assigned to this component. Ask an administrator to assign one.",
            component=component,
        )


def _label(field: str) -> str:
    """Returns the name of a field as people write it, such as `login name` or `phone number`."""
    labels = {"email": "e-mail address", "phone": "phone number", "id_token": "identity"}
    return labels.get(field, field.replace("_", " "))
