"""Learning in networks: substrates that relax, and rules that turn what their synapses see into updates."""
