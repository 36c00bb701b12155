"""A product of matrices for a few rows, as a recurrence needs it at each of its steps.

Libraries spend as long on such a product's preparations as on the product. Here a
tile of the result, as many rows of a few vectors as fit into the CPU's registers, takes one
pass over the vectors of the right matrix below it (Goto & van de Geijn, 2008). Where the right
matrix is the same at all steps it may come packed into panels: a panel is a few
vectors wide and holds its rows one behind the other.

A row's result depends on that row alone, to the last bit: in every tile the
products are added in the same order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from seqfeat.nn.kernels.ir.vectors import (
    INDEX,
    POINTER,
    Builder,
    Value,
    VectorCode,
    begin_function,
    index,
    loop,
    nested,
)

__all__ = [
    "PANEL_WIDTH",
    "Products",
    "declare_exact_product",
    "declare_packing",
    "declare_products",
]

PANEL_WIDTHS = (4, 2, 1)
"""Vectors in a row of a panel; the widest are the fastest."""
PANEL_WIDTH = PANEL_WIDTHS[0]
"""That of packed panels."""
TILE_ROWS = (12, 6, 4, 3, 2, 1)
COLUMNS_AHEAD = 32
"""Columns of a transposed matrix that are fetched ahead: the CPU guesses rows, but no columns."""


class Products(NamedTuple):
    """Functions that set ``result = start + left @ right``.

    Matrices are row-major, and the numbers named ``..._row`` are the distances of two rows,
    in floats. `start` and `result` may be the same.
    """

    panels: Any
    """``(left, left_row, panels, panel_row, panel_step, n_panels, depth, start, start_row,
    result, result_row, n_rows)``; two panels are `panel_step` apart."""
    plain: Any
    """``(left, left_row, right, right_row, n_vectors, depth, start, start_row, result,
    result_row, n_rows)``; a row of `right` has `n_vectors` vectors."""
    transposed: Any
    """The same with ``left.T`` for `left`: it has `depth` rows of `n_rows` values."""


def declare_exact_product(code: VectorCode, n_registers: int) -> Any:
    """Write ``product_exact``, which is `Products.plain` of matrices of float64."""
    of_width = {
        width: panel_product(code.double, width, n_registers, False, "_exact")
        for width in (PANEL_WIDTH, 1)
    }
    return wide_product(code.double, "product_exact", of_width)


def declare_products(code: VectorCode, n_registers: int) -> Products:
    """Write the functions."""
    plain, transposed = (
        {width: panel_product(code, width, n_registers, turned) for width in PANEL_WIDTHS}
        for turned in (False, True)
    )
    return Products(
        plain[PANEL_WIDTH],
        wide_product(code, "product", plain),
        wide_product(code, "product_transposed", transposed),
    )


def panel_product(
    code: VectorCode, width: int, n_registers: int, turned: bool, suffix: str = ""
) -> Any:
    """Write the product with panels of one width, and the left matrix transposed if `turned`."""
    arguments = [POINTER, INDEX, POINTER, INDEX, INDEX, INDEX, INDEX]
    arguments += [POINTER, INDEX, POINTER, INDEX, INDEX]
    name = f"product_{width}{'_transposed' if turned else ''}{suffix}"
    function, builder = begin_function(code, name, arguments)
    left, left_row, panels, panel_row, panel_step, n_panels, depth = function.args[:7]
    start, start_row, result, result_row, n_rows = function.args[7:]
    columns = index(width * code.lanes)

    def one_panel(number: Value) -> None:
        first_column = builder.mul(number, columns)
        panel = code.place(builder, panels, builder.mul(number, panel_step))
        into = code.place(builder, result, first_column)
        begin = code.place(builder, start, first_column)

        row = index(0)
        for height in (rows for rows in TILE_ROWS if rows * width <= n_registers):

            def one_tile(row: Value, height: int = height) -> None:
                tile = Tile(code, builder, width, height)
                sums = tile.load(begin, start_row, row)
                lefts = tile.columns(left, row) if turned else tile.rows(left, left_row, row)
                step = left_row if turned else index(1)
                ahead = None
                if turned:
                    # There are few products to each result, and reading it is a wait.
                    tile.prefetch(into, result_row, builder.add(row, index(height)))
                    ahead = code.place(builder, lefts[0], index(COLUMNS_AHEAD))
                sums = tile.add_product(sums, lefts, step, panel, panel_row, depth, ahead)
                tile.store(sums, into, result_row, row)

            last = builder.sub(n_rows, index(height - 1))
            _, row = loop(builder, last, one_tile, start=row, step=height)

    loop(builder, n_panels, one_panel)
    builder.ret_void()
    return function


def wide_product(code: VectorCode, name: str, of_width: dict[int, Any]) -> Any:
    """Write the product with any number of vectors, in as wide panels as there are."""
    arguments = [POINTER, INDEX, POINTER, INDEX, INDEX, INDEX]
    arguments += [POINTER, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, name, arguments)
    left, left_row, right, right_row, n_vectors, depth = function.args[:6]
    start, start_row, result, result_row, n_rows = function.args[6:]
    vectors_done = index(0)
    for width, product in of_width.items():
        rest = builder.sub(n_vectors, vectors_done)
        n_panels = builder.sdiv(rest, index(width))
        column = builder.mul(vectors_done, index(code.lanes))
        panels = code.place(builder, right, column)
        begin, into = (code.place(builder, matrix, column) for matrix in (start, result))
        panel = (panels, right_row, index(width * code.lanes), n_panels, depth)
        rows = (begin, start_row, into, result_row, n_rows)
        builder.call(product, [left, left_row, *panel, *rows])
        vectors_done = builder.add(vectors_done, builder.mul(n_panels, index(width)))
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

    def columns(self, matrix: Value, first: Value) -> list[Value]:
        """Return where as many columns as the tile has rows begin in a matrix."""
        place = self.code.place(self.builder, matrix, first)
        return [self.code.place(self.builder, place, index(row)) for row in range(self.height)]

    def vectors(self, row: Value) -> list[Value]:
        """Return where the vectors of a row begin."""
        offsets = [index(vector * self.code.lanes) for vector in range(self.width)]
        return [self.code.place(self.builder, row, offset) for offset in offsets]

    def places(self, matrix: Value, distance: Value, first: Value) -> list[Value]:
        """Return where the tile's vectors begin in a matrix, row by row."""
        rows = self.rows(matrix, distance, first)
        return [place for row in rows for place in self.vectors(row)]

    def load(self, matrix: Value, distance: Value, first: Value) -> list[Value]:
        """Read the tile."""
        places = self.places(matrix, distance, first)
        return [self.code.load(self.builder, place) for place in places]

    def prefetch(self, matrix: Value, distance: Value, first: Value) -> None:
        """Have the cache fetch the tile, which is to be written."""
        for place in self.places(matrix, distance, first):
            self.code.prefetch(self.builder, place, to_write=True)

    def store(self, sums: list[Value], matrix: Value, distance: Value, first: Value) -> None:
        """Write the tile."""
        places = self.places(matrix, distance, first)
        for vector, place in zip(sums, places, strict=True):
            self.code.store(self.builder, vector, place)

    def add_product(
        self,
        sums: list[Value],
        lefts: list[Value],
        left_step: Value,
        panel: Value,
        panel_row: Value,
        depth: Value,
        ahead: Value | None = None,
    ) -> list[Value]:
        """Add the product of a panel and what begins at `lefts`, values `left_step` apart.

        Have the cache fetch what begins at `ahead`.
        """
        code, builder = self.code, self.builder

        def one_column(column: Value, *sums: Value) -> list[Value]:
            place = code.place(builder, panel, builder.mul(column, panel_row))
            weights = [code.load(builder, vector) for vector in self.vectors(place)]
            offset = builder.mul(column, left_step)
            if ahead is not None:
                code.prefetch(builder, code.place(builder, ahead, offset))
            results = []
            for number, left in enumerate(lefts):
                value = code.load_repeated(builder, code.place(builder, left, offset))
                own = sums[number * self.width : (number + 1) * self.width]
                pairs = zip(weights, own, strict=True)
                results += [code.multiply_add(builder, value, *pair) for pair in pairs]
            return results

        return loop(builder, depth, one_column, carried=sums)[0]


