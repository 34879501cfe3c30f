"""The colours of all pictures: Okabe and Ito's, which colour-blind readers can tell apart.

In print without colours some look alike, so lines differ in dashes too, and points in markers.
"""

from __future__ import annotations

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "SKY"]

BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
GREY, BLACK = "#666666", "#000000"
