"""What bids draw on in a clearing: purses of money, and rooms of GPUs that caps leave."""

from parkade.core.workloads.life import Why


class Purse:
    """Money that bids set aside of: what is left of a balance or of a cap."""

    def __init__(self, micros: int) -> None:
        self.micros = micros


class Room:
    """What a cap on GPUs leaves. `standing`: GPUs of what keeps its seats, `leaving`: of what is
    told to leave."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.standing = 0
        self.leaving = 0

    def left(self, *, is_seated: bool) -> int:
        """For a bid that has seats, or for a new one; below zero where a cap was lowered."""
        return self.most - self.standing - (0 if is_seated else self.leaving)


class Account:
    """What bids of one user draw on: each purse and room with the reason where it has too little;
    the balance and what the org has are shared with its other users."""

    def __init__(self, purses: list[tuple[Why, Purse]], rooms: list[tuple[Why, Room]]) -> None:
        self.purses = purses
        self.rooms = rooms

    def left_micros(self) -> int:
        """What all purses have."""
        return min(purse.micros for _, purse in self.purses)

    def too_little(self, earmark: int) -> Why | None:
        """The first purse that cannot set so much aside."""
        for why, purse in self.purses:
            if purse.micros < earmark:
                return why
        return None

    def take(self, micros: int, gpus: int) -> None:
        """Sets money and GPUs aside."""
        for _, purse in self.purses:
            purse.micros -= micros
        for _, room in self.rooms:
            room.standing += gpus
