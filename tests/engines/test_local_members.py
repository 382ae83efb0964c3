"""The members file of a live attempt, without a process."""

import json
from pathlib import Path

from msgspec.structs import replace

from parkade.engines.local import records
from parkade.engines.local.gang import Gang
from parkade.engines.local.leases import Silence
from parkade.engines.local.leaving import Leaving
from parkade.engines.local.records import MemberState, State
from parkade.engines.local.resizing import Resizing
from parkade.engines.local.state_file import StateFile, never_started
from tests.engines.contract_live import live_attempt
from tests.engines.trial import launched


class Folder:
    """An attempt's folder, and the keepers of it, one after another."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.launch = launched(live_attempt(tmp_path), ((0,),), 1)

    def keeper(self, state: State) -> Resizing:
        gang = Gang((never_started(),), marks=(), guards=(), is_parent=True)
        file = StateFile(self.path, self.launch, state, gang)
        leaving = Leaving(file, gang, orders=self.path, silence=Silence("", 0))
        return Resizing(file, gang, leaving, starts=lambda *_: None)

    def generation(self) -> int:
        found: int = json.loads((self.path / records.MEMBERS).read_text())["generation"]
        return found


def test_a_generation_is_on_record_before_the_program_can_read_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = replace(
        records.nothing_yet(folder.launch),
        ranks=(never_started(),),
        members=(MemberState(since=0, has_begun=False),),
    )
    lost = folder.keeper(first)
    lost.begin()
    recorded = records.read_state(tmp_path)
    assert recorded is not None and recorded.members_files == folder.generation() == 1

    # The next one knows more than the lost one wrote.
    folder.keeper(recorded).all_begun()
    assert folder.generation() == 2