def declare_packing(code: VectorCode) -> Any:
    """Write ``pack``, which writes nothing where units or depth are filled up.

    Arguments: ``rows`` (n_gates, n_units, depth), ``n_gates, n_units, depth, filled_units, panels``
    (panels, filled_depth, width), ``filled_depth, width``.
    """
    arguments = [POINTER, INDEX, INDEX, INDEX, INDEX, POINTER, INDEX, INDEX]
    function, builder = begin_function(code, "pack", arguments)
    rows, n_gates, n_units, depth, filled_units, panels, filled_depth, width = function.args
    lanes = index(code.lanes)

    def source(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, n_units), unit)
        return code.place(builder, rows, builder.mul(row, depth))

    def into(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, filled_units), unit)
        panel, column = builder.sdiv(row, width), builder.srem(row, width)
        offset = builder.mul(builder.mul(panel, filled_depth), width)
        return code.place(builder, panels, offset, column)

    def one_square(gate: Value, block: Value, number: Value) -> None:
        """Pack as many values of as many units as a vector has lanes."""
        unit, first = builder.mul(block, lanes), builder.mul(number, lanes)
        begin_row = code.place(builder, source(gate, unit), first)
        places = [builder.mul(index(row), depth) for row in range(code.lanes)]
        vectors = [code.load(builder, code.place(builder, begin_row, place)) for place in places]
        start = code.place(builder, into(gate, unit), builder.mul(first, width))
        for row, vector in enumerate(transposed(code, builder, vectors)):
            offset = builder.mul(index(row), width)
            code.store(builder, vector, code.place(builder, start, offset))

    def some_values(gate: Value, unit: Value, start: Value) -> None:
        """Pack one unit's values from `start` on."""
        begin_row, begin_panel = source(gate, unit), into(gate, unit)

        def one_value(number: Value) -> None:
            value = code.load_one(builder, code.place(builder, begin_row, number))
            offset = builder.mul(number, width)
            code.store(builder, value, code.place(builder, begin_panel, offset))

        loop(builder, depth, one_value, start=start)

    def one_gate(gate: Value) -> None:
        whole_units, whole_depth = code.whole(builder, n_units), code.whole(builder, depth)
        blocks = builder.sdiv(n_units, lanes), builder.sdiv(depth, lanes)
        nested(builder, blocks, lambda block, number: one_square(gate, block, number))
        loop(builder, whole_units, lambda unit: some_values(gate, unit, whole_depth))
        loop(builder, n_units, lambda unit: some_values(gate, unit, index(0)), start=whole_units)

    loop(builder, n_gates, one_gate)
    builder.ret_void()
    return function


def transposed(code: VectorCode, builder: Builder, vectors: list[Value]) -> list[Value]:
    """Return a square matrix's columns, given its rows: blocks swap places, ever smaller ones."""
    vectors = list(vectors)
    size = code.lanes // 2
    while size:
        for row in (row for row in range(code.lanes) if not row & size):
            upper, lower = vectors[row], vectors[row + size]
            vectors[row] = shuffled(
                code,
                builder,
                upper,
                lower,
                [code.lanes + lane - size if lane & size else lane for lane in range(code.lanes)],
            )
            vectors[row + size] = shuffled(
                code,
                builder,
                upper,
                lower,
                [code.lanes + lane if lane & size else lane + size for lane in range(code.lanes)],
            )
        size //= 2
    return vectors


def shuffled(code: VectorCode, builder: Builder, x: Value, y: Value, lanes: list[int]) -> Value:
    """Return a vector of lanes of two, which are counted from the first of `x` on."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), lanes)
    return builder.shuffle_vector(x, y, mask)
