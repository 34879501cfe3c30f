"""The report of an assessment: one self-contained HTML page, its pictures, and its numbers as netCDF."""

from __future__ import annotations

import base64
import io
import math
import os
import platform
import shlex
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import jinja2
from matplotlib import rc_context
from matplotlib.figure import Figure

from chemlearn import plot
from chemlearn.assessment import Assessment
from chemlearn.errors import SimulationError
from chemlearn.sbml import looks_like_sbml
from chemlearn.verdict import percent, span

CAPTIONS = {
    "update": "Change of the weight in one cycle against the contrast between clamped and free. "
    "On the dashed line the synapse takes exactly the difference.",
    "cycle": "One swing to clamped and back. Only where the output leaves the grey band does it "
    "change the weight; a contrastive synapse leaves it on the fast swing alone.",
    "kernel": "How the output remembers a short pulse of the input. "
    "A contrastive synapse needs two lobes that cancel.",
    "step_response": "The output after the input steps, per size of the step. Coming back to zero is "
    "adaptation; curves that lie on each other mean that the response is linear.",
    "working_range": "Top: how much of the answer to a small step remains, at each level of the input. "
    "Bottom: gain of the update, and how fast the answer fades. The dotted line marks the mean of the cycle.",
    "dissipation": "Entropy produced by each reversible reaction.",
}
PACKAGES = (
    "chemlearn",
    "tellurium",
    "libroadrunner",
    "gillespy2",
    "antimony",
    "python-libsbml",
    "numpy",
    "scipy",
    "xarray",
)


def summary(found: Assessment) -> list[tuple[str, str]]:
    """The main numbers as rows of label and text, for the terminal and the page."""
    kernel, cycle, settings = found.kernel, found.cycle, found.settings
    s, u = found.model.input, found.model.output
    pace = f" ({cycle.rise / kernel.half_time:.3g} half-times)" if kernel.half_time else ""
    rows = [
        ("mean input", f"{s} = {cycle.mean:.4g}"),
        (
            "kernel",
            f"{len(kernel.lobes)} lobe{'s' if len(kernel.lobes) != 1 else ''}, half-time "
            f"{kernel.half_time:.4g}",
        ),
        ("first moment M₁", f"{kernel.first_moment:.5g}"),
        ("area I", f"{kernel.area:.3g}; {percent(kernel.residual)} of the answer to a step remains"),
        ("working range", str(found.working) if found.working.reason else f"{s} {span(found.working)}"),
        ("cycle", f"rise {cycle.rise:.4g}{pace}, fall {cycle.fall:.4g}"),
        ("threshold", f"{found.threshold:.4g} in {u} (rule '{settings.rule}' × {settings.margin:g})"),
        ("slope, closed form", _slope(found.closed)),
        ("slope, rate equations", _slope(found.deterministic)),
    ]
    if found.ensemble is not None:
        steps = found.ensemble.data.attrs["staircase"]
        made = f"{settings.trajectories} trajectories{f', ramps as {steps} constant steps' if steps else ''}"
        for label, curve in (("pooled", found.ensemble.pooled), ("one alone", found.ensemble.single)):
            gain = curve.updates[-1] / curve.ideal_slope / curve.amplitudes[-1]
            error = curve.errors[-1] / curve.ideal_slope / curve.amplitudes[-1]  # type: ignore[index]
            text = f"gain {gain:.2f} ± {error:.2f} at A = {curve.amplitudes[-1]:.3g}"
            rows.append((f"stochastic, {label}", f"{text} ({made})"))
        if found.no_ensemble:
            rows.append(("stochastic", found.no_ensemble))
    else:
        rows.append(("stochastic", f"none: {found.no_ensemble}"))
    if math.isfinite(found.noise):
        rows.append(("molecular noise", f"sd of {u} = {found.noise:.3g} at rest"))
    rows.append(("dissipation", str(found.dissipation)))
    if found.cycle_dissipation is not None:
        rows.append(("dissipation per cycle", str(found.cycle_dissipation)))
    return rows


def _slope(curve: object) -> str:
    found = curve.linear_range  # type: ignore[attr-defined]
    if found.reason:
        return f"none ({found.reason})"
    ends = f"{found.amplitude_min:.3g} to {found.amplitude_max:.3g}"
    return f"{found.slope:.3f} |M₁| over contrasts {ends}, offset {found.offset:.2g}"


def command(found: Assessment, source: str) -> str:
    """The command that repeats an assessment exactly."""
    return " ".join(_command(found, source))


