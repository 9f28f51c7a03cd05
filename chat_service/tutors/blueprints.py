"""What a tutor is made of, by whoever decides which tutor answers."""

from dataclasses import dataclass, field
from typing import TypeAlias

from chassis.models import addresses, keys
from chassis.models.addresses import AddressRefused
from chassis.models.extractive import ExtractiveTutor
from chassis.models.openai_compatible import Endpoint, OpenAITutor
from chat_service.settings import Settings
from meno.identity.v1.admin_service_pb2 import ModelProvider, ResolvedModel

# Each of them speaks OpenAI's protocol, at its own address or below it.
_ADDRESSES = {
    ModelProvider.MODEL_PROVIDER_OPENAI: "https://api.openai.com/v1",
    ModelProvider.MODEL_PROVIDER_ANTHROPIC: "https://api.anthropic.com/v1",
    ModelProvider.MODEL_PROVIDER_GOOGLE: "https://generativelanguage.googleapis.com/v1beta",
}
_BELOW = {ModelProvider.MODEL_PROVIDER_GOOGLE: "/openai"}

Made: TypeAlias = ExtractiveTutor | OpenAITutor


@dataclass(frozen=True)
class Blueprint:
    """What a tutor is made of: equal ones make equal tutors."""

    endpoint: Endpoint | None = None
    """None for the tutor that quotes the material."""
    key: str = field(default="", repr=False)
    private_hosts: frozenset[str] | None = None
    """Where the way to the endpoint may lead, as OpenAITutor takes it."""

    def make(self) -> Made:
        """Makes the tutor. The first of a model takes a while. Raises ImportError without the extra `openai`."""
        if self.endpoint is None:
            return ExtractiveTutor()
        return OpenAITutor(self.endpoint, key=self.key, private_hosts=self.private_hosts)


def of_settings(settings: Settings) -> Blueprint:
    """The tutor that the operator set. Exits with a line where its key cannot be read."""
    if settings.tutor == "extractive":
        return Blueprint()
    endpoint = Endpoint(
        base_url=settings.tutor_base_url,
        model=settings.tutor_model,
        temperature=settings.tutor_temperature,
        max_tokens=settings.tutor_max_tokens,
        connect_seconds=settings.tutor_connect_seconds,
        silence_seconds=settings.tutor_silence_seconds,
    )
    return Blueprint(endpoint, settings.key("tutor_api_key"))


def of_model(model: ResolvedModel, settings: Settings) -> Blueprint:
    """The tutor that an administrator chose.

    Raises KeyUnusable or AddressRefused: what may be referred to is decided where it is used.
    """
    if model.provider == ModelProvider.MODEL_PROVIDER_BUILTIN:
        return Blueprint()
    if model.provider not in _ADDRESSES:
        raise AddressRefused("the provider is one that this version does not know")
    base_url = model.base_url or _ADDRESSES[model.provider]
    addresses.check(base_url, settings.private_model_hosts)
    endpoint = Endpoint(
        base_url=base_url.rstrip("/") + _BELOW.get(model.provider, ""),
        model=model.model_name,
        temperature=model.temperature,
        max_tokens=model.max_output,
        connect_seconds=settings.tutor_connect_seconds,
        silence_seconds=settings.tutor_silence_seconds,
    )
    key = keys.read(model.key_reference, settings.key_directory)
    return Blueprint(endpoint, key, settings.private_model_hosts)
