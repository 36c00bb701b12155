"""Matrix products for a few rows, as a recurrent layer needs one at each of its steps.

BLAS libraries spend as long on preparing such a product as on computing it. Here a tile of the
result, as many rows of a few vectors as fit into the CPU's registers, takes one pass over the
columns of the right matrix that lie below it (Goto & van de Geijn, 2008)::

    for each panel of columns:                        # 4 vectors wide, then 2, then 1
        for each tile of rows:                        # 12, 6, 4, 3, 2 or 1 rows
            sums = start[rows, panel]
            for k in range(depth):
                sums += left[rows, k] * right[k, panel]
            result[rows, panel] = sums

Where the right matrix is the same at every step, it comes packed into panels: each panel holds its
rows one after the other, so that they are read in the order in which they lie in memory.

A row of the result depends on that row of the left matrix alone, to the last bit: all tiles add
their products in the same order.
"""

from __future__ import annotations

from llvmlite import ir

from seqfeat.nn.kernels.ir.kernel import Kernel, Size, doubles, floats
from seqfeat.nn.kernels.ir.vectors import Builder, Value, VectorCode, index, loop, nested_loops

__all__ = [
    "KERNELS",
    "PACK",
    "PANEL_VECTORS",
    "PRODUCT",
    "PRODUCT_FLOAT64",
    "PRODUCT_OF_PANELS",
    "PRODUCT_TRANSPOSED",
    "write_matmul",
]

PANEL_WIDTHS = (4, 2, 1)
"""Vectors in a row of a panel; the widest are the fastest."""
PANEL_VECTORS = PANEL_WIDTHS[0]
"""Vectors in a row of a packed panel."""
TILE_ROWS = (12, 6, 4, 3, 2, 1)
PREFETCH_COLUMNS = 32
"""How far ahead columns of a transposed matrix are prefetched: the CPU predicts rows only."""


def _product_kernel(name: str, *, turned: bool = False) -> Kernel:
    """Declare ``result = start + left @ right``, or with ``left.T``; `result` may be `start`."""
    left = ("depth", "n_rows") if turned else ("n_rows", "depth")
    return Kernel(
        name,
        left=floats(*left, strides=["left_row"]),
        right=floats("depth", "n_vectors * lanes", strides=["right_row"]),
        start=floats("n_rows", "n_vectors * lanes", strides=["start_row"]),
        result=floats("n_rows", "n_vectors * lanes", strides=["result_row"]),
    )


def _panel_kernel(width: int, *, turned: bool = False) -> Kernel:
    """Declare the product with panels of one width.

    Panels may lie side by side in one matrix: then `panel_row` is that matrix's row.
    """
    left = ("depth", "n_rows") if turned else ("n_rows", "depth")
    columns = f"{width} * n_panels * lanes"
    return Kernel(
        f"product_of_panels_{width}{'_transposed' if turned else ''}",
        left=floats(*left, strides=["left_row"]),
        panels=floats("n_panels", "depth", f"{width} * lanes", strides=["panel_step", "panel_row"]),
        start=floats("n_rows", columns, strides=["start_row"]),
        result=floats("n_rows", columns, strides=["result_row"]),
    )


PRODUCT = _product_kernel("product")
PRODUCT_TRANSPOSED = _product_kernel("product_transposed", turned=True)
PRODUCT_FLOAT64 = Kernel(
    "product_float64",
    left=doubles("n_rows", "depth", strides=["left_row"]),
    right=doubles("depth", "n_vectors * double_lanes", strides=["right_row"]),
    start=doubles("n_rows", "n_vectors * double_lanes", strides=["start_row"]),
    result=doubles("n_rows", "n_vectors * double_lanes", strides=["result_row"]),
)
PANELS = {width: _panel_kernel(width) for width in PANEL_WIDTHS}
PANELS_TRANSPOSED = {width: _panel_kernel(width, turned=True) for width in PANEL_WIDTHS}
PRODUCT_OF_PANELS = PANELS[PANEL_VECTORS]
PACK = Kernel(
    "pack",
    "n_gates * padded_units == n_panels * width",
    "padded_units >= n_units",
    "padded_depth >= depth",
    "padded_units % lanes == 0 and width % lanes == 0",
    rows=floats("n_gates", "n_units", "depth"),
    panels=floats("n_panels", "padded_depth", "width"),
    padded_units=Size(),
)
"""Transpose rows of weights into panels; what is padded is left as it is."""

KERNELS = [PRODUCT_OF_PANELS, PRODUCT, PRODUCT_TRANSPOSED, PRODUCT_FLOAT64, PACK]
"""What programs may call."""


