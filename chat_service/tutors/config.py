"""Configurations of tutors: from the settings of the process, or from the model that administrators chose."""

from dataclasses import dataclass, field
from typing import TypeAlias

from chassis import secret_refs, url_policy
from chassis.models.openai_compatible import ModelEndpoint
from chassis.url_policy import UrlNotAllowed
from chat_service.settings import Settings
from chat_service.tutors.extractive import ExtractiveTutor
from chat_service.tutors.language_model import LanguageModelTutor
from meno.identity.v1.resources_pb2 import ModelProvider, ResolvedModel

# All of these providers have an OpenAI-compatible API, at this address or below it.
_BASE_URLS = {
    ModelProvider.MODEL_PROVIDER_OPENAI: "https://api.openai.com/v1",
    ModelProvider.MODEL_PROVIDER_ANTHROPIC: "https://api.anthropic.com/v1",
    ModelProvider.MODEL_PROVIDER_GOOGLE: "https://generativelanguage.googleapis.com/v1beta",
}
_BASE_PATH = {ModelProvider.MODEL_PROVIDER_GOOGLE: "/openai"}

AnyTutor: TypeAlias = ExtractiveTutor | LanguageModelTutor


@dataclass(frozen=True)
class TutorConfig:
    """The configuration of a tutor. Equal configurations create equal tutors."""

    endpoint: ModelEndpoint | None = None
    """None for the extractive tutor."""
    key: str = field(default="", repr=False)
    private_hosts: frozenset[str] | None = None
    """Hosts that may have private addresses, as for OpenAIClient."""

    def create(self) -> AnyTutor:
        """Creates the tutor. Raises ImportError without the extra `openai`.

        The first language model tutor of a process takes long, because it imports the SDK.
        """
        if self.endpoint is None:
            return ExtractiveTutor()
        return LanguageModelTutor(self.endpoint, key=self.key, private_hosts=self.private_hosts)


def from_settings(settings: Settings) -> TutorConfig:
    """Returns the configuration in the settings. Raises SystemExit if the key cannot be read."""
    if settings.tutor == "extractive":
        return TutorConfig()
    endpoint = ModelEndpoint(
        base_url=settings.tutor_base_url,
        model=settings.tutor_model,
        temperature=settings.tutor_temperature,
        max_tokens=settings.tutor_max_tokens,
        connect_seconds=settings.tutor_connect_seconds,
        read_seconds=settings.tutor_read_seconds,
    )
    return TutorConfig(endpoint, settings.key("tutor_api_key"))


def from_model(model: ResolvedModel, settings: Settings) -> TutorConfig:
    """Returns the configuration for a model that an administrator chose.

    Addresses and key references are checked again here, against the settings of this process.
    Raises SecretUnavailable or UrlNotAllowed.
    """
    if model.provider == ModelProvider.MODEL_PROVIDER_BUILTIN:
        return TutorConfig()
    if model.provider not in _BASE_URLS:
        raise UrlNotAllowed("this version does not support the provider")
    base_url = model.base_url or _BASE_URLS[model.provider]
    url_policy.check(base_url, settings.private_model_hosts)
    endpoint = ModelEndpoint(
        base_url=base_url.rstrip("/") + _BASE_PATH.get(model.provider, ""),
        model=model.model_name,
        temperature=model.temperature,
        max_tokens=model.max_output_tokens,
        connect_seconds=settings.tutor_connect_seconds,
        read_seconds=settings.tutor_read_seconds,
    )
    key = secret_refs.read(model.key_reference, settings.key_directory)
    return TutorConfig(endpoint, key, settings.private_model_hosts)
