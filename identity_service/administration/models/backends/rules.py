"""Rules of model backends."""

from chassis import secret_refs, url_policy
from chassis.errors import FieldInvalid
from chassis.secret_refs import SecretUnavailable
from chassis.url_policy import UrlNotAllowed
from identity_service.administration.models.backends.types import EgressPolicy

PURGE_DAYS = "model_purge_days"
"""The configuration key for the number of days during which a deleted backend or model can be restored."""

BUILTIN = "builtin"
"""The provider for the models that are part of Meno."""
BUILTIN_MODELS = ("extractive", "deterministic")


def check_backend(
    provider: str, policy: EgressPolicy, *, base_url: str, key_reference: str, path: str = ""
) -> None:
    """Checks that a backend refers only to permitted addresses and secrets. Both may be empty.

    `path` is the prefix of the fields in errors. Raises FieldInvalid.
    """
    if provider == BUILTIN and (base_url or key_reference):
        field = "base_url" if base_url else "key_reference"
        raise FieldInvalid.of(f"{path}{field}", "must be empty for the built-in provider", "backend.builtin")
    try:
        if base_url:
            url_policy.check(base_url, policy.private_hosts)
    except UrlNotAllowed as error:
        raise FieldInvalid.of(f"{path}base_url", str(error), "backend.base_url") from error
    try:
        secret_refs.check(key_reference, policy.key_directory)
    except SecretUnavailable as error:
        raise FieldInvalid.of(f"{path}key_reference", str(error), "backend.key_reference") from error
