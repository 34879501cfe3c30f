"""Where the package's own Antimony models are."""

from __future__ import annotations

from pathlib import Path


def models_folder() -> Path:
    """Folder of the models: inside an installed wheel, or beside the package in a checkout."""
    inside = Path(__file__).parent / "models"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "models"


def shipped_models() -> dict[str, Path]:
    """Name and path of every model that comes with the package."""
    return {path.stem: path for path in sorted(models_folder().glob("*.ant"))}
