"""Model: a reaction network from Antimony or SBML that knows its input, its output and its weight."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from chemlearn import lint
from chemlearn.dynamics import Dynamics
from chemlearn.errors import ModelError
from chemlearn.network import Network
from chemlearn.paths import shipped_models
from chemlearn.reversible import split_reversible
from chemlearn.sbml import looks_like_sbml, to_sbml, with_values


@dataclass(frozen=True, repr=False)
class Model:
    """A reaction network and the roles of its names.

    Make one with :meth:`load`. Nothing changes after construction: :meth:`with_values` gives a new model.

    Parameters
    ----------
    name : str
    text : str
        Antimony or SBML, as it was loaded.
    origin : str
        File, or the name where there is none; what errors and findings begin with.
    values : tuple of (name, value)
        Constants and initial amounts set over those of the text.
    input, output, weight : str
        The constant that a signal drives (s), what the weight update reads (u), and the learned weight (w).
    split : bool
        Whether reversible reactions with a net law are split into two.
    """

    name: str
    text: str
    origin: str
    values: tuple[tuple[str, float], ...] = ()
    input: str = "s"
    output: str = "u"
    weight: str = "w"
    split: bool = False

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        input: str = "s",
        output: str = "u",
        weight: str = "w",
        split: bool = False,
    ) -> Model:
        """Load a model by the name of a shipped one, by path, or from text.

        Parameters
        ----------
        source : str or Path
            ``"linker"``, ``"my/circuit.ant"``, ``"my/model.xml"``, or Antimony or SBML text itself.
        input, output, weight : str
            Names that play s, u and w.
        split : bool
            Split reversible reactions whose law is a difference, so that they can be fired stochastically.

        Raises
        ------
        ModelError
            When nothing of that name exists, or the text cannot be read (with its line).

        Examples
        --------
        >>> Model.load("linker").with_values(s=1.5).input_value
        1.5
        """
        text, origin, name = _fetch(source)
        model = cls(name, text, origin, (), input, output, weight, split)
        network = model.network  # reads the text, so that what is wrong is said here
        for role, given, default in (("input", input, "s"), ("output", output, "u"), ("weight", weight, "w")):
            if given != default and given not in network.names:
                raise ModelError(model.missing_role(role))
        return model

    def __repr__(self) -> str:
        size = f"{len(self.species)} species, {len(self.network.reactions)} reactions"
        values = "".join(f", {name}={value:g}" for name, value in self.values)
        roles = f"input {self.input}, output {self.output}, weight {self.weight}"
        return f"Model({self.name!r}{values}: {size}; {roles})"

    @cached_property
    def sbml(self) -> str:
        """The model as SBML, with the values set and, where asked for, reversible reactions split."""
        sbml = with_values(to_sbml(self.text, self.origin), dict(self.values))
        return split_reversible(sbml) if self.split else sbml

    @cached_property
    def network(self) -> Network:
        """The reactions and laws, in amounts."""
        sbml = self.sbml
        try:
            return Network.read(sbml)
        except ModelError as error:
            raise ModelError(f"{self.origin}: {error}") from None

    @cached_property
    def dynamics(self) -> Dynamics:
        """Rate equations dx/dt = f(x, s) with output u; needs an input and an output.

        Raises
        ------
        ModelError
            When a role has no name in the model, or the network is no set of autonomous rate equations.
        """
        if self.input not in self.network.constants:
            raise ModelError(self.missing_role("input"))
        if self.output not in (*self.network.variables, *self.network.rules):
            raise ModelError(self.missing_role("output"))
        try:
            return Dynamics(self.network, self.input, self.output)
        except ModelError as error:
            raise ModelError(f"{self.origin}: {error}") from None

    @property
    def species(self) -> tuple[str, ...]:
        """Species that reactions change."""
        return self.network.species

    @property
    def parameters(self) -> dict[str, float]:
        """Constants and their values."""
        return dict(self.network.constants)

    @property
    def input_value(self) -> float:
        """Value of the input in the model: its operating point."""
        return self.dynamics.input_value

    @property
    def has_weight(self) -> bool:
        """Whether the model has a variable in the role of the weight."""
        return self.weight in self.network.variables or self.weight in self.network.rules

    def with_values(self, **values: float) -> Model:
        """The model with constants or initial amounts set.

        A name that Antimony reserves is written there with a trailing underscore; here it may be given
        without (``gamma`` for ``gamma_``).

        Raises
        ------
        ModelError
            For a name that the model does not have or computes by a rule, or a value that is not finite.
        """
        settable = {**self.network.constants, **self.network.initial}
        checked = dict(self.values)
        for name, value in values.items():
            known = name if name in settable else f"{name}_"
            if name in self.network.rules:
                raise ModelError(
                    f"{name!r} is computed by an assignment rule of '{self.name}' and cannot be set"
                )
            if known not in settable or "." in known:
                raise ModelError(
                    f"no parameter or species named {name!r}; '{self.name}' has {', '.join(settable)}"
                )
            if not math.isfinite(value):
                raise ModelError(f"{name!r} must be a finite number, got {value}")
            checked[known] = float(value)
        return replace(self, values=tuple(sorted(checked.items())))

    def findings(self) -> tuple[lint.Finding, ...]:
        """Everything to know before a run: errors, warnings, notes, each with its line and its mend."""
        return self._findings

    @cached_property
    def _findings(self) -> tuple[lint.Finding, ...]:
        driven = self.input if self.input in self.network.constants else None
        return lint.findings(self.network, self.text, self.origin, input=driven, split=self.split)

    def require(self, *, stochastic: bool) -> None:
        """Refuse a model that cannot be simulated.

        Raises
        ------
        ModelError
            With the first error among the findings, and how many more there are.
        """
        errors = [f for f in self.findings() if f.level == "error" and (stochastic or not f.stochastic_only)]
        if errors:
            more = f" ({len(errors) - 1} more: chemlearn check)" if len(errors) > 1 else ""
            raise ModelError(f"{errors[0]}{more}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text, values and roles: equal exactly when the simulated model is."""
        content = [self.text, self.values, self.input, self.output, self.weight, self.split]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def tellurium(self):  # type: ignore[no-untyped-def]  # tellurium publishes no types
        """The model as a tellurium object (an extended RoadRunner), to explore with all that tellurium
        offers.
        """
        import tellurium

        return tellurium.loadSBMLModel(self.sbml)

    def missing_role(self, role: str) -> str:
        """What to say when no name of the model plays a role."""
        network, name = self.network, getattr(self, role)
        if role == "input" and name in network.names:
            how = "set by an event" if name in network.switched else "computed by the model"
            return (
                f"{self.origin}: {name!r} is {how}, so no signal can drive it; make it a "
                f"constant or a boundary species (${name}), or name another input with input=... (--input)"
            )
        choices = network.constants if role == "input" else (*network.variables, *network.rules)
        kind = {"input": "constant", "output": "variable", "weight": "variable"}[role]
        return (
            f"{self.origin}: the model has no {kind} {name!r} to be its {role}; name one with {role}=... "
            f"(--{role}): it has {', '.join(n for n in choices if '.' not in n) or 'none'}"
        )


def _fetch(source: str | Path) -> tuple[str, str, str]:
    """Text, origin and name of what was asked for."""
    text = str(source)
    if isinstance(source, str) and ("\n" in text or "=>" in text or "->" in text or looks_like_sbml(text)):
        return text, "model", "model"
    shipped = shipped_models()
    path = shipped.get(text, Path(text))
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ModelError(
            f"{text}: this file {what}; give a file, or one of the shipped models {', '.join(shipped)}"
        )
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise ModelError(
            f"{text}: this file cannot be read ({error}); give an Antimony or SBML text"
        ) from None
    if "\0" in content:
        raise ModelError(f"{text}: this file cannot be read (it is no text); give an Antimony or SBML text")
    return content, f"models/{path.name}" if text in shipped else text, path.stem
