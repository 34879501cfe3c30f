"""Memory kernels in closed form: what they are, how they answer a signal."""
