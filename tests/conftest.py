"""How properties are tried: the same examples on every run, unless asked to search.

`HYPOTHESIS_PROFILE=long` searches at length with fresh randomness; a failing example it finds
becomes a named case in the test it broke.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.register_profile(
    "long",
    max_examples=2_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
