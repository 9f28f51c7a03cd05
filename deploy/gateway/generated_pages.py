"""Replaces the generated part of a page of `docs/`; the text outside the markers is written by hand."""

_BEGIN, _END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"


def replace_generated(page: str, generated: str) -> str:
    """Returns the page with a new generated part. Raises ValueError if the page has no markers."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise ValueError("the page must contain the markers of the generated part")
    return f"{head}{begin}\n{generated}\n{end}{tail}"
