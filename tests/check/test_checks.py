"""The checks of prose, names and pages find what they look for, and the repository passes them."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from deploy.check import identifiers, pages, prose
from deploy.check.texts import texts
from deploy.stack.layout import ROOT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty git repository."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "habit"),
    [
        ("Whoever calls is permitted.", "relative clause without a noun"),
        ("What is stored is kept.", "sentence that begins with a relative clause"),
        ("It is refused, for it has expired.", "causal for"),
        ("It is made anew.", "dated adverb"),
        ("The log contains ids alone.", "alone for only"),
        ("The rule stands in the contract.", "personified thing"),
        ("Somebody else has it.", "vague person"),
        ("It leads into the house.", "private name"),
        ("It is used where there is none.", "where for if"),
        (" ".join(["word"] * 31) + ".", "long sentence"),
    ],
)
@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("comment.py", "# {}\n"),
        ("docstring.py", 'def f() -> None:\n    """{}"""\n'),
        ("contract.proto", "// {}\n"),
        ("statement.sql", "-- {}\n"),
        ("page.md", "# Title\n\n{}\n"),
    ],
)
def test_a_habit_is_found_in_every_kind_of_text(
    repository: Path, file: str, source: str, words: str, habit: str
) -> None:
    (repository / file).write_text(source.format(words))
    assert habit in {finding.habit for finding in prose.findings(repository)}


def test_habits_are_found_in_messages_and_test_names(repository: Path) -> None:
    (repository / "errors.py").write_text('raise ValueError("Nobody is let in, somebody waits.")\n')
    (repository / "test_names.py").write_text("def test_what_is_stored_is_kept() -> None: ...\n")
    habits = {finding.habit for finding in prose.findings(repository)}
    assert {"vague person", "test name with a relative clause"} <= habits


def test_plain_text_and_code_have_no_habits(repository: Path) -> None:
    (repository / "plain.py").write_text('"""Returns the class."""\n\nwhere = "anew"\n')
    (repository / "page.md").write_text("The class is read-only.\n\n```\nmade anew for ever\n```\n\n`anew`\n")
    assert [*prose.findings(repository)] == []


def test_more_habits_than_allowed_are_a_problem_and_fewer_too() -> None:
    found = Counter({"new.py": 1, "worse.py": 3, "better.py": 1, "same.py": 2})
    problems = prose.check(found, {"worse.py": 2, "better.py": 2, "same.py": 2, "clean.py": 1})
    assert [problem.partition(":")[0] for problem in problems] == [
        "better.py",
        "clean.py",
        "new.py",
        "worse.py",
    ]


def test_the_repository_has_texts_of_every_kind() -> None:
    missing = {"comment", "docstring", "message", "test name", "page"}
    for text in texts(ROOT):
        missing.discard(text.kind)
        if not missing:
            break
    assert missing == set()


@pytest.mark.parametrize(
    "source",
    ["class Bell: ...", "def f(heir): ...", "SLOW = 1", "for rung in (): ...", "async def listed(): ..."],
)
def test_a_banned_definition_is_found(source: str) -> None:
    assert [*identifiers.banned_definitions(source)]


def test_uses_and_plain_variables_are_not_banned() -> None:
    assert [*identifiers.banned_definitions("listed = strike_through(x.bell)")] == []


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    assert pages.stale_pages(tmp_path) == {}
    page = tmp_path / "docs" / "access.md"
    page.write_text(page.read_text().replace("| GetUser |", "| Another |"))
    assert [*pages.stale_pages(tmp_path)] == [page]
