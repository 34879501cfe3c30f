"""What a leaping run may be off by, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass

from chemlearn.simulate.leap.rule import CRITICAL, turnover

LEAST_AMOUNT = 100.0  #: copy number below which the Langevin equation is refused


@dataclass(frozen=True)
class Statement:
    """The error that a run allows itself.

    Parameters
    ----------
    normal : bool
        A Langevin run.
    accuracy : float
        ε: no propensity is expected to change by more than this fraction during a step, in its mean or its
        standard deviation.

    Notes
    -----
    At every instant each propensity is within about ε of the value that the run uses, so a mean is off by no
    more than in a model whose rate constants are each off by ε: :math:`|b| ≤ ε Σ_j |∂⟨x⟩/∂ \\ln k_j|`.
    What that leaves out is relaxation within a step, which matters for fluctuations: with relaxation rate λ
    the scheme decays by 1 − λτ + (λτ)²/2 in place of exp(−λτ), as if λ were off by the fraction (λτ)²/6, and
    the covariances at rest by as much again. The turnover of an amount bounds λτ by about c = √(6ε), which
    makes both ε. These are bounds to leading order, and usually wide: :func:`~chemlearn.simulate.leap.check`
    measures what is left.
    """

    normal: bool
    accuracy: float

    @property
    def turnover(self) -> float:
        """c: fraction of an amount that may be made and used up during a step, over the order of its laws."""
        return turnover(self.accuracy)

    @property
    def rate_error(self) -> float:
        """The bias of means and covariances is at most that of rate constants each off by this fraction."""
        return self.accuracy

    @property
    def covariance_error(self) -> float:
        """Further fraction by which covariances may be off."""
        return self.accuracy

    @property
    def least_amount(self) -> float:
        """Smallest amount of a species that laws read; a run that falls below is refused."""
        return LEAST_AMOUNT if self.normal else 0.0

    def __str__(self) -> str:
        percent = f"{100 * self.accuracy:.3g} %"
        common = (
            f"{'Langevin steps' if self.normal else 'tau-leaping'} with accuracy {self.accuracy:g}: during a "
            f"step no propensity is expected to change by more than {percent}, in mean or standard "
            f"deviation, and no amount turns over by more than {100 * self.turnover:.3g} % of itself. Means "
            f"are off by no more than if every rate constant were off by {percent}, covariances by no more "
            f"than that and another {percent}, to leading order in the step. Output times and knots of the "
            f"signal are met exactly; they end steps, so the numbers depend on them. "
        )
        if self.normal:
            return common + (
                f"Amounts are real numbers, with Gaussian noise in every reaction. Where all laws are linear "
                f"their means and covariances are those of whole molecules; elsewhere the equation itself "
                f"makes relative errors of order 1/N^2 in means and 1/N in variances at copy number N "
                f"(doi:10.1063/1.3625958). Tails and rare events are not right. Every amount that laws read "
                f"stays at {LEAST_AMOUNT:g} or more, or the run is refused; one that none reads may be "
                f"below 0."
            )
        return common + (
            f"What takes from fewer than {CRITICAL} molecules, or adds to so few that laws read, fires one "
            f"at a time; so does everything where a leap would be short. A leap that ends below 0 is made "
            f"again at half its length."
        )