def _command(found: Assessment, source: str) -> list[str]:
    """The same, each option with its value."""
    settings, model = found.settings, found.model
    words: list[tuple[str, ...]] = [("chemlearn",), ("assess",), (source,)]
    for role, default in (("input", "s"), ("output", "u"), ("weight", "w")):
        if getattr(model, role) != default:
            words.append((f"--{role}", getattr(model, role)))
    if model.split:
        words.append(("--split",))
    for name, value in model.values:
        if name != model.input:
            words.append(("--set", f"{name}={value!r}"))
    numbers = ("mean", "rise", "fall", "amplitude", "margin", "tolerance")
    words += [(f"--{name}", repr(float(getattr(settings, name)))) for name in numbers]
    words += [
        (f"--{name}", str(getattr(settings, name))) for name in ("rule", "trajectories", "engine", "seed")
    ]
    return [shlex.join(group) for group in words]


def write_report(found: Assessment, folder: str | Path, *, source: str | None = None) -> Path:
    """Write page, pictures and data into a folder, all of it or nothing.

    Parameters
    ----------
    found : Assessment
    folder : str or Path
        Made if it is not there; files of an earlier report in it are replaced.
    source : str, optional
        What the model was loaded from, for the command that repeats the assessment; by default the name of
        a shipped model, or else the copy of the model that is written into the folder.

    Returns
    -------
    Path
        Of the HTML page.

    Raises
    ------
    SimulationError
        When the folder cannot be written.
    """
    folder = Path(folder)
    check_writable(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".part-"))
        pictures: dict[str, str] = {}
        # text as paths, and no date or random ids, so that the same assessment gives the same files
        with rc_context({"svg.hashsalt": "chemlearn", "svg.fonttype": "path"}):
            for name, draw in plot.FIGURES.items():
                figure = draw(found)
                if figure is not None:
                    pictures[name] = _saved(figure, temporary / name)
        copy = temporary / f"{found.model.name}{'.xml' if looks_like_sbml(found.model.text) else '.ant'}"
        copy.write_text(found.model.text, encoding="utf-8")
        shipped = found.model.origin == f"models/{found.model.name}.ant"
        page = temporary / f"{found.model.name}.html"
        source = source or (found.model.name if shipped else copy.name)
        page.write_text(_page(found, pictures, source), encoding="utf-8")
        found.to_datatree().to_netcdf(temporary / f"{found.model.name}.nc", engine="h5netcdf")
        for file in sorted(temporary.iterdir()):
            os.replace(file, folder / file.name)
    except OSError as error:
        raise SimulationError(
            f"{folder}: the report could not be written ({error.strerror or error})"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # it holds the report, or was never made
                path.rmdir()
    return folder / page.name


def check_writable(folder: Path) -> None:
    """Say why nothing can be written into a folder, there already or yet to be made."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists() or path == path.parent)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise SimulationError(
            f"{folder}: nothing can be written here ({error.strerror}); choose another folder with -o"
        ) from None


def _saved(figure: Figure, stem: Path) -> str:
    """Save a figure as PNG and SVG; the SVG as a data URI, so that ids of two of them never collide."""
    figure.savefig(stem.with_suffix(".png"), dpi=150)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    stem.with_suffix(".svg").write_bytes(buffer.getvalue())
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page(found: Assessment, pictures: dict[str, str], source: str) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=False)
    template = environment.from_string(
        files("chemlearn").joinpath("templates/report.html").read_text(encoding="utf-8")
    )

    def picture(name: str) -> str:
        if name not in pictures:
            return jinja2.filters.Markup("")
        caption = CAPTIONS[name]
        return jinja2.filters.Markup(
            '<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>'
        ).format(pictures[name], caption, caption)

    return template.render(
        name=found.model.name,
        verdict=found.verdict,
        summary=summary(found),
        picture=picture,
        no_ensemble=found.no_ensemble,
        input=found.model.input,
        mean=f"{found.cycle.mean:.4g}",
        dissipation=str(found.dissipation),
        findings=found.findings,
        command=_command(found, source),
        provenance=[
            ("model fingerprint", found.model.fingerprint),
            (
                "values set",
                ", ".join(f"{n} = {v!r}" for n, v in found.model.values if n != found.model.input) or "none",
            ),
            ("seed", str(found.settings.seed)),
            ("versions", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
            ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ],
        text=found.model.text.strip(),
    )
