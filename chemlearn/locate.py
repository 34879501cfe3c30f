"""Line numbers: where in an Antimony or SBML text a name is defined."""

from __future__ import annotations

import re

from chemlearn.sbml import ANTIMONY_COMMENT, looks_like_sbml


def locate(text: str, name: str) -> int | None:
    """Line, from 1, on which a name is defined in an Antimony or SBML text; None when it is not found.

    Parameters
    ----------
    text : str
    name : str
        An identifier; ``R.k`` for the local parameter k of reaction R, ``R_reverse`` for a reaction split off
        R. Unnamed Antimony reactions and events are known as ``_J0``, ``_J1``, … and ``_E0``, …
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
        return _line(text, _places(r"(<event\b)", text), int(numbered[1]) - 1)
    patterns = (
        rf"\b(?:id|variable|symbol)\s*=\s*[\"']({word})[\"']",
        rf"<({word})\b",
        rf"<ci>\s*({word})\s*</ci>",
    )
    return next((_line(text, found) for found in (_places(p, text) for p in patterns) if found), None)


def _in_antimony(text: str, name: str) -> int | None:
    text = ANTIMONY_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    start = r"(?:^|;)"  # of a statement, which ends with a semicolon or with its line
    word = rf"(?<![\w.])({re.escape(name)})(?!\w)"
    unnamed = re.fullmatch(r"_([JE])(\d+)", name)
    if unnamed and not _places(word, text):  # Antimony numbers the reactions and events that have no name
        # interactions (A -| R1) are numbered with the reactions
        sign = r"(?:[-=]>|-\||\s-o\s)" if unnamed[1] == "J" else r"\bat\b"
        return _line(text, _places(rf"{start}\s*([^\s;:\"][^;:\"\n]*?)??{sign}", text), int(unnamed[2]))
    for pattern, which in (
        (rf"{start}[ \t]*{word}\s*:(?!=)", 0),  # a reaction or event
        (
            rf"{start}[^;:\n]*(?<!\sin\s){word}(?:\s+in\s+\w+)?\s*(?::?=(?![>=])|')",
            -1,
        ),  # a value or rule: the last one counts
        (rf"\b(?:species|compartment|const|var)\b[^;\n]*{word}", 0),
        (word, 0),
    ):
        found = _places(pattern, text)
        if found:
            return _line(text, found, which)
    return None


def _places(pattern: str, text: str) -> list[int]:
    """Where the first group of a pattern, or its end where that is empty, occurs."""
    matches = re.finditer(pattern, text, re.MULTILINE)
    return [m.start(1) if m[1] is not None else m.end() for m in matches]


def _line(text: str, places: list[int], which: int = 0) -> int | None:
    return text.count("\n", 0, places[which]) + 1 if which < len(places) else None
