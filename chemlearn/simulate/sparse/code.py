"""Structured pieces on LLVM's builder: variables, loops, words of memory; so machine code reads like C."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from llvmlite import ir

from chemlearn.simulate.native.vectors import BIT, DOUBLE, INT, Vectors

POINTER, SHORT = ir.PointerType(), ir.IntType(32)
INFINITY = DOUBLE(math.inf)


class Variable:
    """A local variable; the optimiser keeps it in a register."""

    def __init__(self, code: Code, start: Any) -> None:
        self.code, self.kind = code, start.type
        with code.b.goto_entry_block():
            self.place = code.b.alloca(start.type)
        self.set(start)

    def __call__(self) -> Any:
        return self.code.b.load(self.place, typ=self.kind)

    def set(self, value: Any) -> None:
        self.code.b.store(value, self.place)


class Code:
    """A function under construction; its first argument is the address of the run's words.

    Parameters
    ----------
    module : ir.Module
    name : str
    arguments : sequence of ir.Type
        Those after the words.
    result : ir.Type
    """

    def __init__(
        self, module: ir.Module, name: str, arguments: Sequence[Any] = (), result: Any = None
    ) -> None:
        kind = ir.FunctionType(result or ir.VoidType(), [POINTER, *arguments])
        self.function = ir.Function(module, kind, name)
        self.words, *self.arguments = self.function.args
        self.b = ir.IRBuilder(self.function.append_basic_block())
        self.v = Vectors(self.b, 1)
        start = self.b.append_basic_block()
        self.b.branch(start)  # variables have a block of their own, before everything
        self.b.position_at_end(start)

    # words of the run ---------------------------------------------------------------------------------------

    def word(self, word: IntEnum, kind: Any = INT) -> Any:
        return self.load(self.words, INT(int(word)), kind)

    def set_word(self, word: IntEnum, value: Any) -> None:
        self.store(value, self.words, INT(int(word)))

    def number(self, word: IntEnum) -> Any:
        return self.word(word, DOUBLE)

    def address(self, word: IntEnum) -> Any:
        return self.word(word, POINTER)

    # memory -------------------------------------------------------------------------------------------------

    def load(self, base: Any, index: Any, kind: Any = INT) -> Any:
        return self.b.load(self.b.gep(base, [index], source_etype=kind), typ=kind)

    def store(self, value: Any, base: Any, index: Any) -> None:
        self.b.store(value, self.b.gep(base, [index], source_etype=value.type))

    def short(self, base: Any, index: Any) -> Any:
        """A word of 32 bits of a table, widened."""
        return self.b.sext(self.load(base, index, SHORT), INT)

    def variable(self, start: Any) -> Variable:
        return Variable(self, start)

    # numbers ------------------------------------------------------------------------------------------------

    def lesser(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered("<", x, y), x, y)

    def greater(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.fcmp_ordered(">", x, y), x, y)

    def plus(self, x: Any, more: int) -> Any:
        return self.b.add(x, INT(more))

    # flow ---------------------------------------------------------------------------------------------------

    @contextmanager
    def counting(self, first: Any, last: Any, *, by: int = 1) -> Iterator[Any]:
        """A loop over first ... last − 1."""
        b = self.b
        before = b.block
        check, body, after = (b.append_basic_block(n) for n in ("check", "each", "all"))
        b.branch(check)
        b.position_at_end(check)
        index = b.phi(INT)
        index.add_incoming(first, before)
        b.cbranch(b.icmp_signed("<", index, last), body, after)
        b.position_at_end(body)
        yield index
        index.add_incoming(b.add(index, INT(by)), b.block)
        b.branch(check)
        b.position_at_end(after)

    @contextmanager
    def while_(self, condition: Callable[[], Any]) -> Iterator[None]:
        b = self.b
        check, body, after = (b.append_basic_block(n) for n in ("while", "do", "done"))
        b.branch(check)
        b.position_at_end(check)
        b.cbranch(condition(), body, after)
        b.position_at_end(body)
        yield
        b.branch(check)
        b.position_at_end(after)

    def only_if(self, condition: Any, *, likely: bool | None = None) -> Any:
        """A context of instructions that are executed if a bit is set."""
        return self.b.if_then(condition, likely=likely)

    def return_if(self, condition: Any, value: Any = None) -> None:
        with self.b.if_then(condition, likely=False):
            self.return_(value)

    def return_(self, value: Any = None) -> None:
        if value is None:
            self.b.ret_void()
        else:
            self.b.ret(value)

    def call(self, function: ir.Function, *arguments: Any) -> Any:
        return self.b.call(function, [self.words, *arguments])


__all__ = ["BIT", "DOUBLE", "INFINITY", "INT", "POINTER", "SHORT", "Code", "Variable"]
