"""The rate equations of a network as functions of state and input, their exact derivatives and their steady
state.

Only the *core* matters for the output: the variables that influence it, directly or through others. A weight
that merely integrates the output is outside the core, so that it may grow for ever without spoiling a steady
state. Within the core, conserved totals are taken out by an orthonormal basis of the directions in which it
can move.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy.integrate import Radau

from chemlearn.errors import ConvergenceError, ModelError, SimulationError
from chemlearn.expression import TIME, Expr, compile_expressions, derivative, symbols
from chemlearn.network import Network

Array = np.ndarray

_GROWTH_LIMIT = 1e12  # amounts beyond which a trajectory is called divergent
_NEWTON_RADIUS = 1e-2  # relative size of the Newton step from which Newton takes over from integration
_NEIGHBOUR_RADIUS = 0.3  # the same for a start that the caller gives, usually a steady state near by
_MAX_STEPS = 2000  # of the solver, on the way to a steady state: some seconds at most
_HORIZON = 1e15  # how long to wait for it, in units of the fastest time scale


class Dynamics:
    """Rate equations dx/dt = f(x, s) with output u(x, s).

    Parameters
    ----------
    network : Network
        Without events; explicit time in a law is refused.
    input : str
        Constant that plays s.
    output : str
        Variable or assignment rule that plays u.

    Raises
    ------
    ModelError
        When the network has events, explicit time, or names without values.
    """

    def __init__(self, network: Network, input: str, output: str) -> None:
        self.network, self.input, self.output_name = network, input, output
        self.variables = network.variables
        self._rests: dict[float, Array] = {}  # steady states from the initial amounts, by input level
        self.columns: list[Expr] = [r.law for r in network.reactions] + list(network.rates_of.values())
        self.output_tree = network.value_of(output)
        _refuse(network, [*self.columns, self.output_tree])
        count = len(network.species)
        self.stoichiometry = np.zeros((len(self.variables), len(self.columns)))
        self.stoichiometry[:count, : len(network.reactions)] = network.stoichiometry()
        for i in range(len(network.rates_of)):
            self.stoichiometry[count + i, len(network.reactions) + i] = 1.0
        self.initial = np.array([network.initial[name] for name in self.variables], dtype=float)
        self._constants = [v for n, v in network.constants.items() if n != input]
        self._names = [*self.variables, input, *(n for n in network.constants if n != input)]

    @property
    def input_value(self) -> float:
        """The input's value in the model: its operating point."""
        return float(self.network.constants[self.input])

    def _evaluator(self, trees: Sequence[Expr]) -> Callable[[Array, Any], Array]:
        """Function of (x, s) giving an array (n_trees, ...) for x of shape (n_variables, ...)."""
        compiled = compile_expressions(trees, self._names)

        def evaluate(x: Array, s: Any) -> Array:
            with np.errstate(all="ignore"):  # what is not finite is reported where it is used, with its name
                values = compiled([*x, s, *self._constants])
            shape = np.broadcast_shapes(np.shape(s), *(np.shape(row) for row in x[:1]))
            result = np.empty((len(values), *shape))
            for i, value in enumerate(values):
                result[i] = value
            return result

        return evaluate

    # --- functions of (x, s) --------------------------------------------------------------------------------

    @cached_property
    def rates(self) -> Callable[[Array, Any], Array]:
        """Reaction rates, then rate rules: shape (n_reactions + n_rules, ...)."""
        return self._evaluator(self.columns)

    def velocity(self, x: Array, s: Any) -> Array:
        """dx/dt, shape as x."""
        return self.stoichiometry @ self.rates(x, s)

    @cached_property
    def _partials(self) -> tuple[list[tuple[int, int]], Callable[[Array, Any], Array]]:
        """Places (column, variable) of the partial derivatives that do not vanish, and their evaluator."""
        places, trees = [], []
        for i, law in enumerate(self.columns):
            for j, name in enumerate((*self.variables, self.input)):
                tree = derivative(law, name)
                if not (tree.op == "number" and tree.value == 0):
                    places.append((i, j))
                    trees.append(tree)
        return places, self._evaluator(trees)

    def _rate_derivatives(self, x: Array, s: float) -> Array:
        """Derivatives of the rates (rows) by the variables and, last, the input (columns)."""
        places, evaluate = self._partials
        matrix = np.zeros((len(self.columns), len(self.variables) + 1))
        for (i, j), value in zip(places, evaluate(x, s), strict=True):
            matrix[i, j] = value
        return matrix

    def jacobian(self, x: Array, s: float) -> tuple[Array, Array]:
        """Derivatives of dx/dt by x, shape (n, n), and by s, shape (n,); exact."""
        full = self.stoichiometry @ self._rate_derivatives(x, s)
        return full[:, :-1], full[:, -1]

    @cached_property
    def output(self) -> Callable[[Array, Any], Array]:
        """u(x, s), shape as one row of x."""
        evaluate = self._evaluator([self.output_tree])
        return lambda x, s: evaluate(x, s)[0]

    @cached_property
    def _output_derivatives(self) -> Callable[[Array, Any], Array]:
        return self._evaluator([derivative(self.output_tree, n) for n in (*self.variables, self.input)])

    def output_gradient(self, x: Array, s: Any) -> tuple[Array, Array]:
        """Derivatives of u by x, shape (n, ...), and by s, shape (...); the second is an instantaneous
        response.
        """
        values = self._output_derivatives(x, s)
        return values[:-1], values[-1]

    def output_velocity(self, x: Array, s: Any) -> Array:
        """du/dt at constant s, by the chain rule: no numerical differentiation."""
        return np.sum(self.output_gradient(x, s)[0] * self.velocity(x, s), axis=0)

    # --- the core -------------------------------------------------------------------------------------------

    @cached_property
    def core(self) -> Array:
        """Indices of the variables that influence the output, directly or through others."""
        place = {name: i for i, name in enumerate(self.variables)}
        found = {place[n] for n in symbols(self.output_tree) if n in place}
        frontier = list(found)
        while frontier:
            i = frontier.pop()
            for column in np.flatnonzero(self.stoichiometry[i]):
                reached = {place[n] for n in symbols(self.columns[column]) if n in place} - found
                found |= reached
                frontier.extend(reached)
        return np.array(sorted(found), dtype=int)

    @cached_property
    def _floor(self) -> Array:
        """Least value of each variable of the core: 0 for amounts, none for targets of rate rules.

        A solver's overshoot must not reach the far side of a pole such as that of a/(K + a), where the laws
        mean nothing.
        """
        return np.where(self.core < len(self.network.species), 0.0, -np.inf)

    @cached_property
    def basis(self) -> Array:
        """Orthonormal basis, shape (n_core, rank), of the directions in which the core can move."""
        left, singular, _ = np.linalg.svd(self.stoichiometry[self.core], full_matrices=False)
        return left[:, singular > 1e-10 * max(singular.max(initial=0.0), 1e-300)]

    def reduced(self, x: Array, s: float) -> tuple[Array, Array, Array, float]:
        """The linearised core at (x, s): matrix A, input vector b, output vector c and feed-through d.

        dz/dt = A z + b ds, du = c z + d ds, with z the core's deviation in the basis.
        """
        jacobian, by_input = self.jacobian(x, s)
        gradient, through = self.output_gradient(x, s)
        q, core = self.basis, self.core
        return (
            q.T @ jacobian[np.ix_(core, core)] @ q,
            q.T @ by_input[core],
            gradient[core] @ q,
            float(through),
        )

    def steady_state(self, s: float, start: Array | None = None) -> Array:
        """Stable steady state of the core at constant input, reached from ``start``.

        Parameters
        ----------
        s : float
        start : (n_variables,) array, optional
            Where to start, such as the steady state at a neighbouring input; the model's initial amounts by
            default. Conserved totals are those of the start.

        Returns
        -------
        (n_variables,) array
            The core at its steady state; variables outside the core as they were at the start.

        Raises
        ------
        SimulationError
            When the trajectory leaves all bounds or stops being finite.
        ConvergenceError
            When it settles nowhere, or on a point that is not stable.
        """
        if start is not None:
            return self._settled(s, np.array(start, dtype=float), _NEIGHBOUR_RADIUS)
        if s not in self._rests:  # asked for again and again: by the kernel, the dissipation, the output
            self._rests[s] = self._settled(s, np.array(self.initial, dtype=float), _NEWTON_RADIUS)
        return self._rests[s].copy()

    def _settled(self, s: float, x: Array, radius: float) -> Array:
        """The steady state that is reached from x; Newton's iteration takes over within a radius."""
        if not len(self.core):
            return x
        scale = float(np.max(np.abs(x[self.core]), initial=1.0))
        solver = self._relaxation(x, s)
        for _ in range(_MAX_STEPS):
            if self._newton_step(x, s, scale)[1] < radius:
                polished = self._polish(x, s, scale)
                if polished is not None:
                    return self._checked_stable(polished, s)
            if solver.status == "finished":
                break
            x = self._advanced(solver, x, s)
            radius = _NEWTON_RADIUS
            scale = max(scale, float(np.max(np.abs(x[self.core]))))
        raise self._unsettled(x, s, scale, solver.t)

    def _relaxation(self, x: Array, s: float) -> Radau:
        """Solver of the core's equations at constant input; the rest held.

        Only roughly: Newton's iteration has the last word.
        """
        full = x.copy()

        def velocity(_: float, y: Array) -> Array:
            full[self.core] = np.maximum(y, self._floor)
            return self.velocity(full, s)[self.core]

        def jacobian(_: float, y: Array) -> Array:
            full[self.core] = np.maximum(y, self._floor)
            return self.jacobian(full, s)[0][np.ix_(self.core, self.core)]

        horizon = _HORIZON / max(self._fastest(x, s), 1e-9)
        return Radau(velocity, 0.0, x[self.core], horizon, jac=jacobian, rtol=1e-5, atol=1e-8)

    def _fastest(self, x: Array, s: float) -> float:
        matrix = self.reduced(x, s)[0]
        return float(np.max(np.abs(np.linalg.eigvals(matrix)))) if np.all(np.isfinite(matrix)) else 1.0

    def _advanced(self, solver: Radau, x: Array, s: float) -> Array:
        """The state after one step of the solver."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a step that cannot be solved ends below, with its reason
            try:
                solver.step()
            except (ValueError, np.linalg.LinAlgError):  # a derivative is not finite
                solver.status = "failed"
        result = x.copy()
        result[self.core] = np.maximum(solver.y, self._floor)
        size = np.nan_to_num(np.abs(solver.y), nan=np.inf)
        largest = self.variables[self.core[int(np.argmax(size))]]
        if solver.status == "failed" or np.max(size) > _GROWTH_LIMIT:
            raise SimulationError(
                f"the rate equations blow up at {self.input}={s:g}: '{largest}' grows without bound "
                f"(t={solver.t:.3g}); check that it is removed as well as made"
            )
        return result

    def _unsettled(self, x: Array, s: float, scale: float, t: float) -> ConvergenceError:
        """Why no steady state was reached."""
        speed = np.abs(self.velocity(x, s)[self.core])
        worst = int(np.argmax(speed))
        name = self.variables[self.core[worst]]
        if speed[worst] * t < 1e-6 * scale:
            reason = (
                "the model comes to rest, but a perturbation does not decay: the state depends on history"
            )
        else:
            reason = f"after t={t:.3g} '{name}' still changes at {speed[worst]:.3g} per time"
        advice = "it must neither oscillate nor grow: check how each species is made and removed"
        return ConvergenceError(
            f"no steady state at {self.input}={s:g}: {reason}; {advice}",
            residual=float(speed[worst]),
            steps=_MAX_STEPS,
        )

    def _newton_step(self, x: Array, s: float, scale: float) -> tuple[Array, float]:
        """Newton step of the core and its size relative to the state; infinite where the matrix is
        singular.
        """
        matrix, q = self.reduced(x, s)[0], self.basis
        try:
            step = -q @ np.linalg.solve(matrix, q.T @ self.velocity(x, s)[self.core])
        except np.linalg.LinAlgError:
            return np.zeros(len(self.core)), np.inf
        size = float(np.max(np.abs(step) / (np.abs(x[self.core]) + 1e-6 * scale)))
        return step, size if np.isfinite(size) else np.inf

    def _polish(self, x: Array, s: float, scale: float) -> Array | None:
        """Newton's iteration to rounding from a point near a steady state; None when it wanders off."""
        x = x.copy()
        previous = np.inf
        for _ in range(30):
            step, size = self._newton_step(x, s, scale)
            if not size < max(previous / 2, _NEWTON_RADIUS):
                return None
            x[self.core] += step
            if np.any(x[self.core] < self._floor - 1e-9 * scale):
                return None  # a solution of the equations, but not of chemistry
            if size < 1e-13 or (size < 1e-9 and size >= previous):  # rounding is reached
                return x
            previous = size
        return x if previous < 1e-9 else None

    def _checked_stable(self, x: Array, s: float) -> Array:
        growth = float(np.max(np.linalg.eigvals(self.reduced(x, s)[0]).real, initial=-np.inf))
        if growth < 0:
            return x
        fate = f"grows at rate {growth:.3g}" if growth > 0 else "does not decay"
        raise ConvergenceError(
            f"the steady state at {self.input}={s:g} is not stable (a perturbation {fate}); "
            f"a kernel exists only around a stable state",
            residual=growth,
        )


def _refuse(network: Network, trees: Sequence[Expr]) -> None:
    """Say what keeps a network from being a set of autonomous rate equations."""
    if network.unsupported:
        place, reason = network.unsupported[0]
        raise ModelError(f"{place}: {reason}; remove it")
    if network.events:
        raise ModelError(f"event {network.events[0]}: a model with events has no kernel; remove the event")
    if network.lawless:
        raise ModelError(f"reaction {network.lawless[0]}: it has no rate law; write one after the reaction")
    timed = next((r.name for r in network.reactions if TIME in symbols(r.law)), None)
    if timed is not None or any(TIME in symbols(tree) for tree in trees):
        where = "a rule" if timed is None else f"reaction {timed}"
        raise ModelError(f"{where} depends on time itself; drive the model through its input instead")
    values = {**network.constants, **network.initial}
    used = frozenset().union(*map(symbols, trees)) | set(network.variables)
    missing = sorted(n for n in used if n in values and np.isnan(values[n]))
    if missing:
        raise ModelError(
            f"{', '.join(map(repr, missing))} has no value; write '{missing[0]} = ...' in the model"
        )
