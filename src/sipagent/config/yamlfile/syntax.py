"""What libyaml says when a text is no YAML, in the operator's words."""

from typing import Final, NoReturn

import yaml

from sipagent.config.findings import START, Findings, Place

_QUOTE_IT: Final = "put the whole value in quotes"

_SENTENCES: Final[dict[str, tuple[str, str | None]]] = {
    "found a tab character that violates indentation": (
        "a tab cannot indent YAML",
        "indent with spaces",
    ),
    "mapping values are not allowed in this context": (
        "a colon stands where no key can be",
        "text with a colon and a space needs quotes; keys of one mapping begin in one column",
    ),
    "could not find expected ':'": (
        "a key without a colon",
        "write `key: value`, with a space after the colon",
    ),
    "did not find expected key": (
        "this cannot stand here",
        "lines of one mapping begin in the same column, and nothing follows a closing quote",
    ),
    "did not find expected '-' indicator": (
        "this is not an item of the list above",
        "items begin with `- ` in the same column",
    ),
    "found unexpected end of stream": ("a quote is opened and never closed", None),
    "did not find expected ',' or '}'": ("a { is opened and not closed with }", None),
    "did not find expected ',' or ']'": ("a [ is opened and not closed with ]", None),
    "did not find expected <document start>": (
        "a second YAML document begins here",
        "one file holds one document",
    ),
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here",
        "begin it in the next line, or write [a, b]",
    ),
    "found unknown escape character": (
        "this is no escape that YAML knows",
        "write \\\\ for a backslash in double quotes, or use single quotes",
    ),
    "did not find expected alphabetic or numeric character": (
        "a name must follow * and &",
        'a text or a number that begins with * needs quotes, as in "*"',
    ),
    "did not find expected comment or line break": (
        "text must begin in the line after | or >",
        None,
    ),
    "found undefined tag handle": ("tags are not supported", _QUOTE_IT),
}

_OPENED_AT: Final = frozenset(
    {
        "found unexpected end of stream",
        "did not find expected ',' or '}'",
        "did not find expected ',' or ']'",
    }
)
"""Mistakes that are found long after the place where they were made."""


def explain_syntax(error: yaml.MarkedYAMLError, text: str, findings: Findings) -> NoReturn:
    """Adds what is wrong with the text's syntax, and raises all findings."""
    problem = error.problem or "this is no YAML"
    mark = error.context_mark if problem in _OPENED_AT else error.problem_mark
    place = START if mark is None else Place(mark.line + 1, mark.column + 1)
    if problem == "found character that cannot start any token":
        character = character_at(text, place)
        if character == "\t":
            problem = "found a tab character that violates indentation"
        else:
            what = f"a value cannot begin with {character}"
            findings.fail(place, (), what, _QUOTE_IT)
    message, hint = _SENTENCES.get(problem, (f"this is no YAML: {problem}", None))
    findings.fail(place, (), message, hint)


def place_at(text: str, index: int) -> Place:
    """Where the character with this index stands."""
    lines = text[: index + 1].splitlines(keepends=True)
    return Place(len(lines), len(lines[-1]))


def character_at(text: str, place: Place) -> str:
    """The character at a place, "" behind the last one."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return line[place.column - 1 : place.column]
