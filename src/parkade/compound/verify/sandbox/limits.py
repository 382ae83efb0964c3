"""What a job in the sandbox may use. Every limit is hard; the defaults suit short functions."""

import msgspec

SECOND_US = 1_000_000
MEBIBYTE = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one job: the code and, in a process of their own, its tests."""

    #: From the start of the job to its end.
    wall_us: int = 10 * SECOND_US
    #: Processor time of each process, in whole seconds, as the kernel counts it.
    cpu_seconds: int = 5
    #: Private memory of each process (the kernel refuses more) and of all together (looked at
    #: every 20 ms, and the job ended).
    memory_bytes: int = 512 * MEBIBYTE
    #: Processes and threads of the code, its first included.
    processes: int = 16
    open_files: int = 64
    #: All that is written to the private /tmp, which lies in memory and ends with the job.
    file_bytes: int = 16 * MEBIBYTE
    #: Files and folders in /tmp.
    files: int = 256
    #: What the code may answer: in one answer to the tests, or in all answers to calls together. An
    #: answer takes up to forty times as much memory where it is read.
    output_bytes: int = MEBIBYTE

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if not 1 <= value <= 1 << 40:
                raise ValueError(f"{field} is {value}; it must be between 1 and {1 << 40}")
