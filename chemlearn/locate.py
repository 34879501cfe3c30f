"""Line numbers: where in an Antimony or SBML text a name is defined."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

from chemlearn.sbml import ANTIMONY_COMMENT, looks_like_sbml

_NAME = r"(?<![\w.])([^\W\d]\w*)"
_WHOLE_NAME = re.compile(rf"{_NAME}(?!\w)")
_LABEL = re.compile(rf"(?:^|;)[ \t]*{_NAME}\s*:(?!=)", re.MULTILINE)  # of a reaction or an event
_VALUE = re.compile(rf"(?<!\sin\s){_NAME}(?:\s+in\s+\w+)?\s*(?::?=(?![>=])|')")
_DECLARATION = re.compile(r"\b(?:species|compartment|const|var)\b[^;\n]*")


def locate(text: str, name: str) -> int | None:
    """Line, from 1, on which a name is defined in an Antimony or SBML text; None when it is not found.

    Parameters
    ----------
    text : str
    name : str
        An identifier; ``R.k`` for the local parameter k of reaction R, ``R_reverse`` for a reaction split off
        R. Unnamed Antimony reactions and events are known as ``_J0``, ``_J1``, … and ``_E0``, …
    """
    index = _indexed(text)
    candidates = (name, name.removesuffix("_reverse"), name.partition(".")[0])
    return next((line for line in map(index.line, candidates) if line is not None), None)


@lru_cache(maxsize=4)
def _indexed(text: str) -> _Index:
    """Everything that a text defines, read once: a large model is asked for thousands of names."""
    return _sbml(text) if looks_like_sbml(text) else _antimony(text)


class _Index:
    """Places of names in a text.

    Parameters
    ----------
    text : str
    named : dict of str to int
    numbered : dict of str to list of int
        Elements without a name, in their order, by what their names would begin with.
    """

    def __init__(self, text: str, named: dict[str, int], numbered: dict[str, list[int]]) -> None:
        self.ends = [m.start() for m in re.finditer("\n", text)]
        self.named, self.numbered = named, numbered

    def line(self, name: str) -> int | None:
        unnamed = re.fullmatch(r"(_J|_E|event )(\d+)", name)
        place = self.named.get(name)
        if place is None and unnamed and unnamed[1] in self.numbered:
            places, number = self.numbered[unnamed[1]], int(unnamed[2])
            place = places[number] if number < len(places) else None
        return None if place is None else bisect_left(self.ends, place) + 1


def _sbml(text: str) -> _Index:
    named: dict[str, int] = {}
    for pattern in (
        r"\b(?:id|variable|symbol)\s*=\s*[\"']([^\"']*)[\"']",
        r"<([^\W\d]\w*)\b",
        r"<ci>\s*(\w+)\s*</ci>",
    ):
        for match in re.finditer(pattern, text):
            named.setdefault(match[1], match.start(1))
    # libSBML's events without an identifier are called "event 1", "event 2", ...
    events = [0, *(match.start(1) for match in re.finditer(r"(<event\b)", text))]
    return _Index(text, named, {"event ": events} if len(events) > 1 else {})


def _antimony(text: str) -> _Index:
    """Labels first, then values and rules (the last one counts), declarations, and any other place."""
    text = ANTIMONY_COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    named: dict[str, int] = {}
    for match in _LABEL.finditer(text):
        named.setdefault(match[1], match.start(1))
    for name, place in dict(_values(text)).items():
        named.setdefault(name, place)
    for declaration in _DECLARATION.finditer(text):
        for match in _WHOLE_NAME.finditer(declaration[0]):
            named.setdefault(match[1], declaration.start() + match.start(1))
    for match in _WHOLE_NAME.finditer(text):
        named.setdefault(match[1], match.start(1))
    # interactions (A -| R1) are numbered with the reactions
    signs = {"_J": r"(?:[-=]>|-\||\s-o\s)", "_E": r"\bat\b"}
    return _Index(text, named, {name: _unnamed(text, sign) for name, sign in signs.items()})


def _values(text: str) -> Iterator[tuple[str, int]]:
    """Names that are given a value or a rule at the beginning of a statement."""
    for match in _VALUE.finditer(text):
        begin = max(text.rfind("\n", 0, match.start(1)), text.rfind(";", 0, match.start(1))) + 1
        if ":" not in text[begin : match.start(1)]:
            yield match[1], match.start(1)


def _unnamed(text: str, sign: str) -> list[int]:
    """Places of the statements with a sign and without a label."""
    matches = re.finditer(rf"(?:^|;)\s*([^\s;:\"][^;:\"\n]*?)??{sign}", text, re.MULTILINE)
    return [m.start(1) if m[1] is not None else m.end() for m in matches]
