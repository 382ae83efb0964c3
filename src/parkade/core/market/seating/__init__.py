"""Decides where the winners of an allocation sit, so that few running GPUs are moved.

`seat.seat` is the door. Behind it:

| question | file |
|---|---|
| whether another round is needed, and which result stands | `seat` |
| who keeps its seats before the first turn of a try | `starting` |
| one try: who chooses, in which turns | `trying`, with `standing` |
| which free nodes a winner takes | `free_room` |
| which workloads give way for a winner that fits nowhere | `giving_way` |
| whether a seating holds, and who must sit where it was counted | `check` |
| every winner where it was counted, if no repair holds | `fallback` |
"""
