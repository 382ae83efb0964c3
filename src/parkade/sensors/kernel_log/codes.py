"""GPU driver codes in kernel lines: Xid of all forms, and SXid of NVSwitches.

Forms: with and without process id and name, a process id in quotes, an address with and without
`PCI:`, NVLink 5 lines with unit, severity, link and registers, and Xid 154 with the repair that the
driver asks for. A line that has an Xid but not the rest of its form still gives its code.
"""

import re

from parkade.core.healing.symptom import (
    MOST_NAME_CHARACTERS,
    RECOVERY_ACTION_BY_NUMBER,
    Fact,
    NvlinkFact,
    RecoveryAction,
    RecoveryFact,
    Severity,
    SwitchFact,
    XidFact,
    bounded,
)

RECOVERY_XID = 154
OLD_NVLINK_UNIT = "LINK"
"""NVLink 4 and older (Xid 74) name no unit; the first of the line's registers is decoded."""
_XID = re.compile(
    r"\bNVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]{4,32})\): (\d{1,6})\b,?\s*(.*)", re.DOTALL
)
_SXID = re.compile(r"\bSXid \((?:PCI:)?([0-9A-Fa-f:.]{4,32})\): (\d{1,6})\b,?\s*(.*)", re.DOTALL)
_PROCESS = re.compile(
    r"^pid='?(\d{1,9}|<unknown>|[^,']{0,32})'?(?:, name=([^,]{0,128}))?(?:,\s*|$)"
)
_PLACE = re.compile(r"\(?\bGPC (\d{1,3}), TPC (\d{1,3})\b")
_NVLINK = re.compile(
    r"^([A-Z0-9_]{2,24}(?:/[A-Z0-9_]{2,24})?)\s+(Fatal|Nonfatal|Link Fatal)\s+XC\d{1,3}\s+i\d{1,3}"
    r"\s+Link\s+(-?\d{1,3})\s+\(0x([0-9A-Fa-f]{1,8})\s+0x([0-9A-Fa-f]{1,8})\b"
)
_OLD_NVLINK = re.compile(
    r"\bNVLink: (fatal )?error detected on link (-?\d{1,3})\s?\(0x([0-9A-Fa-f]{1,8})"
)
_RECOVERY = re.compile(r"\bto 0x([0-9A-Fa-f]{1,4})\b")
_LINK = re.compile(r"\bLink (\d{1,3})\b")


def read_xid(text: str) -> tuple[str, Fact] | None:
    """Device and fact of a line with an Xid, None without one."""
    found = _XID.search(text)
    if found is None:
        return None
    device, code, rest = device_of(found[1]), int(found[2]), found[3]
    process_id, process = None, None
    if named := _PROCESS.match(rest):
        process_id = int(named[1]) if named[1].isdecimal() else None
        process = (
            None if named[2] in (None, "<unknown>") else bounded(named[2], MOST_NAME_CHARACTERS)
        )
        rest = rest[named.end() :]
    if code == RECOVERY_XID:
        return device, RecoveryFact(action=_recovery(rest))
    if linked := _NVLINK.match(rest):
        return device, NvlinkFact(
            code=code,
            unit=linked[1],
            is_fatal="Fatal" in linked[2],
            link=int(linked[3]),
            interrupt=int(linked[4], 16),
            status=int(linked[5], 16),
        )
    if linked := _OLD_NVLINK.search(rest):
        return device, NvlinkFact(
            code=code,
            unit=OLD_NVLINK_UNIT,
            is_fatal=linked[1] is not None,
            link=int(linked[2]),
            interrupt=int(linked[3], 16),
            status=0,
        )
    placed = _PLACE.search(rest)
    return device, XidFact(
        code=code,
        process_id=process_id,
        process=process,
        place=f"GPC {placed[1]} TPC {placed[2]}" if placed else None,
    )


def read_sxid(text: str) -> tuple[str, Fact] | None:
    """Device and fact of an NVSwitch's line, None without one."""
    found = _SXID.search(text)
    if found is None:
        return None
    rest = found[3]
    if rest.startswith("Non-fatal"):
        severity = Severity.NON_FATAL
    elif rest.startswith("Fatal"):
        severity = Severity.FATAL
    else:
        severity = Severity.UNSTATED
    linked = _LINK.search(rest)
    link = int(linked[1]) if linked else None
    return device_of(found[1]), SwitchFact(code=int(found[2]), severity=severity, link=link)


def device_of(address: str) -> str:
    """One form for a PCI address, without function: `0000:3b:00` of `00000000:3B:00.0`."""
    parts = address.strip().lower().removeprefix("pci:").partition(".")[0].split(":")
    if len(parts) == 2:
        parts = ["0", *parts]
    if len(parts) != 3 or not all(parts):
        return bounded(address, 32)
    domain, bus, slot = parts
    return f"{domain.lstrip('0').rjust(4, '0')}:{bus.rjust(2, '0')}:{slot.rjust(2, '0')}"


def _recovery(rest: str) -> RecoveryAction:
    found = _RECOVERY.search(rest)
    if found is None:
        return RecoveryAction.UNKNOWN
    return RECOVERY_ACTION_BY_NUMBER.get(int(found[1], 16), RecoveryAction.UNKNOWN)
