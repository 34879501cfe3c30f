"""Chemistry that learns."""
