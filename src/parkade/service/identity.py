"""The provider of `oidc.yaml` in the data folder, by which people log in."""

from pathlib import Path

from parkade.extras import install
from parkade.identity.door import Provider
from parkade.identity.rules import IdentityFile
from parkade.service.secrets import read_secret
from parkade.service.settings import BadSettings
from parkade.wire.yaml import Unreadable, parse

NAME = "oidc.yaml"
LEAST_SECRET = 8


def read_provider(folder: Path) -> Provider | None:
    """The provider; None where there is no file. BadSettings with every fault."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        file = parse(path.read_text(encoding="utf-8"), IdentityFile)
    except (Unreadable, OSError) as error:
        raise BadSettings(f"{path}: {error}") from error
    place = file.client_secret_file
    secret = None if place is None else read_secret(place, least=LEAST_SECRET).decode()
    try:
        from parkade.identity.provider import OidcProvider
    except ModuleNotFoundError as error:
        raise BadSettings(f"{path}: {error.name} is missing: {install('oidc')}") from error
    return OidcProvider(file, secret)
