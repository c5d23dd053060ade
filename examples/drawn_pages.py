"""Draw pages of text, charts and flat shapes, of which photographs show little.

    python examples/drawn_pages.py -n 48 -o photos/drawn
    enhance train enet-e-x4 --data photos

Types are those that come with matplotlib, texts those of Python's own help. The same number and
seed give the same pages with the same versions of both.
"""

import argparse
import colorsys
import random
from pathlib import Path
from pydoc_data.topics import topics

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

SIZE = (960, 800)
FONTS = [
    str(path)
    for name in ("DejaVu*", "STIXGeneral*")
    for path in sorted((Path(get_data_path()) / "fonts" / "ttf").glob(f"{name}.ttf"))
]
TEXTS = [text.split() for _, text in sorted(topics.items())]
FINER = 3  # How much larger a page is drawn, so that its edges are smooth when it is reduced.

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, right, bottom


class Page:
    """A canvas, and things to draw on it whose places and kinds are left to chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.width, self.height = (side * FINER for side in SIZE)
        self.dark = self.chance.random() < 0.4
        self.image = self.background()
        self.pen = ImageDraw.Draw(self.image)

    def colour(self, light: bool | None = None) -> Colour:
        """A colour; a grey in four of ten cases."""
        chance = self.chance
        if light is None:
            light = chance.random() < 0.5
        value = chance.uniform(0.75, 1) if light else chance.uniform(0, 0.45)
        saturation = 0 if chance.random() < 0.4 else chance.uniform(0.1, 1) * (0.5 if light else 1)
        red, green, blue = colorsys.hsv_to_rgb(chance.random(), saturation, value)
        return round(red * 255), round(green * 255), round(blue * 255)

    def ink(self) -> Colour:
        """A colour that can be told from the background."""
        return self.colour(light=self.dark)

    def background(self) -> Image.Image:
        """A canvas of one colour, or that goes from one to another."""
        size = self.width, self.height
        if self.chance.random() < 0.6:
            plain = (0, 0, 0) if self.dark else (255, 255, 255)
            coloured = self.chance.random() >= 0.5
            return Image.new("RGB", size, self.colour(not self.dark) if coloured else plain)
        ramp = Image.linear_gradient("L").resize(size)
        if self.chance.random() < 0.5:
            ramp = ramp.transpose(Image.Transpose.ROTATE_90).resize(size)
        first, second = (Image.new("RGB", size, self.colour(not self.dark)) for _ in range(2))
        return Image.composite(first, second, ramp)

    def box(self, least: float, most: float) -> Box:
        """A box whose sides are shares of the page's, which may stick out of it."""
        width = round(self.width * self.chance.uniform(least, most))
        height = round(self.height * self.chance.uniform(least, most))
        left = self.chance.randint(-width // 4, self.width - width // 2)
        top = self.chance.randint(-height // 4, self.height - height // 2)
        return left, top, left + width, top + height

    def text(self, size: float, box: Box) -> None:
        """Lines of a text that fill a box, of one type, ``size`` pixels high."""
        font = ImageFont.truetype(self.chance.choice(FONTS), round(size * FINER))
        ink, spacing = self.ink(), self.chance.uniform(1.1, 1.6) * size * FINER
        words = self.chance.choice(TEXTS)
        start, top = self.chance.randrange(len(words)), float(box[1])
        while top + spacing < box[3]:
            line, count = "", 0
            while count < 40 and font.getlength(line) < box[2] - box[0]:
                line += words[(start + count) % len(words)] + " "
                count += 1
            self.pen.text((box[0], top), line.rsplit(" ", 2)[0], fill=ink, font=font)
            start, top = start + count, top + spacing

    def shape(self) -> None:
        """A rectangle, ellipse or polygon, filled or not."""
        chance, box = self.chance, self.box(0.03, 0.4)
        fill = self.colour() if chance.random() < 0.75 else None
        width = round(chance.choice([1, 1, 1.5, 2, 3, 5]) * FINER)
        line = None if fill and chance.random() < 0.3 else self.ink()
        kind = chance.randrange(4)
        if kind == 0:
            self.pen.rectangle(box, fill, line, width)
        elif kind == 1:
            self.pen.rounded_rectangle(box, chance.uniform(2, 20) * FINER, fill, line, width)
        elif kind == 2:
            self.pen.ellipse(box, fill, line, width)
        else:
            corners = [
                (chance.randint(box[0], box[2]), chance.randint(box[1], box[3]))
                for _ in range(chance.randint(3, 7))
            ]
            self.pen.polygon(corners, fill)
            if line:
                self.pen.line([*corners, corners[0]], line, width, joint="curve")

    def chart(self) -> None:
        """Axes with ticks, a grid, and curves or bars."""
        chance, (left, top, right, bottom) = self.chance, self.box(0.3, 0.7)
        self.pen.rectangle((left, top, right, bottom), None, self.ink(), FINER)
        step = (right - left) / chance.randint(5, 30)
        grid = self.ink()
        places = [left + step * number for number in range(int((right - left) / step) + 1)]
        if chance.random() < 0.5:
            for place in places:
                self.pen.line([(place, top), (place, bottom)], grid, FINER)
        for _ in range(chance.randint(1, 4)):
            ink, height = self.ink(), (top + bottom) / 2
            points = []
            for place in places:
                height = min(max(height + chance.gauss(0, (bottom - top) / 12), top), bottom)
                points.append((place, height))
            if chance.random() < 0.3:
                for place, height in points:
                    self.pen.rectangle((place, height, place + step * 0.7, bottom), ink)
            else:
                self.pen.line(points, ink, round(chance.choice([1, 1.5, 2, 3]) * FINER), "curve")

    def draw(self) -> Image.Image:
        """A page of ``SIZE`` pixels."""
        chance = self.chance
        for _ in range(chance.choice([0, 0, 3, 10, 40])):
            self.shape()
        for _ in range(chance.choice([0, 0, 1, 2])):
            self.chart()
        for _ in range(chance.randint(2, 8)):
            self.text(min(8 * 1.25 ** chance.uniform(0, 11), 90), self.box(0.2, 0.8))
        return self.image.resize(SIZE, Image.Resampling.BOX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=48, help="how many pages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the pages")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for number in range(options.n):
        page = Page(options.seed * 1_000_003 + number).draw()
        page.save(options.output / f"page_{number:03d}.png")


if __name__ == "__main__":
    main()
