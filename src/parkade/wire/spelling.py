"""Messages for unknown keys (not carried out yet, or misspelt) and for text that does not fit."""

import difflib

from parkade.core.units.names import GRAMMARS

# Keys that the design has and this version does not carry out; refused by name.
LATER = {
    "suppliers": "naming suppliers",
    "cpus_per_gpu": "asking for CPUs",
    "memory_per_gpu": "asking for memory",
    "array": "an array of members",
    "payout_cap": "a cap on payouts",
    "min_runtime": "a shortest run",
    "shared_nodes": "orgs that share a node",
}
KNOWN_KEYS: set[str] = set()
# The longest key that is compared with those that there are.
LONGEST_KEY = 40
# What a pattern of the wire wants, in words, by a piece of it that no other has.
PATTERNS = {
    "^/": "write an absolute path, in one line",
    "^[~/]": "write a path that begins with / or ~, in one line",
    "@:+=,#": "write the name or path of an image, of letters, digits and /~._@:+=,#-",
    "\\x00": "write text without zero bytes",
}


def explain_unknown_key(location: tuple[int | str, ...]) -> tuple[str, str]:
    """(code, message) for an unknown key at a place."""
    key = str(location[-1]) if location else ""
    if key in LATER:
        return "not_yet", f"{LATER[key]} (`{key}`) is not carried out yet"
    if len(key) > LONGEST_KEY:
        return "invalid", "no such key"
    close = difflib.get_close_matches(key, sorted(KNOWN_KEYS - {key}), n=1, cutoff=0.75)
    return "invalid", f"no such key; did you mean `{close[0]}`?" if close else "no such key"


def explain_pattern(pattern: str, message: str) -> str:
    """What would fit a pattern, or pydantic's own message."""
    for grammar in GRAMMARS:
        if pattern == f"^{grammar.pattern}$":
            return grammar.words
    return next((words for piece, words in PATTERNS.items() if piece in pattern), message)
