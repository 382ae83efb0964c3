"""URLs of model servers: what is wrong with one is said before anything is asked."""

from urllib.parse import urlsplit

#: What Python's resolver can be asked: labels of 1 to 63 characters.
LABEL = 63


def fault_of_url(url: str) -> str | None:
    """What is wrong, as the end of a sentence that begins with the URL; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, has_password = parts.hostname, bool(parts.password)
        # Reading it is what checks it.
        _ = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.scheme not in ("http", "https") or not host:
        return "is no URL such as http://host:8000/v1"
    if has_password:
        return "may not hold a password; use key_env"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "holds a space or an unprintable character"
    if parts.query or parts.fragment:
        return "may not have a part after ? or #; it ends with its path, such as /v1"
    labels = host.removesuffix(".").split(".")
    if ":" not in host and not all(0 < len(label) <= LABEL for label in labels):
        return f"names no host: {host!r} has a part that is empty or longer than {LABEL} characters"
    return None
