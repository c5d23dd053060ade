"""Small square pictures to be enlarged, as thesis 002 (ch. 3.2) makes them."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# The text does not say which kernel. Of Pillow's, and of torch's without antialiasing, this alone
# gives the PSNR that tables 6.1 and 6.2 state for bicubic enlargement; it is also what
# torchvision resizes by unless told otherwise.
_KERNEL = Image.Resampling.BILINEAR


def cut_square(picture: Tensor, side: int) -> Tensor:
    """Resize a picture so that its shorter side fits, and cut out the middle.

    Args:
        picture: uint8 (C, H, W); one that is smaller is enlarged.
        side: of the square in pixels.

    Returns:
        uint8 (C, side, side).
    """
    height, width = picture.shape[-2:]
    shorter = min(height, width)
    size = (width * side // shorter, height * side // shorter)
    planes = [np.asarray(Image.fromarray(plane.numpy()).resize(size, _KERNEL)) for plane in picture]
    resized = torch.from_numpy(np.stack(planes))
    top, left = ((length - side) // 2 for length in resized.shape[-2:])
    return resized[:, top : top + side, left : left + side]
