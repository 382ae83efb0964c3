"""Which addresses of mail people may name."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import getaddresses

from hypothesis import given
from hypothesis import strategies as st

from parkade.messages.addresses import AddressRules
from parkade.messages.receivers import Directory, MailServer, PeopleRules, Refused

MAIL = MailServer(host="127.0.0.1", port=25, sender="p@x.org", domains=("x.org",))
RULES = PeopleRules(addresses=AddressRules(), mail=MAIL)
PLAIN = "aZ09_'&~+-."
ODD = PLAIN + '=?[]:%!<>,;()\\" '


class Unkept:
    """A store of receivers that keeps none."""

    def receivers(self) -> Sequence[bytes]:
        return ()

    def keep_receiver(self, receiver: str, body: bytes) -> None:
        """Keeps nothing."""

    def forget_receiver(self, receiver: str) -> None:
        """Keeps nothing."""


def is_taken(address: str) -> bool:
    try:
        Directory(Unkept(), RULES).add(
            org="acme", user="ann", address=address, about=("ended",), now_us=1
        )
    except Refused:
        return False
    return True


@given(st.text(ODD, min_size=1, max_size=8) | st.text(PLAIN, min_size=1, max_size=8))
def test_an_address_that_is_taken_is_read_by_the_mail_library_as_it_stands(name: str) -> None:
    address = f"{name}@x.org"
    if is_taken(address):
        mail = EmailMessage()
        mail["To"] = address
        assert getaddresses([str(mail["To"])]) == [("", address)]
        assert mail.as_bytes()


def test_usual_addresses_are_taken() -> None:
    for name in ("ann", "ann.lee", "ann+parkade", "o'neil", "a_b-c", "R&D"):
        assert is_taken(f"{name}@X.org"), name
