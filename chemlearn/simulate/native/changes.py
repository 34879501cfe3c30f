"""What a firing changes, as a table that the machine code reads."""

from __future__ import annotations

from llvmlite import ir

from chemlearn.simulate.native.groups import groups_of
from chemlearn.simulate.native.laws import Plan
from chemlearn.simulate.native.layout import LANES, Layout
from chemlearn.simulate.native.vectors import DOUBLE, INT

_LANEWISE = 14  # masked additions that cost as much as one change of 16 lanes, one after the other


def layout_of(plan: Plan) -> Layout:
    counted = len(plan.order) if plan.counted else 0
    integrated = len(plan.order) if plan.integrated else 0
    moved = len(plan.moved)
    lows = moved if plan.watched or groups_of(plan).bends else 0
    return Layout(plan.n_species, plan.n_drives, counted, integrated, plan.ramped, moved, lows)


def entries(plan: Plan) -> tuple[int, ...]:
    """Reactions of the plan in the order of the table; −1 for what never fires."""
    return groups_of(plan).entries


def all_changes(plan: Plan) -> list[tuple[tuple[int, float], ...]]:
    """Rows and changes by one firing, entry by entry: amounts, and the number of the reaction's firings."""
    counters = [
        ((layout_of(plan).counted + number, 1.0),) if plan.counted else ()
        for number in (plan.order or range(len(plan.changes)))
    ]
    each = [(*changes, *counter) for changes, counter in zip(plan.changes, counters, strict=True)]
    return [each[i] if i >= 0 else () for i in entries(plan)]


def most_changes(plan: Plan) -> int:
    return max(1, *(len(c) for c in all_changes(plan))) if plan.changes else 1


def changed_together(plan: Plan) -> bool:
    """Whether it is quicker to add every change to all lanes, masked, than one lane's after another's."""
    changes = all_changes(plan)
    rows = {row for change in changes for row, _ in change}
    return len(changes) + sum(map(len, changes)) + len(rows) < _LANEWISE * most_changes(plan)


def stride(plan: Plan) -> int:
    """Words of one reaction in the table of changes."""
    return 2 * most_changes(plan)


def nothing_fires(plan: Plan) -> int:
    """Offset of the entry of the table that changes nothing."""
    return len(entries(plan)) * stride(plan)


def change_table(module: ir.Module, plan: Plan, layout: Layout) -> ir.GlobalVariable:
    """Row and change of every species, padded to the largest reaction; at the end one without change."""
    words: list[ir.Constant] = []
    for changes in (*all_changes(plan), ()):
        padded = [*changes, *[(layout.nothing, 0.0)] * (most_changes(plan) - len(changes))]
        for species, change in padded:
            words += [INT(species * LANES), DOUBLE(change).bitcast(INT)]
    kind = ir.ArrayType(INT, len(words))
    table = ir.GlobalVariable(module, kind, "changes")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(kind, words)
    return table
