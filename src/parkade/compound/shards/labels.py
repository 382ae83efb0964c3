"""The label by which a workload is known as a run of compound, in lists and in the console."""

LABEL = "compound"
LABELS = {LABEL: "batch"}