def write_matmul(code: VectorCode, n_registers: int) -> None:
    """Write all of these; a tile may fill `n_registers`."""
    for kernels, product, turned in (
        (PANELS, PRODUCT, False),
        (PANELS_TRANSPOSED, PRODUCT_TRANSPOSED, True),
    ):
        for width, kernel in kernels.items():
            _write_panels(code, kernel, width, n_registers, turned)
        _write_product(code, product, kernels)
    of_doubles = {width: _double_panels(width) for width in (PANEL_VECTORS, 1)}
    for width, kernel in of_doubles.items():
        _write_panels(code.double, kernel, width, n_registers, False)
    _write_product(code.double, PRODUCT_FLOAT64, of_doubles)
    _write_pack(code)


def _double_panels(width: int) -> Kernel:
    """Declare the product with panels of float64; pointers are untyped in LLVM."""
    return Kernel(f"product_of_panels_{width}_float64", **PANELS[width].parameters)


def _write_panels(
    code: VectorCode, kernel: Kernel, width: int, n_registers: int, turned: bool
) -> None:
    builder, a = kernel.begin(code)
    columns = index(width * code.lanes)

    def one_panel(number: Value) -> None:
        first_column = builder.mul(number, columns)
        panel = code.offset(builder, a.panels, builder.mul(number, a.panel_step))
        result = code.offset(builder, a.result, first_column)
        start = code.offset(builder, a.start, first_column)

        row = index(0)
        for height in (rows for rows in TILE_ROWS if rows * width <= n_registers):

            def one_tile(row: Value, height: int = height) -> None:
                tile = Tile(code, builder, width, height)
                sums = tile.load(start, a.start_row, row)
                step = a.left_row if turned else index(1)
                ahead = None
                if turned:
                    lefts = tile.columns(a.left, row)
                    # There are few products for each result, and reading it is a wait.
                    tile.prefetch(result, a.result_row, builder.add(row, index(height)))
                    ahead = code.offset(builder, lefts[0], index(PREFETCH_COLUMNS))
                else:
                    lefts = tile.rows(a.left, a.left_row, row)
                sums = tile.add_product(sums, lefts, step, panel, a.panel_row, a.depth, ahead)
                tile.store(sums, result, a.result_row, row)

            last = builder.sub(a.n_rows, index(height - 1))
            _, row = loop(builder, last, one_tile, start=row, step=height)

    loop(builder, a.n_panels, one_panel)
    builder.ret_void()


def _write_product(code: VectorCode, kernel: Kernel, panels: dict[int, Kernel]) -> None:
    """Write the product with any number of vectors, split into panels as wide as possible."""
    builder, a = kernel.begin(code)
    vectors_done = index(0)
    for width, product in panels.items():
        n_panels = builder.sdiv(builder.sub(a.n_vectors, vectors_done), index(width))
        column = builder.mul(vectors_done, index(code.lanes))
        product.emit_call(
            code,
            builder,
            left=a.left,
            left_row=a.left_row,
            panels=code.offset(builder, a.right, column),
            panel_step=index(width * code.lanes),
            panel_row=a.right_row,
            start=code.offset(builder, a.start, column),
            start_row=a.start_row,
            result=code.offset(builder, a.result, column),
            result_row=a.result_row,
            n_rows=a.n_rows,
            depth=a.depth,
            n_panels=n_panels,
        )
        vectors_done = builder.add(vectors_done, builder.mul(n_panels, index(width)))
    builder.ret_void()


class Tile:
    """A few rows of a panel of the result, in registers."""

    def __init__(self, code: VectorCode, builder: Builder, width: int, height: int) -> None:
        self.code, self.builder = code, builder
        self.width, self.height = width, height

    def rows(self, matrix: Value, stride: Value, first: Value) -> list[Value]:
        """Return the addresses of the tile's rows in a matrix."""
        numbers = [self.builder.add(first, index(row)) for row in range(self.height)]
        offsets = [self.builder.mul(number, stride) for number in numbers]
        return [self.code.offset(self.builder, matrix, offset) for offset in offsets]

    def columns(self, matrix: Value, first: Value) -> list[Value]:
        """Return the addresses of as many columns of a matrix as the tile has rows."""
        address = self.code.offset(self.builder, matrix, first)
        return [self.code.offset(self.builder, address, index(row)) for row in range(self.height)]

    def vectors(self, row: Value) -> list[Value]:
        """Return the addresses of a row's vectors."""
        offsets = [index(vector * self.code.lanes) for vector in range(self.width)]
        return [self.code.offset(self.builder, row, offset) for offset in offsets]

    def addresses(self, matrix: Value, stride: Value, first: Value) -> list[Value]:
        """Return the addresses of the tile's vectors in a matrix, row by row."""
        rows = self.rows(matrix, stride, first)
        return [address for row in rows for address in self.vectors(row)]

    def load(self, matrix: Value, stride: Value, first: Value) -> list[Value]:
        """Load the tile."""
        addresses = self.addresses(matrix, stride, first)
        return [self.code.load(self.builder, address) for address in addresses]

    def prefetch(self, matrix: Value, stride: Value, first: Value) -> None:
        """Prefetch the tile, which is about to be written."""
        for address in self.addresses(matrix, stride, first):
            self.code.prefetch(self.builder, address, to_write=True)

    def store(self, sums: list[Value], matrix: Value, stride: Value, first: Value) -> None:
        """Store the tile."""
        addresses = self.addresses(matrix, stride, first)
        for vector, address in zip(sums, addresses, strict=True):
            self.code.store(self.builder, vector, address)

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
        """Add the product of the left rows at `lefts`, elements `left_step` apart, and a panel.

        Prefetch what lies at `ahead`, step by step.
        """
        code, builder = self.code, self.builder

        def one_column(column: Value, *sums: Value) -> list[Value]:
            row = code.offset(builder, panel, builder.mul(column, panel_row))
            weights = [code.load(builder, address) for address in self.vectors(row)]
            offset = builder.mul(column, left_step)
            if ahead is not None:
                code.prefetch(builder, code.offset(builder, ahead, offset))
            results = []
            for number, left in enumerate(lefts):
                value = code.load_broadcast(builder, code.offset(builder, left, offset))
                own = sums[number * self.width : (number + 1) * self.width]
                pairs = zip(weights, own, strict=True)
                results += [code.multiply_add(builder, value, *pair) for pair in pairs]
            return results

        return loop(builder, depth, one_column, carried=sums)[0]


