"""Checks prose for the habits that the project has dropped: `python -m deploy.check.prose [--update]`.

It reads comments, docstrings and messages of Python, comments of contracts and SQL, and Markdown. A file may
contain at most as many habits as `prose_allowed.toml` lists for it. The list only shrinks: a file with fewer
habits than listed fails too, until `--update` lowers the number.
"""

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.check.texts import Text, texts
from deploy.stack.layout import ROOT

ALLOWED = Path(__file__).parent / "prose_allowed.toml"

MAX_WORDS = 30
"""A longer sentence is a habit. The rule for writers is 25 words; the check permits some tolerance."""

_ANY_CASE = re.IGNORECASE

HABITS: dict[str, re.Pattern[str]] = {
    "relative clause without a noun": re.compile(
        r"\b(whoever|whomever|whatever (?:is|was|has|they|it|a|the)|wherever|whichever)\b", _ANY_CASE
    ),
    "sentence that begins with a relative clause": re.compile(
        r"(?:^|(?<=[.!?:] ))(?:What|Who|Whom|Whose|Where|Of what|Of whom|To whom|With whom|For whom|By whom|"
        r"From whom|From where|Under whose) [a-z`]"
    ),
    "causal for": re.compile(
        r"(?:,|;) for (?:a|an|the|it|its|they|their|he|she|we|this|that|these|those|there|no|nobody|"
        r"somebody|only|what|who|one|some|all|both) "
    ),
    "dated adverb": re.compile(
        r"\b(for ever|anew|no more(?! than)|nowhere|thereby|therein|henceforth)\b", _ANY_CASE
    ),
    "alone for only": re.compile(
        r"\b(?:ids|names|numbers|text|letters|digits|tests|this|these|that|it|them) alone\b"
    ),
    "personified thing": re.compile(
        r"\b(?:bears?|stands? (?:in|on|at|by|above|below|under|beside|here|there|where|alone)|tells? (?:who|what|"
        r"whether|how|of|that|the|a|it|us|them)|lets? in|let out|shuts? out|shut out|gets? in|nobody gets|"
        r"is at home|knows no|knows nothing)\b",
        _ANY_CASE,
    ),
    "vague person": re.compile(r"\b(somebody|someone else's|anybody|everybody)\b", _ANY_CASE),
    "private name": re.compile(
        r"\b(the house|this house|of ours|the seeds?|a stranger|strangers|newcomers? to the code|the bell|the mint)\b",
        _ANY_CASE,
    ),
    "where for if": re.compile(
        r"\bwhere (?:there (?:is|are) (?:none|one|no|some|any)|it is not|none|not)\b", _ANY_CASE
    ),
}

_MOTTO = re.compile(
    r"^_(?:who|whom|whose|where)_|_(?:what|whoever|whatever|nobody|somebody|anew|wherever|anybody)_|_for_ever"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[*_]*\s+|[;:]\s+")
"""The parts around a semicolon or colon count as sentences."""
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


class Finding(NamedTuple):
    """A habit at one place."""

    path: str
    line: int
    habit: str
    words: str


def findings(root: Path = ROOT) -> Iterator[Finding]:
    """Yields every habit in the files that git tracks below `root`."""
    for text in texts(root):
        yield from _findings_in(text)


def _findings_in(text: Text) -> Iterator[Finding]:
    if text.kind == "test name":
        if _MOTTO.search(text.words.removeprefix("test") + "_"):
            yield Finding(text.path, text.line, "test name with a relative clause", text.words)
        return
    for habit, pattern in HABITS.items():
        for match in pattern.finditer(text.words):
            start = max(match.start() - 20, 0)
            yield Finding(
                text.path, text.line, habit, text.words[start : match.end() + 20].replace("\n", " ")
            )
    if text.kind != "message":
        for sentence in _SENTENCE_END.split(text.words):
            if len(_WORD.findall(sentence)) > MAX_WORDS:
                yield Finding(text.path, text.line, "long sentence", sentence[:60])


def check(found: Counter[str], allowed: dict[str, int]) -> list[str]:
    """Returns one problem for each file whose number of habits differs from the allowed number."""
    problems = []
    for path in sorted(found.keys() | allowed.keys()):
        if found[path] > allowed.get(path, 0):
            problems.append(f"{path}: {found[path]} habits, {allowed.get(path, 0)} are allowed")
        elif found[path] < allowed.get(path, 0):
            problems.append(f"{path}: {found[path]} habits, lower the allowed {allowed[path]} with --update")
    return problems


def main() -> int:
    """Prints the problems and the findings of the files concerned; returns the exit status."""
    everything = [*findings()]
    found = Counter(finding.path for finding in everything)
    if "--update" in sys.argv[1:]:
        lines = [f'"{path}" = {count}' for path, count in sorted(found.items())]
        head = "# Habits that a file still contains. The numbers only fall; new files have none.\n"
        ALLOWED.write_text(head + "\n".join(lines) + "\n")
        return 0
    allowed = tomllib.loads(ALLOWED.read_text()) if ALLOWED.exists() else {}
    problems = check(found, allowed)
    concerned = {problem.partition(":")[0] for problem in problems}
    for finding in everything:
        if finding.path in concerned and found[finding.path] > allowed.get(finding.path, 0):
            print(f"{finding.path}:{finding.line}: {finding.habit}: … {finding.words} …")
    for problem in problems:
        print(problem)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
