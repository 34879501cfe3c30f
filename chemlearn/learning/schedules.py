"""Schedules: which rule holds in which epoch of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

from chemlearn.checks import check_positive
from chemlearn.learning.rules import Rule, multiplied

__all__ = ["Annealed", "Schedule", "rule_at", "scaled"]

SomeRule = TypeVar("SomeRule", bound=Rule)


@runtime_checkable
class Schedule(Protocol):
    """A rule for each epoch; :func:`chemlearn.train` takes one in the place of a rule."""

    def at(self, epoch: int) -> Rule:
        """The rule of an epoch, from 1."""


@dataclass(frozen=True)
class Annealed:
    """A rule whose rates and thresholds change by the same factor from each epoch to the next.

    Parameters
    ----------
    rule : Rule
        Of the first epoch.
    epochs : int
        The epoch at which the factors are reached; they hold from then on.
    rates, thresholds : float
        Positive; what all rates, and all thresholds, are multiplied by at that epoch: below 1 they fall, 1
        leaves them as they are.

    Raises
    ------
    ValueError
        If the epochs are not a whole positive number, a factor is not positive, or the rule has no such
        numbers.
    """

    rule: Rule
    epochs: int
    rates: float = 1.0
    thresholds: float = 1.0

    def __post_init__(self) -> None:
        if int(self.epochs) != self.epochs or self.epochs < 1:
            raise ValueError(f"epochs must be a whole number of at least 1, got {self.epochs}")
        scaled(self.rule, rates=self.rates, thresholds=self.thresholds)

    def at(self, epoch: int) -> Rule:
        """The rule of an epoch, from 1: factor^((epoch − 1)/(epochs − 1)) times the first."""
        share = min(1.0, (epoch - 1) / (self.epochs - 1)) if self.epochs > 1 else 1.0
        return scaled(self.rule, rates=self.rates**share, thresholds=self.thresholds**share)


def rule_at(rule: Rule | Schedule, epoch: int) -> Rule:
    """The rule of an epoch, from 1: a schedule's, or the rule itself."""
    return rule.at(epoch) if isinstance(rule, Schedule) else rule


def scaled(rule: SomeRule, *, rates: float = 1.0, thresholds: float = 1.0) -> SomeRule:
    """The rule with all its rates, and all its thresholds, times a factor.

    Parameters
    ----------
    rule : Rule
        With the fields ``rates`` and, if it has thresholds, ``thresholds``, as all rules here.
    rates, thresholds : float
        Positive.

    Raises
    ------
    ValueError
        If a factor is not positive or the rule has no such numbers.
    """
    check_positive(rates=rates, thresholds=thresholds)
    changed = {}
    for name, factor in (("rates", rates), ("thresholds", thresholds)):
        if factor != 1:
            if not hasattr(rule, name):
                raise ValueError(f"a {type(rule).__name__} rule has no {name}, got a factor of {factor}")
            changed[name] = multiplied(getattr(rule, name), factor)
    return replace(rule, **changed) if changed else rule  # type: ignore[type-var]