def _write_pack(code: VectorCode) -> None:
    builder, a = PACK.begin(code)
    lanes = index(code.lanes)

    def source(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, a.n_units), unit)
        return code.offset(builder, a.rows, builder.mul(row, a.depth))

    def target(gate: Value, unit: Value) -> Value:
        row = builder.add(builder.mul(gate, a.padded_units), unit)
        panel, column = builder.sdiv(row, a.width), builder.srem(row, a.width)
        offset = builder.mul(builder.mul(panel, a.padded_depth), a.width)
        return code.offset(builder, a.panels, offset, column)

    def one_square(gate: Value, block: Value, number: Value) -> None:
        """Pack as many values of as many units as a vector has lanes."""
        unit, first = builder.mul(block, lanes), builder.mul(number, lanes)
        rows = code.offset(builder, source(gate, unit), first)
        offsets = [builder.mul(index(row), a.depth) for row in range(code.lanes)]
        vectors = [code.load(builder, code.offset(builder, rows, offset)) for offset in offsets]
        columns = code.offset(builder, target(gate, unit), builder.mul(first, a.width))
        for row, vector in enumerate(_transpose(code, builder, vectors)):
            offset = builder.mul(index(row), a.width)
            code.store(builder, vector, code.offset(builder, columns, offset))

    def rest_of_unit(gate: Value, unit: Value, start: Value) -> None:
        """Pack one unit's values, beginning with number `start`."""
        row, column = source(gate, unit), target(gate, unit)

        def one_value(number: Value) -> None:
            value = code.load_scalar(builder, code.offset(builder, row, number))
            offset = builder.mul(number, a.width)
            code.store(builder, value, code.offset(builder, column, offset))

        loop(builder, a.depth, one_value, start=start)

    def one_gate(gate: Value) -> None:
        whole_units = code.floor_to_vectors(builder, a.n_units)
        whole_depth = code.floor_to_vectors(builder, a.depth)
        blocks = builder.sdiv(a.n_units, lanes), builder.sdiv(a.depth, lanes)
        nested_loops(builder, blocks, lambda block, number: one_square(gate, block, number))
        loop(builder, whole_units, lambda unit: rest_of_unit(gate, unit, whole_depth))
        loop(
            builder,
            a.n_units,
            lambda unit: rest_of_unit(gate, unit, index(0)),
            start=whole_units,
        )

    loop(builder, a.n_gates, one_gate)
    builder.ret_void()


def _transpose(code: VectorCode, builder: Builder, vectors: list[Value]) -> list[Value]:
    """Transpose a square of vectors: blocks swap places, ever smaller ones."""
    vectors = list(vectors)
    lanes, size = code.lanes, code.lanes // 2
    while size:
        for row in (row for row in range(lanes) if not row & size):
            upper, lower = vectors[row], vectors[row + size]
            upper_lanes = [lanes + lane - size if lane & size else lane for lane in range(lanes)]
            lower_lanes = [lanes + lane if lane & size else lane + size for lane in range(lanes)]
            vectors[row] = _shuffle(code, builder, upper, lower, upper_lanes)
            vectors[row + size] = _shuffle(code, builder, upper, lower, lower_lanes)
        size //= 2
    return vectors


def _shuffle(code: VectorCode, builder: Builder, x: Value, y: Value, lanes: list[int]) -> Value:
    """Return a vector made of lanes of two others; those of `y` are numbered after those of `x`."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), code.lanes), lanes)
    return builder.shuffle_vector(x, y, mask)
