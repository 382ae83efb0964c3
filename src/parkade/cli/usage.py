"""What is wrong with an argument, in the words of the rest of the program and with what to do.

Typer finds such errors and words them; here alone that is put right, for all commands. Typer brings
a Click of its own: errors are known by their names, and one that is not known stays as it is.
"""

import re
from collections.abc import Iterable
from typing import Any

import typer

UsageError: Any = next(it for it in typer.BadParameter.__mro__ if it.__name__ == "UsageError")
_NUMBERS = (
    (re.compile(r"valid integer"), "must be a whole number"),
    (re.compile(r"valid number"), "must be a number"),
    (re.compile(r"greater than or equal to (\S+)"), r"must be \1 or more"),
    (re.compile(r"less than or equal to (\S+)"), r"must be \1 or less"),
    (re.compile(r"greater than (\S+)"), r"must be more than \1"),
    (re.compile(r"less than (\S+)"), r"must be less than \1"),
)


def worded(error: Any) -> Any:
    """The same error in our words; as it is where it has nothing of Typer's own English."""
    says = _words(error)
    return error if says is None else UsageError(says, ctx=error.ctx)


def _words(error: Any) -> str | None:
    of = f"`{_command(error)}`"
    match type(error).__name__:
        case "MissingParameter" if error.param is not None:
            return _missing(error)
        case "NoSuchOption":
            near = _or(sorted(error.possibilities or ()))
            rest = f"did you mean {near}?" if near else "-h shows those that there are"
            return f"{of} has no option {error.option_name}; {rest}"
        case "BadOptionUsage":
            return f"{error.option_name} needs a value after it, like {error.option_name} VALUE"
        case "BadParameter":
            hint = error.param_hint or (error.param and error.param.get_error_hint())
            text = _number(str(error.message)).strip()
            return text if not hint else f"{_bare(hint)}: {text}"
        case _:
            return _plain(str(error.message), of)


def _command(error: Any) -> str:
    """The command as it is typed, whatever started the program."""
    if error.ctx is None:
        return "parkade"
    return re.sub(r"^\S.*?parkade\S*|^root\b", "parkade", str(error.ctx.command_path))


def _missing(error: Any) -> str:
    """What is missing, and how the command is written with it."""
    name = _bare(error.param_hint or error.param.get_error_hint())
    if name.startswith("-"):
        return f"{name} is missing: add {name.split(' ')[0]} and its value"
    return f"{name} is missing: {_command(error)} {name}"


def _plain(message: str, of: str) -> str | None:
    """Of errors that have no class of their own."""
    if found := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        return f"{of} takes no more words, but there is {found[1]}; quote what has spaces"
    if found := re.match(r"No such command '(.*?)'\.?(.*)", message, re.DOTALL):
        rest = found[2].strip() or "-h shows those that there are"
        return f"{of} has no command '{found[1]}'. {rest}" if not rest.startswith(":") else None
    if message.startswith("Missing command"):
        return f"{of} needs a command after it; -h shows them"
    return None


def _number(message: str) -> str:
    """A bound of a number as the API says it."""
    for pattern, says in _NUMBERS:
        if (found := pattern.search(message)) is not None:
            return found.expand(says)
    return message


def _bare(hint: str | Iterable[str]) -> str:
    """`--rank` of `'--rank'`, or of several names."""
    return (hint if isinstance(hint, str) else " / ".join(hint)).replace("'", "")


def _or(names: list[str]) -> str:
    return " or ".join(names)
