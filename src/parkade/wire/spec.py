"""The workload spec, version 1: what a user writes to run a workload.

Every key is checked, all errors are reported at once with their places, and a key that is not
carried out yet is refused by name (`not_yet`). `docs/schema/workload-v1.json` is its JSON Schema.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    Strict,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from parkade.core.units import bounds
from parkade.core.units.capacity_lists import LIST_WORDS, ON_DEMAND, SPOT, is_list
from parkade.core.units.indexes import MOST_CHARACTERS, SPANS, parse_indexes
from parkade.core.units.names import ENV_KEY, ENV_PREFIX, NAME, REFERENCE, WORKLOAD_NAME
from parkade.wire.model import Request
from parkade.wire.problems import FORM_LIMITS, FORM_LIST, FORM_NUMBER, FORM_ONE, FORM_RANGE
from parkade.wire.scalars import (
    Gpus,
    LimitPrice,
    Name,
    Nodes,
    Payment,
    PositiveSpan,
    When,
    Whole,
    as_text,
    bounded,
    named,
    not_yet,
    whole,
    written,
)

AFTER = ("after", "after_ok", "after_not_ok", "after_any")
ELASTIC_ONLY = {"interconnect": "fabric", "capacity": SPOT, "moves": "needed"}
"""What a workload with an elastic number of nodes says under these keys."""
DEADLINE_ONLY: dict[str, tuple[Callable[[Any], bool], str]] = {
    "capacity": (lambda it: it == SPOT, SPOT),
    "nodes": (lambda it: isinstance(it, int), "one number"),
    "interconnect": (lambda it: it == "fabric", "fabric"),
    "array": (lambda it: it is None, "left out"),
    "max_duration": (lambda it: it is None, "left out: it is the end"),
    **{key: (lambda it: not it, "left out") for key in AFTER},
}
"""What a workload with a deadline says under these keys, in words too."""
ONE_GANG = {
    "nodes": "one number of nodes",
    "market": "no market: each has its own",
    "capacity": "capacity: spot",
    "deadline": "no deadline",
}
"""What a workload with several instance types says under these keys, in words."""
CAPACITY = re.compile(f"{SPOT}|{ON_DEMAND}|reservation/{REFERENCE.pattern}")


def _gpus(value: Any) -> Any:
    if isinstance(value, str) and ":" in value:
        raise not_yet("a GPU model beside the number (H100:8)")
    return value


def _instance_type(value: Any) -> Any:
    if not isinstance(value, str) or not re.search("[,=]", value):
        return as_text(value)
    written = [it.strip() for it in value.split(",")]
    pairs = [it.partition("=") for it in written]
    if not any(equals for _, equals, _ in pairs):
        return written
    if not all(equals for _, equals, _ in pairs):
        raise ValueError("write a limit for each, like a=2.50,b=1.10, or for none")
    return {name.strip(): limit.strip() for name, _, limit in pairs}


def _form_of_types(value: Any) -> str:
    if isinstance(value, dict):
        return FORM_LIMITS
    return FORM_LIST if isinstance(value, list) else FORM_ONE


def types_of(instance_type: "str | list[str] | dict[str, Decimal] | None") -> tuple[str, ...]:
    """The instance types that a spec names, in order."""
    if instance_type is None:
        return ()
    return (instance_type,) if isinstance(instance_type, str) else tuple(instance_type)


def _capacity(value: Any) -> Any:
    if isinstance(value, list) and len(value) > 1:
        return _capacities(value)
    text = as_text(value)
    if isinstance(text, str) and "," in text:
        return _capacity([it.strip() for it in text.split(",")])
    if not isinstance(text, str) or not CAPACITY.fullmatch(text):
        raise ValueError("write spot, on-demand or reservation/NAME")
    return text


def _entries(capacity: str | list[str] | None) -> tuple[str, ...]:
    """A capacity or a list of it as the latter; nothing where it was refused."""
    if capacity is None:
        return ()
    return (capacity,) if isinstance(capacity, str) else tuple(capacity)


def _capacities(values: list[Any]) -> list[str]:
    entries = [_capacity(it) for it in values]
    if not is_list(entries):
        raise ValueError(f"in a list write {LIST_WORDS}")
    return entries


def _one_of(text: dict[str, Any]) -> WithJsonSchema:
    """A text, or a list that holds only it."""
    lone = {"type": "array", "items": text, "minItems": 1, "maxItems": 1}
    return WithJsonSchema({"anyOf": [text, lone]}, mode="validation")


Path = Annotated[str, Strict(), written(bounds.PATH_CHARACTERS, r"^/[^\x00\r\n]*$")]
UserPath = Annotated[str, Strict(), written(bounds.PATH_CHARACTERS, r"^[~/][^\x00\r\n]*$")]


def _as_written(value: Any) -> Any:
    """A whole number, true or false as the text that YAML and JSON had for it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


