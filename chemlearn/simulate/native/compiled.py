"""LLVM at work: a plan becomes a callable, once per process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from llvmlite import binding, ir

from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.loop import WIDE, build_module

compiling = Lock()  # LLVM's own set-up is not made for several threads


class Compiled:
    """The machine code of a plan; kept alive as long as this object.

    Calling it with the address of a run's words releases Python's global lock while the loop runs.
    """

    def __init__(self, plan: Plan, width: int = WIDE) -> None:
        self._compile(build_module(plan, width))

    @classmethod
    def of_module(cls, module: ir.Module) -> Compiled:
        """The machine code of any module with a function ``run``."""
        made = cls.__new__(cls)
        made._compile(module)
        return made

    def _compile(self, source: ir.Module) -> None:
        machine = _machine()
        module = binding.parse_assembly(str(source))
        options = binding.create_pipeline_tuning_options(speed_level=1)
        options.slp_vectorization = options.loop_vectorization = options.loop_unrolling = False
        passes = binding.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.address = int(self._engine.get_function_address("run"))
        self.call: Callable[[int], None] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address)


@lru_cache(maxsize=64)
def _compiled(plan: Plan, width: int) -> Compiled:
    return Compiled(plan, width)


def compiled(plan: Plan, width: int = WIDE) -> Compiled:
    """The machine code of a plan, from memory where it has been made before."""
    with compiling:
        return _compiled(plan, width)


def _machine() -> Any:
    """This computer, with all its vector instructions."""
    _initialised()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=2, jit=True
    )


@cache
def _initialised() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
