"""A network file: models, verifiers, functions and the network, as YAML or as Python.

    models:
      small: {url: "http://127.0.0.1:8000/v1", model: qwen-7b, max_tokens: 512}
      big:
        url: https://api.openai.com/v1
        model: gpt-4o
        key_env: OPENAI_API_KEY          # the name of a variable; keys never stand in files
        price: {input: "2.50", output: "10.00", as_of: 2026-01-15}   # per million tokens
      rule: {function: "rules.py:answer"}
      past: {recorded: answers.jsonl}
    verifiers:
      tests: {function: "checks.py:passes"}
      good: {function: "checks.py:score", threshold: 0.8}      # a score, accepted from there on
  number: {make: "package.module:Class", field: answer}   # a verifier object, with its fields
      sum: {number: {relative: 0.01}}        # a short name, of those in `verify.short`
    functions:
      normal: "checks.py:normal"
    server: {command: …, ready: URL}   # a model server for the time of a run: `models.local_server`
    network: "5E@small + 1E@big >> V@tests >> M@normal"

Paths are relative to the file. A Python file defines `network` (an operator or a text) and, as it
needs them, `models`, `verifiers` and `functions`; it runs with the rights of who starts it.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb
from typing import Any

import msgspec
import yaml

from parkade.compound.models.config import model_from
from parkade.compound.models.local import LocalModel, version_of
from parkade.compound.models.local_server import ModelServer, server_from, with_port
from parkade.compound.models.protocol import Model
from parkade.compound.models.providers import providers_from
from parkade.compound.network import NetworkError, Operator
from parkade.compound.network.binding import Names
from parkade.compound.network.sources import source_of
from parkade.compound.network.yaml import from_plain, name_in_yaml
from parkade.compound.verify import short
from parkade.compound.verify.function import FunctionVerifier

MAX_BYTES = 1_000_000
#: What stands in a section, for errors.
_EXAMPLES = {
    "providers": "{mine: {url: …}}",
    "models": "{small: {url: …, model: …}}",
    "verifiers": "{check: {function: file.py:function}}",
    "functions": "{normal: file.py:function}",
}
SECTIONS = ("providers", "models", "verifiers", "functions", "server", "network")


class _OnceLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice in one map."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value!r} stands in line {lines[key.value]} and in line {line}",
                    key.start_mark,
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A network and what its names mean."""

    network: Operator
    names: Names
    #: Started for the time of a run; None where the models need none.
    server: ModelServer | None = None


