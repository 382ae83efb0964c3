"""Why a login by a provider did not come about; the words are for the person who tried."""


class IdentityError(Exception):
    """The login failed; another try may go better where the provider was not reached."""


class Stranger(IdentityError):
    """The provider knows the person, and no rule of this marketplace lets it in."""


class Pending(Exception):
    """The person has not finished at the provider; ask again after `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s
