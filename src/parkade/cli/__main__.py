"""`python -m parkade.cli`: the same program, for places that know an interpreter and no path."""

from parkade.cli import main

main()
