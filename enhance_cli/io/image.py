"""Reading and writing pictures: the module that other packages import this from."""

from enhance_cli.io.finding import READABLE_SUFFIXES, find_images
from enhance_cli.io.formats import (
    WRITABLE_SUFFIXES,
    check_writable,
    holds_pages,
    picture_suffix,
    place_on_white,
    write_notices,
)
from enhance_cli.io.picture import Picture
from enhance_cli.io.reading import find_pages, find_size, is_compressed, read_image, read_rgb8
from enhance_cli.io.writing import write_image, write_pages

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "Picture",
    "check_writable",
    "find_images",
    "find_pages",
    "find_size",
    "holds_pages",
    "is_compressed",
    "picture_suffix",
    "place_on_white",
    "read_image",
    "read_rgb8",
    "write_image",
    "write_notices",
    "write_pages",
]
