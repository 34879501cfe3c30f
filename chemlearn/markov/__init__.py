"""Markov chains and the two-rail ladder, to full accuracy however far apart the rates are."""
