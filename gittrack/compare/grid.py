"""A comparison as a grid of texts, and its written forms: Markdown, HTML, LaTeX.

The grid is what all forms and the terminal share; numbers are texts of five digits here. JSON and CSV do not go this
way: they are made from whole values. Everything is escaped for its target: names and parameters are other people's
text.
"""

from html import escape
from typing import NamedTuple


class Cell(NamedTuple):
    text: str
    best: bool = False  # the best of its metric


class Grid(NamedTuple):
    """`cells[row][column]`. `sections[row]` is what the row belongs to (run, params, metrics), when rows have such."""

    corner: str
    heads: list[str]
    labels: list[str]
    sections: list[str]
    cells: list[list[Cell]]

    def transposed(self) -> "Grid":
        """Rows for columns. Sections are given up."""
        cells = [list(column) for column in zip(*self.cells, strict=True)] or [[] for _ in self.heads]
        return Grid(self.corner, self.labels, self.heads, [""] * len(self.heads), cells)


def markdown(grid: Grid) -> str:
    """A GitHub-flavoured table; the best values are bold."""
    lines = [_row([_pipe(grid.corner), *map(_pipe, grid.heads)]), _row(["---"] + ["---:"] * len(grid.heads))]
    for label, cells in zip(grid.labels, grid.cells, strict=True):
        lines.append(_row([_pipe(label), *(f"**{_pipe(c.text)}**" if c.best else _pipe(c.text) for c in cells)]))
    return "\n".join(lines) + "\n"


def _row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _pipe(text: str) -> str:
    for char in "\\|`*_<>[]~&":
        text = text.replace(char, "\\" + char)
    return text


def html(grid: Grid) -> str:
    """A table element with a small style of its own; the best values have the class `best`.

    Arrows and all else beyond ASCII are character references: the element names no encoding, and a page that it is put
    into, or a browser that opens it as a file, may take another one than UTF-8.
    """
    head = "".join(f'<th scope="col">{escape(head)}</th>' for head in grid.heads)
    lines = [
        '<table class="gittrack">',
        "<style>.gittrack td{text-align:right}.gittrack th{text-align:left}.gittrack .best{font-weight:bold}</style>",
        f"<thead><tr><th>{escape(grid.corner)}</th>{head}</tr></thead>",
        "<tbody>",
    ]
    for label, cells in zip(grid.labels, grid.cells, strict=True):
        texts = "".join(f"<td{_best(cell)}>{escape(cell.text)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(label)}</th>{texts}</tr>')
    text = "\n".join([*lines, "</tbody>", "</table>"]) + "\n"
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _best(cell: Cell) -> str:
    return ' class="best"' if cell.best else ""


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"\(\pm\)", "↓": r"\(\downarrow\)", "↑": r"\(\uparrow\)",
    "Δ": r"\(\Delta\)", "…": r"\ldots{}", "-": "{-}",
}  # fmt: skip


def latex(grid: Grid) -> str:
    """A tabular in the manner of booktabs; the best values are bold."""
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{tabular}{l" + "r" * len(grid.heads) + "}",
        "\\toprule",
        " & ".join([_tex(grid.corner), *map(_tex, grid.heads)]) + " \\\\",
        "\\midrule",
    ]
    for label, cells in zip(grid.labels, grid.cells, strict=True):
        texts = [f"\\textbf{{{_tex(cell.text)}}}" if cell.best else _tex(cell.text) for cell in cells]
        lines.append(" & ".join([_tex(label), *texts]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _tex(text: str) -> str:
    if text[:1] in ("-", "+") and text[1:2].isdigit():
        return f"\\({text}\\)"  # a number, with a minus sign rather than a hyphen
    return "".join(_TEX.get(char, char) for char in text)


WRITERS = {"markdown": markdown, "html": html, "latex": latex}