def load(path: Path) -> Loaded:
    """Read a network file; NetworkError says what is wrong with it."""
    if path.suffix == ".py":
        return _from_python(path)
    try:
        text = path.read_text()
    except OSError as error:
        raise NetworkError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NetworkError(f"cannot read {path}: it is no text in UTF-8") from None
    if len(text) > MAX_BYTES:
        raise NetworkError(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        plain = yaml.load(text, Loader=_OnceLoader)
    except yaml.YAMLError as error:
        raise NetworkError(f"{path} is not YAML: {_in_one_line(error)}") from None
    try:
        return from_sections(plain, folder=path.parent, where=str(path))
    except NetworkError as error:
        if str(error).startswith(str(path)):
            raise
        raise NetworkError(f"{path}: {error}") from None


def _in_one_line(error: yaml.YAMLError) -> str:
    """Where and why; the parser's own message names no file and shows the text."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = getattr(error, "problem", None) or "it cannot be read"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def from_sections(plain: Any, *, folder: Path, where: str) -> Loaded:
    """The sections of a YAML file."""
    if not isinstance(plain, dict):
        raise NetworkError(f"{where}: needs the sections models and network")
    unknown = sorted({str(name) for name in plain} - set(SECTIONS))
    if unknown:
        meant = get_close_matches(unknown[0], SECTIONS, n=1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        raise NetworkError(
            f"{where}: no section {unknown[0]!r}; {hint}there are: {', '.join(SECTIONS)}"
        )
    if "network" not in plain:
        raise NetworkError(f'{where}: needs the section network, such as network: "5E@model"')
    plain = with_port(plain)
    providers = providers_from(_section(plain, "providers", where))
    models = {
        name: model_from(name, given, lambda named: function_at(named, folder), folder, providers)
        for name, given in _section(plain, "models", where).items()
    }
    verifiers = {
        name: _verifier(name, given, folder)
        for name, given in _section(plain, "verifiers", where).items()
    }
    functions = {
        name: _function(name, given, folder)
        for name, given in _section(plain, "functions", where).items()
    }
    network, inline = short.named(plain["network"], folder)
    # A short name alone stands for the verifier with its defaults, unless the file means another.
    plain_names = short.plain(folder, taken={*verifiers, *models, *functions})
    verifiers = plain_names | inline | verifiers
    return Loaded(
        network=from_plain(network),
        names=Names(models=models, verifiers=verifiers, functions=functions),
        server=server_from(plain.get("server"), where),
    )


def loaded_from(
    network: Any,
    models: Mapping[str, Any],
    verifiers: Mapping[str, Any],
    functions: Mapping[str, Any],
    folder: Path = Path(),
) -> Loaded:
    """What a program gives in place of a file: each name stands for a value, or for what a file
    would say of it. A function may stand for a model; paths are relative to the folder."""
    made = {name: _model(name, given, folder) for name, given in models.items()}
    checks = {
        name: _verifier(name, given, folder) if isinstance(given, (str, dict)) else given
        for name, given in verifiers.items()
    }
    known = {
        name: given if callable(given) else _function(name, given, folder)
        for name, given in functions.items()
    }
    inline: dict[str, Any] = {}
    if not isinstance(network, Operator):
        plain_network, inline = short.named(network, folder)
        network = from_plain(plain_network)
    usual = short.plain(folder, taken={*checks, *made, *known})
    return Loaded(
        network=network,
        names=Names(models=made, verifiers=usual | inline | checks, functions=known),
    )


def _model(name: str, given: Any, folder: Path) -> Model:
    if isinstance(given, dict):
        return model_from(name, given, lambda named: function_at(named, folder), folder)
    if hasattr(given, "start"):
        model: Model = given
        return model
    if callable(given):
        return LocalModel(name, given, version=version_of(given))
    raise NetworkError(
        f"models.{name}: give a map such as {{'url': …, 'model': …}}, a function, or a Model"
    )


def function_at(named: Any, folder: Path) -> Callable[..., Any]:
    """The function at `file.py:name` or `package.module:name`; a function itself, from Python."""
    if callable(named):
        function: Callable[..., Any] = named
        return function
    module, _, attribute = str(named).partition(":")
    if not attribute:
        raise NetworkError(f"{named!r} names no function; write file.py:function")
    try:
        found: Any = _module(module, folder)
    except FileNotFoundError:
        raise NetworkError(f"there is no function {named!r}: no file {folder / module}") from None
    except Exception as error:  # noqa: BLE001 - the file is the user's
        raise NetworkError(f"cannot load {named!r}: {_raised(error)}") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise NetworkError(f"there is no function {named!r}: {module} has no {attribute}")
        found = getattr(found, part)
    if not callable(found):
        raise NetworkError(f"{named!r} is no function")
    its: Callable[..., Any] = found
    return its


def _raised(error: Exception) -> str:
    """What a file of the user raised, and where in it."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '?').name}, line {error.lineno}: {error.msg}"
    frames = [each for each in extract_tb(error.__traceback__) if each.filename.endswith(".py")]
    theirs = [each for each in frames if each.name == "<module>"]
    where = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"


def _section(plain: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    section = {} if plain.get(name) is None else plain[name]
    if not isinstance(section, dict):
        raise NetworkError(
            f"{where}: {name} must be a map from names, such as {name}: {_EXAMPLES[name]}, "
            f"not {_kind(section)}"
        )
    return {name_in_yaml(key, f"{where}: {name}"): value for key, value in section.items()}


def _function(name: str, given: Any, folder: Path) -> Callable[..., Any]:
    """A text, or a map with it as in the other sections."""
    if isinstance(given, dict) and set(given) == {"function"}:
        given = given["function"]
    if not isinstance(given, str):
        raise NetworkError(
            f"functions.{name}: write file.py:function (or {{function: file.py:function}}), "
            f"not {_kind(given)}"
        )
    try:
        return function_at(given, folder)
    except NetworkError as error:
        raise NetworkError(f"functions.{name}: {error}") from None


def _kind(given: Any) -> str:
    if isinstance(given, dict):
        return f"a map with {', '.join(str(key) for key in given) or 'nothing'}"
    if isinstance(given, list):
        return "a list"
    return "nothing" if given is None else repr(given)


def _verifier(name: str, given: Any, folder: Path) -> Any:
    if isinstance(given, str) and given in short.SHORT:
        given = {given: {}}
    if isinstance(given, str) and ":" in given:
        try:
            return function_at(given, folder)
        except NetworkError as error:
            raise NetworkError(f"verifiers.{name}: {error}") from None
    if isinstance(given, dict) and "function" in given:
        return _of_function(name, given, folder)
    if isinstance(given, dict) and set(given) == {"model_verifier"}:
        return from_plain(given, where=f"verifiers.{name}")
    if short.is_short(given):
        return short.verifier(given, folder, f"verifiers.{name}")
    if isinstance(given, dict) and "make" in given:
        return _made(name, given, folder)
    raise NetworkError(
        f"verifiers.{name}: write file.py:name, {{function: file.py:name}} (with a threshold: … "
        "where it gives a score), {model_verifier: {model: …}}, "
        f"a short name ({', '.join(short.SHORT)}), alone or with its fields, "
        "or {make: package.module:Class, …} with the fields of the class"
    )


def _of_function(name: str, given: dict[str, Any], folder: Path) -> Any:
    """A function that gives a verdict, or with a threshold one that gives a score."""
    where = f"verifiers.{name}"
    if unknown := sorted({str(key) for key in given} - {"function", "threshold"}):
        raise NetworkError(f"{where}: no field {unknown[0]!r}; there are: function, threshold")
    function = function_at(given["function"], folder)
    if "threshold" not in given:
        return function
    threshold = given["threshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise NetworkError(f"{where}: threshold must be a number, the least score that it accepts")
    # With all of its file, as functions count everywhere.
    version = source_of(function) or version_of(function)
    return FunctionVerifier(function, threshold=float(threshold), version=version)


def _made(name: str, given: dict[str, Any], folder: Path) -> Any:
    fields = {str(field): value for field, value in given.items() if field != "make"}
    try:
        verifier = function_at(given["make"], folder)(**fields)
    except Exception as error:  # noqa: BLE001 - the class is the user's
        raise NetworkError(f"verifiers.{name}: {type(error).__name__}: {error}") from None
    if not hasattr(verifier, "verify") and not callable(verifier):
        raise NetworkError(f"verifiers.{name}: {given['make']} makes no verifier")
    return verifier


def _from_python(path: Path) -> Loaded:
    # It may import what stands beside it, as a script may; last, so that it hides nothing.
    beside = str(path.parent.resolve())
    if beside not in sys.path:
        sys.path.append(beside)
    try:
        module = _module(path.name, path.parent)
    except OSError as error:
        raise NetworkError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the file is the user's
        raise NetworkError(f"cannot read {path}: {_raised(error)}") from None
    network = getattr(module, "network", None)
    if not isinstance(network, Operator | str):
        raise NetworkError(f"{path} defines no `network`: an operator, or a text")
    given = {name: getattr(module, name, {}) for name in ("models", "verifiers", "functions")}
    for name, its in given.items():
        if not isinstance(its, dict):
            raise NetworkError(f"{path}: {name} must be a dict from names, not {_kind(its)}")
    return loaded_from(network, **given, folder=path.parent)


def _module(name: str, folder: Path) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = (folder / name).resolve()
    # A file that has changed since is another module.
    content = path.read_bytes()
    unique = f"_parkade_network_{path.stem}_{abs(hash((str(path), content)))}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module
