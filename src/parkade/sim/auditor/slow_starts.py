"""Seats held before a first process: how long, by whose doing it ended, and what of it is billed.

The event of an end says it in `held_us` and `held_in_grace_us`; here it is told again from the
launch, the stop and the silence of the agent. In journals of before `held_us` only what never
started was billed: from the second workload of an org in a day on, if it was launched after the
first had ended.
"""

from parkade.sim.auditor.books import Books, Record, Run, begins_us, require

DAY_US = 86_400_000_000
OWN_DOING = ("cancelled", "not_started", "budget", "expired")
RUNS_PER_SLOW_START = 4
NOT_LAUNCHED = "could not be launched: "


def note_slow_start(books: Books, run: Run, event: Record) -> None:
    """The end of a run: what it held for nothing is as the event says, and the first of its org in
    a day is remembered."""
    is_noted, held_us = event.get("is_unstarted", False), event.get("held_us")
    if held_us is None:
        require(not is_noted or _may_be_own(run, event), "others made it leave, or it had started")
        run.is_held_again = is_noted and _holds_again(books, run, event["at_us"])
    else:
        _check_hold(books, run, event)
        run.held_us = (event.get("held_in_grace_us") or 0) + (event.get("held_idle_us") or 0)
        run.held_us += held_us if has_held(books, run, event["at_us"]) else 0
    counts = is_noted if held_us is None else held_us > 0
    if counts and not has_held(books, run, event["at_us"]):
        books.unstarted[run.org] = (run.workload, event["at_us"])


def held_to_us(run: Run, ended_us: int, start_grace_us: int) -> int:
    """Until when a run that is billed to an instant held its seats without being billed for it
    anyway: its first process, or, where it made others leave, the start grace after its launch or
    the end of their notice."""
    began_us = ended_us if run.started_us is None else min(run.started_us, ended_us)
    if run.displaced:
        return min(began_us, begins_us(run) + start_grace_us)
    return began_us


def has_held(books: Books, run: Run, at_us: int) -> bool:
    """Whether an attempt of its org held seats for nothing in the last day."""
    return at_us - books.unstarted.get(run.org, ("", -DAY_US))[1] < DAY_US


def _holds_again(books: Books, run: Run, at_us: int) -> bool:
    """Whether a run that ends before its first process was launched after another workload of its
    org had done the same that day."""
    first, first_us = books.unstarted.get(run.org, ("", -DAY_US))
    is_another = first != run.workload and first_us <= run.ordered_us
    return is_another and at_us - first_us < DAY_US


def _may_be_own(run: Run, event: Record) -> bool:
    is_by_own = run.is_due or event["cause"] in (None, *OWN_DOING)
    return run.started_us is None and run.broken_us is None and is_by_own


def _check_hold(books: Books, run: Run, event: Record) -> None:
    """What is not billed for the start is so for one reason: others ended it, or, where a rank's
    end is unknown after its first process, that may be the platform's doing. Before the time within
    the start grace was billed, events said only what was beyond it."""
    is_own = _is_own(run, event)
    is_unstarted = is_own and run.started_us is None
    says = "an end before its start is forgotten, or others made it leave"
    require(event.get("is_unstarted", False) == is_unstarted, says)
    took_us, free_us = _before_us(books, run, event)
    due_us = max(0, took_us + run.waited_us - free_us) if is_own else 0
    within_us = min(due_us, took_us, int(books.terms[run.market]["start_grace_us"]))
    beyond_us = min(due_us, took_us) - within_us
    idle_us = due_us - within_us - beyond_us
    known = [event["held_us"], event.get("held_in_grace_us"), event.get("held_idle_us")]
    is_unknown = "lost" in event["summary"] or "unknown" in event["summary"]
    is_spared = is_unknown and run.started_us is not None and event["cause"] is not None
    is_right = known[0] == beyond_us and known[1:] in ([None, None], [within_us, idle_us])
    is_right = is_right or (is_spared and not any(known))
    right = [beyond_us, within_us, idle_us]
    require(is_right, f"{known} us were held for nothing beyond, in the grace and idle: {right}")


def _is_own(run: Run, event: Record) -> bool:
    """Whether its org's own doing ended it. What ended by itself succeeded, failed or saved; else
    it is not known what ended it."""
    if run.broken_us is not None or _is_refused(run, event):
        return False
    if event["cause"] is None:
        is_saved = event.get("is_saved", False)
        return run.has_failed or is_saved or event["phase"] == "succeeded"
    return run.leaves_by_own


def _is_refused(run: Run, event: Record) -> bool:
    """Whether the engine did not start it, by no doing of its org: only what had no process and is
    said to have failed at its launch."""
    is_refused: bool = event.get("is_refused", False)
    is_so = run.started_us is None and event["summary"].startswith(NOT_LAUNCHED)
    require(is_so or not is_refused, "a start is said to be refused, and is none")
    return is_refused


def _before_us(books: Books, run: Run, event: Record) -> tuple[int, int]:
    """(the time before its first process in which its agent was heard, how much of that its run
    makes free); what made others leave is billed from the end of the start grace on anyway."""
    ends = (event["at_us"], run.kill_us, run.unseen_us)
    ended_us = min(end for end in ends if end is not None)
    to_us = held_to_us(run, ended_us, int(books.terms[run.market]["start_grace_us"]))
    started_us = ended_us if run.started_us is None else min(run.started_us, ended_us)
    from_us = run.ordered_us + run.silent_us
    return max(0, to_us - from_us), (ended_us - started_us) // RUNS_PER_SLOW_START
