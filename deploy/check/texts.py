"""Extracts the prose of the repository: comments, docstrings, messages, test names and Markdown."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# The sample course of the demo, the OpenAPI viewer, and the definitions of the habits.
EXCLUDED = ("deploy/demo/sample/", "deploy/gateway/viewer/", "deploy/check/")

_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|pragma|!)")
_MARKDOWN_CODE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]*`")


class Text(NamedTuple):
    """A piece of prose."""

    path: str
    line: int
    kind: str
    """`comment`, `docstring`, `message`, `test name` or `page`."""
    words: str


def tracked(root: Path, *suffixes: str) -> Iterator[tuple[str, Path]]:
    """Yields the files with a suffix that git tracks, or would track, below `root`, except the excluded ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for path in sorted(set(listed)):
        file = root / path
        if file.suffix in suffixes and not path.startswith(EXCLUDED) and file.exists():
            yield path, file


def texts(root: Path) -> Iterator[Text]:
    """Yields the prose of all tracked files."""
    for path, file in tracked(root, ".py", ".proto", ".sql", ".md"):
        match file.suffix:
            case ".py":
                yield from _python(path, file.read_text())
            case ".proto":
                yield from _comments(path, file.read_text(), "//")
            case ".sql":
                yield from _comments(path, file.read_text(), "--")
            case ".md":
                yield from _markdown(path, file.read_text())


def _python(path: str, source: str) -> Iterator[Text]:
    yield from _python_comments(path, source)
    tree = ast.parse(source)
    docstrings = {*_docstrings(tree)}
    for docstring in docstrings:
        yield Text(path, docstring.lineno, "docstring", _plain(str(docstring.value)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Text(path, node.lineno, "test name", node.name)
        elif isinstance(node, ast.Constant) and node not in docstrings and _is_message(path, node.value):
            yield Text(path, node.lineno, "message", str(node.value))


def _is_message(path: str, value: object) -> bool:
    """Returns whether a string is a text for people. Strings in tests are mostly data."""
    return isinstance(value, str) and value.count(" ") >= 3 and "/tests/" not in f"/{path}"


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yields the docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str()) as docstring):
                        yield docstring


def _python_comments(path: str, source: str) -> Iterator[Text]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string)
    }
    yield from _joined(path, lines)


def _comments(path: str, source: str, marker: str) -> Iterator[Text]:
    lines = {}
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip().startswith(marker):
            lines[number] = line.strip().removeprefix(marker)
    yield from _joined(path, lines)


def _joined(path: str, lines: dict[int, str]) -> Iterator[Text]:
    """Joins the comments of adjacent lines."""
    block: list[str] = []
    start = previous = 0
    for number, words in lines.items():
        if block and number != previous + 1:
            yield Text(path, start, "comment", _plain("\n".join(block)))
            block = []
        if not block:
            start = number
        block.append(words)
        previous = number
    if block:
        yield Text(path, start, "comment", _plain("\n".join(block)))


def _markdown(path: str, source: str) -> Iterator[Text]:
    without_code = _MARKDOWN_CODE.sub(lambda match: "\n" * match[0].count("\n"), source)
    number = 1
    for paragraph in without_code.split("\n\n"):
        for part in _rows_or_paragraph(paragraph):
            yield Text(path, number, "page", _plain(part))
        number += paragraph.count("\n") + 2


def _rows_or_paragraph(paragraph: str) -> Iterable[str]:
    """Splits tables and lists into cells and items, which are not sentences of one paragraph."""
    if re.search(r"^\s*(\||[-*] |\d+\. |#)", paragraph, re.MULTILINE):
        return [
            cell
            for line in re.split(r"\n(?=\s*(?:\||[-*] |\d+\. |#))", paragraph)
            for cell in line.split("|")
        ]
    return [paragraph]


def _plain(words: str) -> str:
    """Returns text without indented examples, inline code and line breaks."""
    prose = [line for line in words.split("\n") if not line.startswith("     ") or not line.strip()]
    return _INLINE_CODE.sub("`x`", " ".join(line.strip() for line in prose)).strip()
