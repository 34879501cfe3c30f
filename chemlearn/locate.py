"""Line numbers: where in an Antimony or SBML text a name is defined."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chemlearn.sbml import looks_like_sbml

_ANTIMONY_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|#[^\n]*", re.DOTALL)


def locate(text: str, name: str) -> int | None:
    """Line, from 1, on which a name is defined in an Antimony or SBML text; None when it is not found.

    Parameters
    ----------
    text : str
    name : str
        An identifier; ``R.k`` for the local parameter k of reaction R, ``R_reverse`` for a reaction split off R.
        Unnamed Antimony reactions and events are known as ``_J0``, ``_J1``, … and ``_E0``, …
    """
    find = _in_sbml if looks_like_sbml(text) else _in_antimony
    for candidate in (name, name.removesuffix("_reverse"), name.partition(".")[0]):
        line = find(text, candidate)
        if line is not None:
            return line
    return None


def _in_sbml(text: str, name: str) -> int | None:
    word = re.escape(name)
    numbered = re.fullmatch(r"event (\d+)", name)  # an event without an id
    if numbered:
        return _line(text, list(re.finditer(r"<event\b", text)), int(numbered[1]) - 1)
    patterns = (rf"\b(?:id|variable|symbol)\s*=\s*[\"']{word}[\"']", rf"<{word}\b", rf"<ci>\s*{word}\s*</ci>")
    return next((_line(text, [m]) for m in (re.search(p, text) for p in patterns) if m), None)


def _in_antimony(text: str, name: str) -> int | None:
    text = _ANTIMONY_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    word = rf"(?<![\w.]){re.escape(name)}(?!\w)"
    unnamed = re.fullmatch(r"_([JE])(\d+)", name)
    if unnamed and not re.search(word, text):  # Antimony numbers the reactions and events that have no name
        start = r"[-=]>" if unnamed[1] == "J" else r"\bat\b"
        return _line(text, [m for m in _statements(text) if re.search(rf"^[^:\"]*{start}", m[0])], int(unnamed[2]))
    patterns = (
        rf"{word}\s*:(?!=)",  # a reaction or event
        rf"{word}(\s+in\s+\w+)?\s*(:?=(?![>=])|')",  # a value, a rule, a rate rule
        rf"\b(species|compartment|const|var)\b[^;\n]*{word}",
        word,
    )
    return next((_line(text, [m]) for m in (re.search(p, text) for p in patterns) if m), None)


def _statements(text: str) -> Iterator[re.Match[str]]:
    """Statements of Antimony, from their first visible character; one ends with a semicolon or with its line."""
    return re.finditer(r"[^\s;][^;\n]*", text)


def _line(text: str, matches: list[re.Match[str]], number: int = 0) -> int | None:
    return text.count("\n", 0, matches[number].start()) + 1 if number < len(matches) else None