class _OrNumber:
    """In the schema: the text, a whole number, true or false."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text = handler(schema)
        if handler.mode != "validation":
            return text
        return {"anyOf": [text, {"type": "integer"}, {"type": "boolean"}]}


Image = Annotated[
    str, Strict(), written(bounds.PATH_CHARACTERS, r"^[A-Za-z0-9/~._][A-Za-z0-9/~._@:+=,#-]*$")
]
EnvName = Annotated[str, named(ENV_KEY)]
LabelKey = Annotated[str, named(WORKLOAD_NAME)]
LabelText = Annotated[str, Strict(), named(WORKLOAD_NAME)]
EnvText = Annotated[
    str, Strict(), written(bounds.ENV_VALUE_CHARACTERS), BeforeValidator(_as_written), _OrNumber
]
CommandText = Annotated[str, Strict(), written(bounds.COMMAND_CHARACTERS)]
Signal = Literal["auto", "none", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT", "SIGHUP"]
Preset = Literal[
    "torch",
    "hf",
    "lightning",
    "automodel",
    "megatron",
    "nemo2",
    "jax",
    "axolotl",
    "slurm",
    "ray",
    "server",
    "batch",
]
PRESET_WORDS: tuple[str, ...] = get_args(Preset)
WORDS = (*PRESET_WORDS, *get_args(Signal))
_TYPE = {"type": "string", "pattern": whole(NAME)}
_TYPES = {
    "type": "array",
    "items": _TYPE,
    "minItems": 1,
    "maxItems": bounds.MOST_CHOICES,
    "uniqueItems": True,
}
_LIMITS = {
    "type": "object",
    "propertyNames": {"pattern": whole(NAME)},
    "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    "minProperties": 1,
    "maxProperties": bounds.MOST_CHOICES,
}
InstanceTypes = Annotated[
    Annotated[Name, Tag(FORM_ONE)]
    | Annotated[list[Name], Field(min_length=1, max_length=bounds.MOST_CHOICES), Tag(FORM_LIST)]
    | Annotated[
        dict[Name, LimitPrice],
        Field(min_length=1, max_length=bounds.MOST_CHOICES),
        Tag(FORM_LIMITS),
    ],
    Discriminator(_form_of_types),
    BeforeValidator(_instance_type),
    WithJsonSchema({"anyOf": [_TYPE, _TYPES, _LIMITS]}, mode="validation"),
]
_ENTRY = {"type": "string", "pattern": f"^({CAPACITY.pattern})$"}
_LIST = {"type": "array", "items": _ENTRY, "minItems": 1, "maxItems": bounds.MOST_ENTRIES}
Capacity = Annotated[
    str | list[str],
    BeforeValidator(_capacity),
    WithJsonSchema({"anyOf": [_ENTRY, _LIST]}, mode="validation"),
]


def _others(value: Any) -> Any:
    """One stands for a list of it."""
    return [value] if isinstance(value, str) else value


Others = Annotated[
    tuple[Annotated[str, Strict(), named(WORKLOAD_NAME)], ...],
    BeforeValidator(_others),
    Field(max_length=bounds.DEPENDENCIES.most),
]
"""Workloads of the same org, by id or, while they live, by name."""


ARRAY = re.compile(f"({SPANS})(%([1-9][0-9]{{0,4}}))?")


def _array(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not ARRAY.fullmatch(value):
        raise ValueError(
            "write indexes up to 999,999, like 0-199 or 3,7-9, and %20 for at most 20 at once"
        )
    parse_indexes(value.partition("%")[0])
    return value


Array = Annotated[
    str,
    BeforeValidator(_array),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{ARRAY.pattern}$", "maxLength": MOST_CHARACTERS},
                {
                    "type": "integer",
                    "minimum": bounds.ARRAY_INDEX.least,
                    "maximum": bounds.ARRAY_INDEX.most,
                },
            ]
        },
        mode="validation",
    ),
]


class CheckpointTerms(Request):
    """How a program is asked to save on notice, and how long it then needs: a signal, a preset or a
    command. A preset or signal may stand alone in place of the whole."""

    signal: Signal | None = Field(
        None, description="auto: SIGTERM to a trainer that handles it; none: only the notice file"
    )
    needs: PositiveSpan | None = Field(None, description="at most the market's notice")
    preset: Preset | None = Field(None, description="what a kind of program listens to")
    command: CommandText | None = Field(
        None, description="run beside each rank to make it save, as its user"
    )
    exit_zero: Literal["saved", "done"] | None = Field(
        None, description="what exit 0 means after our signal; default: saved"
    )

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in WORDS:
            raise ValueError(f"write one of {', '.join(WORDS)}, or {{signal: auto, needs: 60s}}")
        return {"preset": value} if value in PRESET_WORDS else {"signal": value}

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> Self:
        given = [it for it in (self.signal, self.preset, self.command) if it is not None]
        if len(given) != 1:
            raise ValueError("name one of signal, preset and command, such as {signal: auto}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "enum": list(WORDS)}, handler(schema)]}


class Retry(Request):
    """How many failures of its own a workload survives; preemptions are unlimited and free."""

    failures: Annotated[Whole, bounded(bounds.FAILURES)]


def _form_of_nodes(value: Any) -> str:
    return FORM_RANGE if isinstance(value, dict | ElasticNodes) else FORM_NUMBER


class ElasticNodes(Request):
    """Between how many nodes a workload runs."""

    min: Nodes
    max: Nodes

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max {self.max}; min is at most max")
        return self


class WorkloadSpec(Request):
    """A workload as its author writes it."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {
        "min_runtime": "is a term of a market, which its operator sets for all that runs there"
    }

    _unread: tuple[str, ...] = PrivateAttr(())

    name: Annotated[str, Strict(), named(WORKLOAD_NAME)]
    command: CommandText
    workdir: Path | None = Field(None, description="where it starts; default: where submit ran")
    env: dict[EnvName, EnvText] = Field(
        default_factory=dict,
        max_length=bounds.ENV_ENTRIES.most,
        description="public: journaled and shown",
    )
    env_file: UserPath | None = Field(
        None, description="read on the node as the user; never sent, never stored"
    )
    image: Image | None = Field(
        None, description="container image, as the pool's container command takes it"
    )
    storage: list[Name] = Field(
        default_factory=list,
        max_length=bounds.FILE_SYSTEMS.most,
        description="names of file systems it needs; it stands only in a market that shares them",
    )
    labels: dict[LabelKey, LabelText] = Field(
        default_factory=dict,
        max_length=bounds.LABELS.most,
        description="words of your own, by which `ps`, `cancel` and others choose",
    )
    nodes: Annotated[
        Annotated[Nodes, Tag(FORM_NUMBER)] | Annotated[ElasticNodes, Tag(FORM_RANGE)],
        Discriminator(_form_of_nodes),
    ] = Field(1, description="ranks; of whole nodes unless gpus is less, or an elastic number")
    gpus: Annotated[Gpus, BeforeValidator(_gpus)] = Field(1, description="of each rank")
    array: Array | None = Field(
        None, description="indexes of its members, and how many run at once: 0-199%20"
    )
    resize: Literal["restart", "live"] | None = Field(
        None,
        validate_default=True,
        description="how its number of nodes changes: by a restart, which is the default, or live",
    )
    spread: Annotated[bool, Strict()] = Field(
        False, description="each rank on another node; else ranks below a node share nodes"
    )
    instance_type: InstanceTypes | None = Field(
        None, description="the kind of node; several in order of your wishes, or a limit for each"
    )
    market: Name | None = Field(None, description="where it runs; by default the one that fits")
    interconnect: Literal["fabric", "any"] = "fabric"
    capacity: Capacity = SPOT
    moves: Literal["needed", "cheaper"] = Field(
        "needed", description="for what spot is moved: only where it must be, or for a lower floor"
    )
    limit_price: LimitPrice | None = Field(
        None, validate_default=True, description="per GPU-hour; spot without one is refused"
    )
    max_spend: Payment | None = Field(None, description="all attempts together")
    checkpoint: CheckpointTerms | None = None
    priority: Annotated[Whole, bounded(bounds.PRIORITY)] = 0
    after: Others = Field((), description="starts once these have started, or ended")
    after_ok: Others = Field((), description="starts once these have succeeded")
    after_not_ok: Others = Field((), description="starts once these have ended without success")
    after_any: Others = Field((), description="starts once these have ended")
    retry: Retry = Field(default_factory=lambda: Retry(failures=0))
    max_duration: PositiveSpan | None = Field(None, validate_default=True)
    duration: PositiveSpan | None = Field(
        None, description="how long it runs in all, uninterrupted; for a deadline"
    )
    fallback: Literal["on-demand"] | None = Field(
        None, description="what keeps the deadline where spot does not"
    )
    deadline: When | None = Field(
        None, validate_default=True, description="when it is to be done, such as +52h"
    )

    @field_validator("instance_type")
    @classmethod
    def _several_are_for_one_gang(cls, types: Any, info: ValidationInfo) -> Any:
        names = types_of(types)
        if len(set(names)) < len(names):
            raise ValueError("name each instance type once")
        if len(names) > 1 and isinstance(info.data.get("nodes"), ElasticNodes):
            raise ValueError(f"several instance types need {ONE_GANG['nodes']}")
        return types

    @field_validator("market", "capacity", "deadline")
    @classmethod
    def _several_are_spot(cls, value: Any, info: ValidationInfo) -> Any:
        types = info.data.get("instance_type")
        is_single = len(types_of(types)) < 2
        if info.field_name == "capacity" and isinstance(types, dict) and value != SPOT:
            raise ValueError("only spot has limits; name the instance type without one")
        if not is_single and value not in (None, SPOT):
            raise ValueError(f"several instance types need {ONE_GANG[info.field_name or '']}")
        return value

    @property
    def entries(self) -> tuple[str, ...]:
        """Its capacity in the order of its choice."""
        return _entries(self.capacity)

    @field_validator("env")
    @classmethod
    def _env_leaves_our_names(cls, env: dict[str, str]) -> dict[str, str]:
        ours = sorted(name for name in env if name.startswith(ENV_PREFIX))
        if ours:
            raise ValueError(
                f"{', '.join(ours[:5])}: names that begin with {ENV_PREFIX} are set by us"
            )
        if sum(len(name) + len(text) for name, text in env.items()) > bounds.MOST_ENV_CHARACTERS:
            raise ValueError("more than 128 KiB in all; put it into a file")
        return env

    @field_validator("moves")
    @classmethod
    def _only_spot_moves_for_less(cls, moves: str, info: ValidationInfo) -> str:
        capacity = info.data.get("capacity")
        if capacity not in (SPOT, None) and moves == "cheaper":
            raise ValueError(
                f"only spot draws floors; leave moves out with {', '.join(_entries(capacity))}"
            )
        return moves

    @field_validator("resize")
    @classmethod
    def _only_elastic_is_resized(cls, resize: str | None, info: ValidationInfo) -> str | None:
        if resize is not None and isinstance(info.data.get("nodes"), int):
            raise ValueError("only an elastic number is resized; write nodes: {min: 2, max: 16}")
        return resize

    @field_validator("interconnect", "capacity", "moves")
    @classmethod
    def _elastic_is_spot_in_one_fabric(cls, value: Any, info: ValidationInfo) -> Any:
        only = ELASTIC_ONLY[info.field_name or ""]
        if isinstance(info.data.get("nodes"), ElasticNodes) and value != only:
            raise ValueError(f"an elastic number of nodes needs {info.field_name}: {only}")
        return value

    @field_validator("limit_price")
    @classmethod
    def _spot_has_a_limit(cls, limit: Decimal | None, info: ValidationInfo) -> Decimal | None:
        capacity = info.data.get("capacity")
        if isinstance(info.data.get("instance_type"), dict):
            if limit is not None:
                raise ValueError("each instance type has its own limit; leave this one out")
            return limit
        if SPOT in _entries(capacity) and limit is None:
            raise PydanticCustomError(
                "limit_required", "spot needs the most you would pay per GPU-hour, like 2.50"
            )
        if capacity is not None and SPOT not in _entries(capacity) and limit is not None:
            named = ", ".join(_entries(capacity))
            raise ValueError(f"only spot has a limit; {named} has the price sheet's price")
        return limit

    @field_validator("deadline")
    @classmethod
    def _a_deadline_has_a_fallback(cls, deadline: str | None, info: ValidationInfo) -> str | None:
        given = info.data
        others = [key for key in ("duration", "fallback") if given.get(key) is not None]
        if deadline is None:
            if others:
                raise ValueError(f"{others[0]} is for a deadline; write deadline too, like +52h")
            return None
        if len(others) < 2:
            raise ValueError(
                "say what keeps it and how long it runs: fallback: on-demand and duration: 48h"
            )
        if len(_entries(given.get("capacity"))) > 1:
            raise ValueError(
                "a deadline falls back to on-demand by itself: write capacity: spot, or leave the"
                " deadline out and write on-demand last"
            )
        for key, (is_fit, words) in DEADLINE_ONLY.items():
            if key in given and not is_fit(given[key]):
                raise ValueError(f"a deadline needs {key} to be {words}")
        return deadline

    @field_validator("max_duration")
    @classmethod
    def _on_demand_has_an_end(cls, most: timedelta | None, info: ValidationInfo) -> Any:
        if ON_DEMAND in _entries(info.data.get("capacity")) and most is None:
            raise ValueError("on-demand takes a window of the calendar; say how long, like 24h")
        return most
