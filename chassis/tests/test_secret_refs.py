"""References to API keys: the allowed targets, and errors that never contain the content of a target."""

from pathlib import Path

import pytest

from chassis import secret_refs
from chassis.models.settings import ModelSettings
from chassis.secret_refs import SecretUnavailable

SECRET = "the-service's-own-secret"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Creates a key directory with links, as Kubernetes mounts it, and a secret outside of the directory."""
    (tmp_path / "outside").write_text(SECRET)
    inside = tmp_path / "keys"
    (inside / "..data").mkdir(parents=True)
    (inside / "..data" / "openai").write_text("key-of-a-file\n")
    (inside / "openai").symlink_to("..data/openai")
    (inside / "leads-out").symlink_to(tmp_path / "outside")
    (inside / "in-circles").symlink_to("in-circles")
    (inside / "kubernetes.io" / "serviceaccount").mkdir(parents=True)
    (inside / "kubernetes.io" / "serviceaccount" / "token").write_text(SECRET)
    (inside / "token").symlink_to("kubernetes.io/serviceaccount/token")
    return inside


def test_a_key_is_read_from_a_variable_or_a_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "key-of-a-variable\n")
    references = ["env:SOME_KEY", "file:openai", f"file:{directory}/openai", ""]
    keys = [secret_refs.read(reference, directory) for reference in references]
    assert keys == ["key-of-a-variable", "key-of-a-file", "key-of-a-file", ""]


@pytest.mark.parametrize(
    "reference",
    [
        "sk-a-key-itself",
        "http://key",
        "env:",
        "env:sk-a-key-itself",
        "env:A KEY",
        "env:MENO_SECRET",
        "env:meno_secret",
        "env:PGPASSWORD",
        "env:AWS_SECRET_ACCESS_KEY",
        "file:",
        "file:.",
        "file:/etc/passwd",
        "file:../outside",
        "file:{directory}/../outside",
        "file:{directory}",
        "file:{directory}-of-others/key",
        "file:kubernetes.io/serviceaccount/token",
        "file:open\0ai",
    ],
)
def test_a_reference_that_is_not_allowed_is_refused_without_reading_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    for name in ("MENO_SECRET", "meno_secret", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    reference = reference.replace("{directory}", str(directory))
    for function in (secret_refs.check, secret_refs.read):
        with pytest.raises(SecretUnavailable) as error:
            function(reference, directory)
        assert SECRET not in str(error.value)
        assert "a-key-itself" not in str(error.value)


@pytest.mark.parametrize(
    "reference",
    [
        "env:NOT_THERE",
        "env:NO_KEY",
        "file:missing",
        "file:..data",
        "file:leads-out",
        "file:token",
        "file:in-circles",
    ],
)
def test_an_unavailable_key_is_an_error_that_does_not_contain_the_content(
    directory: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setenv("NO_KEY", f"two {SECRET}")
    secret_refs.check(reference, directory)
    with pytest.raises(SecretUnavailable) as error:
        secret_refs.read(reference, directory)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "content", ["", "two\nlines", "ключ", "-----BEGIN PRIVATE KEY-----\nx", "k" * 5000, "a\x00b"]
)
def test_content_that_cannot_be_sent_in_a_header_is_refused(directory: Path, content: str) -> None:
    (directory / "openai").write_text(content)
    with pytest.raises(SecretUnavailable, match="must lead to a key"):
        secret_refs.read("file:openai", directory)


def test_a_setting_with_an_unavailable_key_exits_with_the_name_of_the_setting(directory: Path) -> None:
    class Settings(ModelSettings):
        some_key: str = "env:NOT_THERE"

    settings = Settings(
        database_url="postgresql://", secret="s" * 32, tls_directory=directory, key_directory=directory
    )
    with pytest.raises(SystemExit, match="MENO_SOME_KEY: the referenced environment variable does not exist"):
        settings.key("some_key")
    assert Settings.model_validate({**settings.model_dump(), "some_key": "file:openai"}).key("some_key")
