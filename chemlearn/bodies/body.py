r"""Bodies: a linear network, the model that every one of its edges integrates, and how the two are coupled.

The values at rest (pressures, displacements, voltages) are those of least energy E = ½ Σ w^p d², d being the
drop over an edge and w its weight, which learns. The drop drives the edge's own model, and what that answers
moves the weight (:func:`chemlearn.bodies.training.train_body`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chemlearn.bodies.elastic import SpringNetwork
from chemlearn.bodies.senses import Product, Sense, Shear
from chemlearn.kernels.kernel import ExponentialKernel
from chemlearn.linear import linear_kernel
from chemlearn.model import Model
from chemlearn.resistors.network import LinearNetwork, ResistorNetwork
from chemlearn.resistors.swings import Swing
from chemlearn.resistors.temporal import Protocol

__all__ = ["Body", "flow", "memristors", "springs"]

UNBOUND = 1e12
"""A viscosity or a capacitance so large that nothing ever relaxes."""


@dataclass(frozen=True, eq=False)
class Body:
    r"""A network whose edges learn by their own physics.

    Parameters
    ----------
    name : str
    network : LinearNetwork
        On which tasks are drawn: ``allosteric(body.network)``.
    parameter : str
        What learns at each edge, w.
    exponent : int
        p: the ends of an edge are coupled by w^p.
    model : Model
        Of every edge.
    forgetful : Model
        The same without its memory element.
    sense : Sense
        Input and reading of the model.
    kernel : ExponentialKernel
        Of ``model``. Its first moment is what a lasting change of s by 1 comes to in u times time: the scale
        of learning, also for ``forgetful``. Its duration is the scale of time.
    protocol : Protocol
        If not told otherwise. The swing is in units of the model's time.
    rate : float
        Of learning, if not told otherwise.
    least : float
        Smallest weight, if not told otherwise.
    """

    name: str
    network: LinearNetwork
    parameter: str
    exponent: int
    model: Model
    forgetful: Model
    sense: Sense
    kernel: ExponentialKernel
    protocol: Protocol
    rate: float
    least: float

    @property
    def moment(self) -> float:
        r"""∫ x dt that a unit of contrast leaves: \|M₁\| times the gain of the sense."""
        return abs(self.kernel.first_moment) * self.sense.gain

    def without_memory(self) -> Body:
        """The body whose edges lack what makes them compare; rate, set point and all else are the same."""
        return replace(self, name=f"{self.name} without memory", model=self.forgetful)


def flow(network: ResistorNetwork, *, gain: float = 0.3) -> Body:
    r"""Tubes between nodes with pressures; their radii follow a messenger that the flow releases.

    The conductance of a tube is r⁴ (Poiseuille, in units in which that of radius 1 is 1), the energy half the
    power that the flow dissipates, ½ Σ r⁴ (Δp)². The shear at the wall goes as r Δp and gates the release of
    the messenger: s = 1 + gain (r Δp)². The part that is always released keeps the edges where
    ``mechanochemical`` adapts without ringing. The tube narrows while the messenger is above its set point
    and widens below.

    The set point is c₀ of the model, one constant for all edges. Adaptation misses it by K_r/r, 0.011 % at
    s = 1 and less above, and a messenger at rest that is below it widens the tube. Swings that are slow and
    in proportion to the error drown in that. So here they rise in about the time of the memory, are equally
    large to the end, whatever the error, and the threshold is 1.5 √⟨x²⟩, which a reading that stays does not
    pass.

    What falls is (r Δp)² at the swing to the wanted values, and it is compared as such: per radius it is
    ∂E/∂r over 2r, so learning goes downhill but not steepest.

    Without its memory: ``mechanochemical_hebbian``, in which nothing removes the messenger that it makes,
    against the same set point.

    Parameters
    ----------
    network : ResistorNetwork
    gain : float
        κ, per pressure squared. Random tasks with pressures of size 1 keep s between 1 and 4, few up to 6.

    References
    ----------
    F Fig. 7B, and the text on mechano-chemical systems: flow networks of *Physarum polycephalum*.
    """
    model, basal = Model.load("mechanochemical"), 1.0
    return Body(
        name="flow",
        network=network,
        parameter="radius",
        exponent=4,
        model=model,
        forgetful=Model.load("mechanochemical_hebbian"),
        sense=Shear(basal, gain, model.parameters["c0"]),
        kernel=linear_kernel(model, basal),
        protocol=Protocol(Swing(2.0, 60.0, 30.0), nudge=0.1, size="displacement", margin=1.5),
        rate=0.3,
        least=0.1,
    )


def springs(network: ResistorNetwork) -> Body:
    r"""Springs between nodes in the plane, each with a Maxwell unit beside it that softens or stiffens it.

    A spring of stiffness k and a Maxwell unit share the stretch e of a bond; s = e, u is the unit's stress.
    The spring softens where the stress goes with the stretch, x = s u: u is the rate of e smoothed over the
    time of the unit, so x is, to first order, that of e²/2. The places of the network, and so the sources and
    targets of its tasks, are coordinates (:class:`~chemlearn.bodies.elastic.SpringNetwork`).

    The stretches are those of the springs alone, ½ Σ k e² at its least. That leaves nothing out if stiffness
    and viscosity of each unit go with k: then every bond answers with the same operator in time applied to
    k e, so the forces balance for the stretches of the springs alone, however strong the units are. Only
    after an update, when the units still hold strains that belong to the old k, are the stretches off; that
    passes as exp(−t/((1 + E/k) η/E)), in the pause. The weight that ``maxwell`` has itself is switched off; k
    has its place.

    Without its memory: no dashpot, so that u = E s.

    Parameters
    ----------
    network : ResistorNetwork
        With positions and a ground.

    References
    ----------
    F Fig. 7E, and the text on viscoelastic materials; a spring beside a Maxwell unit is a Zener solid.
    """
    model = Model.load("maxwell").with_values(k_w=0)
    return Body(
        name="springs",
        network=SpringNetwork(network),
        parameter="stiffness",
        exponent=1,
        model=model,
        forgetful=model.with_values(eta=UNBOUND, eps_v=0),
        sense=Product(),
        kernel=linear_kernel(model),
        protocol=Protocol(Swing(3.0, 60.0, 12.0), nudge=0.1),
        rate=2.0,
        least=1e-3,
    )


def memristors(network: ResistorNetwork) -> Body:
    r"""Channels between nodes with voltages, each with a capacitor and a memristor in series beside it.

    The channel is ohmic, with the conductance g to which the memristor sets it; s is the voltage over the
    edge, u that over the memristor. g falls where the two have the same sign, by x = s u, to first order the
    rate of s²/2 smoothed over the time of the charging.

    A capacitor in series with the only path of an edge would block all direct current: the voltages at rest
    would be set by the capacitances, which do not learn. So the pair is a branch in parallel. The voltages
    are those of the channels alone, and as for :func:`springs` nothing is left out if the capacitance and the
    conductance of each branch go with g. The weight that ``capacitor_memristor`` has itself is switched off;
    g has its place.

    Without its memory: no capacitor, so that u = s.

    Parameters
    ----------
    network : ResistorNetwork

    References
    ----------
    F Fig. 7, and the text on nanofluidic systems.
    """
    model = Model.load("capacitor_memristor").with_values(k_w=0)
    return Body(
        name="memristors",
        network=network,
        parameter="conductance",
        exponent=1,
        model=model,
        forgetful=model.with_values(C=UNBOUND, q=0),
        sense=Product(),
        kernel=linear_kernel(model),
        protocol=Protocol(Swing(3.0, 60.0, 12.0), nudge=0.1),
        rate=3.0,
        least=1e-3,
    )
