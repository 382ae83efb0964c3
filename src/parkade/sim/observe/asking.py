"""The two commands whose output is read, and the columns that are needed of it."""

NEEDED = (
    "JobIDRaw",
    "Account",
    "Partition",
    "State",
    "Submit",
    "Eligible",
    "Start",
    "End",
    "ReqTRES",
    "AllocTRES",
    "NNodes",
    "NodeList",
)
USED = (
    *NEEDED, "JobID", "TimelimitRaw", "Timelimit", "Priority", "TotalCPU", "Reservation"
)  # fmt: skip
"""`Timelimit` is read where `TimelimitRaw` is absent."""

ASKED = (
    "JobID,JobIDRaw,Account,User,Partition,QOS,State,Submit,Eligible,Start,End,TimelimitRaw,"
    "ReqTRES,AllocTRES,NNodes,NodeList,Reservation,Priority,Reason,TotalCPU"
)
SACCT = (
    "SLURM_TIME_FORMAT=%s sacct -a -X -D -P --noconvert -S now-31days -E now"
    f" -o {ASKED} > jobs.sacct"
)
SINFO = "sinfo -a -N -o '%N|%R|%G|%c|%T|%p|%l' > nodes.sinfo"
SINFO_COLUMNS = ("NODELIST", "PARTITION", "GRES", "CPUS", "STATE", "PRIO_TIER", "TIMELIMIT")
