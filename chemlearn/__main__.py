"""``python -m chemlearn``: the command line."""

from chemlearn.cli import main

main()
