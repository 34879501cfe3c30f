"""A body as a substrate of any learning rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chemlearn.bodies.body import Body
from chemlearn.bodies.elastic import SpringNetwork, check_rigid
from chemlearn.resistors.substrate import LinearSubstrate
from chemlearn.resistors.tasks import Task

__all__ = ["BodySubstrate"]


@dataclass(frozen=True, eq=False)
class BodySubstrate(LinearSubstrate):
    """The network of a body: pressures and radii, displacements and stiffnesses, voltages and conductances.

    Its edges see the exact s = −∂E/∂w; what their own models make of a swing is a matter of
    :func:`~chemlearn.bodies.training.train_body`.
    """

    @classmethod
    def of(cls, body: Body, task: Task, **how: Any) -> BodySubstrate:
        """The substrate with the sources and targets of a task, as :class:`LinearSubstrate` otherwise.

        Raises
        ------
        ValueError
            As the class, or if springs can move and none of them stretches.
        """
        how.setdefault("least", body.least)
        found = cls(
            body.network,
            task.sources,
            task.targets,
            parameter=body.parameter,
            exponent=body.exponent,
            **how,
        )
        if isinstance(body.network, SpringNetwork):
            check_rigid(body.network, task)
        return found
