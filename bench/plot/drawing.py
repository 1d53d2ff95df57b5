"""A drawing of lines, points and words as SVG: the same bytes for the same calls."""
import math
import pathlib
import sys
from xml.sax.saxutils import escape

# Hues that stay apart for most eyes, on white.
HUES = ("#4c78a8", "#e45756", "#54a24b", "#f58518", "#72b7b2", "#b279a2", "#9d755d", "#7f8fa6", "#d4a72c", "#2f4b7c", "#8b1e3f",
        "#8cc3e8", "#ff9da6", "#6b8e23", "#bab0ac", "#59a89c")


def short(value):
    """A coordinate: at most two digits behind the point, none that say nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def word_of(value):
    """An axis' number: 0.25, 1, 64, 2048, 1e+06."""
    return f"{value:g}"


class Drawing:
    def __init__(self, width, height):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {short(width)} {short(height)}" font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
        ]

    def line(self, points, hue="#000000", width=1, dash=None):
        path = " ".join(f"{short(x)},{short(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{hue}" stroke-width="{short(width)}"{dashed}/>')

    def point(self, x, y, hue, title="", radius=2.5):
        inside = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f'<circle cx="{short(x)}" cy="{short(y)}" r="{short(radius)}" fill="{hue}">{inside}</circle>')

    def word(self, x, y, text, anchor="start", hue="#000000", turned=False):
        turn = f' transform="rotate(-90 {short(x)} {short(y)})"' if turned else ""
        self.parts.append(f'<text x="{short(x)}" y="{short(y)}" text-anchor="{anchor}" fill="{hue}"{turn}>{escape(text)}</text>')

    def text(self):
        return "\n".join(self.parts + ["</svg>"]) + "\n"


class Axes:
    """A frame with logarithmic axes; `x` and `y` are (least, most)."""

    def __init__(self, drawing, left, top, width, height, x, y):
        self.drawing, self.left, self.top, self.width, self.height = drawing, left, top, width, height
        self.x, self.y = x, y

    def at(self, x, y):
        across = (math.log(x) - math.log(self.x[0])) / (math.log(self.x[1]) - math.log(self.x[0]))
        up = (math.log(y) - math.log(self.y[0])) / (math.log(self.y[1]) - math.log(self.y[0]))
        return self.left + across * self.width, self.top + self.height - up * self.height

    def inside(self, x, y):
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]

    def frame(self, x_name, y_name, x_marks, y_marks):
        d = self.drawing
        right, bottom = self.left + self.width, self.top + self.height
        for mark in x_marks:
            x, _ = self.at(mark, self.y[0])
            d.line([(x, self.top), (x, bottom)], "#e4e8ee")
            d.word(x, bottom + 15, word_of(mark), "middle")
        for mark in y_marks:
            _, y = self.at(self.x[0], mark)
            d.line([(self.left, y), (right, y)], "#e4e8ee")
            d.word(self.left - 6, y + 4, word_of(mark), "end")
        d.line([(self.left, self.top), (self.left, bottom), (right, bottom)], "#7f8fa6")
        d.word(self.left + self.width / 2, bottom + 32, x_name, "middle")
        d.word(self.left - 40, self.top + self.height / 2, y_name, "middle", turned=True)


def decades(least, most):
    """1, 10, 100, ... around both ends."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0 ** e for e in range(first, max(last, first + 1) + 1)]


def write_plots(load, plots, usage):
    """The main of a program RESULTS.json FOLDER: each of the plots, name of a file: function of the results."""
    if len(sys.argv) != 3:
        sys.exit(usage)
    results, folder = load(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in plots.items():
        (folder / name).write_text(plot(results))
