"""Python unit tests as a verifier, by the contracts of HumanEval and MBPP; always sandboxed.

HumanEval: the question's prompt is the head of a function, the candidate completes it, "test"
defines `check(candidate)`, "entry_point" names the function. MBPP: the candidate is a program,
"test_list" has assertions about the functions that it defines. In both the candidate runs in one
process and the tests in another (`sandbox/pool.py`), so values pass between them as copies of plain
data: tests that need the identity of an object, pass functions, or make instances of the
candidate's classes do not fit and raise `UnfitTests`.

A candidate may be a bare completion or an answer of a chat model with the whole function in a
fenced block; `assemble` tells them apart. Of several blocks the last that defines what is tested
counts, since examples of use and tests often follow it, with the imports, functions and classes of
earlier blocks that it uses and does not have; a model's thoughts are left out.
"""

import ast
import builtins
import hashlib
from collections.abc import Callable, Sequence

from parkade.compound.values import MAX_REASON, Candidate, Question, Verdict
from parkade.compound.verify.exact import NoReference, reference
from parkade.compound.verify.extract import code_blocks, without_thoughts
from parkade.compound.verify.sandbox.errors import JobTooLarge
from parkade.compound.verify.sandbox.jobs import TestJob
from parkade.compound.verify.sandbox.limits import Limits
from parkade.compound.verify.sandbox.pool import Sandbox

#: Goes up when what a contract accepts changes.
RULES = 3

Contract = Callable[[Question, str], TestJob]
#: Fields of a question that each contract cannot do without.
NEEDS: dict[str, tuple[str, ...]] = {
    "human_eval": ("entry_point", "test"),
    "mbpp": ("test_list",),
}
#: Those that are lists of texts; the others are texts.
LISTS = ("test_list",)


class PythonTests:
    """Accepts a candidate whose code passes the question's tests in the sandbox."""

    def __init__(
        self, sandbox: Sandbox, contract: Contract, *, limits: Limits | None = None
    ) -> None:
        self.name = f"python-tests-{contract.__name__.replace('_', '-')}"
        #: Fields of a question without which it cannot say anything.
        self.needs = NEEDS.get(contract.__name__, ())
        self._sandbox = sandbox
        self._contract = contract
        self._limits = limits or sandbox.limits

    def fault(self, question: Question) -> str | None:
        """What is wrong with the question's fields, as far as their forms show."""
        for field in self.needs:
            value = question.fields[field]
            if field in LISTS:
                if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                    return f"the field {field!r} is no list of texts"
            elif not isinstance(value, str):
                return f"the field {field!r} is no text"
        if self._contract is human_eval and "def check(" not in question.fields["test"]:
            return "the field 'test' defines no `check`"
        return None

    def version(self) -> str:
        """The rules, the contract and the limits."""
        settings = f"{RULES};{self._contract.__name__};{self._limits!r}"
        return hashlib.blake2b(settings.encode(), digest_size=8).hexdigest()

    async def verify(self, question: Question, candidate: Candidate) -> Verdict:
        """Accepted if the tests ran to their end; raises `UnfitTests` if they cannot be run."""
        job = self._contract(question, candidate.text)
        try:
            outcome = await self._sandbox.test(job, self._limits)
        except JobTooLarge as error:
            return Verdict(is_accepted=False, reason=str(error))
        return Verdict(is_accepted=outcome.is_passed, reason=outcome.reason[:MAX_REASON])


def human_eval(question: Question, text: str) -> TestJob:
    """Fields "test" and "entry_point"; "prompt" where the question's own prompt is another."""
    prompt = question.fields.get("prompt", question.prompt)
    name = _text(question, "entry_point")
    return TestJob(
        source=assemble(prompt, text, name),
        prelude=prompt if _parses(prompt) else "",
        tests=_text(question, "test"),
        names=(name,),
        check="check",
    )


def mbpp(question: Question, text: str) -> TestJob:
    """Field "test_list", assertions as text; "test_setup_code" and "challenge_test_list" if any."""
    listed = reference(question, "test_list")
    tests = "\n".join([*listed, *question.fields.get("challenge_test_list", [])])
    setup = question.fields.get("test_setup_code", "")
    names = names_under_test(setup, tests)
    return TestJob(
        source=code_of(text, names),
        prelude=setup,
        tests=tests,
        names=names,
        check=None,
    )


def assemble(prompt: str, text: str, entry_point: str) -> str:
    """The program of a prompt and an answer: a completion is appended, a whole function follows."""
    body = code_of(text, (entry_point,))
    if _defines(body, entry_point):
        return f"{prompt}\n\n{body}" if _parses(prompt) else body
    return prompt + body


def code_of(text: str, names: Sequence[str]) -> str:
    """The last fenced block that defines all the names, else the last; without one, all of it. What
    it uses and does not have comes from the blocks before it.

    Thoughts count for nothing, whatever they hold.
    """
    answer = without_thoughts(text)
    blocks = code_blocks(answer)
    if not blocks:
        return answer
    last = len(blocks) - 1
    whole = (at for at in range(last, -1, -1) if all(_defines(blocks[at], it) for it in names))
    chosen = next(whole, last)
    return _completed(blocks[chosen], blocks[:chosen])


def _completed(block: str, earlier: Sequence[str]) -> str:
    """The block below the imports, functions and classes of earlier ones that it needs, the nearest
    one of each name."""
    tree = _parsed(block)
    if tree is None:
        return block
    lacks, parts = _free(tree), [block]
    for other in reversed(earlier):
        body, taken = _body(other), set[int]()
        has = {name: at for at, node in enumerate(body) for name in _imported_or_defined(node)}
        while found := {has[name] for name in lacks if name in has} - taken:
            taken |= found
            for at in found:
                lacks |= _free(body[at])
        lacks -= has.keys()
        parts += [ast.unparse(body[at]) for at in sorted(taken, reverse=True)]
    return "\n\n".join(reversed(parts))


def _body(code: str) -> list[ast.stmt]:
    tree = _parsed(code)
    return [] if tree is None else tree.body


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _free(tree: ast.AST) -> set[str]:
    """Names that code uses and does not define."""
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return {name for name in used - _defined(tree) if not hasattr(builtins, name)}


def _imported_or_defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [(one.asname or one.name).partition(".")[0] for one in names]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case _:
            return []


def names_under_test(setup: str, tests: str) -> tuple[str, ...]:
    """What the tests use and neither they, nor their set-up, nor Python define, in order of use."""
    try:
        tree = ast.parse(f"{setup}\n{tests}")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    bound = _defined(tree)
    used = [
        (node.lineno, node.col_offset, node.id)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]
    found = [name for *_, name in sorted(used) if name not in bound and not hasattr(builtins, name)]
    return tuple(dict.fromkeys(found))


def _defined(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(one.asname or one.name).partition(".")[0] for one in names}
            case _:
                pass
    return found


def _defines(code: str, name: str) -> bool:
    return any(name in _top_names(node) for node in _body(code))


def _top_names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case _:
            return []


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _text(question: Question, field: str) -> str:
    value = reference(question, field)
    if not isinstance(value, str):
        raise NoReference(f"question {question.id[:200]!r}: field {field!r} is no text")
    return value
