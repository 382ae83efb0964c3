"""Settings and wiring: the one place where doors are chosen. `python -m parkade.service` starts
the server, as `parkade up` does."""
