"""Settings and wiring: the one place where implementations are chosen.

`python -m parkade.service` starts the server, as `parkade up` does.
"""
