"""What a firing changes, as a table that the machine code reads."""

from __future__ import annotations

from llvmlite import ir

from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import LANES, Layout
from chemlearn.simulate.native.vectors import DOUBLE, INT


def layout_of(plan: Plan) -> Layout:
    counted = len(plan.order) if plan.counted else 0
    integrated = len(plan.order) if plan.integrated else 0
    return Layout(plan.n_species, plan.n_drives, counted, integrated, plan.ramped, len(plan.moved))


def entries(plan: Plan) -> tuple[int, ...]:
    """Reactions of the plan in the order of the table; −1 for what never fires."""
    groups = groups_of(plan)
    return tuple(range(len(plan.changes))) if groups is None else groups.entries


def _changes(plan: Plan) -> list[tuple[tuple[int, float], ...]]:
    """Rows and changes by one firing, entry by entry: amounts, and the number of the reaction's firings."""
    counters = [
        ((layout_of(plan).counted + number, 1.0),) if plan.counted else ()
        for number in (plan.order or range(len(plan.changes)))
    ]
    each = [(*changes, *counter) for changes, counter in zip(plan.changes, counters, strict=True)]
    return [each[i] if i >= 0 else () for i in entries(plan)]


def most_changes(plan: Plan) -> int:
    return max(1, *(len(c) for c in _changes(plan))) if plan.changes else 1


def stride(plan: Plan) -> int:
    """Words of one reaction in the table of changes."""
    return 2 * most_changes(plan)


def nothing_fires(plan: Plan) -> int:
    """Offset of the entry of the table that changes nothing."""
    return len(entries(plan)) * stride(plan)


def change_table(module: ir.Module, plan: Plan, layout: Layout) -> ir.GlobalVariable:
    """Row and change of every species, padded to the largest reaction; at the end one without change."""
    words: list[ir.Constant] = []
    for changes in (*_changes(plan), ()):
        padded = [*changes, *[(layout.nothing, 0.0)] * (most_changes(plan) - len(changes))]
        for species, change in padded:
            words += [INT(species * LANES), DOUBLE(change).bitcast(INT)]
    kind = ir.ArrayType(INT, len(words))
    table = ir.GlobalVariable(module, kind, "changes")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(kind, words)
    return table
