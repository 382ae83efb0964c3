"""How many files a process may have open: systems begin with 1,024 and let it have more."""

import resource


def raise_file_limit(wanted: int) -> int:
    """As many as this process may have, at least `wanted` where nothing bounds them; how many that
    is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, wanted)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard
