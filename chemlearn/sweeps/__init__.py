"""Sweeps: ensembles at every point of a grid of parameter values, safe to leave running.

==============  =========================================================================================
module          what it holds
==============  =========================================================================================
``sweep``       the entry point, :func:`chemlearn.sweep`
``grid``        which values the parameters take
``course``      what the input does in a trajectory, and when one looks
``measures``    what is measured: one number or a few for each trajectory, then value and error
``entropy``     the entropy production of single trajectories, for the measure ``dissipation``
``plan``        what is known of a point before its trajectories are simulated
``manifest``    everything that the numbers depend on, and how two sweeps differ
``tasks``       the two kinds of work that a worker does, here or on another machine
``crew``        who does the work: threads, processes, Dask
``chunks``      one piece of an array in one file: whole or not there
``store``       the zarr group on disk, and its lock
``runner``      hands out work, writes what comes back, goes on after failures
``pace``        how fast it goes and how long it will take
``results``     the labelled Dataset
``merge``       parts from several machines made one
==============  =========================================================================================
"""
