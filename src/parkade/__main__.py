"""`python -m parkade`: the command line, for places that know an interpreter and no path."""

from parkade.cli import main

if __name__ == "__main__":
    main()
