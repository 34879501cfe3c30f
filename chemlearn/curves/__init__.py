"""Update curves of kernels: resolved once, thresholded exactly, and what their shape says."""
