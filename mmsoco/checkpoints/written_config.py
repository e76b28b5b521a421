"""A config as a run wrote it into its checkpoint: read, and never run."""

import ast
from typing import Any


class _Dicts(ast.NodeTransformer):
    """``dict(a=1)`` as ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
            keys = [ast.Constant(keyword.arg) for keyword in node.keywords]
            return ast.Dict(keys=keys, values=[keyword.value for keyword in node.keywords])
        return node


def literals(text: str) -> dict[str, Any]:
    """A config's values by name, without what is no plain value."""
    found = {}
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                found[statement.targets[0].id] = ast.literal_eval(_Dicts().visit(statement.value))
            except (ValueError, TypeError, RecursionError):
                continue
    return found
