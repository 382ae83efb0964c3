"""The life of a workload: submitted, promised seats, launched, observed, ended, and again.

Theory of operation
-------------------
A workload is a wish; an *attempt* is one run of it on given seats. The clearing gives a workload
a *promise* of seats (`clearing.changes`). When the seats are free, a deadline turns the promise
into an attempt with the next generation number (`promises`). From then on only two things change
the attempt: what its agent reports (`observations`), and an order to stop, which has a deadline
and a kill (`steps.notices`). When the agent reports that the last process is gone, the seats are
free, the attempt is judged, and the workload ends, waits for a clearing, or goes on to a promise
it already has.

    queued -> placed -> starting -> running -> preempting -> queued or placed
              promise   launch      first      notice        release
                        ordered     process                  seen

    decisions      what users ask: submit, hold, release, change the bid, cancel
    promises       when promised seats are free, when a leaver is overdue, what giving up costs
    unstarted      when seats held without a first process are billed
    expiry         the end by the clock: the notice in time, and when the record is forgotten
    observations   what a report means: started, checkpointed, charged, ended and judged
    exits          the exits of an attempt's ranks, as one code and in one line
    effects        what each of these events changes in the world

The phases and their steps are one table, `workloads.life`. How an end is judged is one table as
well (`tests/core/running/test_observations.py` has each cell): exit 0 of all ranks is success, but
after our signal in a notice it is "saved, run me again" (decision 40); 85 is that as well, outside
a notice only with a checkpoint of this attempt; an end under notice is a preemption unless the
notice was for good; an end that was not observed is the platform's, unless the attempt may have
ended its own keeper (decision 42); all else is a failure, and the spec says how many are retried,
but for 78, with which a program says that another try would fail as well (decision 139).

Invariants
  - A gang starts whole: an attempt has seats for all its ranks, all in one pool.
  - An order has the generation of its attempt, and a report of another generation changes nothing.
  - Nothing follows from an attempt that is absent from a report.
  - A notice is never withdrawn and its times never move back.
  - Seats that are released stay promised until the promise is kept or withdrawn.
  - Preemption, healing and loss are never failures.

Example (computed by `tests/core/running/test_life_of_an_attempt.py`). w1 runs on the four GPUs of
the node a1 when w2, of another org, outbids it. Notice 30 s, kill 5 s, turnaround 20 s, in
seconds:

    1000   clearing: w1 has its notice until 1030, its kill at 1035; w2 is placed on a1
    1012   w1 exits 85: released, queued again, one preemption and no failure
    1032   a1 is clean: w2.1 is launched, generation 1; w2 is starting
    1034   its first process is reported: w2 is running, and billed from here
    1100   it reports a checkpoint
    1200   a1 fails: w2 is degraded; the clearing finds no other node, so it is stopped, and its
           ranks have the heal notice of 10 s, until 1210, to save what they can
    1205   it is released with an unknown exit: queued, no failure, billed to 1100: 66 s

At 2.10 per GPU-hour those 66 s of four GPUs cost 0.154.

Decision record 2: what ends are billed, how 85 is judged, what unknown exits mean.
"""
