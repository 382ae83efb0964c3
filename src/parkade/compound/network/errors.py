"""What is wrong with a network."""


class NetworkError(ValueError):
    """The network cannot run as it is written; the message says where and what to do."""
