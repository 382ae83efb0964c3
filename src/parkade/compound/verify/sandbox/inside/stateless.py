"""Says whether tests can leave nothing behind in the process that runs them.

Most tests are assertions about calls and literals. Such tests use no name but the functions under
test, what they define themselves, and built-ins that change nothing; they read and write no
attribute, import nothing, define no class, catch nothing. What they make is in their own namespace
and goes with it. The next tests in that process find it as the first did.

The check reads compiled code: each instruction and each name must be in a list. What is not, be it
an instruction of a newer Python, makes tests that are run in a process of their own.
"""

import opcode
from collections.abc import Collection, Iterator
from types import CodeType

#: Built-in functions and types that give a value and change nothing.
_BUILT_INS = """
    abs all any bool bytes chr complex dict divmod enumerate filter float frozenset int isinstance
    len list map max min ord pow print range repr reversed round set sorted str sum tuple zip
"""

# Instructions of Python 3.11 to 3.14 that work on local values, literals and calls.
_TESTS = """
    CACHE COPY COPY_FREE_VARS END_FOR EXTENDED_ARG KW_NAMES MAKE_CELL MAKE_FUNCTION NOP NOT_TAKEN
    POP_ITER POP_TOP PRECALL PUSH_NULL RESUME RETURN_CONST RETURN_VALUE SET_FUNCTION_ATTRIBUTE SWAP
    CALL CALL_FUNCTION_EX CALL_KW LOAD_ASSERTION_ERROR LOAD_COMMON_CONSTANT RAISE_VARARGS TO_BOOL
    LOAD_CLOSURE LOAD_CONST LOAD_DEREF LOAD_GLOBAL LOAD_NAME LOAD_SMALL_INT STORE_DEREF STORE_NAME
    LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_FAST_CHECK
    LOAD_FAST_LOAD_FAST STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST UNPACK_SEQUENCE
    BINARY_OP BINARY_SLICE BINARY_SUBSCR COMPARE_OP CONTAINS_OP IS_OP UNARY_INVERT UNARY_NEGATIVE
    UNARY_NOT UNARY_POSITIVE BUILD_CONST_KEY_MAP BUILD_LIST BUILD_MAP BUILD_SET BUILD_SLICE
    BUILD_STRING BUILD_TUPLE CONVERT_VALUE DICT_MERGE DICT_UPDATE FORMAT_SIMPLE FORMAT_VALUE
    FORMAT_WITH_SPEC LIST_APPEND LIST_EXTEND LIST_TO_TUPLE MAP_ADD SET_ADD SET_UPDATE
    FOR_ITER GET_ITER JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD JUMP_IF_FALSE_OR_POP
    JUMP_IF_TRUE_OR_POP POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE
    POP_JUMP_BACKWARD_IF_NOT_NONE POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE
    POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_IF_FALSE
    POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE POP_JUMP_IF_TRUE
"""
# Those of a prelude that imports and defines, and calls nothing.
_PRELUDE = """
    CACHE EXTENDED_ARG MAKE_FUNCTION NOP POP_TOP RESUME RETURN_CONST RETURN_VALUE
    SET_FUNCTION_ATTRIBUTE IMPORT_FROM IMPORT_NAME STORE_NAME LOAD_CONST LOAD_NAME LOAD_SMALL_INT
    LOAD_ATTR BINARY_OP BINARY_SUBSCR BUILD_CONST_KEY_MAP BUILD_LIST BUILD_MAP BUILD_TUPLE
    LIST_EXTEND
"""


def _numbers(names: str) -> frozenset[int]:
    return frozenset(opcode.opmap[name] for name in names.split() if name in opcode.opmap)


BUILT_INS = frozenset(_BUILT_INS.split())
TESTS, PRELUDE = _numbers(_TESTS), _numbers(_PRELUDE)
STORE_NAME, EXTENDED_ARGUMENT = opcode.opmap["STORE_NAME"], opcode.EXTENDED_ARG
ALL_NAMES = ("*",)


def is_stateless(prelude: CodeType, tests: CodeType, names: Collection[str]) -> bool:
    """Whether they leave nothing, and the tests use nothing of the prelude.

    `names` are under test. Grows with the length of the code.
    """
    used: set[str] = set()
    for code in _parts(tests):
        if not TESTS.issuperset(code.co_code[::2]):
            return False
        used.update(code.co_names)
    used -= _bound(tests)
    if not used <= BUILT_INS.union(names):
        return False
    return _is_idle(prelude) and used.isdisjoint(_bound(prelude))


def _parts(code: CodeType) -> Iterator[CodeType]:
    """The code itself, and all functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def _is_idle(prelude: CodeType) -> bool:
    return PRELUDE.issuperset(prelude.co_code[::2]) and ALL_NAMES not in prelude.co_consts


def _bound(code: CodeType) -> set[str]:
    """Names that the outermost part of the code binds."""
    found = set()
    raw = code.co_code
    high = 0
    for at in range(0, len(raw), 2):
        argument = high | raw[at + 1]
        high = argument << 8 if raw[at] == EXTENDED_ARGUMENT else 0
        if raw[at] == STORE_NAME:
            found.add(code.co_names[argument])
    return found
