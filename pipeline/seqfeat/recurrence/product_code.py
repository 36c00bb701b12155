"""A product of matrices for a few rows, as a recurrence needs it at each of its steps.

Libraries spend as long on such a product's preparations as on the product. Here
the right matrix comes packed into panels, once for all steps: a panel is a few vectors wide
and holds its rows one behind the other. A tile of the result, as many rows of a panel as
fit into the CPU's registers, then takes one pass over a panel (Goto & van de Geijn, 2008).

A row's result depends on that row alone, to the last bit: in every tile the
products are added in the same order.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from seqfeat.recurrence.vector_code import INDEX, POINTER, Builder, Value, VectorCode, index, loop

__all__ = ["PANEL_WIDTHS", "declare_products", "product_function"]

PANEL_WIDTHS = (4, 2, 1)
"""Vectors in a row of a panel; the widest that divides a matrix's width is the fastest."""
TILE_ROWS = (12, 6, 4, 3, 2, 1)


def declare_products(code: VectorCode, n_registers: int) -> dict[int, Any]:
    """Write a function for each width of a panel.

    ``product(left, left_row, panels, n_panels, depth, start, start_row, result,
    result_row, n_rows)`` sets ``result = start + left @ right``, all row-major;
    the numbers named ``..._row`` are the distances of two rows, in floats.
    """
    return {width: product_function(code, width, n_registers) for width in PANEL_WIDTHS}


def product_function(code: VectorCode, width: int, n_registers: int) -> Any:
    """Write the product for panels of one width."""
    arguments = [POINTER, INDEX, POINTER, INDEX, INDEX, POINTER, INDEX, POINTER, INDEX, INDEX]
    signature = ir.FunctionType(ir.VoidType(), arguments)
    function = ir.Function(code.module, signature, f"product_{width}")
    left, left_row, panels, n_panels, depth, start, start_row, result, result_row, n_rows = (
        function.args
    )
    builder = ir.IRBuilder(function.append_basic_block())
    columns = index(width * code.lanes)

    def one_panel(number: Value) -> None:
        first_column = builder.mul(number, columns)
        panel = code.place(builder, panels, builder.mul(first_column, depth))
        into = code.place(builder, result, first_column)
        begin = code.place(builder, start, first_column)

        row = index(0)
        for height in (rows for rows in TILE_ROWS if rows * width <= n_registers):

            def one_tile(row: Value, height: int = height) -> None:
                tile = Tile(code, builder, width, height)
                sums = tile.load(begin, start_row, row)
                sums = tile.add_product(sums, left, left_row, row, panel, depth)
                tile.store(sums, into, result_row, row)

            last = builder.sub(n_rows, index(height - 1))
            _, row = loop(builder, last, one_tile, start=row, step=height)

    loop(builder, n_panels, one_panel)
    builder.ret_void()
    return function


class Tile:
    """Some rows of a panel of the result, in registers."""

    def __init__(self, code: VectorCode, builder: Builder, width: int, height: int) -> None:
        self.code, self.builder = code, builder
        self.width, self.height = width, height

    def rows(self, matrix: Value, distance: Value, first: Value) -> list[Value]:
        """Return where the tile's rows begin in a matrix."""
        numbers = [self.builder.add(first, index(row)) for row in range(self.height)]
        offsets = [self.builder.mul(number, distance) for number in numbers]
        return [self.code.place(self.builder, matrix, offset) for offset in offsets]

    def vectors(self, row: Value) -> list[Value]:
        """Return where the vectors of a row begin."""
        offsets = [index(vector * self.code.lanes) for vector in range(self.width)]
        return [self.code.place(self.builder, row, offset) for offset in offsets]

    def load(self, matrix: Value, distance: Value, first: Value) -> list[Value]:
        """Read the tile, row by row."""
        rows = self.rows(matrix, distance, first)
        return [self.code.load(self.builder, place) for row in rows for place in self.vectors(row)]

    def store(self, sums: list[Value], matrix: Value, distance: Value, first: Value) -> None:
        """Write the tile."""
        rows = self.rows(matrix, distance, first)
        places = [place for row in rows for place in self.vectors(row)]
        for vector, place in zip(sums, places, strict=True):
            self.code.store(self.builder, vector, place)

    def add_product(
        self,
        sums: list[Value],
        left: Value,
        left_row: Value,
        first: Value,
        panel: Value,
        depth: Value,
    ) -> list[Value]:
        """Add the product of the left matrix's rows and a panel."""
        code, builder = self.code, self.builder
        left_rows = self.rows(left, left_row, first)
        columns = index(self.width * code.lanes)

        def one_column(column: Value, *sums: Value) -> list[Value]:
            place = code.place(builder, panel, builder.mul(column, columns))
            weights = [code.load(builder, vector) for vector in self.vectors(place)]
            results = []
            for number, row in enumerate(left_rows):
                value = code.load_repeated(builder, code.place(builder, row, column))
                own = sums[number * self.width : (number + 1) * self.width]
                pairs = zip(weights, own, strict=True)
                results += [code.multiply_add(builder, value, *pair) for pair in pairs]
            return results

        return loop(builder, depth, one_column, carried=sums)[0]
