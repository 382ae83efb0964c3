"""Parkade: a marketplace for AI compute.

This module holds the version and nothing else, so that importing any part of Parkade costs only
that part: the Python client is `parkade.client`, the server is wired in `parkade.service`.
"""

__version__ = "0.1.0"
